"""Where the LEDs are in the picture: two strips of 160 in one of several layouts, seen a little from the side.

The layout is drawn on a plane, turned, seen in perspective, fitted into the picture and only then disturbed, so that
irregularity and shift are in true pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from harness.bench.camera_config import CameraConfig
from harness.bench.draws import Draws

STRIPS = 2
LEDS = 160

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """True places of all lights.

    Attributes:
        leds: x and y in pixels, shape [2, 160, 2], strip A first, in order of the data; may lie outside the picture.
        reference: x and y of the reference LED, or None.
        pitch_px: median distance of neighbouring LEDs.
        brightness: relative light of each LED at equal drive, shape [2, 160], mean about 1.
    """

    leds: Points
    reference: Points | None
    pitch_px: float
    brightness: NDArray[np.float64]

    def moved(self, dx_px: float, dy_px: float, rotation_deg: float, centre: tuple[float, float]) -> Scene:
        """The same lights after the camera was pushed: turned clockwise about ``centre``, then shifted."""

        def move(points: Points) -> Points:
            return _turned(points - centre, rotation_deg) + centre + (dx_px, dy_px)

        reference = None if self.reference is None else move(self.reference)
        return Scene(move(self.leds), reference, self.pitch_px, self.brightness)


def make_scene(config: CameraConfig, draws: Draws) -> Scene:
    """Places all lights as configured; random parts come from the stream ``scene``."""
    random = draws.stream("scene")
    size = np.array([config.width, config.height], dtype=np.float64)
    tilt = float(random.uniform(0.0, 2.0 * np.pi))  # drawn always: one setting must not change another's draws
    beside = random.standard_normal((STRIPS, LEDS, 2)).clip(-2.5, 2.5) * config.irregularity_px
    spread = 1.0 + random.standard_normal((STRIPS, LEDS)).clip(-2.5, 2.5) * config.led_spread
    leds = _on_plane(config.layout, size * (1.0 - 2.0 * config.margin), size, config.strip_gap)
    if config.reversed:
        leds = leds[:, ::-1]
    if config.mirrored:
        leds = leds * (-1.0, 1.0)
    leds = _in_perspective(_turned(leds, config.rotation_deg), config.perspective, tilt)
    leds = _fitted(leds, size, config.margin) + beside
    reference = _free_place(leds.reshape(-1, 2), size) if config.reference_led else None
    pitch_px = float(np.median(np.hypot(*np.moveaxis(np.diff(leds, axis=1), -1, 0))))
    shift = np.array(config.shift_px)
    return Scene(leds + shift, None if reference is None else reference + shift, pitch_px, spread)


def _on_plane(layout: str, room: Points, size: Points, gap: float) -> Points:
    """LEDs of both strips around the origin, x to the right, y down, in pixels: shape [2, 160, 2]."""
    along = np.linspace(-0.5, 0.5, LEDS)
    out = np.empty((STRIPS, LEDS, 2))
    for strip in range(STRIPS):
        side = strip - 0.5
        if layout == "horizontal":
            out[strip] = np.stack([along * room[0], np.full(LEDS, side * gap * size[1])], axis=1)
        elif layout == "vertical":
            out[strip] = np.stack([np.full(LEDS, side * gap * size[0]), along * room[1]], axis=1)
        elif layout == "two_rows":
            out[strip] = _folded(room[0], 2.0 * side * gap * size[1], gap * size[1])
        else:
            # half circles round one centre; the outer one touches three sides of the room
            radius = min(room[0] / 2.0, room[1]) * (1.0 - strip * gap)
            angle = np.pi * (along - 0.5)
            out[strip] = radius * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return out


def _folded(length: float, middle: float, gap: float) -> Points:
    """A strip bent once: the first half to the right, the second half back below it."""
    half = LEDS // 2
    x = np.linspace(-0.5, 0.5, half) * length
    first = np.stack([x, np.full(half, middle - gap / 2.0)], axis=1)
    second = np.stack([x[::-1], np.full(half, middle + gap / 2.0)], axis=1)
    return np.concatenate([first, second])


def _turned(points: Points, degrees: float) -> Points:
    """Clockwise as seen in a picture whose y runs down."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned: Points = points @ turn
    return turned


def _in_perspective(points: Points, strength: float, direction: float) -> Points:
    """A plane tilted about an axis in it: what lies towards ``direction`` is farther away and smaller."""
    reach = np.abs(points).max()
    depth = points @ np.array([np.cos(direction), np.sin(direction)]) / reach
    seen: Points = points / (1.0 + strength * depth)[..., None]
    return seen


def _fitted(points: Points, size: Points, margin: float) -> Points:
    """Centred in the picture, and made smaller where it would not fit; never made larger."""
    flat = points.reshape(-1, 2)
    low, high = flat.min(axis=0), flat.max(axis=0)
    scale = min(1.0, float(np.min(size * (1.0 - 2.0 * margin) / np.maximum(high - low, 1e-9))))
    fitted: Points = (points - (low + high) / 2.0) * scale + (size - 1.0) / 2.0
    return fitted


def _free_place(leds: Points, size: Points) -> Points:
    """The place farthest from every LED and from the edge, on a grid of 1/48 of the picture."""
    x = np.arange(2, 47) / 48.0 * size[0]
    y = np.arange(2, 47) / 48.0 * size[1]
    grid = np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
    distance, _ = KDTree(leds).query(grid)
    edge = np.minimum(grid, size - 1.0 - grid).min(axis=1)
    place: Points = grid[int(np.argmax(np.minimum(distance, edge)))]
    return place
