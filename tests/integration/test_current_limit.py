"""A good board on a supply of 1 A: the firmware dims, and what that spoils is left out instead of held against it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHOSEN = "golden or camera or brightness or lit or (hil_solid and (frame_rate or moves or wire))"


def test_a_good_board_on_a_small_supply_is_not_red(tmp_path: Path) -> None:
    rigs, reports = tmp_path / "rigs", tmp_path / "reports"
    rigs.mkdir()
    (rigs / "sim.toml").write_text("led_current_limit_a = 1.0\n" + (ROOT / "rigs" / "sim.toml").read_text())
    shutil.copyfile(ROOT / "rigs" / "sim.camera.json", rigs / "sim.camera.json")
    command = [sys.executable, "-m", "pytest", "tests_hil", "--rig", "sim", "--rig-dir", str(rigs), "-q", "-k", CHOSEN]
    command += ["-p", "no:cacheprovider", "--reports", str(reports)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "K1HIL_"))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]

    document = json.loads((reports / "latest" / "metrics.json").read_text())
    tests = {t["nodeid"].rpartition("/")[2]: t for t in document["tests"]}
    ramp = tests["test_golden.py::test_ramp"]
    assert ramp["message"].startswith("this picture draws 5.12 A, above led_current_limit_a = 1 of rig 'sim'")
    # What fits the supply is judged to the last bit all the same.
    assert tests["test_golden.py::test_still_gradient[twilight-0.0]"]["outcome"] == "passed"
    assert tests["test_patterns.py::test_pattern_lit[hil_solid]"]["outcome"] == "passed"
    capped = {(m["pattern"], m["name"]): m["detail"].get("capped_frames") for m in document["metrics"]}
    # As analysis gives it, and as the suite adds it where a test made the metric itself.
    assert capped["hil_solid", "frame_interval_us_p50"] > 1000 and capped["hil_solid", "light_mean"] > 1000
    assert any("led_current_limit_a = 1 dimmed frames" in note and "hil_solid" in note for note in document["notes"])


def test_a_camera_serves_within_a_limit(tmp_path: Path) -> None:
    """6 A dim white to a third: the calibration covers what is left, and its tests pass."""
    rigs, reports = tmp_path / "rigs", tmp_path / "reports"
    rigs.mkdir()
    (rigs / "sim.toml").write_text("led_current_limit_a = 6.0\n" + (ROOT / "rigs" / "sim.toml").read_text())
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "K1HIL_"))}
    for words in (
        ["-m", "harness.cli", "calibrate", "camera", "--rig", "sim"],
        ["-m", "pytest", "tests_hil", "--rig", "sim", "-q", "-k", "test_camera or test_latency", "--reports",
         str(reports), "-p", "no:cacheprovider", "--require", "camera,latency"],
    ):  # fmt: skip
        done = subprocess.run([sys.executable, *words, "--rig-dir", str(rigs)], cwd=ROOT, env=environment,
                              capture_output=True, text=True, timeout=280, check=False)  # fmt: skip
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    document = json.loads((reports / "latest" / "metrics.json").read_text())
    assert sum(t["outcome"] == "passed" for t in document["tests"]) >= 20
