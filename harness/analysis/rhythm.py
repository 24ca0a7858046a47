"""Onsets and tempo of a sound nobody made here: what a listener would tap along to, and how sure that is.

A steady pulse fits its half and its double nearly as well: which of them people tap is a matter of taste. So a tempo
always comes with these two, each with its weight, and says of itself when they come close.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import maximum_filter1d, median_filter, uniform_filter1d
from scipy.signal import stft

Floats = npt.NDArray[np.float64]

ENVELOPE_HZ = 100.0
SLOWEST_BPM, FASTEST_BPM = 40.0, 240.0
# A pulse needs so many of its periods to be told from chance.
LEAST_S = 5.0
_WINDOW_S = 0.046
_BANDS_HZ = np.geomspace(60.0, 10_000.0, 25)
# What lies so far below the loudest band does not count.
_DEPTH_DB = 50.0
# An onset rises so many median deviations above its surroundings, to so much of the highest, and so many dB in the mean
# of the bands: steady noise stays below 2.
_DEVIATIONS, _LEAST_SHARE, _LEAST_DB = 6.0, 0.1, 3.0
_APART_S = 0.05
# People tap most readily near 2 Hz, on a logarithmic scale (resonance theory of tempo perception, van Noorden and
# Moelants, 1999); the width is in octaves.
_TAPPED_BPM, _TAPPED_OCTAVES = 120.0, 0.9
_PERIODS = 4
_LEAST_STRENGTH = 0.2
_AMBIGUOUS = 0.5


class TempoGuess(NamedTuple):
    """A tempo and its weight, 1 for the best."""

    bpm: float
    weight: float


class Tempo(NamedTuple):
    """The tempo of a sound.

    Attributes:
        bpm: the one most would tap.
        strength: how well the onsets repeat with that period, 0–1 (mean correlation over one to four periods).
        others: half and double of it, as far as they lie between 40 and 240 BPM.
        ambiguous: one of the others has at least half of the weight: either may be what is meant.
    """

    bpm: float
    strength: float
    others: tuple[TempoGuess, ...]
    ambiguous: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to what they are worth."""
        others = [{"bpm": round(o.bpm, 1), "weight": round(o.weight, 2)} for o in self.others]
        return {"bpm": round(self.bpm, 1), "strength": round(self.strength, 2), "octaves": others,
                "octave_ambiguous": self.ambiguous}  # fmt: skip


def onset_envelope(samples: npt.NDArray[np.float32], rate_hz: int) -> Floats:
    """How much louder the bands just became, in dB, 100 values a second (spectral flux of 24 bands of log power).

    Louder than before means louder than the band and its neighbours were: what glides from one to the next begins
    nothing (Böck and Widmer, Maximum filter vibrato suppression for onset detection, 2013).

    Args:
        samples: mono, float32[n].

    Returns:
        float64[m]; empty for a sound shorter than two windows.
    """
    window, hop = round(_WINDOW_S * rate_hz), round(rate_hz / ENVELOPE_HZ)
    if samples.size < 2 * window:
        return np.zeros(0)
    frequency, _, spectrum = stft(samples, rate_hz, nperseg=window, noverlap=window - hop, padded=False)
    power = np.abs(spectrum) ** 2
    edges = np.searchsorted(frequency, _BANDS_HZ[_BANDS_HZ < rate_hz / 2])
    bands = np.array(
        [power[low : max(high, low + 1)].mean(axis=0) for low, high in zip(edges, edges[1:], strict=False)]
    )
    level_db = 10 * np.log10(bands / max(float(bands.max()), 1e-20) + 10 ** (-_DEPTH_DB / 10))
    # Over two steps: one is shorter than the window, so that half of a rise would be lost.
    flux = np.zeros(level_db.shape[1])
    before = maximum_filter1d(level_db[:, :-2], 3, axis=0)
    flux[2:] = np.maximum(level_db[:, 2:] - before, 0.0).mean(axis=0)
    return flux


