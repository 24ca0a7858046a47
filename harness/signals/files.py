"""Any WAV or FLAC file as a stimulus; OGG too where a sound need not be exact."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import soundfile

from harness.errors import BadRequest
from harness.signals.stimulus import Stimulus

MAX_SECONDS = 600.0
MAX_CHANNELS = 8
RATES_HZ = (8_000, 96_000)
_KINDS = ("WAV", "WAVEX", "RF64", "FLAC")
_LOSSY = ("OGG",)
# What a lossy coder makes of a full-scale original overshoots; more than this is no overshoot.
_MOST_OVERSHOOT = 1.6


class UnusableSound(BadRequest):
    """A file that is no usable sound.

    Attributes:
        fault: what is wrong with it.
    """

    fault: Literal["format", "length", "clipping"] = "format"


class _UnusableLength(UnusableSound):
    fault = "length"


class _Overdriven(UnusableSound):
    fault = "clipping"


def load_stimulus(path: Path, *, lossy: bool = False) -> Stimulus:
    """Reads a sound file; several channels are mixed to one. Its rate is kept.

    Truth: what can be known of a stranger's sound: file name, seconds, peak (level and spectrum are measured). Onsets
    and tempo are not guessed.

    Args:
        lossy: also OGG (Vorbis or Opus): good enough to tune with, not to measure with. What its decoder puts beyond
            full scale is turned down, and truth says so (``overshoot_db``).

    Raises:
        UnusableSound: not there, not a WAV or FLAC file, empty, damaged, longer than 10 minutes, of a rate outside 8 to
            96 kHz, of more than 8 channels, with samples that are not finite, or beyond full scale.
    """
    path = Path(path)
    wanted = "a WAV, FLAC or OGG file" if lossy else "a WAV or FLAC file"
    if not path.is_file():
        raise UnusableSound(f"{path} is not a file", expected=wanted)
    try:
        with soundfile.SoundFile(path) as file:
            _check_head(path, file, (*_KINDS, *_LOSSY) if lossy else _KINDS)
            kind, samples = file.format, file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:
        raise UnusableSound(
            f"{path} cannot be read as sound", expected=wanted, got=str(error),
            remedy="convert it: ffmpeg -i FILE -ar 48000 stimulus.flac",
        ) from error  # fmt: skip
    if not len(samples):
        raise _UnusableLength(f"{path} holds no sample", expected="sound")
    bad = int(np.count_nonzero(~np.isfinite(samples)))
    if bad:
        raise UnusableSound(
            f"{path} holds {bad} samples that are not numbers", remedy="export it again as 16 or 24 bit"
        )
    mono = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    peak = float(np.abs(mono).max())
    truth = {"file": path.name, "seconds": mono.size / file.samplerate, "peak": peak}
    if kind in _LOSSY and 1.0 < peak <= _MOST_OVERSHOOT:
        truth |= {"peak": 1.0, "overshoot_db": round(20 * float(np.log10(peak)), 2)}
        mono, peak = np.clip(mono / peak, -1.0, 1.0).astype(np.float32), 1.0
    if peak > 1.0:
        raise _Overdriven(
            f"{path} exceeds full scale", expected="samples within ±1", got=f"peak {peak:.3g}",
            remedy=f"lower it by {20 * np.log10(peak):.1f} dB",
        )  # fmt: skip
    return Stimulus(path.stem, mono, int(file.samplerate), truth)


def _check_head(path: Path, file: soundfile.SoundFile, kinds: tuple[str, ...]) -> None:
    """Before a single sample is read: an hour of 96 kHz sound would fill memory."""
    if file.format not in kinds:
        raise UnusableSound(f"{path} is a {file.format} file", expected=", ".join(kinds))
    low, high = RATES_HZ
    if not low <= file.samplerate <= high:
        raise UnusableSound(
            f"{path} has an unusable sample rate", expected=f"{low} to {high} Hz", got=f"{file.samplerate} Hz",
            remedy="resample it: ffmpeg -i FILE -ar 48000 stimulus.flac",
        )  # fmt: skip
    if file.channels > MAX_CHANNELS:
        raise UnusableSound(f"{path} has too many channels", expected=f"at most {MAX_CHANNELS}", got=str(file.channels))
    seconds = file.frames / file.samplerate
    if seconds > MAX_SECONDS:
        raise _UnusableLength(
            f"{path} is too long", expected=f"at most {MAX_SECONDS:g} s", got=f"{seconds:.0f} s",
            remedy="cut out the part that matters",
        )  # fmt: skip
