"""Everything captured during one stimulus, each stream with its own stamps, as one folder on disk.

A recording holds what an observer of the device could know. Settings and truth of the virtual bench never enter it.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import tempfile
import zipfile
import zlib
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from harness.errors import BadRequest, HarnessFault
from harness.signals import Samples
from harness.timebase import ClockFit

SCHEMA = 1
LEDS = 160
# uint64 fields of the device fit into int64 (2^63 µs are 292 000 years); the parser refuses larger ones.
FRAME_COLUMNS: dict[str, type[np.generic]] = {
    "seq": np.int64, "t_us": np.int64, "render_us": np.int32, "quantize_us": np.int32, "transmit_us": np.int32,
    "heap_free": np.int64, "audio_us": np.int64, "pattern": np.int16, "dropped": np.int64, "sent": np.bool_,
    "host_ns": np.int64,
}  # fmt: skip
PIXEL_COLUMNS: dict[str, type[np.generic]] = {"seq": np.int64, "t_us": np.int64, "host_ns": np.int64, "rgb": np.uint8}
WIRE_COLUMNS: dict[str, type[np.generic]] = {"host_ns": np.int64, "rgb": np.uint8}
Columns = dict[str, npt.NDArray[Any]]

_META = "recording.json"
_ARRAYS = "streams.npz"
_AUDIO = "audio.flac"
_CONSOLE = "console.txt"
_LIGHT = "light.npz"
_FILM = "camera.mp4"
_VIDEO_ARRAYS = ("sums", "spread", "level", "curve", "dark", "matrix")
_LIGHT_ARRAYS = ("host_ns", "stamp_ns", "number", "light", "clipped", "xy", "white", "tone", "matrix", "reference")
_READ_ERRORS = (
    OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error, soundfile.SoundFileError,
)  # fmt: skip
MAX_META_BYTES = 64 << 20
MAX_CONSOLE_BYTES = 256 << 20
# A night's soak is 600 000 frame records of 60 bytes; ten minutes with pixels and both wires are 150 MB.
MAX_UNPACKED_BYTES = 2 << 30


@dataclass(frozen=True)
class Audio:
    """The sound as sent to the device.

    Attributes:
        samples: float32[n], mono, full scale 1.0.
        rate_hz: sample rate.
        start_ns: host time of the first sample.
    """

    samples: Samples
    rate_hz: int
    start_ns: int


@dataclass(frozen=True)
class Video:
    """Sums of video values about each LED, for colours of still pictures (:mod:`harness.analysis.light.video_colour`).

    Attributes:
        sums: float32[2, 160, 3], mean over the first frames of the recording, darkness included; R, G, B.
        spread: float32[2, 160, 3], standard deviation over these frames: large where the picture was not still.
        level: float64[k], curve: float64[k, 2, 160, 3], dark: float64[2, 160, 3], matrix: float64[3, 3]: calibration.
    """

    sums: npt.NDArray[np.float32]
    spread: npt.NDArray[np.float32]
    level: npt.NDArray[np.float64]
    curve: npt.NDArray[np.float64]
    dark: npt.NDArray[np.float64]
    matrix: npt.NDArray[np.float64]


@dataclass(frozen=True)
class Light:
    """What the rig's camera saw of the LEDs, frame by frame: lossless, this is what analysis reads.

    Attributes:
        host_ns: int64[n], when the first row's exposure began, jitter taken out, on the host clock; off by a constant
            that only a reference LED in view can tell (at most the camera's delay).
        stamp_ns: int64[n], the stamps as they came.
        number: int64[n], frame numbers of the camera; a hole is a frame that never came.
        light: float32[n, 2, 160, 3], linear light of strip A and B above darkness, R, G, B; nan where unknown.
        clipped: bool[n, 2, 160], over-exposed: position in time is good, brightness is not.
        xy: float64[2, 160, 2], LED positions in the picture, pixels.
        white: float64[2, 160, 3], tone: float64[2, 160, 3, 2], matrix: float64[3, k], from light to drive
            (:mod:`harness.analysis.light.colour`).
        reference: float32[n], light of the reference LED, or None.
        about: plain values: width, height, fps, period_ns, exposure_ms, row_ns, row_error_ns (None where unknown),
            missing (frames that never came), steady, residual_ns, warnings, reference_xy.
        video: for colours of still pictures; None without a calibration of them.
    """

    host_ns: npt.NDArray[np.int64]
    stamp_ns: npt.NDArray[np.int64]
    number: npt.NDArray[np.int64]
    light: npt.NDArray[np.float32]
    clipped: npt.NDArray[np.bool_]
    xy: npt.NDArray[np.float64]
    white: npt.NDArray[np.float64]
    tone: npt.NDArray[np.float64]
    matrix: npt.NDArray[np.float64]
    reference: npt.NDArray[np.float32] | None = None
    about: dict[str, Any] = field(default_factory=dict)
    video: Video | None = None


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``recording.json``."""
    text = resources.files("harness").joinpath("recording.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def no_frames() -> Columns:
    """An empty frame stream."""
    return {name: np.zeros(0, kind) for name, kind in FRAME_COLUMNS.items()}


def no_pixels() -> Columns:
    """An empty pixel stream."""
    columns: Columns = {name: np.zeros(0, kind) for name, kind in PIXEL_COLUMNS.items() if name != "rgb"}
    return columns | {"rgb": np.zeros((0, LEDS, 3), np.uint8)}


@dataclass
class Recording:
    """One capture.

    Attributes:
        meta: ``schema``, ``provenance`` (simulated or hardware), ``rig``, ``seed`` (or None), ``firmware`` (identity),
            ``pattern`` (id or None), ``stimulus`` ({name, truth}), ``seconds``, ``t0_ns`` (host time the capture
            began), ``cost_model`` and more; plain JSON values.
        frames: per-frame records of the device (telemetry), columns of :data:`FRAME_COLUMNS`, each [n]; ``t_us`` is
            device
            time, ``host_ns`` the arrival at the host.
        pixels: what the device says it sent: ``seq``, ``t_us``, ``host_ns`` [n], ``rgb`` uint8[n, 160, 3].
        wire: what was seen on both strip wires: ``host_ns`` int64[n] (start of transmission), ``rgb`` uint8[n, 2,
            160, 3];
            None when the rig has no tap.
        light: what the camera saw; None when the rig has no calibrated camera.
        audio: the sound as sent; None when nothing was played.
        console: (host_ns, text) per line, without frame and pixel sentences.
        events: beats and onsets the device reported: ``{"kind", "t_us", …}``, and marks of the harness.
        clock_fits: device clocks on the host clock by name; ``device`` maps ``t_us``.
        film: compressed video of what the camera saw, for eyes; saving takes a copy along. None without one.
    """

    meta: dict[str, Any]
    frames: Columns = field(default_factory=no_frames)
    pixels: Columns = field(default_factory=no_pixels)
    wire: Columns | None = None
    audio: Audio | None = None
    console: list[tuple[int, str]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    clock_fits: dict[str, ClockFit] = field(default_factory=dict)
    light: Light | None = None
    film: Path | None = None

    @property
    def n_frames(self) -> int:
        """Frame records held."""
        return int(self.frames["seq"].size)

    def save(self, folder: Path) -> Path:
        """Writes the recording as one folder, complete or not at all.

        Raises:
            BadRequest: ``folder`` exists and is not a recording.
        """
        folder = Path(folder)
        if folder.exists() and not (folder / _META).is_file():
            raise BadRequest(f"{folder} exists and is not a recording", remedy="choose another folder")
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            self._write_into(work)
            os.chmod(work, 0o755)
            if folder.exists():
                shutil.rmtree(folder)
            work.rename(folder)
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
        return folder

    def _write_into(self, folder: Path) -> None:
        arrays = {f"frames.{k}": v for k, v in self.frames.items()} | {f"pixels.{k}": v for k, v in self.pixels.items()}
        if self.wire is not None:
            arrays |= {f"wire.{k}": v for k, v in self.wire.items()}
        np.savez_compressed(folder / _ARRAYS, allow_pickle=False, **arrays)
        head: dict[str, Any] = {
            "meta": {**self.meta, "schema": SCHEMA},
            "events": self.events,
            "clock_fits": {name: fit.to_json() for name, fit in self.clock_fits.items()},
            "audio": None,
        }
        if self.audio is not None:
            # 24 bit: 144 dB, below anything a microphone of the device could tell apart.
            soundfile.write(folder / _AUDIO, self.audio.samples, self.audio.rate_hz, subtype="PCM_24")
            head["audio"] = {"rate_hz": self.audio.rate_hz, "start_ns": self.audio.start_ns}
        if self.light is not None:
            _write_light(folder / _LIGHT, self.light)
        if self.film is not None and self.film.is_file():
            shutil.copyfile(self.film, folder / _FILM)
        lines = "".join(f"{ns}\t{_one_line(text)}\n" for ns, text in self.console)
        (folder / _CONSOLE).write_text(lines, encoding="utf-8")
        (folder / _META).write_text(json.dumps(head, indent=1, allow_nan=False), encoding="utf-8")

    @staticmethod
    def load(folder: Path) -> Recording:
        """Reads a recording back.

        Raises:
            BadRequest: not a recording, or of another schema.
            HarnessFault: a recording whose parts do not fit together.
        """
        folder = Path(folder)
        head = _read_head(folder)
        streams: dict[str, Columns] = {"frames": {}, "pixels": {}, "wire": {}}
        try:
            _refuse_bomb(folder / _ARRAYS)
            with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
                for name in arrays.files:
                    stream, column = name.split(".", 1)
                    streams[stream][column] = arrays[name]
            audio = _read_audio(folder, head["audio"])
            fits = {name: ClockFit(**values) for name, values in head["clock_fits"].items()}
            console = _read_console(folder / _CONSOLE)
            light = _read_light(folder / _LIGHT)
        except _READ_ERRORS as error:
            raise HarnessFault("a recording cannot be read back", got=repr(error), evidence=str(folder)) from error
        recording = Recording(
            head["meta"],
            streams["frames"],
            streams["pixels"],
            streams["wire"] or None,
            audio,
            console,
            head["events"],
            fits,
            light,
            folder / _FILM if (folder / _FILM).is_file() else None,
        )
        _check_shapes(recording, folder)
        return recording


def _write_light(path: Path, light: Light) -> None:
    arrays = {name: value for name in _LIGHT_ARRAYS if (value := getattr(light, name)) is not None}
    if light.video is not None:
        arrays |= {f"video_{name}": getattr(light.video, name) for name in _VIDEO_ARRAYS}
    about = np.frombuffer(json.dumps(light.about, allow_nan=False).encode(), np.uint8)
    np.savez_compressed(path, allow_pickle=False, about=about, **arrays)


def _read_light(path: Path) -> Light | None:
    if not path.is_file():
        return None
    _refuse_bomb(path)
    with np.load(path, allow_pickle=False) as arrays:
        values = {name: arrays[name] for name in _LIGHT_ARRAYS if name in arrays.files}
        video = _read_video(arrays)
        about = json.loads(bytes(arrays["about"]).decode())
    n = values["host_ns"].size
    shapes = {
        "host_ns": (n,), "stamp_ns": (n,), "number": (n,), "light": (n, 2, LEDS, 3), "clipped": (n, 2, LEDS),
        "xy": (2, LEDS, 2), "white": (2, LEDS, 3), "tone": (2, LEDS, 3, 2),
        "matrix": (3, values["matrix"].shape[-1]), "reference": (n,),
    }  # fmt: skip
    wrong = [name for name, value in values.items() if value.shape != shapes[name]]
    wrong += [name for name in shapes if name not in values and name != "reference"]
    if wrong or not isinstance(about, dict):
        raise ValueError(f"light of wrong shape: {', '.join(wrong)}")
    return Light(**values, about=about, video=video)


def _read_video(arrays: Any) -> Video | None:
    if "video_sums" not in arrays.files:
        return None
    values = {name: arrays[f"video_{name}"] for name in _VIDEO_ARRAYS}
    k = values["level"].size
    per_led = (2, LEDS, 3)
    shapes = {"sums": per_led, "spread": per_led, "level": (k,), "curve": (k, *per_led), "dark": per_led,
              "matrix": (3, 3)}  # fmt: skip
    wrong = [name for name, value in values.items() if value.shape != shapes[name]]
    if wrong:
        raise ValueError(f"video of wrong shape: {', '.join(wrong)}")
    return Video(**values)


def _one_line(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _unescape(text: str) -> str:
    parts = text.split("\\\\")
    return "\\".join(p.replace("\\n", "\n").replace("\\r", "\r") for p in parts)


def _read_head(folder: Path) -> dict[str, Any]:
    path = folder / _META
    if not path.is_file():
        raise BadRequest(f"{folder} is not a recording", expected=f"a folder with {_META}")
    if path.stat().st_size > MAX_META_BYTES:
        raise BadRequest(f"{path} is too large", expected=f"at most {MAX_META_BYTES} bytes")
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadRequest(f"{path} is not JSON", got=str(error)) from error
    if not isinstance(head, dict) or not isinstance(head.get("meta"), dict) or head["meta"].get("schema") != SCHEMA:
        raise BadRequest(f"{path} is not a recording of schema {SCHEMA}")
    missing = {"events", "clock_fits", "audio"} - head.keys()
    if missing:
        raise BadRequest(f"{path} lacks {', '.join(sorted(missing))}")
    return head


def _read_audio(folder: Path, head: dict[str, Any] | None) -> Audio | None:
    if head is None:
        return None
    told = soundfile.info(folder / _AUDIO)
    if told.frames * told.channels * 4 > MAX_UNPACKED_BYTES:
        raise ValueError(f"audio of {told.frames} samples is too long: at most {MAX_UNPACKED_BYTES} bytes unpacked")
    samples, rate = soundfile.read(folder / _AUDIO, dtype="float32")
    if rate != head["rate_hz"] or samples.ndim != 1:
        raise ValueError(f"audio of {rate} Hz and shape {samples.shape}, the head says {head['rate_hz']} Hz mono")
    return Audio(samples, int(rate), int(head["start_ns"]))


def _refuse_bomb(path: Path) -> None:
    """Refuses arrays that would take more memory than any recording does, before a byte of them is unpacked.

    Raises:
        ValueError: it would, or an array claims to be larger than what is stored of it.
    """
    with zipfile.ZipFile(path) as packed:
        total = sum(member.file_size for member in packed.infolist())
        if total > MAX_UNPACKED_BYTES:
            raise ValueError(f"{path.name} holds {total} bytes unpacked, at most {MAX_UNPACKED_BYTES} are read")
        for member in packed.infolist():
            with packed.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
                shape, _, kind = read(file)
            if math.prod(shape) * kind.itemsize > member.file_size:
                raise ValueError(f"{path.name}: {member.filename} claims the shape {shape}, its file is smaller")


def _read_console(path: Path) -> list[tuple[int, str]]:
    if path.stat().st_size > MAX_CONSOLE_BYTES:
        raise ValueError(f"console text exceeds {MAX_CONSOLE_BYTES} bytes")
    lines = []
    for row in path.read_text(encoding="utf-8").split("\n")[:-1]:
        stamp, _, text = row.partition("\t")
        lines.append((int(stamp), _unescape(text)))
    return lines


def _check_shapes(recording: Recording, folder: Path) -> None:
    streams = [("frames", recording.frames, FRAME_COLUMNS), ("pixels", recording.pixels, PIXEL_COLUMNS)]
    if recording.wire is not None:
        streams.append(("wire", recording.wire, WIRE_COLUMNS))
    tails = {"pixels": (LEDS, 3), "wire": (2, LEDS, 3)}
    for name, columns, wanted in streams:
        missing = wanted.keys() - columns.keys()
        lengths = {column.shape[0] if column.ndim else -1 for column in columns.values()}
        wrong = name in tails and not missing and columns["rgb"].shape[1:] != tails[name]
        if missing or len(lengths) != 1 or wrong:
            shapes = {k: v.shape for k, v in columns.items()}
            raise HarnessFault(
                f"stream {name} of a recording does not fit together", got=str(shapes), evidence=str(folder)
            )
