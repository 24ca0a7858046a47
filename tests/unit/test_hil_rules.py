"""The rules of ``tests_hil`` themselves, on a scripted rig that shows them what no good device shows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import harness.baseline.history
import harness.suite.fixtures
import harness.suite.hooks  # noqa: F401  # loaded once here instead of in every inner run

pytest_plugins = ["pytester"]
HIL = Path(__file__).parents[2] / "tests_hil"


@pytest.fixture
def hil(suite_project: Any) -> Any:
    """``hil(module, chosen, *arguments, **script)`` runs tests of a module of ``tests_hil`` as they are."""

    def run(module: str, chosen: str, *arguments: str, **script: Any) -> Any:
        folder = Path(suite_project.path) / "tests_hil"
        shutil.copyfile(HIL / "k1.py", folder / "k1.py")
        shutil.copytree(HIL / "golden", folder / "golden", dirs_exist_ok=True)
        return suite_project((HIL / f"{module}.py").read_text(), "-k", chosen, *arguments, **script)

    run.path = Path(suite_project.path)  # type: ignore[attr-defined]
    run.document = lambda: json.loads(  # type: ignore[attr-defined]
        (Path(suite_project.path) / "reports" / "latest" / "metrics.json").read_text()
    )
    return run


@pytest.mark.parametrize(("tap", "source", "code"), [("good", "wire", 0), ("none", "telemetry", 11)])
def test_pixels_without_a_tap_are_no_measurement_of_the_wire(hil: Any, tap: str, source: str, code: int) -> None:
    result = hil("test_patterns", "test_pattern_lit", "--require", "wire", tap=tap)
    result.assert_outcomes(passed=2)
    assert {m["source"] for m in hil.document()["metrics"]} == {source}
    assert result.ret == code


# What each says of a device that renders and reports, but sends nothing to its strips; of one that shows no pictures
# at all; of one that stops before the end. All are findings about the device: exit code 1, never 3, never a pass.
DEAD = [
    ("test_patterns", "lit or moves or mirrored or both_strips or reacts", 10),
    ("test_timing", "frame_rate or jitter or budget or complete or against_the_baseline", 10),
    ("test_wire", "test_", 4),
]


@pytest.mark.parametrize(("module", "chosen", "count"), DEAD)
def test_a_dead_device_fails_every_rule(hil: Any, module: str, chosen: str, count: int) -> None:
    result = hil(module, chosen, device="unsent")
    result.assert_outcomes(failed=count)
    assert result.ret == 1
    assert {t["blame"] for t in hil.document()["tests"]} == {"dut"}


@pytest.mark.parametrize(
    ("module", "chosen", "count"),
    [(DEAD[0][0], "lit or moves or mirrored or reacts", 8),
     (DEAD[1][0], "frame_rate or jitter or budget or against_the_baseline", 8)],
)  # fmt: skip
def test_a_device_that_stops_fails_every_rule(hil: Any, module: str, chosen: str, count: int) -> None:
    result = hil(module, chosen, device="stops")
    result.assert_outcomes(failed=count)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*the device stopped: expected a * within 1 s before the end, got none for 3*"])


@pytest.mark.parametrize(
    ("module", "chosen"),
    [("test_golden", "test_still_gradient or test_ramp or test_solid or test_index or test_counter"),
     ("test_places", "test_"), ("test_speed", "test_"), ("test_audio", "tones or pitch or flash")],
)  # fmt: skip
def test_no_picture_is_no_right_picture(hil: Any, module: str, chosen: str) -> None:
    result = hil(module, chosen, device="dark")
    outcomes = result.parseoutcomes()
    assert result.ret == 1 and set(outcomes) <= {"failed", "deselected"} and outcomes["failed"] >= 2
    result.stdout.fnmatch_lines(["*hardly any picture was seen: expected at least *, got 0*"])


@pytest.mark.parametrize("tap", ["dead"])
def test_a_dead_wire_is_a_finding_of_the_device(hil: Any, tap: str) -> None:
    result = hil("test_wire", "test_", tap=tap)
    result.assert_outcomes(failed=4)
    assert result.ret == 1


# ---- the current limit


def test_a_picture_above_the_current_limit_is_skipped_with_both_figures(hil: Any) -> None:
    result = hil("test_golden", "test_ramp", "-rs", limit_a=1.0, capped=50)
    result.assert_outcomes(skipped=1)
    told = "this picture draws 5.12 A, above led_current_limit_a = 1 of rig 'sim'"
    result.stdout.fnmatch_lines([f"*{told}*"])


@pytest.mark.parametrize("limit", [0.0, 5.13, 20.0])
def test_a_picture_within_the_limit_must_not_be_dimmed(hil: Any, limit: float) -> None:
    result = hil("test_golden", "test_ramp", limit_a=limit, capped=7)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*7 frames were dimmed although the picture draws less than the current limit*"])


def test_frames_that_were_dimmed_draw_what_the_limit_allows(hil: Any) -> None:
    result = hil("test_patterns", "test_pattern_obeys_brightness and lively", limit_a=12.0, capped=900)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*900 frames were dimmed, but only 0 draw the 12 A allowed*"])


def test_metrics_and_report_say_that_frames_were_dimmed(hil: Any) -> None:
    result = hil("test_patterns", "test_pattern_lit", limit_a=12.0, capped=900)
    result.assert_outcomes(passed=2)
    document = hil.document()
    assert [m["detail"]["capped_frames"] for m in document["metrics"]] == [900, 900]
    assert any("2 of 2 metrics were taken while led_current_limit_a = 0 dimmed" in n for n in document["notes"])


def test_what_no_manifest_declares_is_not_judged(hil: Any) -> None:
    rigs = hil.path / "rigs" / "sim.toml"
    rigs.write_text('kind = "virtual"\n[dut]\npatterns = ["prism", "hil_flash"]\n')
    result = hil("test_patterns", "test_pattern", "--no-flash", "-rs", firmware=False, longest_s=20.0)
    # Lit and moving is asked of all; whether it listens, or is mirrored, only the manifest can say.
    result.assert_outcomes(passed=4, skipped=8)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*not judged: without a manifest nobody says whether this pattern listens*"])
    measured = {m["pattern"] for m in hil.document()["metrics"] if m["name"] == "reaction_strength"}
    assert measured == {"prism", "hil_flash"}
