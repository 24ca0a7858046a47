"""The only skips that continuous integration accepts are those of real devices that are not plugged in."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from xml.sax.saxutils import quoteattr

import pytest

from harness.rig.config import load_config
from harness.suite.absent import MISSING_HARDWARE, absent
from harness.suite.eye import Eye
from tools import check_skips

ROOT = Path(__file__).parents[2]


def report(folder: Path, *reasons: str, kind: str = "pytest.skip") -> str:
    skips = "".join(
        f'<testcase classname="t" name="n{i}"><skipped type="{kind}" message={quoteattr(reason)}/></testcase>'
        for i, reason in enumerate(reasons)
    )
    path = folder / "junit.xml"
    path.write_text(f'<testsuites><testsuite><testcase classname="t" name="ran"/>{skips}</testsuite></testsuites>')
    return str(path)


def exit_code(monkeypatch: pytest.MonkeyPatch, *paths: str) -> int:
    monkeypatch.setattr(sys, "argv", ["check_skips", *paths])
    return check_skips.main()


def rig(provenance: str, **more: Any) -> Any:
    return SimpleNamespace(name="sim", provenance=provenance, **more)


def test_a_real_device_that_is_not_there_is_excused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = report(tmp_path, absent(rig("hardware"), "rig 'desk' has no camera"))
    assert exit_code(monkeypatch, path) == 0
    assert exit_code(monkeypatch, report(tmp_path, "known to fail", kind="pytest.xfail")) == 0


@pytest.mark.parametrize(
    "reason",
    ["takes long where time is real: on hardware rigs only in --profile standard", "hardware", "",
     "no calibration: k1hil calibrate camera (missing hardware) or so", "needs pulseaudio"],
)  # fmt: skip
def test_nothing_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    assert exit_code(monkeypatch, report(tmp_path, reason)) == 1


def test_a_report_without_tests_is_no_good_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_code(monkeypatch, str(tmp_path / "none.xml")) == 1


def test_a_lost_calibration_or_camera_of_the_virtual_bench_is_no_excuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config("sim", ROOT / "rigs")
    assert Eye(ROOT / "rigs").lacks(rig("simulated", config=config)) == ""
    blind = config.model_copy(update={"camera": type(config.camera)()})
    for provenance, seen, excused in (("simulated", config, False), ("hardware", config, False),
                                      ("simulated", blind, False), ("hardware", blind, True)):  # fmt: skip
        reason = Eye(tmp_path).lacks(rig(provenance, config=seen))
        assert reason and reason.endswith(MISSING_HARDWARE) == excused
        assert exit_code(monkeypatch, report(tmp_path, reason)) == (0 if excused else 1)


def test_only_one_place_writes_the_excuse() -> None:
    sources = [*(ROOT / "harness").rglob("*.py"), *(ROOT / "tests_hil").rglob("*.py")]
    assert [f.name for f in sources if MISSING_HARDWARE in f.read_text(encoding="utf-8")] == ["absent.py"]
