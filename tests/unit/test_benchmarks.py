"""The arithmetic behind `make perf`."""

from __future__ import annotations

import os

import pytest

from benchmarks import machine
from benchmarks.figure import Figure, Spread
from benchmarks.hil_time import device_seconds
from benchmarks.parse_time import _ours, _plain
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


def test_pinning_is_undone() -> None:
    if not machine.can_pin():
        with machine.one_core() as note:
            assert "not pinned" in note
        return
    before = os.sched_getaffinity(0)
    with machine.one_core():
        assert len(os.sched_getaffinity(0)) == 1
    assert os.sched_getaffinity(0) == before
