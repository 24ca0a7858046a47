"""Sound files somebody hands in: read, judged before anything is tuned with them, and brought to one shape."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import gcd
from pathlib import Path
from typing import Any, Literal

import numpy as np
from scipy.signal import resample_poly

from harness.analysis.music import Music, describe
from harness.errors import BadRequest
from harness.pipeline.artifacts import ArtifactStore
from harness.signals import RATE_HZ, Stimulus, four_on_floor, load_stimulus
from harness.signals.files import UnusableSound

Fault = Literal["format", "length", "level", "clipping", "silence"]

MAX_FILE_BYTES = 128 << 20
LEAST_S = 5.0
LEAST_RMS_DBFS = -40.0
# A limiter's flat tops are a few in a million; a cut-off recording has per cents.
MOST_CLIPPED = 0.001
MOST_SILENT = 0.5
# All clips are played equally loud: a pattern is not tuned to how a file was mastered.
PLAYED_RMS_DBFS, PLAYED_PEAK = -16.0, 0.9


@dataclass(frozen=True)
class Problem:
    """One reason why a clip cannot be used."""

    fault: Fault
    text: str
    expected: str
    got: str
    remedy: str


class ClipRefused(BadRequest):
    """A sound file that cannot be tuned with.

    Attributes:
        problems: all that is wrong with it, the worst first.
    """

    problems: tuple[Problem, ...] = ()

    @staticmethod
    def because(name: str, problems: Sequence[Problem]) -> ClipRefused:
        """The refusal of a clip; its text tells the first problem and counts the others."""
        first, more = problems[0], len(problems) - 1
        text = f"{name}: {first.text}" + (f" ({more} more: {', '.join(p.fault for p in problems[1:])})" if more else "")
        refused = ClipRefused(text, expected=first.expected, got=first.got, evidence=name, remedy=first.remedy)
        refused.problems = tuple(problems)
        return refused


@dataclass(frozen=True)
class Clip:
    """A usable sound.

    Attributes:
        name: of the file, without its ending.
        sound: mono, 48 kHz, at the level all clips are played with.
        music: of the file as it was handed in.
        sha256: of the samples played: two clips are one sound when it is the same.
        synthetic: made by the harness.
    """

    name: str
    sound: Stimulus
    music: Music
    sha256: str
    synthetic: bool = False

    def to_json(self) -> dict[str, Any]:
        """What a report says of it."""
        return {"name": self.name, "sha256": self.sha256, "synthetic": self.synthetic, "music": self.music.to_json()}


def load_clip(path: Path) -> Clip:
    """Reads and judges a WAV, FLAC or OGG file.

    Raises:
        ClipRefused: wrong format, too short or long, too quiet, cut off at full scale, mostly silent.
    """
    sound = _read(path)
    music = describe(sound)
    found = problems(music)
    if found:
        raise ClipRefused.because(path.name, found)
    return _clip(path.stem, sound, music)


def clip_from_store(store: ArtifactStore, name: str) -> Clip:
    """As :meth:`load_clip`, of a sound file among the ``tuning`` artifacts.

    Raises:
        BadRequest: there is none of this name; ClipRefused as above.
        HarnessFault: the stored file is damaged.
    """
    artifact = store.get("tuning", name)
    suffix = Path(artifact.file.removesuffix(".gz")).suffix
    with tempfile.TemporaryDirectory(prefix="k1hil-clip-") as folder:
        path = Path(folder) / f"{artifact.name}{suffix}"
        path.write_bytes(store.content(artifact))
        return load_clip(path)


def problems(music: Music) -> list[Problem]:
    """What keeps a sound from being tuned with, worst first; empty when nothing does."""
    found: list[Problem] = []
    if music.seconds < LEAST_S:
        found.append(Problem("length", "too short to tune with", f"at least {LEAST_S:g} s", f"{music.seconds:.1f} s",
                             "take a longer part"))  # fmt: skip
    if music.silent > MOST_SILENT:
        found.append(Problem("silence", "mostly silent", f"at most {MOST_SILENT:.0%} of it below -60 dBFS",
                             f"{music.silent:.0%}", "cut the silence out"))  # fmt: skip
    elif music.rms_dbfs < LEAST_RMS_DBFS:
        found.append(Problem("level", "too quiet: its noise would be turned up with it",
                             f"at least {LEAST_RMS_DBFS:g} dBFS RMS", f"{music.rms_dbfs:.1f} dBFS",
                             "take the original recording, not a quiet copy"))  # fmt: skip
    if music.clipped > MOST_CLIPPED:
        found.append(Problem("clipping", "cut off at full scale", f"at most {MOST_CLIPPED:.1%} of the samples",
                             f"{music.clipped:.2%}", "record it again at a lower level"))  # fmt: skip
    return found


def house_clips() -> list[Clip]:
    """Music the harness makes itself, for whoever has no clips to prove a tuning with: three tempi, 10 s each."""
    made = [four_on_floor(bpm, 10.0, seed=seed) for bpm, seed in ((96.0, 71), (126.0, 72), (150.0, 73))]
    return [clip_of(sound) for sound in made]


def clip_of(sound: Stimulus) -> Clip:
    """A stimulus the harness made as a clip.

    Raises:
        ClipRefused: as of a file.
    """
    music = describe(sound)
    found = problems(music)
    if found:
        raise ClipRefused.because(sound.name, found)
    return replace(_clip(sound.name, sound, music), synthetic=True)


def refuse_twins(tuning: Sequence[Clip], held_out: Sequence[Clip]) -> None:
    """Raises BadRequest when a clip is on both sides, or twice on one: it would prove itself."""
    seen: dict[str, str] = {}
    for clip in (*tuning, *held_out):
        if clip.sha256 in seen:
            raise BadRequest(
                f"'{clip.name}' and '{seen[clip.sha256]}' are the same sound",
                expected="clips to tune with and other clips to prove it with", got="one sound given twice",
                remedy="prove it with music that was not tuned with",
            )  # fmt: skip
        seen[clip.sha256] = clip.name


def problem_json(refused: ClipRefused) -> list[dict[str, str]]:
    """The problems of a refused clip as plain values."""
    return [asdict(p) for p in refused.problems]


def _read(path: Path) -> Stimulus:
    if path.is_file() and path.stat().st_size > MAX_FILE_BYTES:
        got = f"{path.stat().st_size >> 20} MiB"
        problem = Problem("length", "the file is too big", f"at most {MAX_FILE_BYTES >> 20} MiB", got, "cut a part out")
        raise ClipRefused.because(path.name, [problem])
    try:
        return load_stimulus(path, lossy=True)
    except UnusableSound as error:
        problem = Problem(error.fault, error.message, error.expected, error.got, error.remedy)
        raise ClipRefused.because(path.name, [problem]) from error


def _clip(name: str, sound: Stimulus, music: Music) -> Clip:
    samples = sound.samples.astype(np.float64)
    if sound.rate_hz != RATE_HZ:
        shared = gcd(RATE_HZ, sound.rate_hz)
        samples = resample_poly(samples, RATE_HZ // shared, sound.rate_hz // shared)
    rms, peak = float(np.sqrt(np.mean(samples**2))), float(np.abs(samples).max())
    samples = samples * min(10 ** (PLAYED_RMS_DBFS / 20) / rms, PLAYED_PEAK / peak)
    played = samples.astype(np.float32)
    digest = hashlib.sha256(played.tobytes()).hexdigest()
    return Clip(name, Stimulus(name, played, RATE_HZ, {"file": name}), music, digest)
