"""Marks of our own around a stimulus, by which a loopback tells whether the sound slid.

A mark is a short chirp, rising before the stimulus and falling after it. What comes back is compared with it: both lags
must agree, else samples were lost, doubled or resampled in between, with or without the driver saying so.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import signal

from harness.signals import RATE_HZ, Samples

MARK_S = 0.04
_BAND_HZ = (2_000.0, 10_000.0)
_LEVEL = 0.5
# Normalised correlation of a clean mark is 1; a mark with a gap of 5 ms in it stays below.
_LEAST_LIKENESS = 0.7


def mark(*, falling: bool = False) -> Samples:
    """A chirp, float32[n]: 2 to 10 kHz in 40 ms with smooth ends, so that its correlation has one narrow peak.

    The falling one is the rising one backwards: neither is found where the other is.
    """
    t = np.arange(round(MARK_S * RATE_HZ)) / RATE_HZ
    sweep = signal.chirp(t, _BAND_HZ[0], MARK_S, _BAND_HZ[1])
    chirp = np.asarray(_LEVEL * signal.windows.tukey(t.size, 0.2) * sweep, np.float32)
    return np.ascontiguousarray(chirp[::-1]) if falling else chirp


def find(heard: npt.NDArray[np.float32], shape: Samples) -> float | None:
    """Where in ``heard`` the mark begins, in samples with a fraction; None when it is not in there, or damaged.

    Args:
        heard: float32[n], at least as long as the mark.
        shape: the mark.
    """
    if heard.size < shape.size:
        return None
    corr = signal.correlate(heard, shape, mode="valid", method="fft")
    size = shape.size
    summed = np.concatenate([[0.0], np.cumsum(heard.astype(np.float64) ** 2)])
    energy = summed[size:] - summed[:-size]
    best = int(np.argmax(np.abs(corr)))
    norm = float(np.sqrt(max(energy[best], 0.0) * float(np.sum(shape.astype(np.float64) ** 2))))
    if norm <= 0.0 or abs(corr[best]) / norm < _LEAST_LIKENESS:
        return None
    return best + _vertex(corr, best)


def _vertex(corr: npt.NDArray[np.float32], best: int) -> float:
    """Sub-sample offset of the peak: the correlation, over-sampled eight-fold around it, then a parabola."""
    lo, hi = max(0, best - 32), min(corr.size, best + 33)
    fine = signal.resample_poly(np.abs(corr[best]) / corr[best] * corr[lo:hi].astype(np.float64), 8, 1)
    near = 8 * (best - lo)
    first = max(1, near - 8)
    top = first + int(np.argmax(fine[first : near + 9]))
    if not 0 < top < fine.size - 1:
        return (top - near) / 8
    left, mid, right = fine[top - 1 : top + 2]
    curve = left - 2 * mid + right
    return (top + (0.5 * (left - right) / curve if curve else 0.0) - near) / 8
