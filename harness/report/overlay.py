"""A picture for people: the camera's own frame with every LED found in it, and those in doubt named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from harness.analysis.light.ledmap import DEAD, DOUBTFUL, OK, SWAPPED, LedMap

# Blue, green, red: colours of the states, and of the strips' names.
_COLOURS = {OK: (80, 220, 80), DEAD: (60, 60, 255), DOUBTFUL: (0, 200, 255), SWAPPED: (255, 80, 255)}
_NAMES = ((255, 220, 120), (120, 220, 255))
_EVERY = 20
# Small pictures are enlarged so that rings and numbers do not cover the LEDs.
_LEAST_WIDTH = 1280


def overlay(picture: npt.NDArray[np.floating], leds: LedMap) -> npt.NDArray[np.uint8]:
    """Rings around all LEDs, numbers at every twentieth, crosses and numbers at those that are not ok.

    Args:
        picture: [height, width, 3] with the strips lit, blue first.
        leds: the map made from the same view.

    Returns:
        uint8[height, width, 3], enlarged when the picture is small.
    """
    import cv2

    scale = max(1, -(-_LEAST_WIDTH // leds.width))
    # Dimmed, so that the drawing stands out.
    base = np.clip(np.asarray(picture) * 0.7, 0, 255).astype(np.uint8)
    out = np.asarray(cv2.resize(base, None, fx=scale, fy=scale, interpolation=cv2.INTER_NEAREST), np.uint8)
    radius = max(2, round(0.38 * leds.pitch * scale))
    for strip, row in enumerate(leds.state):
        for led, state in enumerate(row):
            at = leds.xy[strip, led]
            if not np.isfinite(at).all() or state not in _COLOURS:
                continue
            # Pixel centres of the small picture, in pixels of the large one.
            x, y = (round(float((v + 0.5) * scale - 0.5)) for v in at)
            cv2.circle(out, (x, y), radius, _COLOURS[state], 1, cv2.LINE_AA)
            if state != OK:
                cv2.drawMarker(out, (x, y), _COLOURS[state], cv2.MARKER_TILTED_CROSS, 2 * radius, 1, cv2.LINE_AA)
            if state != OK or led % _EVERY == 0 or led == len(row) - 1:
                _text(out, f"{'AB'[strip]}{led}", x, y - radius - 4, _NAMES[strip] if state == OK else _COLOURS[state])
    return out


def _text(out: npt.NDArray[np.uint8], text: str, x: int, y: int, colour: tuple[int, int, int]) -> None:
    import cv2

    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, 0.42, 1)
    x = int(np.clip(x - width // 2, 0, out.shape[1] - width))
    y = int(np.clip(y, height, out.shape[0] - 2))
    cv2.putText(out, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 3, cv2.LINE_AA)
    cv2.putText(out, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, 1, cv2.LINE_AA)


def write_overlay(path: Path, picture: npt.NDArray[np.floating], leds: LedMap) -> None:
    """Writes the overlay as PNG, whole or not at all."""
    import cv2

    good, data = cv2.imencode(".png", overlay(picture, leds))
    if not good:
        raise ValueError("the overlay could not be packed as PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.new")
    work.write_bytes(data.tobytes())
    work.replace(path)
