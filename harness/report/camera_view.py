"""What the camera saw, for the page: the film of a recording beside its bytes, and where it found the LEDs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.analysis.light.seen import film_bytes
from harness.analysis.pixels import shown
from harness.recording import LEDS, Light, Recording
from harness.report.film import film_base64

WIDTH = 960.0
_EVERY = 20


class Films(NamedTuple):
    """Two films of the same span of one recording.

    Attributes:
        said: base64 PNG, from the bytes handed to the strips. seen: base64 PNG, from the camera's light.
        seconds: of both. frames: of the camera in it.
    """

    said: str
    seen: str
    seconds: float
    frames: int


def films(recording: Recording, longest_s: float) -> Films | None:
    """Bytes and camera over the last ``longest_s`` seconds both cover; None without a camera."""
    seen = recording.light
    times, rgb = shown(recording)
    if seen is None or seen.host_ns.size < 2 or len(rgb) < 2:
        return None
    last = int(min(seen.host_ns[-1], times[-1]))
    first = int(max(seen.host_ns[0], times[0], last - round(longest_s * 1e9)))
    by_camera = (seen.host_ns >= first) & (seen.host_ns <= last)
    by_bytes = (times >= first) & (times <= last)
    if by_camera.sum() < 2 or by_bytes.sum() < 2:
        return None
    said = film_base64(times[by_bytes], rgb[by_bytes])
    eye = film_base64(seen.host_ns[by_camera], film_bytes(seen)[by_camera])
    return Films(said, eye, (last - first) / 1e9, int(by_camera.sum()))


def view(light: Light) -> str:
    """The picture's frame with every LED at its place, as inline SVG; clipped LEDs are filled."""
    width, height = float(light.about.get("width") or 1), float(light.about.get("height") or 1)
    scale = WIDTH / width
    pitch = float(np.nanmedian(np.linalg.norm(np.diff(light.xy, axis=1), axis=2))) * scale
    radius = float(np.clip(0.38 * pitch, 1.2, 5.0))
    parts = [f'<rect class="frame" x="0" y="0" width="{WIDTH:g}" height="{height * scale:.1f}"/>']
    often = light.clipped.mean(axis=0) > 0.01 if light.clipped.size else np.zeros((2, LEDS), bool)
    for strip in range(2):
        for led in range(LEDS):
            x, y = light.xy[strip, led] * scale
            if not np.isfinite((x, y)).all() or not np.isfinite(light.white[strip, led]).all():
                continue
            kind = "clipped" if often[strip, led] else "ab"[strip]
            name = f"{'AB'[strip]}{led}"
            parts.append(
                f'<circle class="led {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}"><title>{name}</title></circle>'
            )
            if led % _EVERY == 0 or led == LEDS - 1:
                parts.append(f'<text x="{x:.1f}" y="{y - radius - 3:.1f}" text-anchor="middle">{name}</text>')
    reference = light.about.get("reference_xy")
    if reference:
        x, y = (float(v) * scale for v in reference)
        parts.append(f'<circle class="led ref" cx="{x:.1f}" cy="{y:.1f}" r="{radius + 2:.1f}"/>')
        parts.append(f'<text x="{x:.1f}" y="{y - radius - 5:.1f}" text-anchor="middle">reference LED</text>')
    size = f"0 0 {WIDTH:g} {height * scale:.1f}"
    return f'<svg viewBox="{size}" role="img" aria-label="LEDs in the camera\'s picture">{"".join(parts)}</svg>'


def view_facts(light: Light) -> list[tuple[str, str]]:
    """Label and value pairs on the camera of a recording."""
    about = light.about
    known = int((np.isfinite(light.xy).all(axis=2) & np.isfinite(light.white).all(axis=2)).sum())
    facts = [
        ("LEDs measured", f"{known} of {light.xy.shape[0] * LEDS}"),
        ("picture", f"{about.get('width')} × {about.get('height')}, {float(about.get('fps') or 0):.2f} frames/s"),
    ]
    if about.get("exposure_ms"):
        facts.append(("exposure", f"{float(about['exposure_ms']):.1f} ms"))
    row = about.get("row_ns")
    facts.append(("row time", "unknown" if row is None else f"{float(row) / 1e3:.1f} µs"))
    facts.append(("frames that never came", str(about.get("missing", 0))))
    facts.append(("reference LED", "in view" if light.reference is not None else "none"))
    return facts + [("warning", str(text)) for text in about.get("warnings") or []]
