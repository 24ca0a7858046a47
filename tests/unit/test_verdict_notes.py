"""What a run says about verdicts it could not give, and when that counts."""

from __future__ import annotations

from typing import Any

from harness.report.model import TestResult
from harness.suite.outcome import MISSING, exit_code, missing_requirements, nothing_judged, verdict_notes


def verdict(key: str, word: str, **more: Any) -> dict[str, Any]:
    return {"key": key, "word": word, "baseline": 5.0, "why": "because", "needed": 0, "new": False, **more}


GOOD = verdict("a/x", "unchanged")
NONE = verdict("a/x", "inconclusive", baseline=None, why="no baseline")
OPEN = verdict("b/x", "inconclusive", needed=7, why="too wide")
NEW = verdict("c/x", "inconclusive", baseline=None, new=True)


def test_one_loud_line_when_nothing_could_be_compared() -> None:
    (line,) = verdict_notes([NONE, NONE, NONE])
    assert line == "NO VERDICT on 3 of 3 metrics: no baseline"
    assert verdict_notes([GOOD]) == []


def test_open_and_new_ones_are_named() -> None:
    notes = verdict_notes([GOOD, OPEN, NEW])
    assert notes == ["INCONCLUSIVE: 1 metrics, up to 7 more runs needed; b/x: too wide",
                     "new, judged by rules and budgets alone: c/x"]  # fmt: skip
    many = verdict_notes([verdict(f"p{i}/x", "inconclusive", baseline=None, new=True) for i in range(9)])
    assert many[0].endswith("p5/x and 3 more")


def test_a_required_verdict_lacks_what_is_open_but_not_what_is_new() -> None:
    assert missing_requirements(["verdict"], [], [GOOD, NEW]) == []
    assert missing_requirements(["verdict"], [], [GOOD, OPEN, NONE]) == [
        "required verdict: 2 of 3 are inconclusive"
    ]
    assert missing_requirements(["verdict"], [], []) == ["required verdict: nothing was judged"]
    assert missing_requirements([], [], [NONE]) == []


def latency(name: str, trust: str) -> dict[str, Any]:
    return {"name": name, "source": "wire", "detail": {"trust": trust}}


def test_a_required_latency_is_an_absolute_mean() -> None:
    counted = latency("latency_events_missed", "min-RTT")
    assert missing_requirements(["latency"], [counted], []) == ["required latency: no mean latency was measured"]
    (said,) = missing_requirements(["latency"], [counted, latency("latency_mean", "relative only")], [])
    assert "relative only" in said
    assert missing_requirements(["latency"], [latency("latency_mean", "min-RTT")], []) == []
    assert missing_requirements(["latency"], [latency("latency_mean", "reference LED")], []) == []


def test_a_run_that_judged_nothing_is_not_good() -> None:
    skipped, passed = TestResult("t::a", "skipped", message="no audio"), TestResult("t::b", "passed")
    assert nothing_judged([]) == [] and nothing_judged([skipped, passed]) == []
    told = nothing_judged([skipped, skipped])
    assert told == ["nothing was judged: all 2 chosen tests were skipped; the first: no audio"]
    assert exit_code(0, [skipped, skipped], told) == MISSING
