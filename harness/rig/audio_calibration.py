"""What was learnt about a rig's sound: how late it comes, how well the driver's stamps agree, how loud it is.

Needs a loopback, for good or just for the calibration. It holds as long as the fingerprint (devices, buffer, driver) is
the same.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from harness.errors import BadRequest, RigFault
from harness.instruments.audio_in import PlayReport, SoundSpoiled
from harness.instruments.speaker import Speaker, driver_version
from harness.rig.config import AudioConfig
from harness.signals import Stimulus, tone

SCHEMA = 1
MAX_BYTES = 64 << 10
ROUNDS = 5
ATTEMPTS = 4
_SECONDS = 0.5
_HZ, _LEVEL = 1000.0, 0.5
# More than this between rounds of one stream is a path that slides: nothing can be calibrated on it.
MOST_SPREAD_MS = 0.1


@dataclass(frozen=True)
class AudioCalibration:
    """A calibrated sound path.

    Attributes:
        round_trip_ms: output to loopback, median of the rounds; spread_ms: largest less smallest.
        driver_bias_ms: so much later than its first word for a start is the driver's settled word (median of the
            rounds); what the speaker corrects already is in it, so that calibrating again gives the same.
            bias_spread_ms: largest less smallest.
        disagree_ms: the driver's stamps of output and input differ by so much about one sound (largest): what an
            absolute start time can be off by.
        certain_ms: half width within which a start is certain without any stamp.
        level_db: loopback against what was sent, RMS of a 1 kHz tone.
        fingerprint: what all this is true of.
    """

    round_trip_ms: float
    spread_ms: float
    driver_bias_ms: float
    bias_spread_ms: float
    disagree_ms: float
    certain_ms: float
    level_db: float
    fingerprint: dict[str, str]


def fingerprint(audio: AudioConfig) -> dict[str, str]:
    """What a calibration depends on."""
    return {
        "device": audio.device, "loopback": audio.loopback, "channels": audio.channels,
        "latency_ms": f"{audio.latency_ms:g}", "volume": f"{audio.volume:g}", "driver": driver_version(),
    }  # fmt: skip


def audio_calibration_path(rig_dir: Path, name: str) -> Path:
    """Where a rig's calibration is kept: beside its file."""
    return rig_dir / f"{name}.audio.json"


def calibrate(speaker: Speaker, audio: AudioConfig, rounds: int = ROUNDS) -> AudioCalibration:
    """Plays a tone between marks several times and listens.

    Raises:
        RigFault: no loopback, no mark channel, a path that slides, or nothing heard.
    """
    if not speaker.marked:
        raise RigFault(
            "sound cannot be calibrated on this rig", expected='[audio] loopback and channels = "left"',
            got=f'loopback "{audio.loopback}", channels "{audio.channels}"', remedy="see docs/wiring.md",
        )  # fmt: skip
    lags, biases, intervals, certain, levels = [], [], [], [], []
    sound = tone(_HZ, _SECONDS, _LEVEL)
    sent = float(np.sqrt(np.mean(sound.samples.astype(np.float64) ** 2))) * audio.volume
    for _ in range(rounds):
        told_ns, report = _one(speaker, sound)
        lags.append(report.lags_ms[0])
        biases.append((report.start_ns - told_ns) / 1e6 + speaker.bias_ms)
        intervals.append(report.interval_ns / 1e6)
        certain.append(report.certain_ns / 1e6)
        heard = float(np.sqrt(np.mean(speaker.heard().astype(np.float64) ** 2)))
        levels.append(20.0 * np.log10(max(heard, 1e-9) / sent))
    if np.ptp(lags) > MOST_SPREAD_MS:
        raise RigFault(
            "the sound's way slides from sound to sound", expected=f"one lag within {MOST_SPREAD_MS} ms",
            got=", ".join(f"{lag:.3f}" for lag in lags), remedy="raise [audio] latency_ms, or use another device",
        )  # fmt: skip
    return AudioCalibration(
        round(float(np.median(lags)), 4), round(float(np.ptp(lags)), 4), round(float(np.median(biases)), 3),
        round(float(np.ptp(biases)), 3), round(float(np.max(intervals)), 3), round(float(np.max(certain)), 3),
        round(float(np.median(levels)), 2), fingerprint(audio),
    )  # fmt: skip


def _one(speaker: Speaker, sound: Stimulus) -> tuple[int, PlayReport]:
    """One round: the driver's first word for its start, and the report. A stream that was just opened may still settle.

    Raises:
        SoundSpoiled: it was spoiled each time.
    """
    for attempt in range(ATTEMPTS):
        told_ns = speaker.play(sound)
        speaker.wait_played()
        try:
            return told_ns, speaker.finish()
        except SoundSpoiled:
            if attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("unreachable")


def save(calibration: AudioCalibration, path: Path) -> None:
    """Writes the file, whole or not at all."""
    work = path.with_name(f".{path.name}.{os.getpid()}")
    work.write_text(json.dumps({"schema": SCHEMA, **asdict(calibration)}, indent=1) + "\n", encoding="utf-8")
    work.replace(path)


def load(path: Path, audio: AudioConfig) -> AudioCalibration | None:
    """The calibration of a rig, None when there is none or it was made of something else.

    Raises:
        BadRequest: a damaged file.
    """
    if not path.is_file():
        return None
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ValueError("too large")
        table = json.loads(path.read_text(encoding="utf-8"))
        if table.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        found = AudioCalibration(**table)
        numbers = [v for k, v in asdict(found).items() if k != "fingerprint"]
        if not all(isinstance(v, (int, float)) and np.isfinite(v) for v in numbers):
            raise ValueError("not all values are numbers")
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadRequest(f"{path} is damaged", got=repr(error), remedy="k1hil calibrate audio") from error
    here = fingerprint(audio)
    # The loopback may be gone after the calibration; everything else must be the same.
    same = all(found.fingerprint.get(k) == v for k, v in here.items() if k != "loopback" or v)
    return found if same else None
