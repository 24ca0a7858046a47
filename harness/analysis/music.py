"""What is in a piece of music: level, dynamics, spectrum, onsets and tempo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.analysis.rhythm import Tempo, onset_envelope, onset_times_s, tempo
from harness.signals import Stimulus

# Crest of a sine is 3 dB; mastered music has 8 to 18 dB.
_BLOCK_S = 0.4
_SILENT_DBFS = -60.0
_BASS_HZ, _TREBLE_HZ = 250.0, 4000.0
_ROLL_OFF = 0.85
_FLOOR = 1e-10


@dataclass(frozen=True)
class Music:
    """Measured properties of a sound.

    Attributes:
        seconds: length.
        peak_dbfs, rms_dbfs: of the whole, dB of full scale (a full-scale square wave is 0).
        crest_db: peak over RMS.
        range_db: between the 10 % and the 95 % point of the level of blocks of 0.4 s that are not silent.
        clipped: share of samples that lie in runs of at least three at the peak, where the peak is near full scale.
        silent: share of blocks below -60 dBFS.
        bands_dbfs: RMS per octave band by nominal centre in Hz.
        centroid_hz: centre of gravity of the power spectrum's magnitudes; roll_off_hz: 85 % of the power lies below.
        bass, middle, treble: shares of the power below 250 Hz, between, and above 4 kHz.
        onsets_s: when sounds begin, float64[k].
        tempo: None when nothing repeats or the sound is shorter than five seconds.
    """

    seconds: float
    peak_dbfs: float
    rms_dbfs: float
    crest_db: float
    range_db: float
    clipped: float
    silent: float
    bands_dbfs: dict[str, float]
    centroid_hz: float
    roll_off_hz: float
    bass: float
    middle: float
    treble: float
    onsets_s: npt.NDArray[np.float64]
    tempo: Tempo | None

    @property
    def onset_rate_hz(self) -> float:
        """Onsets per second."""
        return self.onsets_s.size / self.seconds if self.seconds else 0.0

    def to_json(self) -> dict[str, Any]:
        """Plain values, rounded to what they are worth."""
        return {
            "seconds": round(self.seconds, 3),
            "level": {"peak_dbfs": round(self.peak_dbfs, 2), "rms_dbfs": round(self.rms_dbfs, 2),
                      "clipped_share": round(self.clipped, 6), "silent_share": round(self.silent, 4)},
            "dynamics": {"crest_db": round(self.crest_db, 2), "range_db": round(self.range_db, 2)},
            "spectrum": {"octaves_dbfs": self.bands_dbfs, "centroid_hz": round(self.centroid_hz, 1),
                         "roll_off_hz": round(self.roll_off_hz, 1), "bass_share": round(self.bass, 4),
                         "middle_share": round(self.middle, 4), "treble_share": round(self.treble, 4)},
            "onsets": {"count": int(self.onsets_s.size), "rate_hz": round(self.onset_rate_hz, 2)},
            "tempo": self.tempo.to_json() if self.tempo is not None else None,
        }  # fmt: skip


def describe(sound: Stimulus) -> Music:
    """Measures a sound of at least one sample."""
    peak_db, rms_db = _db(float(np.abs(sound.samples).max())), sound.level_dbfs
    levels = block_levels_dbfs(sound)
    heard = levels[levels > _SILENT_DBFS]
    spread = float(np.percentile(heard, 95) - np.percentile(heard, 10)) if heard.size else 0.0
    envelope = onset_envelope(sound.samples, sound.rate_hz)
    power, frequency = _power_spectrum(sound)
    total = max(float(power.sum()), _FLOOR)
    running = np.cumsum(power) / total
    magnitude = np.sqrt(power)
    centroid = float((magnitude * frequency).sum() / max(float(magnitude.sum()), _FLOOR))
    bass = float(power[frequency < _BASS_HZ].sum() / total)
    treble = float(power[frequency >= _TREBLE_HZ].sum() / total)
    return Music(
        sound.seconds, peak_db, rms_db, peak_db - rms_db, spread, clipped_share(sound.samples),
        float(np.mean(levels <= _SILENT_DBFS)), sound.spectrum_dbfs, centroid,
        float(frequency[min(int(np.searchsorted(running, _ROLL_OFF)), frequency.size - 1)]),
        bass, max(0.0, 1.0 - bass - treble), treble, onset_times_s(envelope), tempo(envelope),
    )  # fmt: skip


def clipped_share(samples: npt.NDArray[np.float32], run: int = 3, near: float = 0.97) -> float:
    """Share of samples in runs of at least ``run`` equal ones at the peak, 0–1; 0 where the peak is below ``near``.

    A wave that was cut off stays at its limit; one that merely touches it does so for a sample or two. Cut and then
    turned down (or encoded with loss) is not found.
    """
    peak = float(np.abs(samples).max()) if samples.size else 0.0
    if peak < near:
        return 0.0
    at = np.sign(samples) * (np.abs(samples) >= peak * (1 - 1e-4))
    edges = np.flatnonzero(np.diff(at, prepend=0, append=0))
    lengths = np.diff(edges, append=at.size)
    value = at[np.minimum(edges, at.size - 1)]
    return float(lengths[(value != 0) & (lengths >= run)].sum() / samples.size)


def block_levels_dbfs(sound: Stimulus) -> npt.NDArray[np.float64]:
    """RMS of blocks of 0.4 s in dB of full scale, float64[m], m at least 1 (a shorter sound is one block)."""
    size = max(1, min(round(_BLOCK_S * sound.rate_hz), sound.samples.size))
    whole = sound.samples[: sound.samples.size // size * size].astype(np.float64).reshape(-1, size)
    return np.asarray(10 * np.log10(np.maximum((whole**2).mean(axis=1), _FLOOR**2)))


def _power_spectrum(sound: Stimulus) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean power of windows of 85 ms, and their frequencies: a whole song's spectrum without a song's transform."""
    size = min(4096 if sound.rate_hz > 24_000 else 1024, sound.samples.size)
    count = sound.samples.size // size
    window = np.hanning(size) if size > 2 else np.ones(size)
    power = np.zeros(size // 2 + 1)
    for i in range(count):
        power += np.abs(np.fft.rfft(sound.samples[i * size : (i + 1) * size] * window)) ** 2
    return power / count, np.asarray(np.fft.rfftfreq(size, 1 / sound.rate_hz), np.float64)


def _db(amplitude: float) -> float:
    return 20.0 * float(np.log10(max(amplitude, _FLOOR)))
