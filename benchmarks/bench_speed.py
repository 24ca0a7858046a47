"""How fast the virtual bench lives: device seconds per second, with everything a recording needs switched on."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.figure import Figure, Spread
from benchmarks.machine import cpu_seconds, one_core
from harness.rig import FirmwareBundle, Rig, open_rig
from harness.signals import four_on_floor

GOAL = 30.0
LEAST_FPS = 150.0


@dataclass(frozen=True)
class Run:
    """One recording: device seconds, wall seconds, processor seconds of the firmware's process and of both together."""

    device_s: float
    wall_s: float
    child_s: float
    both_s: float


def bench_speed(bundle: FirmwareBundle, runs: int, seconds: float) -> list[Figure]:
    """Records music on ``spectrum`` with per-frame telemetry, Python and the firmware on one core.

    The reference of the whole is a real board, which takes as long as it lasts.
    """
    with one_core() as pinned, tempfile.TemporaryDirectory(prefix="k1hil-perf-") as folder:
        with open_rig("sim", folder=Path(folder)) as rig:
            rig.flash(bundle)
            _record(rig, 2.0, ("frames",))
            frames = [_record(rig, seconds, ("frames",)) for _ in range(runs)]
            everything = [_record(rig, seconds, ("frames", "pixels", "wire")) for _ in range(runs)]
            note = f"spectrum, {seconds:g} s, frame records parsed, {rig.cost_model}, {pinned}"
    whole = Spread("virtual bench, frame telemetry", [r.device_s / r.wall_s for r in frames])
    return [
        Figure(whole, "x real time", Spread("a board on the desk", [1.0]), GOAL, "higher", note),
        Figure(Spread("the same, per second of processor time", [r.device_s / r.both_s for r in frames]),
               "x real time", whole, better="higher", note="what a machine with nothing else to do comes near"),
        Figure(Spread("firmware's process alone", [r.device_s / r.child_s for r in frames]), "x real time", whole,
               better="higher", note="per second of its processor time, same runs"),
        Figure(Spread("virtual bench, pixels and strip tap too", [r.device_s / r.wall_s for r in everything]),
               "x real time", whole, better="higher"),
    ]  # fmt: skip


def _record(rig: Rig, seconds: float, streams: tuple[str, ...]) -> Run:
    music = four_on_floor(120.0, seconds)
    (child,) = psutil.Process().children()
    device_ns, wall, used, own = rig.clock.now_ns(), time.perf_counter(), cpu_seconds(child.pid), time.process_time()
    recording = rig.record(music, seconds, streams, pattern="spectrum")
    wall_s, own_s, child_s = time.perf_counter() - wall, time.process_time() - own, cpu_seconds(child.pid) - used
    run = Run((rig.clock.now_ns() - device_ns) / 1e9, wall_s, child_s, child_s + own_s)
    if recording.n_frames < LEAST_FPS * seconds or recording.meta["lost_sentences"]:
        raise RuntimeError(f"not the work that was meant: {recording.n_frames} frames in {seconds:g} s")
    return run
