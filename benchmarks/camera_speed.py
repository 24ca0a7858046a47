"""How fast the virtual bench is with a camera of 60 frames/s in front of it, every frame rendered and read."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.bench_speed import LEAST_FPS
from benchmarks.figure import Figure, Spread
from benchmarks.machine import one_core
from harness.rig import FirmwareBundle, Rig, open_rig
from harness.rig.camera import calibrate
from harness.signals import four_on_floor

GOAL = 3.0
FPS = 60.0
SIZE = (640, 360)
RIG = f"""kind = "virtual"
[camera]
device = "virtual"
[bench.camera]
width = {SIZE[0]}
height = {SIZE[1]}
fps = {FPS:g}
rotation_deg = 9.0
"""


def camera_speed(bundle: FirmwareBundle, runs: int, seconds: float) -> list[Figure]:
    """Records music on ``spectrum`` with the camera and without it, in the same run: Python and firmware on one core.

    What is timed is all of it: the board, the picture of every frame as the sensor makes it and as JPEG, the light of
    320 LEDs read from it, and the telemetry beside it.
    """
    with one_core() as pinned, tempfile.TemporaryDirectory(prefix="k1hil-perf-") as folder:
        (Path(folder) / "perf-camera.toml").write_text(RIG, encoding="utf-8")
        with open_rig("perf-camera", Path(folder), folder=Path(folder) / "log") as rig:
            rig.flash(bundle)
            calibrate(rig)
            blind = [_speed(rig, seconds, ("frames", "pixels", "wire")) for _ in range(runs)]
            seeing = [_speed(rig, seconds, ("frames", "pixels", "wire", "camera")) for _ in range(runs)]
            note = f"{SIZE[0]} x {SIZE[1]}, {seconds:g} s, {rig.cost_model}, {pinned}"
    reference = Spread("the same rig, the camera not looked at", blind)
    return [Figure(Spread("60 fps camera in virtual time", seeing), "x real time", reference, GOAL, "higher", note)]


def _speed(rig: Rig, seconds: float, streams: tuple[str, ...]) -> float:
    """Device seconds per second of one recording."""
    music = four_on_floor(120.0, seconds)
    device_ns, wall = rig.clock.now_ns(), time.perf_counter()
    recording = rig.record(music, seconds, streams, pattern="spectrum")
    speed = (rig.clock.now_ns() - device_ns) / 1e9 / (time.perf_counter() - wall)
    seen = recording.light.host_ns.size if recording.light is not None else 0
    if "camera" in streams and seen < 0.98 * FPS * seconds:
        raise RuntimeError(f"not the work that was meant: {seen} camera frames in {seconds:g} s")
    if recording.n_frames < LEAST_FPS * seconds:
        raise RuntimeError(f"not the work that was meant: {recording.n_frames} frames in {seconds:g} s")
    return speed
