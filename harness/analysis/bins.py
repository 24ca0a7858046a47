"""Tones and the semitone bins of the device's audio front end."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# Device contract: 64 semitone bins, f(i) = 77.78 Hz * 2^(i/12).
LOWEST_HZ = 77.78
BINS = 64


def bin_frequency_hz(index: int) -> float:
    """Nominal centre of a bin."""
    return float(LOWEST_HZ * 2 ** (index / 12))


def bin_position(frequency_hz: float) -> float:
    """Where a frequency lies on the bin axis, in bins (a fraction)."""
    return 12 * math.log2(frequency_hz / LOWEST_HZ)


def peak_bin(spectrum: npt.ArrayLike) -> int:
    """Strongest bin."""
    return int(np.argmax(np.asarray(spectrum)))


def bin_errors(tones_hz: Sequence[float], spectra: Sequence[npt.ArrayLike]) -> npt.NDArray[np.float64]:
    """Strongest bin minus the bin a tone belongs to, in bins, float64[n]."""
    return np.array([peak_bin(s) - bin_position(f) for f, s in zip(tones_hz, spectra, strict=True)])


def centroid_led(luminance: npt.ArrayLike) -> float:
    """Centre of the light on one half strip, in LEDs from the middle (0–79); NaN when dark.

    Args:
        luminance: float[160] of one frame or a mean over frames. The strip is mirrored, so both halves are folded.
    """
    lum = np.asarray(luminance, dtype=np.float64)
    half = lum[80:] + lum[79::-1]
    total = float(half.sum())
    return float(half @ np.arange(80) / total) if total > 0 else math.nan
