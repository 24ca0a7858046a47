"""The SPH0645 microphone: sound in the air becomes the 32-bit I2S words the chip's DMA would hold.

Sound lives in host time (:class:`Sound`); the chip samples it at 12.8 kHz of its own crystal from its own first sample,
so the start falls anywhere between two samples and drifts with the crystal error. Words are made in blocks, never one
by one, and are a pure function of (sounds, seed, boot, index): how time is sliced cannot change them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from harness.bench import link
from harness.bench.clock import DeviceClock
from harness.errors import BadRequest

CHIP_RATE_HZ = 12_800
_FULL_SCALE = 131_071  # 18 significant bits
_BLOCK = 8_192
_WORK_RATE_HZ = 96_000  # six-point interpolation is better than -90 dB below 6.4 kHz at this rate
STOP_HZ, PASS_HZ = 6_700.0, 5_800.0  # the anti-alias edge: what folds back lands above 6.1 kHz
_MAX_SAMPLES = 192_000 * 7_200


@dataclass(frozen=True)
class Sound:
    """A mono sound in the air, band-limited below half the chip's rate and over-sampled for interpolation.

    Attributes:
        start_ns: host time of the first sample at the microphone.
        rate_hz: of ``samples`` (after over-sampling).
        lead: samples before ``start_ns`` that the filter added.
        samples: float32, full scale 1.0.
    """

    start_ns: int
    rate_hz: float
    lead: int
    samples: NDArray[np.float32]

    @property
    def end_ns(self) -> int:
        return self.start_ns + round((len(self.samples) - self.lead) * 1e9 / self.rate_hz)


def make_sound(samples: NDArray[np.float32], rate_hz: float, start_ns: int) -> Sound:
    """Prepares a sound once: linear-phase low-pass (80 dB from 6.7 kHz), then over-sampling to at least 96 kHz.

    Args:
        samples: float, shape [n], full scale 1.0.
        rate_hz: 4 to 192 kHz.
        start_ns: host time of sample 0 at the microphone.

    Raises:
        BadRequest: wrong shape, empty, not finite, or a rate outside the range.
    """
    x = np.asarray(samples, dtype=np.float64)
    if x.ndim != 1 or not 1 <= x.size <= _MAX_SAMPLES or not np.isfinite(x).all():
        raise BadRequest(
            "unusable sound",
            expected="a mono array of finite samples",
            got=f"shape {x.shape}",
            remedy="mix to mono first",
        )
    if not 4_000 <= rate_hz <= 192_000:
        raise BadRequest("unusable sample rate", expected="4000 to 192000 Hz", got=f"{rate_hz} Hz")
    lead = 0
    if rate_hz > 2 * STOP_HZ:
        taps, beta = signal.kaiserord(80.0, (STOP_HZ - PASS_HZ) / (rate_hz / 2))
        taps |= 1
        fir = signal.firwin(taps, (STOP_HZ + PASS_HZ) / 2, window=("kaiser", beta), fs=rate_hz)
        x = signal.oaconvolve(x, fir, mode="full")
        lead = taps // 2
    up = max(1, int(np.ceil(_WORK_RATE_HZ / rate_hz)))
    if up > 1:
        pad = 16  # room for the interpolation filter's own tails
        x = signal.resample_poly(np.pad(x, pad), up, 1, window=("kaiser", 8.6))
        lead += pad
    return Sound(start_ns, rate_hz * up, lead * up, x.astype(np.float32))


def interpolate(x: NDArray[np.float32], position: NDArray[np.float64]) -> NDArray[np.float64]:
    """Six-point Lagrange interpolation of ``x`` at fractional sample positions; 0 outside.

    Weights are the classic Lagrange basis on the nodes -2..3 around the position.
    """
    base = np.floor(position).astype(np.int64)
    mu = position - base
    offsets = [mu + 2, mu + 1, mu, mu - 1, mu - 2, mu - 3]  # distance to each node
    scale = (-120.0, 24.0, -12.0, 12.0, -24.0, 120.0)  # product of node differences
    out = np.zeros(position.shape)
    for j in range(6):
        weight = np.full(position.shape, 1.0 / scale[j])
        for k in range(6):
            if k != j:
                weight *= offsets[k]
        at = base + (j - 2)
        inside = (at >= 0) & (at < len(x))
        out += np.where(inside, x[np.clip(at, 0, len(x) - 1)], 0.0) * weight
    return out


class Air(Protocol):
    """Sound that comes while the board runs, beside the sounds known beforehand."""

    def at(self, first_host_ns: float, step_ns: float, n: int) -> NDArray[np.float64]:
        """The sound at ``n`` instants of host time, full scale 1.0."""


@dataclass
class MicFaults:
    """Switchable while the board lives."""

    muted: bool = False
    unplugged: bool = False


@dataclass
class Microphone:
    """The words of one boot.

    Attributes:
        clock: device clock of this boot.
        first_sample_ns: device time of word 0.
        noise: ``noise(block)`` gives the generator for that block of noise.
        noise_rms: rms of the noise, full scale 1.0.
        dc_offset: in 18-bit steps.
        sounds: everything in the air; shared with the board, which adds to it.
        air: streamed sound; only words up to the present can be made with it.
    """

    clock: DeviceClock
    first_sample_ns: int
    noise: Callable[[int], np.random.Generator]
    noise_rms: float
    dc_offset: int
    sounds: list[Sound]
    faults: MicFaults = field(default_factory=MicFaults)
    air: Air | None = None
    sent: int = 0
    _block: int = -1
    _words: bytes = b""
    _analog: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def host_of(self, index: int) -> int:
        """Host time (ns) at which word ``index`` is sampled."""
        return self.clock.to_host(self.first_sample_ns + index * link.SAMPLE_NS)

    def refresh(self) -> None:
        """The sounds or faults changed: words not sent yet are made anew."""
        self._block = -1

    def render(self, first: int, n: int) -> NDArray[np.int32]:
        """Words ``first`` to ``first + n - 1``: n values, 18 bits left-justified; noise only from whole blocks."""
        blocks = range(first // _BLOCK, (first + n - 1) // _BLOCK + 1)
        words = np.concatenate([self._render_block(b) for b in blocks])
        lo = first - blocks[0] * _BLOCK
        return words[lo : lo + n]

    def _render_block(self, block: int) -> NDArray[np.int32]:
        return self._quantise(self._analog_block(block))

    def _quantise(self, x: NDArray[np.float64]) -> NDArray[np.int32]:
        if self.faults.muted:
            return np.zeros(len(x), dtype=np.int32)
        steps = np.rint(x * _FULL_SCALE) + self.dc_offset
        words: NDArray[np.int32] = np.clip(steps, -131_072, 131_071).astype("<i4") << 14
        return words

    @property
    def _step_ns(self) -> float:
        """Host time between two words."""
        return link.SAMPLE_NS / (1.0 + self.clock.skew_ppm * 1e-6)

    def _analog_block(self, block: int) -> NDArray[np.float64]:
        first = block * _BLOCK
        x: NDArray[np.float64] = self.noise(block).standard_normal(_BLOCK) * self.noise_rms
        step_ns = self._step_ns
        t0, t1 = self.host_of(first), self.host_of(first + _BLOCK)
        for sound in self.sounds:
            margin = round((sound.lead + 4) * 1e9 / sound.rate_hz)
            if sound.start_ns - margin < t1 and sound.end_ns + margin > t0:
                start = (t0 - sound.start_ns) * (sound.rate_hz * 1e-9) + sound.lead
                position = start + np.arange(_BLOCK, dtype=np.float64) * (step_ns * sound.rate_hz * 1e-9)
                x += interpolate(sound.samples, position)
        return x

    def take(self, until_device_ns: int) -> Iterable[bytes]:
        """MIC frames with every word sampled up to ``until_device_ns`` that was not sent yet; none while unplugged."""
        end = (until_device_ns - self.first_sample_ns) // link.SAMPLE_NS + 1
        if end <= self.sent:
            return ()
        if self.faults.unplugged:
            self.sent = end
            return ()
        frames = []
        while self.sent < end:
            block = self.sent // _BLOCK
            if block != self._block:
                self._analog = self._analog_block(block)
                self._words = b"" if self.air is not None else self._quantise(self._analog).tobytes()
                self._block = block
            stop = min(end, (block + 1) * _BLOCK)
            lo, hi = self.sent - block * _BLOCK, stop - block * _BLOCK
            if self.air is None:
                words = self._words[lo * 4 : hi * 4]
            else:
                streamed = self.air.at(self.host_of(self.sent), self._step_ns, hi - lo)
                words = self._quantise(self._analog[lo:hi] + streamed).tobytes()
            frames.append(link.mic(self.sent, words))
            self.sent = stop
        return frames
