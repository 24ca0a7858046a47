"""Latency by camera of the built firmware: virtual board, virtual camera, calibration and all, against the event log.

The estimator runs as ``k1hil analyze`` in a process of its own that gets the recording's folder and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from event_truth import realised

from harness.pipeline.build import build
from harness.recording import Recording
from harness.rig import open_rig
from harness.rig.camera import calibrate, recall
from harness.signals import latency_telegraph

SEED = 6_021
pytestmark = pytest.mark.timeout(3600)  # twenty films of 30 s each, and their calibrations
# Rolling shutters that take nearly a frame period, as those of webcams do; strips slanted across the rows.
CAMERAS = {
    "30 fps": "fps = 30.0\nreadout_ms = 30.0\nexposure_ms = 3.0\nrotation_deg = 9.0\n",
    "60 fps": "fps = 60.0\nreadout_ms = 15.0\nexposure_ms = 3.0\nrotation_deg = -8.0\n",
}
PERIODS_MS = (4.9, 6.0, 9.3, 14.1, 20.0)
PER_SCENE = 5
TRIALS = 20


class Set(NamedTuple):
    """A board that keeps its flash, and the folder of its rig file and calibration."""

    board: Path
    rigs: Path


def write_rig(rigs: Path, scene: int, camera: str, more: str = "") -> None:
    """The rig ``case``: one scene, which stays the same from run to run, and what is injected."""
    rigs.mkdir(parents=True, exist_ok=True)
    text = f'kind = "virtual"\n[camera]\ndevice = "virtual"\n[bench.camera]\nscene_seed = {scene}\n{camera}{more}'
    (rigs / "case.toml").write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def flashed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A board's state folder with the firmware in its flash."""
    state, rigs = tmp_path_factory.mktemp("board"), tmp_path_factory.mktemp("rigs")
    write_rig(rigs, 1, "")
    with open_rig("case", rigs, state_dir=state, seed=1, owner="truth") as rig:
        rig.flash(build("sim"))
    return state


@pytest.fixture(scope="module")
def calibrated(flashed: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Set]:
    """``calibrated(camera, scene)``: a scene, calibrated once in a run of its own."""
    known: dict[tuple[str, int], Set] = {}

    def get(camera: str, scene: int) -> Set:
        if (camera, scene) not in known:
            rigs = tmp_path_factory.mktemp("scene")
            write_rig(rigs, scene, CAMERAS[camera])
            with open_rig("case", rigs, state_dir=flashed, seed=SEED + scene, owner="truth") as rig:
                rig.reset("hard")
                calibrate(rig, rigs / "case.camera.json")
            known[camera, scene] = Set(flashed, rigs)
        write_rig(known[camera, scene].rigs, scene, CAMERAS[camera])
        return known[camera, scene]

    return get


def trial(one: Set, folder: Path, seed: int, seconds: float, period_ms: float = 6.0) -> tuple[Path, Path]:
    """One film of hil_flash after a check of the calibration: the recording's folder and the board's event log."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"truth-{seed}.jsonl"
    (one.board / "events.jsonl").unlink(missing_ok=True)
    with open_rig("case", one.rigs, state_dir=one.board, event_log=log, seed=seed, owner="truth") as rig:
        rig.reset("hard")
        recall(rig, one.rigs / "case.camera.json")
        rig.telemetry.param("frame_min_period_ms", period_ms)
        sound = latency_telegraph(seconds, seed=seed)
        seen = rig.record(sound, seconds, ("frames", "pixels", "camera"), "hil_flash")
        rig.telemetry.command("reset")
        return seen.save(folder / f"seen-{seed}"), log


def analysed(folder: Path) -> dict[str, dict]:
    """Metrics by name, from another process."""
    command = [sys.executable, "-m", "harness.cli", "analyze", str(folder), "--json"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    return {m["name"]: m for m in json.loads(run.stdout)["metrics"]}


def truth_of(seen: Path, log: Path) -> float:
    recording = Recording.load(seen)
    return realised(log, recording.audio.start_ns, recording.meta["stimulus"]["truth"]).mean


@pytest.mark.parametrize("name", CAMERAS)
def test_camera_latency_against_realised_events(calibrated, tmp_path, trials, full, figure, name):
    n, seconds = trials(TRIALS), 30.0 if full else 15.0
    errors, inside = [], []
    for i in range(n):
        one = calibrated(name, SEED + i // PER_SCENE)
        seen, log = trial(one, tmp_path, SEED + 40 * i, seconds, PERIODS_MS[i % len(PERIODS_MS)])
        got = analysed(seen)["latency_mean"]
        assert got["source"] == "camera" and got["detail"]["trust"] == "reference LED"
        errors.append(got["value"] - truth_of(seen, log))
        half = (got["ci95"][1] - got["ci95"][0]) / 2
        inside.append(abs(errors[-1]) <= half + got["detail"]["clock_bound_ms"])
    rms, bias = float(np.sqrt(np.mean(np.square(errors)))), float(np.mean(errors))
    # Of few trials the mean wavers: what it may is twice its standard error, with the rms that is allowed.
    slack = 0.0 if full else 2 * 0.35 / n**0.5 - 0.2
    case = f"latency by camera at {name}, {seconds:g} s, built firmware"
    figure(f"{case}: rms", "≤ 0.35 ms", f"{rms:.3f} ms", rms <= 0.35, n)
    bound = 0.2 + max(slack, 0.0)
    figure(f"{case}: bias", f"|·| ≤ {bound:.2f} ms", f"{bias:+.3f} ms", abs(bias) <= bound, n)
    figure(
        f"{case}: truth inside interval and clock bound", "≥ 95 %", f"{np.mean(inside):.0%}", np.mean(inside) >= 0.95, n
    )


def test_late_light_moves_the_camera_by_as_much(calibrated, tmp_path, full, figure):
    """Light that comes later than its bytes, and nothing else: the same board, seed, scene and stimulus throughout."""
    delays = (0.0, 3.0, 8.0, 15.0, 23.0) if full else (0.0, 8.0, 23.0)
    one = calibrated("60 fps", SEED)
    means = []
    for delay in delays:
        write_rig(one.rigs, SEED, CAMERAS["60 fps"], f"light_delay_ms = {delay}\n")
        seen, _ = trial(one, tmp_path / f"d{delay:g}", SEED + 7, 12.0)
        means.append(analysed(seen)["latency_mean"]["value"])
    slope = float(np.polyfit(delays, means, 1)[0])
    worst = max(abs(m - means[0] - d) for m, d in zip(means, delays, strict=True))
    figure("latency by camera: injected +d moves the result by d, built firmware", "slope 1.00 ± 0.01",
           f"{slope:.4f} (worst single {worst:.2f} ms)", abs(slope - 1) <= 0.01, len(delays))  # fmt: skip
