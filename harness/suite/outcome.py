"""Whose fault a failure is, and the exit code a run ends with."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pexpect
import pytest

from harness.errors import Deadline, K1HilError
from harness.report.model import TestResult
from harness.timebase import Trust

MOST_NAMED = 6
GOOD, DUT, INTERRUPTED, HARNESS, REQUEST, NOTHING, RIG, MISSING = 0, 1, 2, 3, 4, 5, 10, 11
# First wins: a broken rig makes every other finding doubtful, a broken harness nearly so.
_PRECEDENCE = (("rig", RIG), ("harness", HARNESS), ("request", REQUEST), ("dut", DUT))


def blame_of(error: BaseException) -> str:
    """dut, rig, harness or request.

    A failed assertion and an awaited text that did not come speak of the device; any other exception is a fault of the
    harness until somebody shows otherwise.
    """
    if isinstance(error, Deadline):
        return "dut"
    if isinstance(error, K1HilError):
        return error.blame
    if isinstance(error, (AssertionError, pytest.fail.Exception, pexpect.TIMEOUT, pexpect.EOF)):
        return "dut"
    return "harness"


def exit_code(status: int, tests: Iterable[TestResult], missing: Sequence[str]) -> int:
    """The suite's exit code.

    Args:
        status: pytest's own.
        tests: results; a failure carries its blame.
        missing: required measurements that are not there.
    """
    if status in (INTERRUPTED, REQUEST, NOTHING):
        return status
    blames = {t.blame for t in tests if t.outcome in ("failed", "error")}
    for blame, code in _PRECEDENCE:
        if blame in blames:
            return code
    if status != GOOD:
        return HARNESS if status == HARNESS else status
    return MISSING if missing else GOOD


def missing_requirements(
    require: Sequence[str], metrics: Sequence[dict[str, Any]], verdicts: Sequence[dict[str, Any]]
) -> list[str]:
    """One sentence for each required measurement that is missing or inconclusive."""
    lacking = []
    for name in require:
        if name == "verdict":
            open_ones = sum(v["word"] == "inconclusive" and not v.get("new") for v in verdicts)
            if not verdicts:
                lacking.append("required verdict: nothing was judged")
            elif open_ones:
                lacking.append(f"required verdict: {open_ones} of {len(verdicts)} are inconclusive")
        elif name == "latency":
            means = [m for m in metrics if m["name"] == "latency_mean"]
            if not means:
                lacking.append("required latency: no mean latency was measured")
            elif all((m.get("detail") or {}).get("trust") == Trust.RELATIVE_ONLY.value for m in means):
                lacking.append("required latency: it is relative only, nothing ties the sound to the clock")
        elif not any(m["source"] == name for m in metrics):
            lacking.append(f"required {name}: no metric from it")
    return lacking


def unmet_budgets(budgets: Iterable[str], metrics: Sequence[dict[str, Any]]) -> list[str]:
    """One loud sentence when budgets of the rig file met no metric: what was not measured was not kept either."""
    met = {m["name"] for m in metrics} | {f"{m['pattern']}/{m['name']}" for m in metrics if m.get("pattern")}
    unmet = sorted(set(budgets) - met)
    return [f"BUDGET NOT CHECKED: this run measured no {', '.join(unmet)}"] if unmet else []


def nothing_judged(tests: Sequence[TestResult]) -> list[str]:
    """One sentence when every test that was chosen was skipped: such a run says nothing, and so nothing good."""
    if not tests or any(t.outcome != "skipped" for t in tests):
        return []
    return [f"nothing was judged: all {len(tests)} chosen tests were skipped; the first: {tests[0].message}"]


def capped_notes(metrics: Sequence[dict[str, Any]], limit_a: float) -> list[str]:
    """One sentence when the LED current limit dimmed what was measured: such values are those of the limit."""
    capped = [m for m in metrics if (m.get("detail") or {}).get("capped_frames")]
    if not capped:
        return []
    patterns = ", ".join(dict.fromkeys(m["pattern"] for m in capped if m["pattern"]))
    return [
        f"{len(capped)} of {len(metrics)} metrics were taken while led_current_limit_a = {limit_a:g} dimmed frames"
        + (f" (capped): {patterns}" if patterns else " (capped)")
    ]


def verdict_notes(verdicts: Sequence[dict[str, Any]]) -> list[str]:
    """One loud line when nothing could be compared, and one each for what stayed open and what is new."""
    unsure = [v for v in verdicts if v["word"] == "inconclusive"]
    absent = [v for v in unsure if v.get("baseline") is None and not v.get("new")]
    still_open = [v for v in unsure if v.get("baseline") is not None]
    new = sorted(v["key"] for v in unsure if v.get("new"))
    notes = []
    if absent:
        notes.append(f"NO VERDICT on {len(absent)} of {len(verdicts)} metrics: {absent[0]['why']}")
    if still_open:
        more = max(v.get("needed", 0) for v in still_open)
        first = f"{still_open[0]['key']}: {still_open[0]['why']}"
        notes.append(f"INCONCLUSIVE: {len(still_open)} metrics, up to {more} more runs needed; {first}")
    if new:
        more_new = f" and {len(new) - MOST_NAMED} more" if len(new) > MOST_NAMED else ""
        notes.append(f"new, judged by rules and budgets alone: {', '.join(new[:MOST_NAMED])}{more_new}")
    return notes
