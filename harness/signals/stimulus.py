"""What a stimulus is, and the small tools all makers share."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

RATE_HZ = 48_000
# The reference LED's channel leaves an AC-coupled output as this tone; a transistor rectifies it.
REFERENCE_HZ = 8_000.0
OCTAVES_HZ = (31.5, 63.0, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16_000.0)
_SILENT_DB = -200.0
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Stimulus:
    """An audio signal and what is true of it.

    Attributes:
        name: short name, also used in file names.
        samples: float32[n], mono, within ±1.
        rate_hz: sample rate.
        truth: plain JSON values; times in seconds from the first sample.
        reference: float32[n], the light (0 to 1) wanted of a reference LED on the second channel; None: no such LED.
    """

    name: str
    samples: Samples
    rate_hz: int = RATE_HZ
    truth: dict[str, Any] = field(default_factory=dict)
    reference: Samples | None = None

    def __post_init__(self) -> None:
        if self.samples.ndim != 1 or self.samples.dtype != np.float32:
            raise ValueError(
                f"stimulus {self.name}: samples must be float32[n], got {self.samples.dtype}{self.samples.shape}"
            )
        if self.samples.size and float(np.abs(self.samples).max()) > 1.0:
            raise ValueError(f"stimulus {self.name}: samples exceed full scale")
        if self.reference is not None and self.reference.shape != self.samples.shape:
            raise ValueError(f"stimulus {self.name}: both channels must be of one length")

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return self.samples.size / self.rate_hz

    @cached_property
    def level_dbfs(self) -> float:
        """RMS of the whole in dB of full scale (a full-scale square wave is 0); -200 for silence."""
        return _db(float(np.mean(np.square(self.samples, dtype=np.float64)))) if self.samples.size else _SILENT_DB

    @cached_property
    def spectrum_dbfs(self) -> dict[str, float]:
        """RMS per octave band in dB of full scale, by nominal centre in Hz (31.5 to 16 000, as the rate allows)."""
        power = np.abs(np.fft.rfft(self.samples)) ** 2 * (2.0 / max(1, self.samples.size) ** 2)
        frequency = np.fft.rfftfreq(max(1, self.samples.size), 1 / self.rate_hz)
        edges = np.searchsorted(frequency, [c * 2**half for c in OCTAVES_HZ for half in (-0.5, 0.5)])
        total = np.concatenate(([0.0], np.cumsum(power)))
        bands = {}
        for centre, low, high in zip(OCTAVES_HZ, edges[::2], edges[1::2], strict=True):
            if centre * 2**0.5 <= self.rate_hz / 2:
                bands[f"{centre:g}"] = round(_db(float(total[high] - total[low])), 2)
        return bands

    def to_json(self) -> dict[str, Any]:
        """Name and truth as a recording keeps them: with level and spectrum, without samples."""
        measured = {"level_dbfs": round(self.level_dbfs, 2), "spectrum_dbfs": self.spectrum_dbfs}
        return {"name": self.name, "truth": {**self.truth, **measured}}


def _db(power: float) -> float:
    return 10.0 * float(np.log10(power)) if power > 1e-20 else _SILENT_DB


def times(seconds: float) -> npt.NDArray[np.float64]:
    """Instants of the samples of a stretch, in seconds."""
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def faded(wave: npt.NDArray[np.float64], fade_s: float) -> npt.NDArray[np.float64]:
    """Raised-cosine edges, so that switching on does not click into every band."""
    n = min(round(fade_s * RATE_HZ), wave.size // 2)
    if n:
        ramp = 0.5 - 0.5 * np.cos(np.pi * np.arange(n) / n)
        wave = wave.copy()
        wave[:n] *= ramp
        wave[-n:] *= ramp[::-1]
    return wave


def stereo(stimulus: Stimulus) -> npt.NDArray[np.float32]:
    """Both channels for a sound card, float32[n, 2]: the sound, and the reference LED's light as a gated 8 kHz tone.

    Sound cards do not pass direct current, so the light is carried by a tone far above what a camera resolves.
    """
    light = np.zeros_like(stimulus.samples) if stimulus.reference is None else stimulus.reference
    carrier = np.sin(2 * np.pi * REFERENCE_HZ * np.arange(light.size) / stimulus.rate_hz)
    return np.stack([stimulus.samples, (light * carrier).astype(np.float32)], axis=1)
