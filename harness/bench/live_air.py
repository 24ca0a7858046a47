"""Streamed sound in the air before the microphone: filtered as it comes, interpolated at the chip's sampling instants.

The same treatment as :func:`harness.bench.mic.make_sound` gives a whole sound: a linear-phase low-pass (80 dB from
6.7 kHz) and over-sampling to 96 kHz, here in one filter that keeps its past.
"""

from __future__ import annotations

import threading

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from harness.bench.mic import PASS_HZ, STOP_HZ, interpolate

UP = 2
KEPT_S = 4.0
_BEHIND, _AHEAD = 3, 4  # neighbours the interpolation takes


class LiveAir:
    """The recent past of a stream. One writer, readers in other threads.

    Positions are samples of the stream since its beginning, fractions allowed.
    """

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        taps, beta = signal.kaiserord(80.0, (STOP_HZ - PASS_HZ) / (UP * rate_hz / 2))
        taps |= 1
        fir = signal.firwin(taps, (STOP_HZ + PASS_HZ) / 2, window=("kaiser", beta), fs=UP * rate_hz)
        self._fir: NDArray[np.float64] = np.asarray(fir * UP)
        self._half = int(taps) // 2
        self._past = np.zeros(self._half + 1)
        self._ring = np.zeros(UP * round(KEPT_S * rate_hz), np.float32)
        self._fed = 0  # samples of the stream
        self._lock = threading.Lock()

    @property
    def fed(self) -> int:
        """Samples fed so far."""
        return self._fed

    @property
    def known(self) -> float:
        """Position up to which :meth:`at` knows the sound."""
        return (UP * self._fed - self._half - _AHEAD) / UP

    def feed(self, samples: NDArray[np.float32]) -> None:
        """The next samples, mono."""
        x = np.concatenate([self._past, samples])
        full = signal.upfirdn(self._fir, x, up=UP)[UP * len(self._past) : UP * len(x)]
        self._past = x[-len(self._past) :]
        with self._lock:
            first = UP * self._fed - self._half  # of the ring's samples: the filter delays by half its length
            self._ring[np.arange(first, first + len(full)) % len(self._ring)] = full
            self._fed += len(samples)

    def at(self, position: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sound at ascending positions, float64[n]; 0 where it is not known, yet or any more."""
        fine = position * UP
        with self._lock:
            end = UP * self._fed - self._half
            begin = max(-self._half, end - len(self._ring) + UP * self.rate_hz // 4)
            inside = (fine >= begin + _BEHIND) & (fine < end - _AHEAD)
            out = np.zeros(position.shape)
            if inside.any():
                wanted = fine[inside]
                lo, hi = int(wanted[0]) - _BEHIND, int(wanted[-1]) + _AHEAD
                piece = self._ring[np.arange(lo, hi) % len(self._ring)]
                out[inside] = interpolate(piece, wanted - lo)
            return out
