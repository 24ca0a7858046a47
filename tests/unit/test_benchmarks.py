"""The arithmetic behind `make perf`."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks import analysis_speed, history_time, machine
from benchmarks.figure import Figure, Spread
from benchmarks.hil_time import device_seconds
from benchmarks.parse_time import _ours, _plain
from harness.baseline.history import History
from harness.rig.camera_calibration import load
from harness.wire.telemetry import encode_sentence


def test_a_goal_is_kept_by_the_median() -> None:
    runs = Spread("x", [1.0, 9.0, 2.0])
    reference = Spread("r", [4.0])
    assert Figure(runs, "s", reference, 2.0).met and not Figure(runs, "s", reference, 1.9).met
    assert Figure(runs, "s", reference, 2.0, "higher").met and not Figure(runs, "s", reference, 2.1, "higher").met
    assert Figure(runs, "s", reference).met is None
    told = Figure(runs, "s", reference, 1.5).to_json()
    assert (told["min"], told["median"], told["max"], told["n"], told["met"]) == (1.0, 2.0, 9.0, 3, False)
    assert told["reference"]["name"] == "r" and told["reference"]["median"] == 4.0
    with pytest.raises(ValueError, match="no runs"):
        Spread("x", [])


def test_lines_show_the_reference() -> None:
    lines = Figure(Spread("fast thing", [1.0]), "s", Spread("slow thing", [2.0]), 0.5).lines()
    assert "fast thing" in lines[0] and "MISSED" in lines[0] and "slow thing" in lines[1]


def test_device_time_is_counted_over_boots_and_set_clocks() -> None:
    log = (
        "[00:00:00.000] INFO start\n[00:00:10.500] INFO x\nno stamp\n[01:11:34.000] INFO the clock was set\n"
        "[01:11:44.000] INFO y\n$K1FRM,1*0000\n[00:00:00.003] INFO second boot\n[00:00:02.003] INFO z\n"
    )
    assert device_seconds(log) == pytest.approx(10.5 + 10.0 + 2.0)
    assert device_seconds("") == 0.0


def test_the_reference_parser_does_the_same_work() -> None:
    frame = encode_sentence("FRM", [1, 2, 3, 4, 5, 6, 7, 8, 9, 1])
    damaged = frame.replace(b"FRM,1", b"FRM,2")
    data = frame * 3 + damaged + b"text\r\n"
    assert _ours(data) == _plain(data) == 3


def test_the_history_that_is_compared_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_time, "POINTS", 120)
    (figure,) = history_time.history_time(2, seed=1)
    assert figure.unit == "ms" and len(figure.measured.runs) == 2 and figure.measured.median > 0
    with History(tmp_path / "h.sqlite") as history:
        history.add(history_time.document(99.0, 1), "run-1")
        with pytest.raises(RuntimeError, match="1 of 120 runs"):
            history_time.judge(history_time.fetch(history))


def test_the_film_holds_what_the_recorder_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analysis_speed, "FRAMES", 30)
    (figure,) = analysis_speed.analysis_speed(1, seed=1)
    assert figure.reference.median > figure.measured.median > 0, "decoding alone takes less than decoding and reading"
    known = analysis_speed.enlarged(load(analysis_speed.CALIBRATION))
    assert known.leds.width == 1280 and 0 < known.leds.xy[known.leds.usable].max() < 1280


def test_pinning_is_undone() -> None:
    if not machine.can_pin():
        with machine.one_core() as note:
            assert "not pinned" in note
        return
    before = os.sched_getaffinity(0)
    with machine.one_core():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
