"""How fast camera frames become light: 720p MJPEG of 60 frames/s, decoding included, beside the decoding alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.figure import Figure, Spread
from benchmarks.machine import one_core
from harness.rig.camera_calibration import Calibration, load
from harness.rig.light_recorder import LightRecorder

CALIBRATION = Path(__file__).resolve().parents[1] / "rigs" / "sim.camera.json"
SIZE, FPS, FRAMES = (1280, 720), 60.0, 300
QUALITY, NOISE = 90, 2.0


class _Film:
    """A camera that has sent all its frames: JPEG, decoded when they are taken."""

    def __init__(self, pictures: list[Any]) -> None:
        self._pictures = pictures

    def drop_waiting(self) -> None:
        """Nothing waits before the film."""

    def waiting(self) -> Iterator[tuple[int, Any]]:
        """Each frame once, with its stamp."""
        pictures, self._pictures = self._pictures, []
        for number, picture in enumerate(pictures):
            yield round(number * 1e9 / FPS), cv2.imdecode(picture, cv2.IMREAD_COLOR)


def analysis_speed(runs: int, seed: int) -> list[Figure]:
    """Frames per second of what a recording does with each, on one core; it has to keep up with the camera."""
    known = enlarged(load(CALIBRATION))
    pictures = film(known, FRAMES, seed)
    size = sum(p.nbytes for p in pictures) / FRAMES / 1e3
    with one_core() as pinned:
        bare = [FRAMES / _timed(lambda: _decode(pictures)) for _ in range(runs)]
        whole = [FRAMES / _timed(lambda: _analyse(pictures, known)) for _ in range(runs)]
        note = f"{SIZE[0]} x {SIZE[1]}, {FRAMES} frames of {size:.0f} KB, {pinned}"
    reference = Spread("OpenCV decodes them, nothing else", bare)
    return [Figure(Spread("720p60 MJPEG to the light of 320 LEDs", whole), "frames/s", reference, FPS, "higher", note)]


def enlarged(known: Calibration) -> Calibration:
    """The calibration of rig sim (640 x 360) as one of a camera of this size with the same view."""
    factor = SIZE[0] / known.leds.width
    leds = replace(known.leds, xy=known.leds.xy * factor, pitch=known.leds.pitch * factor,
                   spot=known.leds.spot * factor, width=SIZE[0], height=SIZE[1])  # fmt: skip
    return replace(known, leds=leds, window=known.window * factor)


def film(known: Calibration, frames: int, seed: int) -> list[Any]:
    """JPEG files of spots at the places of the LEDs, each of another colour in every frame, in sensor noise."""
    rng = np.random.default_rng(seed)
    places = np.rint(known.leds.xy[known.leds.usable]).astype(int)
    noise = np.clip(rng.normal(8.0, NOISE, (SIZE[1] + 64, SIZE[0] + 64, 3)), 0, 255).astype(np.uint8)
    out = []
    for _ in range(frames):
        row, column = rng.integers(0, 64, 2)
        picture = noise[row : row + SIZE[1], column : column + SIZE[0]].copy()
        for (x, y), colour in zip(places, rng.integers(20, 220, (len(places), 3)), strict=True):
            cv2.circle(picture, (int(x), int(y)), 2, [int(c) for c in colour], -1)
        out.append(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1])
    return out


def _decode(pictures: list[Any]) -> int:
    return sum(cv2.imdecode(picture, cv2.IMREAD_COLOR) is not None for picture in pictures)


def _analyse(pictures: list[Any], known: Calibration) -> int:
    camera: Any = _Film(pictures)
    light = LightRecorder(camera, known).finish(-(10**9), 10**18)
    if not np.isfinite(light.light).any(axis=(0, 3)).sum() > 300:
        raise RuntimeError("not the work that was meant: hardly any LED was read")
    return int(light.host_ns.size)


def _timed(work: Any) -> float:
    begun = time.perf_counter()
    done = work()
    took = time.perf_counter() - begun
    if done < 0.98 * FRAMES:
        raise RuntimeError(f"not the work that was meant: {done} of {FRAMES} frames")
    return took
