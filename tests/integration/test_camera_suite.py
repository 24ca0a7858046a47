"""The suite with a camera: light that comes late, a knocked tripod and dead LEDs, each posed in ``[bench]``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.pipeline.build import build

ROOT = Path(__file__).resolve().parents[2]
RIGS = ROOT / "rigs"
LATE_MS = 8.0
RIG_FAULT = 10


def posed(folder: Path, camera: str = "", bench: str = "") -> Path:
    """The default rig, its calibration and its baseline, with lines added to ``[bench.camera]`` and ``[bench]``."""
    folder.mkdir()
    text = (RIGS / "sim.toml").read_text(encoding="utf-8")
    for table, lines in (("[bench.camera]", camera), ("[bench]", bench)):
        assert text.count(f"\n{table}\n") == 1
        text = text.replace(f"\n{table}\n", f"\n{table}\n{lines}\n")
    (folder / "sim.toml").write_text(text, encoding="utf-8")
    for name in ("sim.camera.json", "sim.baseline.json"):
        shutil.copyfile(RIGS / name, folder / name)
    return folder


def suite(rigs: Path, reports: Path, *tests: str) -> tuple[int, dict[str, Any], str]:
    """Runs tests of the suite on the posed rig: exit code, ``report.json``, terminal text."""
    command = [sys.executable, "-m", "pytest", *tests, "--rig", "sim", "--rig-dir", str(rigs), "-q"]
    command += ["--firmware", str(build("sim").path.parent), "--reports", str(reports), "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=420, check=False)
    (run,) = reports.glob("*-sim")
    return done.returncode, json.loads((run / "metrics.json").read_text(encoding="utf-8")), done.stdout


def test_light_eight_ms_late_is_a_regression_and_contradicts_telemetry(tmp_path: Path) -> None:
    rigs = posed(tmp_path / "rigs", f"light_delay_ms = {LATE_MS}")
    flash = "tests_hil/test_latency.py::test_flash_latency"
    agree = "tests_hil/test_latency.py::test_sources_agree"
    code, told, text = suite(rigs, tmp_path / "reports", flash, f"{flash}_against_the_baseline", agree)
    (verdict,) = [v for v in told["verdicts"] if v["key"] == "hil_flash/latency_mean"]
    assert code == 1 and verdict["word"] == "regressed", f"{verdict}\n{text}"
    assert verdict["shift"] == pytest.approx(LATE_MS, abs=0.6)
    apart = next(m for m in told["metrics"] if m["name"] == "latency_camera_minus_telemetry")
    assert apart["detail"]["disagrees"] and apart["value"] == pytest.approx(LATE_MS, abs=1.0)
    assert "camera and wire differ by" in text


def test_a_moved_camera_stops_the_run_before_it_is_believed(tmp_path: Path) -> None:
    rigs = posed(tmp_path / "rigs", "shift_px = [1.5, 0.0]")
    code, told, text = suite(rigs, tmp_path / "reports", "tests_hil/test_camera.py")
    assert code == RIG_FAULT and "the camera calibration no longer holds" in text
    assert not told["metrics"], "a test believed a camera that was moved"


def test_dead_leds_are_named(tmp_path: Path) -> None:
    rigs = posed(tmp_path / "rigs", bench="faults = { dead_leds = [17, 93] }")
    place = "tests_hil/test_camera.py::test_every_place_shows_its_own_number"
    code, _, text = suite(rigs, tmp_path / "reports", place)
    assert code == 1
    for strip in "AB":
        assert f"strip {strip}: dark LED 17, 93" in text
