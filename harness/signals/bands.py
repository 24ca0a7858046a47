"""Tones of three bands and quiet, in a random order: what a listener does with each shows in one recording."""

from __future__ import annotations

import numpy as np

from harness.signals.basic import pink_noise
from harness.signals.stimulus import RATE_HZ, Stimulus, faded, times

# Semitones above 77.78 Hz, and peak levels: such that a listener who weights semitone i of 64 by
# sqrt(0.995 (i/64)^4 + 0.005) hears all three alike (the device contract's spectrum).
BANDS = {"bass": 7, "mid": 31, "treble": 55}
LOWEST_HZ = 77.7817
LOUDEST = 0.8
QUIET_RMS = 0.0025


def band_frequency_hz(band: str) -> float:
    """The tone of a band: 116.5, 466.2 and 1864.7 Hz."""
    return float(LOWEST_HZ * 2 ** (BANDS[band] / 12))


def band_steps(repeats: int = 4, step_s: float = 0.4, lead_s: float = 0.4, seed: int = 1) -> Stimulus:
    """Bass, mid and treble tones and quiet, each ``repeats`` times, shuffled, over faint noise all the way through.

    Before them the mid tone, for a listener's range to settle. No two neighbours are alike, so every step has edges.

    Truth: ``bands`` (name or "quiet" per step), ``step_s``, ``lead_s``, ``seed``.
    """
    rng = np.random.default_rng(seed)
    kinds = [*BANDS, "quiet"]
    order: list[str] = []
    for _ in range(repeats):
        turn = [str(k) for k in rng.permutation(kinds)]
        if turn[0] == (order[-1] if order else "mid"):
            turn = [*turn[1:], turn[0]]
        order += turn
    weights = {b: float(np.sqrt(0.995 * (i / 64) ** 4 + 0.005)) for b, i in BANDS.items()}
    least = min(weights.values())
    parts = []
    for kind, seconds in [("mid", lead_s), *((k, step_s) for k in order)]:
        level = LOUDEST * least / weights[kind] if kind in weights else 0.0
        hz = band_frequency_hz(kind) if kind in weights else 0.0
        parts.append(faded(level * np.sin(2 * np.pi * hz * times(seconds)), 0.01))
    wave = np.concatenate(parts)
    wave = wave + pink_noise(wave.size / RATE_HZ, QUIET_RMS, seed).samples[: wave.size]
    truth = {"bands": order, "step_s": step_s, "lead_s": lead_s, "seed": seed}
    return Stimulus("band_steps", np.clip(wave, -1, 1).astype(np.float32), truth=truth)
