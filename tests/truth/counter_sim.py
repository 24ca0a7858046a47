"""A strip that counts and a camera that looks, for trials by the hundred thousand frames: no code of the estimators.

Fields of the counter are those of docs/hil-patterns.md; a rolling shutter gathers each LED's light over its exposure.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.recording import FRAME_COLUMNS, Light, Recording

LEDS = 160
LED_S = 30e-6


class Film(NamedTuple):
    """A recording, and which sequence numbers the strip never showed although the device told of them."""

    recording: Recording
    hidden: np.ndarray


def fields(number: np.ndarray) -> np.ndarray:
    """float32[n, 160]: light of each LED for frame numbers [n]."""
    n = number % 4096
    gray = n ^ (n >> 1)
    bits = (gray[:, None] >> np.arange(12)) & 1
    parity = 1 - bits.sum(axis=1, keepdims=True) % 2
    copy = np.concatenate([np.ones_like(parity), np.zeros_like(parity), bits, parity, (n & 1)[:, None]], axis=1)
    return np.tile(np.repeat(copy, 2, axis=1), (1, 5)).astype(np.float32)


def film(
    rng: np.random.Generator, *, seconds: float = 20.0, led_fps: float = 166.7, fps: float = 30.0,
    exposure_ms: float = 1.5, readout_ms: float = 30.0, hide: float = 0.0, drop: float = 0.0, noise: float = 0.02,
) -> Film:  # fmt: skip
    """One film of ``hil_counter``: frames hidden from light and camera frames dropped at random."""
    first = int(rng.integers(0, 100_000))
    start = float(rng.uniform(0, 1 / led_fps))
    seq = first + np.arange(int(seconds * led_fps) - 1)
    hidden = rng.random(seq.size) < hide
    hidden[0] = False
    # A hidden frame never reaches the strip: the one before it stays.
    shown = np.maximum.accumulate(np.where(hidden, -1, np.arange(seq.size)))
    height = 360
    slope = np.linspace(-0.45, 0.45, LEDS)
    rows = height / 2 + np.stack([slope, slope * 0.9 + 0.03]) * height
    number = np.arange(int(seconds * fps) - 2)
    number = number[rng.random(number.size) >= drop]
    opens = (number / fps + float(rng.uniform(0, 1 / fps)))[:, None, None] + rows * readout_ms / 1e3 / height
    light = _gathered(opens, start + np.arange(seq.size) / led_fps, fields(seq[shown]), exposure_ms / 1e3)
    light += rng.normal(0, noise, light.shape).astype(np.float32)
    time_ns = np.rint((opens - rows * readout_ms / 1e3 / height)[:, 0, 0] * 1e9 + 5e9).astype(np.int64)
    xy = np.stack([np.broadcast_to(np.linspace(20, 620, LEDS), (2, LEDS)), rows], axis=-1)
    about = {"exposure_ms": exposure_ms, "missing": int(np.ptp(number) + 1 - number.size)}
    seen = Light(
        time_ns, time_ns, number, np.repeat(light[..., None], 3, axis=3), np.zeros(light.shape, bool), xy,
        np.ones((2, LEDS, 3)), np.zeros((2, LEDS, 3, 2)), np.eye(3), None, about,
    )  # fmt: skip
    frames = {name: np.zeros(seq.size, kind) for name, kind in FRAME_COLUMNS.items()}
    frames |= {"seq": seq, "t_us": np.rint((start + np.arange(seq.size) / led_fps) * 1e6).astype(np.int64)}
    frames["sent"] = np.ones(seq.size, bool)
    return Film(Recording({"pattern": "hil_counter"}, frames, light=seen), seq[hidden])


def _gathered(opens: np.ndarray, begins: np.ndarray, shown: np.ndarray, exposure_s: float) -> np.ndarray:
    """Mean light of LEDs whose exposures begin at ``opens`` [n, 2, 160]; exposures shorter than a frame."""
    led = np.arange(LEDS)
    wire = opens - (led + 1) * LED_S
    last = len(begins) - 1
    early = np.clip(np.searchsorted(begins, wire, side="right") - 1, 0, last)
    late = np.clip(np.searchsorted(begins, wire + exposure_s, side="right") - 1, 0, last)
    share = np.where(late > early, (begins[late] - wire) / exposure_s, 1.0).astype(np.float32)
    return shown[early, led] * share + shown[late, led] * (1 - share)
