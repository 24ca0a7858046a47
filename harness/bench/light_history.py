"""When which LED shone how bright: frames on the strips' wires turned into light, and the reference LED's light.

An LED holds its light between two latches. With ``latch = serial`` LED i of a strip changes when its own 24 bits are
in, (i + 1) x 30 us after the first bit (1.25 us a bit); with ``reset`` all change after the latch pause.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from harness.bench.camera_config import CameraConfig
from harness.bench.scene import LEDS, STRIPS

LED_NS = 30_000
KEPT_NS = 30_000_000_000  # light older than this is forgotten, except what still shines
N_LEDS = STRIPS * LEDS
_MOST_FRAMES = 16_384
_PIECE = 48_000  # samples


@dataclass(frozen=True)
class Segments:
    """Light of all LEDs around a span of time.

    Attributes:
        change_ns: instant from which ``rgb[k]`` leaves the wire, int64[k], ascending; the first may be long past.
        offset_ns: what each LED adds to it, float64[320].
        rgb: drive 0 to 255, uint8[k, 320, 3].
    """

    change_ns: NDArray[np.int64]
    offset_ns: NDArray[np.float64]
    rgb: NDArray[np.uint8]


class LightHistory:
    """Frames of the recent past, oldest first. Safe for one writer and readers in other threads."""

    def __init__(self, config: CameraConfig) -> None:
        self._delay_ns = round(config.light_delay_ms * 1e6)
        self._serial = config.latch == "serial"
        self._lock = threading.Lock()
        self._change = np.zeros(256, np.int64)
        self._rgb = np.zeros((256, STRIPS, LEDS, 3), np.uint8)
        self._n = 1  # dark since ever
        self._change[0] = np.iinfo(np.int64).min // 2
        index = np.tile(np.arange(LEDS), STRIPS)
        self.offset_ns = np.asarray((index + 1) * LED_NS if self._serial else np.zeros(N_LEDS), np.float64)

    def add(self, start_ns: int, latch_us: int, rgb_a: bytes, rgb_b: bytes) -> int:
        """One transmission that began at ``start_ns``; host time (ns) at which LED 0 of strip A shows it.

        LEDs beyond the end of a short transmission keep their light; bytes beyond LED 160 meet no LED.
        """
        change = start_ns + self._delay_ns
        if not self._serial:
            change += max(len(rgb_a), len(rgb_b)) // 3 * LED_NS + latch_us * 1000
        with self._lock:
            at = self._room()
            self._rgb[at] = self._rgb[at - 1]
            for strip, data in enumerate((rgb_a, rgb_b)):
                leds = min(LEDS, len(data) // 3)
                self._rgb[at, strip, :leds] = np.frombuffer(data, np.uint8, 3 * leds).reshape(leds, 3)
            self._change[at] = max(change, int(self._change[at - 1]))
            self._n += 1
        return change + round(float(self.offset_ns[0]))

    def _room(self) -> int:
        """Index for a new frame; the one before it is valid."""
        at = self._n
        if at < len(self._change):
            return at
        newest = int(self._change[at - 1])
        old = int(np.searchsorted(self._change[:at], newest - KEPT_NS, "right")) - 1
        first = max(0, old, at - _MOST_FRAMES)
        self._n = at - first
        room = max(256, 2 * self._n)
        self._change, change = np.zeros(room, np.int64), self._change
        self._rgb, rgb = np.zeros((room, STRIPS, LEDS, 3), np.uint8), self._rgb
        self._change[: self._n] = change[first:at]
        self._rgb[: self._n] = rgb[first:at]
        return self._n

    def between(self, first_ns: float, last_ns: float, slack_ns: float = 0.0) -> Segments:
        """All light that can have shone in a span: from the frame shown at its beginning to the last one in it.

        Args:
            first_ns, last_ns: the span.
            slack_ns: by how much an LED may show a frame later than its offset says.
        """
        with self._lock:
            change = self._change[: self._n]
            reach = float(self.offset_ns.max()) + slack_ns
            a = max(0, int(np.searchsorted(change, first_ns - reach, "right")) - 1)
            b = max(a + 1, int(np.searchsorted(change, last_ns, "left")))
            rgb = self._rgb[a:b].reshape(b - a, N_LEDS, 3)
            return Segments(change[a:b].copy(), self.offset_ns, rgb.copy())

    def oldest_ns(self) -> int:
        """From when on the past is known."""
        with self._lock:
            return int(self._change[0])


class ReferenceLight:
    """The LED on the second output of the sound card: a transistor behind the output's capacitor.

    Light is 0 below ``reference_on``, 1 above ``reference_full``, straight between them: only positive half-waves
    light it. A sample holds its value until the next one.
    """

    def __init__(self, config: CameraConfig) -> None:
        self._on = config.reference_on
        self._span = config.reference_full - config.reference_on
        self._highpass_hz = config.reference_highpass_hz
        self._lock = threading.Lock()
        self._pieces: list[tuple[int, float, NDArray[np.float64]]] = []  # start, rate, light summed up to each sample
        self._state: NDArray[np.float64] | None = None
        self._end_ns = 0

    def add(self, samples: NDArray[np.float32], rate_hz: float, start_ns: int) -> None:
        """Samples (full scale 1.0, mono) at the output from ``start_ns`` on; seamless pieces are one signal."""
        voltage = self._coupled(np.asarray(samples, np.float64), rate_hz, start_ns)
        light = np.clip((voltage - self._on) / self._span, 0.0, 1.0)
        with self._lock:
            self._pieces = [p for p in self._pieces if _end_ns(p) > start_ns - KEPT_NS]
            for i in range(0, len(light), _PIECE):
                summed = np.concatenate([[0.0], np.cumsum(light[i : i + _PIECE])])
                self._pieces.append((start_ns + round(i * 1e9 / rate_hz), rate_hz, summed))

    def _coupled(self, x: NDArray[np.float64], rate_hz: float, start_ns: int) -> NDArray[np.float64]:
        """A first-order high-pass, as a capacitor into a load makes it."""
        if self._highpass_hz <= 0.0:
            return x
        b, a = signal.butter(1, self._highpass_hz, "highpass", fs=rate_hz)
        if self._state is None or abs(start_ns - self._end_ns) > 1e6:
            self._state = np.zeros(1)
        y, self._state = signal.lfilter(b, a, x, zi=self._state)
        self._end_ns = start_ns + round(len(x) * 1e9 / rate_hz)
        return np.asarray(y, np.float64)

    def cut(self, at_ns: int) -> None:
        """Nothing sounds from ``at_ns`` on."""
        with self._lock:
            kept = []
            for start, rate, summed in self._pieces:
                n = int(np.clip((at_ns - start) * rate * 1e-9, 0, len(summed) - 1))
                if n:
                    kept.append((start, rate, summed[: n + 1]))
            self._pieces = kept
            self._state = None

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._pieces = []
            self._state = None

    def integral(self, first_ns: float, a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        """Light (0 to 1) times time in ns over windows ``first_ns + a`` to ``first_ns + b``."""
        out = np.zeros(a.shape)
        with self._lock:
            pieces = list(self._pieces)
        for start, rate, summed in pieces:
            if start > first_ns + b.max() or _end_ns((start, rate, summed)) < first_ns + a.min():
                continue
            index = np.arange(len(summed))
            upper = np.interp((first_ns - start + b) * (rate * 1e-9), index, summed)
            out += (upper - np.interp((first_ns - start + a) * (rate * 1e-9), index, summed)) * (1e9 / rate)
        return out


def _end_ns(piece: tuple[int, float, NDArray[np.float64]]) -> int:
    start, rate, summed = piece
    return start + round((len(summed) - 1) * 1e9 / rate)
