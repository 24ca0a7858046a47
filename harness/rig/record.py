"""The one capture call: play a stimulus, bring home everything the rig can see, each stream with its clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from harness.errors import BadRequest, DutFailure, HarnessFault, K1HilError, RigFault
from harness.instruments.audio_in import AudioIn, SoundSpoiled
from harness.instruments.camera import Camera
from harness.instruments.clock import HostClock
from harness.instruments.console import Console
from harness.instruments.strip_tap import StripTap
from harness.instruments.telemetry import Mark, Telemetry
from harness.recording import SCHEMA, Audio, Columns, Recording
from harness.rig.camera_calibration import Calibration
from harness.rig.capped import between
from harness.rig.config import RigConfig
from harness.rig.light_recorder import LightRecorder
from harness.rig.profile import Profile
from harness.rig.steady import jump_ns
from harness.signals import Stimulus
from harness.timebase import SyncPair, fit_min_rtt
from harness.wire.telemetry import Identity

STREAMS = ("frames", "pixels", "wire", "camera")
# The console is read at least this often, so that no buffer on the way fills.
_SLICE_S = 0.5
# What the device sent before the end may still be on its way.
_DRAIN_S = 0.05
# So often a recording is tried when its sound had gaps or slid.
ATTEMPTS = 3
_CAMERA_TAIL_NS = 150_000_000
MAX_SECONDS = 24 * 3600.0


class Capturing(Protocol):
    """What a capture needs of a rig; :class:`harness.rig.rig.Rig` is one. Attributes as there."""

    name: str
    config: RigConfig
    profile: Profile
    provenance: Literal["simulated", "hardware"]
    seed: int | None
    folder: Path
    clock: HostClock
    console: Console
    telemetry: Telemetry
    audio: AudioIn | None
    tap: StripTap | None
    calibration: Calibration | None

    @property
    def camera(self) -> Camera | None: ...

    @property
    def identity(self) -> Identity: ...

    @property
    def cost_model(self) -> str: ...

    def check_bench(self) -> None: ...

    def follow_boots(self) -> bool: ...

    def capped_frames(self) -> int | None: ...


@dataclass(frozen=True)
class _Span:
    """Where a capture began: host time, and the telemetry streams' positions."""

    t0_ns: int
    mark: Mark


@dataclass(frozen=True)
class Command:
    """Something asked of the device while it is recorded.

    Attributes:
        at_s: when, from the start of the recording.
        send: asks, and returns when the device has answered.
        what: what is asked, plain values; the recording keeps it with the host times of asking and of the answer.
    """

    at_s: float
    send: Callable[[], object]
    what: dict[str, Any]


def record(
    rig: Capturing,
    stimulus: Stimulus | None,
    seconds: float,
    streams: tuple[str, ...],
    pattern: str | None,
    settle_s: float,
    commands: Sequence[Command] = (),
) -> Recording:
    """See :meth:`harness.rig.rig.Rig.record`. A run whose sound or time slid says nothing: discarded and repeated."""
    _check(rig, stimulus, seconds, streams)
    discarded: list[str] = []
    while True:
        try:
            recording = _record_once(rig, stimulus, seconds, streams, pattern, settle_s, commands)
        except (SoundSpoiled, _TimeJumped) as fault:
            rig.check_bench()
            discarded.append(str(fault))
            if len(discarded) >= ATTEMPTS:
                raise _lasting(rig, fault) from fault
            continue
        rig.check_bench()
        recording.meta["discarded"] = discarded
        return recording


class _TimeJumped(RigFault):
    """Device time and host time did not run together."""


def _refuse_jump(pairs: list[SyncPair]) -> None:
    jump = jump_ns(pairs)
    if jump:
        raise _TimeJumped(
            "the device's time jumped against ours while it was recorded", expected="one clock, 500 ppm at most off",
            got=f"at least {jump / 1e6:.2f} ms",
        )  # fmt: skip


def _lasting(rig: Capturing, fault: K1HilError) -> K1HilError:
    """A fault that came in every attempt. Whose it is depends on what serves the device's time."""
    if not isinstance(fault, _TimeJumped):
        return fault
    if rig.provenance == "simulated":
        return HarnessFault(
            "the served board does not keep up with wall time", expected=fault.expected, got=fault.got,
            remedy="give the bench a core to itself, or use virtual time (--rig sim)",
        )  # fmt: skip
    return DutFailure("the device's clock jumps", expected=fault.expected, got=fault.got)