def onset_times_s(envelope: Floats) -> Floats:
    """When sounds begin, in seconds, float64[k]: peaks of the envelope that stand out of their surroundings."""
    if not envelope.size:
        return np.zeros(0)
    around = round(1.5 * ENVELOPE_HZ) | 1
    middle = median_filter(envelope, around, mode="nearest")
    deviation = median_filter(np.abs(envelope - middle), around, mode="nearest")
    least = np.maximum(middle + _DEVIATIONS * deviation, max(_LEAST_SHARE * envelope.max(), _LEAST_DB))
    highest = maximum_filter1d(envelope, 2 * round(_APART_S * ENVELOPE_HZ) + 1)
    found = np.flatnonzero((envelope >= least) & (envelope >= highest))
    # The two steps of the flux put a rise one step late.
    return np.asarray([(f - 1) / ENVELOPE_HZ for f, g in zip(found, [-9, *found], strict=False) if f - g > 1])


def tempo(envelope: Floats) -> Tempo | None:
    """The tempo in an onset envelope; None when it is shorter than five seconds or nothing repeats."""
    if envelope.size < LEAST_S * ENVELOPE_HZ:
        return None
    correlation = _autocorrelation(envelope - uniform_filter1d(envelope, round(ENVELOPE_HZ)))
    grid = np.geomspace(SLOWEST_BPM, FASTEST_BPM, 1200)
    strength = _comb(correlation, grid)
    # Squared: three halves of a beat fit music with off-beats nearly as well as a beat, and must not win by taste.
    weight = strength**2 * _readiness(grid)
    best = int(np.argmax(weight))
    if strength[best] < _LEAST_STRENGTH:
        return None
    bpm = _refined(grid, weight, best)
    others = []
    for factor in (0.5, 2.0):
        if SLOWEST_BPM <= bpm * factor <= FASTEST_BPM:
            near = np.abs(np.log2(grid / (bpm * factor))) < 0.03
            others.append(TempoGuess(bpm * factor, max(0.0, float(weight[near].max() / weight[best]))))
    return Tempo(bpm, float(strength[best]), tuple(others), any(o.weight >= _AMBIGUOUS for o in others))


def _autocorrelation(values: Floats) -> Floats:
    """Correlation of a series with itself by lag, 1 at lag 0, freed from the shrinking overlap: float64[n // 2]."""
    n = values.size
    spectrum = np.fft.rfft(values, 2 * n)
    raw = np.fft.irfft(np.abs(spectrum) ** 2)[: n // 2]
    return np.asarray(raw / max(float(raw[0]), 1e-12) * n / (n - np.arange(n // 2)))


def _comb(correlation: Floats, bpm: Floats) -> Floats:
    """Mean correlation over one to four periods of each tempo, as many as the series holds: float64[len(bpm)]."""
    lags = np.arange(correlation.size)
    total, count = np.zeros(bpm.size), np.zeros(bpm.size)
    for k in range(1, _PERIODS + 1):
        lag = k * 60.0 / bpm * ENVELOPE_HZ
        inside = lag < correlation.size - 1
        total += np.where(inside, np.interp(lag, lags, correlation), 0.0)
        count += inside
    return np.asarray(total / np.maximum(count, 1))


def _readiness(bpm: Floats) -> Floats:
    return np.asarray(np.exp(-0.5 * (np.log2(bpm / _TAPPED_BPM) / _TAPPED_OCTAVES) ** 2))


def _refined(grid: Floats, weight: Floats, best: int) -> float:
    """The top of the peak: the middle of what reaches 95 % of it, for its sides are even and its tip is jagged."""
    low = high = best
    while low > 0 and weight[low - 1] >= 0.95 * weight[best]:
        low -= 1
    while high < weight.size - 1 and weight[high + 1] >= 0.95 * weight[best]:
        high += 1
    return float(np.sqrt(grid[low] * grid[high]))
