"""A good board on a supply of 1 A: the firmware dims, and what that spoils is left out instead of held against it."""

from __future__ import annotations

import json
from pathlib import Path

from changed_rig import good, rig_with, suite

CHOSEN = "golden or camera or brightness or lit or (hil_solid and (frame_rate or moves or wire))"


def test_a_good_board_on_a_small_supply_is_not_red(tmp_path: Path) -> None:
    run = suite(rig_with(tmp_path, "led_current_limit_a = 1.0\n"), CHOSEN)
    document = json.loads((run / "metrics.json").read_text())
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
    rigs = rig_with(tmp_path, "led_current_limit_a = 6.0\n")
    good(rigs, "harness.cli", "calibrate", "camera")
    run = suite(rigs, "test_camera or test_latency", "--require", "camera,latency")
    document = json.loads((run / "metrics.json").read_text())
    assert sum(t["outcome"] == "passed" for t in document["tests"]) >= 20
