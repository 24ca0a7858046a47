"""Cameras for tests of the virtual camera: an ideal one, and light on chosen LEDs at chosen times."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.bench.camera import VirtualCamera
from harness.bench.camera_config import IDENTITY, CameraConfig
from harness.bench.chip import LightFrame
from harness.bench.draws import Draws
from harness.bench.events import EventLog

MS = 1_000_000
Lit = dict[int, tuple[int, int, int]]  # R, G, B by LED
IDEAL = {
    "response": "linear", "read_noise": 0.0, "full_well_e": 1e9, "ambient": 0.0, "hot_pixels": 0, "vignetting": 0.0,
    "jpeg_quality": 0, "led_spread": 0.0, "crosstalk": IDENTITY, "skew_ppm": 0.0, "frame_jitter_ms": 0.0,
    "timestamp_jitter_ms": 0.0, "timestamp_offset_ms": 0.0,
}  # fmt: skip


def camera(seed: int = 1, **settings: Any) -> VirtualCamera:
    """A camera with an ideal sensor, except for ``settings``."""
    return VirtualCamera(CameraConfig(**{**IDEAL, **settings}), Draws(seed), EventLog())


def strip(leds: Lit) -> bytes:
    """Bytes of one strip with these LEDs lit."""
    out = np.zeros((160, 3), np.uint8)
    for led, rgb in leds.items():
        out[led] = rgb
    return out.tobytes()


def show(made: VirtualCamera, start_ns: int, a: Lit, b: Lit | None = None) -> None:
    """One transmission with these LEDs lit on strips A and B."""
    made.on_light(LightFrame(start_ns, 200, strip(a), strip(b or {})))


def shots(made: VirtualCamera, n: int, start_ns: int = 0) -> list[NDArray[np.float64]]:
    """The next ``n`` pictures of a new stream, as signals 0 to 1 of R, G, B (linear response)."""
    made.start(start_ns)
    out: list[NDArray[np.float64]] = []
    while len(out) < n:
        frame = made.develop()
        if frame is not None:
            out.append(frame.image[..., ::-1] / 255.0)
    return out
