"""Any WAV or FLAC file as a stimulus."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from harness.errors import BadRequest
from harness.signals.stimulus import Stimulus

MAX_SECONDS = 600.0
MAX_CHANNELS = 8
RATES_HZ = (8_000, 96_000)
_KINDS = ("WAV", "WAVEX", "RF64", "FLAC")


def load_stimulus(path: Path) -> Stimulus:
    """Reads a sound file; several channels are mixed to one. Its rate is kept.

    Truth: what can be known of a stranger's sound: file name, seconds, peak (level and spectrum are measured). Onsets
    and tempo are not guessed.

    Raises:
        BadRequest: not there, not a WAV or FLAC file, empty, damaged, longer than 10 minutes, of a rate outside 8 to
            96 kHz, of more than 8 channels, with samples that are not finite, or beyond full scale.
    """
    path = Path(path)
    if not path.is_file():
        raise BadRequest(f"{path} is not a file", expected="a WAV or FLAC file")
    try:
        with soundfile.SoundFile(path) as file:
            _check_head(path, file)
            samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, OSError, ValueError, TypeError) as error:
        raise BadRequest(
            f"{path} cannot be read as sound", expected="a WAV or FLAC file", got=str(error),
            remedy="convert it: ffmpeg -i FILE -ar 48000 stimulus.flac",
        ) from error  # fmt: skip
    if not len(samples):
        raise BadRequest(f"{path} holds no sample", expected="sound")
    bad = int(np.count_nonzero(~np.isfinite(samples)))
    if bad:
        raise BadRequest(f"{path} holds {bad} samples that are not numbers", remedy="export it again as 16 or 24 bit")
    mono = samples.mean(axis=1, dtype=np.float64).astype(np.float32)
    peak = float(np.abs(mono).max())
    if peak > 1.0:
        raise BadRequest(
            f"{path} exceeds full scale", expected="samples within ±1", got=f"peak {peak:.3g}",
            remedy=f"lower it by {20 * np.log10(peak):.1f} dB",
        )  # fmt: skip
    truth = {"file": path.name, "seconds": mono.size / file.samplerate, "peak": peak}
    return Stimulus(path.stem, mono, int(file.samplerate), truth)


def _check_head(path: Path, file: soundfile.SoundFile) -> None:
    """Before a single sample is read: an hour of 96 kHz sound would fill memory."""
    if file.format not in _KINDS:
        raise BadRequest(f"{path} is a {file.format} file", expected="WAV or FLAC")
    low, high = RATES_HZ
    if not low <= file.samplerate <= high:
        raise BadRequest(
            f"{path} has an unusable sample rate", expected=f"{low} to {high} Hz", got=f"{file.samplerate} Hz",
            remedy="resample it: ffmpeg -i FILE -ar 48000 stimulus.flac",
        )  # fmt: skip
    if file.channels > MAX_CHANNELS:
        raise BadRequest(f"{path} has too many channels", expected=f"at most {MAX_CHANNELS}", got=str(file.channels))
    seconds = file.frames / file.samplerate
    if seconds > MAX_SECONDS:
        raise BadRequest(
            f"{path} is too long", expected=f"at most {MAX_SECONDS:g} s", got=f"{seconds:.0f} s",
            remedy="cut out the part that matters",
        )  # fmt: skip