def _record_once(
    rig: Capturing,
    stimulus: Stimulus | None,
    seconds: float,
    streams: tuple[str, ...],
    pattern: str | None,
    settle_s: float,
    commands: Sequence[Command],
) -> Recording:
    telemetry = rig.telemetry
    if pattern is not None:
        telemetry.select(pattern)
    telemetry.on()
    if "pixels" in streams:
        telemetry.pixels(True)
    pairs = telemetry.sync_pairs(rig.profile.sync_n)
    rig.clock.sleep_until(rig.clock.now_ns() + round(settle_s * 1e9))
    damaged = rig.console.damaged
    capped = rig.capped_frames()
    wire = _Wire(rig.tap, "wire" in streams)
    light = _light_recorder(rig, streams)
    span = _start(rig, stimulus)
    end_ns = span.t0_ns + round(seconds * 1e9)
    asked = _let_pass(rig, wire, light, end_ns, [(span.t0_ns + round(c.at_s * 1e9), c) for c in commands])
    report = rig.audio.finish() if rig.audio is not None and stimulus is not None else None
    if report is not None:
        span = _Span(report.start_ns, span.mark)  # now it is known better
        end_ns = span.t0_ns + round(seconds * 1e9)
    if rig.follow_boots():
        raise DutFailure(
            "the device restarted during a recording",
            got=f"reset reason {rig.identity.reset_reason};{rig.console.tail(lines=20)}",
            evidence=str(rig.console.log_path),
            remedy="the panic text stands in the log",
        )
    if "pixels" in streams:
        telemetry.pixels(False)
    pairs += telemetry.sync_pairs(rig.profile.sync_n)
    telemetry.off()
    capped = between(capped, rig.capped_frames())
    _refuse_jump(pairs)
    recording = _collect(rig, stimulus, seconds, pattern, span, end_ns, pairs)
    recording.wire = wire.frames(span.t0_ns, end_ns)
    recording.light = light.finish(span.t0_ns, end_ns) if light is not None else None
    recording.film = light.video if light is not None else None
    recording.meta["sound"] = report.to_json() if report is not None else None
    if commands:
        recording.meta["commands"] = asked
    recording.meta["capped_frames"] = capped
    recording.meta["damaged_lines"] = rig.console.damaged - damaged
    if "frames" in streams and recording.n_frames == 0:
        raise _no_frames(rig, recording.meta["damaged_lines"])
    telemetry.forget()
    return recording


def _check(rig: Capturing, stimulus: Stimulus | None, seconds: float, streams: tuple[str, ...]) -> None:
    unknown = set(streams) - set(STREAMS)
    if unknown:
        raise BadRequest(f"unknown stream {', '.join(sorted(unknown))}", expected=", ".join(STREAMS))
    if not 0 < seconds <= MAX_SECONDS:
        raise BadRequest(
            "a recording's length is out of range", expected=f"0 to {MAX_SECONDS:g} s", got=f"{seconds:g} s"
        )
    if stimulus is not None and rig.audio is None:
        raise RigFault(
            f"rig '{rig.name}' has no speaker",
            expected=f"an audio output for stimulus {stimulus.name}",
            remedy="name one in [audio] of the rig file (k1hil rig new lists them), or leave out tests marked audio",
        )


def _start(rig: Capturing, stimulus: Stimulus | None) -> _Span:
    if stimulus is None:
        return _Span(rig.clock.now_ns(), rig.telemetry.mark())
    assert rig.audio is not None
    mark = rig.telemetry.mark()
    return _Span(rig.audio.play(stimulus), mark)


class _Wire:
    """Collects what the tap sees, piece by piece, so that its own memory never overflows."""

    def __init__(self, tap: StripTap | None, wanted: bool) -> None:
        self._tap = tap
        self._wanted = wanted
        self._parts: list[Columns] = []
        self._lost = 0
        if tap is not None:
            tap.take()
            self._lost = tap.lost

    def take(self) -> None:
        if self._tap is not None:
            part = self._tap.take()
            if self._wanted:
                self._parts.append(part)

    def frames(self, first_ns: int, last_ns: int) -> Columns | None:
        """Frames that began in the span; None without a tap or a wish.

        Raises:
            HarnessFault: the tap lost frames: what is left would look like a frozen strip.
        """
        if self._tap is None or not self._wanted:
            return None
        self.take()
        if self._tap.lost != self._lost:
            raise HarnessFault("the tap on the strips lost frames", got=f"{self._tap.lost - self._lost} frames")
        joined = {name: np.concatenate([part[name] for part in self._parts]) for name in self._parts[0]}
        return _between(joined, "host_ns", first_ns, last_ns)


