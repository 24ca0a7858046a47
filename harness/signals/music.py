"""Dance music made here, so that its beat is known; and stimuli put together from others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness.signals.stimulus import RATE_HZ, Stimulus, faded, times


def four_on_floor(bpm: float, seconds: float, level: float = 0.8, seed: int = 1) -> Stimulus:
    """Synthetic dance music: kick on each beat, noise hat between, a moving bass and a chord.

    Truth: bpm and the kick onsets.
    """
    n = round(seconds * RATE_HZ)
    mix = np.zeros(n)
    rng = np.random.default_rng(seed)
    beat_s = 60.0 / bpm
    kick_t, hat_t = times(0.18), times(0.05)
    kick = np.exp(-kick_t / 0.06) * np.sin(2 * np.pi * (50 * kick_t + 4.0 * (1 - np.exp(-kick_t / 0.02))))
    onsets = []
    for beat in range(int(seconds / beat_s) + 1):
        start = round(beat * beat_s * RATE_HZ)
        if start < n:
            onsets.append(start / RATE_HZ)
            _add(mix, start, kick)
        _add(mix, round((beat + 0.5) * beat_s * RATE_HZ), 0.25 * np.exp(-hat_t / 0.012) * rng.normal(size=hat_t.size))
        bass_t = times(beat_s * 0.9)
        note = 55.0 * 2 ** ([0, 0, 3, 5][beat // 4 % 4] / 12)
        bass = 0.3 * np.sin(2 * np.pi * note * 2 * bass_t)
        chord = sum(0.08 * np.sin(2 * np.pi * note * ratio * bass_t) for ratio in (8.0, 10.0, 12.0))
        _add(mix, start, faded(bass + chord, 0.02))
    mix *= level / max(float(np.abs(mix).max()), 1e-12)
    return Stimulus(f"music_{bpm:g}bpm", mix.astype(np.float32), truth={"bpm": bpm, "onsets_s": onsets, "seed": seed})


def _add(mix: npt.NDArray[np.float64], start: int, part: npt.NDArray[np.float64]) -> None:
    stop = min(start + part.size, mix.size)
    if start < stop:
        mix[start:stop] += part[: stop - start]


def mixed(name: str, parts: Sequence[Stimulus]) -> Stimulus:
    """Plays stimuli one after another.

    Truth: ``parts`` with name, start and the part's own truth (times from the part's start).
    """
    at = 0
    truth = []
    for part in parts:
        truth.append({"name": part.name, "start_s": at / RATE_HZ, "truth": part.truth})
        at += part.samples.size
    samples = np.concatenate([p.samples for p in parts]) if parts else np.zeros(0, np.float32)
    return Stimulus(name, samples, truth={"parts": truth})


def gated(
    base: Stimulus, segments: int = 24, segment_s: float = 0.4, lead_s: float = 0.0, floor: float = 0.05, seed: int = 1
) -> Stimulus:
    """``base``, switched between full and ``floor`` level in a random order, as often loud as quiet.

    The floor keeps the device's activity gate open, so that "quiet" is not "silence". Edges are 5 ms ramps.

    Args:
        base: at least ``lead_s + segments * segment_s`` seconds of sound.
        segments: an even number.
        lead_s: played at full level first (time for a tempo to lock).

    Truth: ``loud`` (one per segment), ``segment_s``, ``lead_s``, and the truth of ``base``.
    """
    if segments % 2 or base.seconds < lead_s + segments * segment_s - 1e-6:
        raise ValueError("a gated stimulus needs an even number of segments and a base long enough for them")
    loud = np.random.default_rng(seed).permutation(np.arange(segments) % 2 == 0)
    step = round(segment_s * RATE_HZ)
    level = np.concatenate([np.ones(round(lead_s * RATE_HZ)), np.repeat(np.where(loud, 1.0, floor), step)])
    n = min(level.size, base.samples.size)
    ramp = round(0.005 * RATE_HZ)
    padded = np.pad(level[:n], (ramp // 2, ramp - ramp // 2 - 1), mode="edge")
    smooth = np.convolve(padded, np.ones(ramp) / ramp, mode="valid")
    gate = {"loud": [bool(x) for x in loud], "segment_s": segment_s, "lead_s": lead_s, "floor": floor, "seed": seed}
    truth = {**base.truth, **gate}
    return Stimulus(f"gated_{base.name}", (base.samples[:n] * smooth).astype(np.float32), truth=truth)
