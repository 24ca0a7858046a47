"""Stimuli: audio whose truth is known because we made it. Mono float32, 48 kHz, full scale 1.0.

Every function returns a :class:`Stimulus` whose ``truth`` says what an ideal listener would find in it. Random
stimuli take a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

RATE_HZ = 48_000
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Stimulus:
    """An audio signal and what is true of it.

    Attributes:
        name: short name, also used in file names.
        samples: float32[n], mono, within ±1.
        rate_hz: sample rate.
        truth: plain JSON values; times in seconds from the first sample.
    """

    name: str
    samples: Samples
    rate_hz: int = RATE_HZ
    truth: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(
                f"stimulus {self.name}: samples must be float32[n], got {self.samples.dtype}{self.samples.shape}"
            )
        if self.samples.size and float(np.abs(self.samples).max()) > 1.0:
            raise ValueError(f"stimulus {self.name}: samples exceed full scale")

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples.size / self.rate_hz


def _times(seconds: float) -> npt.NDArray[np.float64]:
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def _faded(wave: npt.NDArray[np.float64], fade_s: float) -> npt.NDArray[np.float64]:
    """Raised-cosine edges, so that switching on does not click into every band."""
    n = min(round(fade_s * RATE_HZ), wave.size // 2)
    if n:
        ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(n) / n)
        wave = wave.copy()
        wave[:n] *= ramp
        wave[-n:] *= ramp[::-1]
    return wave


def silence(seconds: float) -> Stimulus:
    """Digital silence."""
    return Stimulus("silence", np.zeros(round(seconds * RATE_HZ), np.float32), truth={"rms": 0.0})


def tone(frequency_hz: float, seconds: float, level: float = 0.5, fade_s: float = 0.01) -> Stimulus:
    """A sine of peak ``level``."""
    wave = _faded(level * np.sin(2 * np.pi * frequency_hz * _times(seconds)), fade_s)
    truth = {"frequency_hz": frequency_hz, "level": level, "onsets_s": [0.0]}
    return Stimulus(f"tone_{frequency_hz:.0f}hz", wave.astype(np.float32), truth=truth)


def tone_steps(
    frequencies_hz: Sequence[float], step_s: float = 0.5, gap_s: float = 0.1, level: float = 0.5
) -> Stimulus:
    """One sine after another, each ``step_s`` long and followed by ``gap_s`` of silence.

    Truth: steps (frequency, start, stop).
    """
    parts, steps, at = [], [], 0
    gap = np.zeros(round(gap_s * RATE_HZ))
    for frequency in frequencies_hz:
        wave = _faded(level * np.sin(2 * np.pi * frequency * _times(step_s)), 0.01)
        steps.append({"frequency_hz": float(frequency), "start_s": at / RATE_HZ, "stop_s": (at + wave.size) / RATE_HZ})
        parts += [wave, gap]
        at += wave.size + gap.size
    samples = np.concatenate(parts) if parts else gap[:0]
    truth = {"steps": steps, "level": level, "onsets_s": [s["start_s"] for s in steps]}
    return Stimulus("tone_steps", samples.astype(np.float32), truth=truth)


def click_track(
    bpm: float, seconds: float, level: float = 0.7, click_s: float = 0.03, first_s: float = 0.25
) -> Stimulus:
    """Short decaying two-tone bursts at a steady tempo; longer than one 5 ms hop, so each is seen whole.

    Truth: bpm, onsets.
    """
    samples = np.zeros(round(seconds * RATE_HZ))
    t = _times(click_s)
    burst = np.exp(-t / (click_s / 4)) * (0.6 * np.sin(2 * np.pi * 220 * t) + 0.4 * np.sin(2 * np.pi * 1760 * t))
    burst *= level / np.abs(burst).max()
    onsets = []
    beat = 0
    while True:
        start = round((first_s + beat * 60.0 / bpm) * RATE_HZ)
        if start + burst.size > samples.size:
            break
        samples[start : start + burst.size] += burst
        onsets.append(start / RATE_HZ)
        beat += 1
    return Stimulus(
        f"click_{bpm:g}bpm", samples.astype(np.float32), truth={"bpm": bpm, "onsets_s": onsets, "level": level}
    )


def pink_noise(seconds: float, level_rms: float = 0.1, seed: int = 1) -> Stimulus:
    """Noise with 1/f power between 20 Hz and half the sample rate, shaped in the frequency domain.

    Truth: rms, seed.
    """
    n = round(seconds * RATE_HZ)
    rng = np.random.default_rng(seed)
    spectrum = rng.normal(size=n // 2 + 1) + 1j * rng.normal(size=n // 2 + 1)
    frequency = np.fft.rfftfreq(n, 1 / RATE_HZ)
    spectrum *= np.where(frequency >= 20.0, 1.0 / np.sqrt(np.maximum(frequency, 20.0)), 0.0)
    wave = np.fft.irfft(spectrum, n)
    wave *= level_rms / max(float(np.sqrt(np.mean(wave**2))), 1e-12)
    wave = np.clip(wave, -1.0, 1.0)
    return Stimulus("pink_noise", wave.astype(np.float32), truth={"rms": level_rms, "seed": seed})


def log_sweep(start_hz: float, stop_hz: float, seconds: float, level: float = 0.5) -> Stimulus:
    """Exponential sine sweep: f(t) = start * (stop/start)^(t/seconds). Truth: the end points and the length."""
    t = _times(seconds)
    octave_rate = np.log(stop_hz / start_hz) / seconds
    wave = level * np.sin(2 * np.pi * start_hz / octave_rate * np.expm1(octave_rate * t))
    truth = {"start_hz": start_hz, "stop_hz": stop_hz, "seconds": seconds, "level": level}
    return Stimulus("log_sweep", _faded(wave, 0.01).astype(np.float32), truth=truth)


def four_on_floor(bpm: float, seconds: float, level: float = 0.8, seed: int = 1) -> Stimulus:
    """Synthetic dance music: kick on each beat, noise hat between, a moving bass and a chord.

    Truth: bpm and the kick onsets.
    """
    n = round(seconds * RATE_HZ)
    mix = np.zeros(n)
    rng = np.random.default_rng(seed)
    beat_s = 60.0 / bpm
    kick_t, hat_t = _times(0.18), _times(0.05)
    kick = np.exp(-kick_t / 0.06) * np.sin(2 * np.pi * (50 * kick_t + 4.0 * (1 - np.exp(-kick_t / 0.02))))
    onsets = []
    for beat in range(int(seconds / beat_s) + 1):
        start = round(beat * beat_s * RATE_HZ)
        if start < n:
            onsets.append(start / RATE_HZ)
            _add(mix, start, kick)
        _add(mix, round((beat + 0.5) * beat_s * RATE_HZ), 0.25 * np.exp(-hat_t / 0.012) * rng.normal(size=hat_t.size))
        bass_t = _times(beat_s * 0.9)
        note = 55.0 * 2 ** ([0, 0, 3, 5][beat // 4 % 4] / 12)
        bass = 0.3 * np.sin(2 * np.pi * note * 2 * bass_t)
        chord = sum(0.08 * np.sin(2 * np.pi * note * ratio * bass_t) for ratio in (8.0, 10.0, 12.0))
        _add(mix, start, _faded(bass + chord, 0.02))
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
