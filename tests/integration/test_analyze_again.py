"""A kept recording says again what it said in its run: ``k1hil record`` and ``k1hil analyze``."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.pipeline.build import build
from harness.recording import Recording

ROOT = Path(__file__).resolve().parents[2]
RIGS = ROOT / "rigs"
# One recording each: the test that takes it, and what the run noted of it alone.
TESTS = {
    "tests_hil/test_camera.py::test_every_place_shows_its_own_number": {"leds_answering"},
    "tests_hil/test_camera.py::test_frames_sent_are_frames_seen": {"fps_seen", "frames_unseen"},
    "tests_hil/test_camera.py::test_light_is_what_the_device_says[twilight]":
        {"light_apart", "colour_error_mean", "colour_error_p95", "centre_led", "mirror_apart"},
    "tests_hil/test_audio.py::test_tones_light_their_bins": {"tone_bin_error_mean"},
    "tests_hil/test_audio.py::test_tempo_of_a_click_track[128.0]": {"tempo_error_128"},
    "tests_hil/test_latency.py::test_spectrum_latency_per_band[1000.0]": {"latency_1000hz_rise_mean"},
    "tests_hil/test_latency.py::test_flash_latency":
        {"latency_rise_mean", "latency_fall_mean", "latency_camera_minus_wire", "latency_camera_minus_telemetry"},
    "tests_hil/test_reactivity.py::test_commands_reach_the_light":
        {"command_to_light_ms_mean", "commands_missed", "brightness_exponent", "brightness_apart"},
    "tests_hil/test_reactivity.py::test_the_first_sound_after_a_long_silence[spectrum]":
        {"onset_dead_ms", "onset_first_ms"},
    "tests_hil/test_patterns.py::test_pattern_reacts_exactly_when_it_says_so[bloom]": {"reaction_strength"},
    "tests_hil/test_patterns.py::test_pattern_lit[bloom]": {"light_mean"},
    "tests_hil/test_timing.py::test_frame_rate[bloom]": {"render_us_p95", "frame_interval_us_p99", "records_lost"},
    "tests_hil/test_endurance.py::test_heap_does_not_shrink": {"heap_slope_bytes_per_min"},
}  # fmt: skip


def analysed(folder: Path) -> dict[str, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "analyze", str(folder), "--json"], cwd=ROOT, capture_output=True,
        text=True, timeout=120, check=True,
    )  # fmt: skip
    return {m["name"]: m for m in json.loads(done.stdout)["metrics"]}


@pytest.mark.timeout(400)
def test_every_kept_recording_gives_the_numbers_of_its_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pytest", *TESTS, "--rig", "sim", "--keep-recordings", "all", "--no-baseline"]
    command += ["--firmware", str(build("sim").path.parent), "--reports", str(tmp_path), "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=350, check=False)
    assert done.returncode == 0, done.stdout
    (run,) = tmp_path.glob("*-sim")
    told = {(m["pattern"], m["name"]): m for m in json.loads((run / "metrics.json").read_text())["metrics"]}
    again: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for folder in (run / "recordings").iterdir():
        for name, metric in analysed(folder).items():
            # The suite notes some of the whole device without naming the pattern they were taken on.
            for pattern in (metric["pattern"], ""):
                again.setdefault((pattern, name), []).append(metric)
    for name in set().union(*TESTS.values()):
        of_run = {key: m for key, m in told.items() if key[1] == name}
        assert of_run, f"the run noted no {name}"
        for key, metric in of_run.items():
            values = [(m["value"], m["source"]) for m in again.get(key, [])]
            assert (metric["value"], metric["source"]) in values, f"{key}: {metric['value']} in the run, then {values}"


def test_record_looks_with_the_calibrated_camera(tmp_path: Path) -> None:
    cli, folder = CliRunner(), tmp_path / "seen"
    image = str(build("sim").path)
    arguments = ["record", str(folder), "--rig", "sim", "--rig-dir", str(RIGS), "--pattern", "lava", "--seconds", "1",
                 "--stimulus", "none", "--firmware", image]  # fmt: skip
    made = cli.invoke(app, arguments)
    assert made.exit_code == 0, made.output
    light = Recording.load(folder).light
    assert light is not None and light.host_ns.size > 20
    told = analysed(folder)
    assert {"light_apart", "colour_error_mean", "centre_led"} <= set(told)
    assert told["light_apart"]["source"] == "camera"
    blind = cli.invoke(app, [*arguments[:1], str(tmp_path / "blind"), *arguments[2:], "--no-camera"])
    assert blind.exit_code == 0, blind.output
    assert Recording.load(tmp_path / "blind").light is None
    assert "light_apart" not in analysed(tmp_path / "blind")


def test_a_camera_without_calibration_is_left_out_and_told(tmp_path: Path) -> None:
    (tmp_path / "sim.toml").write_text((RIGS / "sim.toml").read_text())
    made = CliRunner().invoke(
        app, ["record", str(tmp_path / "seen"), "--rig", "sim", "--rig-dir", str(tmp_path), "--pattern", "lava",
              "--seconds", "0.5", "--stimulus", "none", "--firmware", str(build("sim").path)],
    )  # fmt: skip
    assert made.exit_code == 0 and "k1hil calibrate camera --rig sim" in made.output
    assert Recording.load(tmp_path / "seen").light is None
