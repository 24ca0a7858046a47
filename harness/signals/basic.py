"""Tones, clicks, sweeps, noise and silence."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.signals.stimulus import RATE_HZ, Stimulus, faded, times


def silence(seconds: float) -> Stimulus:
    """Digital silence."""
    return Stimulus("silence", np.zeros(round(seconds * RATE_HZ), np.float32), truth={"rms": 0.0})


def tone(frequency_hz: float, seconds: float, level: float = 0.5, fade_s: float = 0.01) -> Stimulus:
    """A sine of peak ``level``."""
    wave = faded(level * np.sin(2 * np.pi * frequency_hz * times(seconds)), fade_s)
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
        wave = faded(level * np.sin(2 * np.pi * frequency * times(step_s)), 0.01)
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
    t = times(click_s)
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
    t = times(seconds)
    octave_rate = np.log(stop_hz / start_hz) / seconds
    wave = level * np.sin(2 * np.pi * start_hz / octave_rate * np.expm1(octave_rate * t))
    truth = {"start_hz": start_hz, "stop_hz": stop_hz, "seconds": seconds, "level": level}
    return Stimulus("log_sweep", faded(wave, 0.01).astype(np.float32), truth=truth)


def noise_levels(
    levels_dbfs: Sequence[float] = (-60.0, -50.0, -40.0, -30.0, -20.0, -12.0), step_s: float = 2.0, seed: int = 1
) -> Stimulus:
    """Pink noise, one level after another, quiet to loud as given.

    Truth: ``steps`` (level_dbfs, start, stop), seed.
    """
    parts, steps, at = [], [], 0
    for i, level in enumerate(levels_dbfs):
        part = pink_noise(step_s, 10 ** (level / 20), seed + i).samples.astype(np.float64)
        parts.append(faded(part, 0.01))
        steps.append({"level_dbfs": float(level), "start_s": at / RATE_HZ, "stop_s": (at + part.size) / RATE_HZ})
        at += part.size
    samples = np.concatenate(parts) if parts else np.zeros(0)
    return Stimulus("noise_levels", samples.astype(np.float32), truth={"steps": steps, "seed": seed})


def clipping(frequency_hz: float, seconds: float, overdrive_db: float = 12.0) -> Stimulus:
    """A sine driven ``overdrive_db`` beyond full scale and cut off there: what a much too loud source sounds like.

    Truth: frequency, overdrive, ``clipped`` (share of samples at full scale) and the harmonics this makes.
    """
    wave = 10 ** (overdrive_db / 20) * np.sin(2 * np.pi * frequency_hz * times(seconds))
    clipped = float(np.mean(np.abs(wave) >= 1.0)) if wave.size else 0.0
    odd = [frequency_hz * k for k in (1, 3, 5, 7) if frequency_hz * k < RATE_HZ / 2]
    truth = {"frequency_hz": frequency_hz, "overdrive_db": overdrive_db, "clipped": clipped, "harmonics_hz": odd,
             "onsets_s": [0.0]}  # fmt: skip
    return Stimulus("clipping", faded(np.clip(wave, -1.0, 1.0), 0.002).astype(np.float32), truth=truth)
