"""A little simulated strip and camera for trials by the hundred: physics only, no code of the estimators.

Sound switches; the device answers in hops, then in LED frames; light rises and falls exponentially; a camera with a
rolling shutter gathers it over its exposure, with noise, jitter and dropped frames.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

LEDS = 160


class Case(NamedTuple):
    """What is injected; times in ms."""

    seconds: float = 30.0
    fps: float = 60.0
    exposure: float = 4.0
    readout: float = 15.0
    vertical: bool = True
    flipped: bool = False
    led_fps: float = 100.0
    latency: float = 12.0
    hop: float = 5.0
    hop_phase: float = 0.3
    tau_rise: float = 0.0
    tau_fall: float = 0.0
    noise: float = 0.02
    stamp_jitter: float = 0.5
    drop: float = 0.0


class Shot(NamedTuple):
    """What the camera saw, and what is true."""

    host_ns: np.ndarray
    light: np.ndarray
    led: np.ndarray
    row_ms: np.ndarray
    reference: np.ndarray
    rise_ms: np.ndarray
    fall_ms: np.ndarray

    @property
    def mean_ms(self) -> float:
        return (float(self.rise_ms.mean()) + float(self.fall_ms.mean())) / 2


def telegraph(rng, seconds):
    """Onsets and offsets in ms: chips of 100 ms +- 10 ms, at most two alike."""
    rises, falls, on, alike, at = [], [], False, 1, 600.0 + rng.uniform(0, 100)
    while at < seconds * 1e3 - 800:
        if alike >= 2 or rng.random() < 0.5:
            (falls if on else rises).append(at)
            on, alike = not on, 1
        else:
            alike += 1
        at += 100 + rng.uniform(-10, 10)
    if on:
        falls.append(at)
    return np.array(rises), np.array(falls)


def shoot(rng, case: Case, rises, falls, every: int = 4) -> Shot:
    """Every ``every``-th LED of one strip, and the reference LED in row 0."""
    events = np.sort(np.concatenate([rises, falls]))
    up = np.isin(events, rises)
    hop_ready = np.ceil((events - case.hop_phase * case.hop) / case.hop) * case.hop + case.hop_phase * case.hop
    period = 1e3 / case.led_fps
    phase = rng.uniform(0, period)
    shown = np.ceil((hop_ready + case.latency - phase) / period) * period + phase
    led = np.arange(0, LEDS, every)
    period_cam = 1e3 / case.fps
    starts = rng.uniform(0, period_cam) + np.arange(int(case.seconds * case.fps)) * period_cam
    kept = rng.random(starts.size) >= case.drop
    starts = starts[kept]
    place = led / (LEDS - 1)
    place = 1 - place if case.flipped else place
    row = place * case.readout if case.vertical else np.full(led.size, case.readout / 2)
    opens = starts[:, None] + row[None, :] - 0.030 * led[None, :]
    light = _gathered(opens, shown, up, case.exposure, case.tau_rise, case.tau_fall)
    light = light + rng.normal(0, case.noise, light.shape)
    reference = _gathered(starts, events, up, case.exposure, 0.0, 0.0) + rng.normal(0, case.noise, starts.size)
    stamps = starts + rng.normal(0, case.stamp_jitter, starts.size)
    # A steady camera's stamps are read as a line; what is left of the jitter is its error.
    index = np.flatnonzero(kept)
    line = np.polyval(np.polyfit(index, stamps, 1), index)
    delay = shown + 0.0 - events
    half = delay + np.log(2.0) * np.where(up, case.tau_rise, case.tau_fall)
    return Shot(np.rint(line * 1e6).astype(np.int64), light.astype(np.float32), led, row, reference.astype(np.float32),
                half[up], half[~up])  # fmt: skip


def _gathered(opens, shown, up, exposure, tau_rise, tau_fall):
    """Mean light over each exposure, by stepping finely through time."""
    step = 0.05
    t = np.arange(0.0, max(float(opens.max()) + exposure, float(shown.max())) + 50.0, step)
    target = np.zeros(t.size)
    for at, lit in zip(shown, up, strict=True):
        target[int(np.ceil(at / step)) :] = 1.0 if lit else 0.0
    if tau_rise or tau_fall:
        value, out = 0.0, np.empty(t.size)
        keep = {1.0: np.exp(-step / max(tau_rise, 1e-6)), 0.0: np.exp(-step / max(tau_fall, 1e-6))}
        for i, goal in enumerate(target):
            value = goal + (value - goal) * keep[goal]
            out[i] = value
        target = out
    total = np.concatenate([[0.0], np.cumsum(target) * step])
    grid = np.concatenate([t, [t[-1] + step]])
    return (np.interp(opens + exposure, grid, total) - np.interp(opens, grid, total)) / exposure