def _light_recorder(rig: Capturing, streams: tuple[str, ...]) -> LightRecorder | None:
    """Reads the camera, where it is wanted, there and calibrated."""
    if "camera" not in streams or rig.calibration is None:
        return None
    camera = rig.camera
    video = _new_video(rig.folder) if rig.config.camera.video else None
    return LightRecorder(camera, rig.calibration, video) if camera is not None else None


def _new_video(folder: Path) -> Path:
    """A name no recording of this folder has used: ``camera.mp4``, ``camera-2.mp4`` and so on."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = sum(1 for _ in folder.glob("camera*.mp4"))
    return folder / ("camera.mp4" if not taken else f"camera-{taken + 1}.mp4")


def _let_pass(
    rig: Capturing, wire: _Wire, light: LightRecorder | None, until_ns: int, due: list[tuple[int, Command]]
) -> list[dict[str, Any]]:
    """Lets the time of a recording pass; commands are sent at their instants, and told with when they were."""
    if light is not None:
        # Frames are late by exposure, read-out and delivery.
        until_ns += _CAMERA_TAIL_NS
    clock = rig.clock
    asked = []
    due = sorted(due, key=lambda row: row[0])
    while clock.now_ns() < until_ns:
        slice_ns = min(until_ns, clock.now_ns() + round(_SLICE_S * 1e9))
        clock.sleep_until(min(slice_ns, max(due[0][0], clock.now_ns())) if due else slice_ns)
        if due and clock.now_ns() >= due[0][0]:
            _, command = due.pop(0)
            sent_ns = clock.now_ns()
            command.send()
            asked.append({"sent_ns": sent_ns, "answered_ns": clock.now_ns(), "what": command.what})
        rig.console.pump()
        wire.take()
        if light is not None:
            light.take()
    clock.sleep_until(clock.now_ns() + round(_DRAIN_S * 1e9))
    rig.console.pump()
    return asked


def _collect(
    rig: Capturing,
    stimulus: Stimulus | None,
    seconds: float,
    pattern: str | None,
    span: _Span,
    end_ns: int,
    pairs: list[SyncPair],
) -> Recording:
    fit = fit_min_rtt(pairs)
    first_us, last_us = fit.to_device_us(span.t0_ns), fit.to_device_us(end_ns)
    frames = _between(rig.telemetry.frames(span.mark), "t_us", first_us, last_us)
    pixels = rig.telemetry.pixel_rows(span.mark)
    audio = Audio(stimulus.samples, stimulus.rate_hz, span.t0_ns) if stimulus is not None else None
    console = [(line.host_ns, line.text) for line in rig.console.lines_since(span.mark.lines)]
    return Recording(
        _meta(rig, stimulus, seconds, pattern, span.t0_ns, frames),
        frames,
        _between(pixels, "t_us", first_us, last_us),
        None,
        audio,
        console,
        rig.telemetry.events(span.mark),
        {"device": fit},
    )


def _no_frames(rig: Capturing, damaged: int) -> K1HilError:
    """The device answers commands, but no frame record came: a dead render task, or a link that damages them."""
    kind: type[K1HilError] = RigFault if damaged else DutFailure
    return kind(
        "a recording without a single frame record although the device answers",
        expected="FRM sentences",
        got=f"{damaged} damaged lines;{rig.console.tail(lines=4)}",
        evidence=str(rig.console.log_path),
        remedy="check cable and console rate" if damaged else "the render task stands still: read the log",
    )


def _between(columns: Columns, stamp: str, first: float, last: float) -> Columns:
    keep = (columns[stamp] >= first) & (columns[stamp] < last)
    return {name: np.ascontiguousarray(column[keep]) for name, column in columns.items()}


def _meta(
    rig: Capturing, stimulus: Stimulus | None, seconds: float, pattern: str | None, t0_ns: int, frames: Columns
) -> dict[str, Any]:
    return {
        "schema": SCHEMA,
        "provenance": rig.provenance,
        "rig": rig.name,
        "seed": rig.seed,
        "firmware": rig.identity.to_json(),
        "pattern": pattern,
        "stimulus": stimulus.to_json() if stimulus is not None else None,
        "audio_start": "exact" if rig.audio is not None and rig.audio.exact_start else "estimated",
        "sound_path_ms": rig.config.audio.path_ms,
        "seconds": seconds,
        "t0_ns": t0_ns,
        "cost_model": rig.cost_model,
        "profile": rig.profile.name,
        "led_current_limit_a": rig.config.current_limit_a,
        "lost_sentences": int(frames["dropped"][-1] - frames["dropped"][0]) if frames["seq"].size else 0,
    }
