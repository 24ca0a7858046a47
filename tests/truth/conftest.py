"""The accuracy figures: each truth test states a goal and what it reached, and the run ends with the table of all.

``figure(name, goal, achieved, ok, n)`` notes one line; the test that noted a missed goal fails when it is over, so that
one test may state several figures and none hides another. ``K1HIL_TRUTH=full`` asks for the stated number of trials,
otherwise a tenth of it: :func:`trials` (fixture) gives the number.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

import pytest

FULL = os.environ.get("K1HIL_TRUTH", "") == "full"
TENTH = 10


@dataclass(frozen=True)
class Figure:
    """One stated accuracy: what was asked for, what came out, over how many trials."""

    name: str
    goal: str
    achieved: str
    ok: bool
    n: int


FIGURES = pytest.StashKey[list[Figure]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[FIGURES] = []


@pytest.fixture(scope="session")
def full() -> bool:
    """Whether the whole number of trials was asked for (``K1HIL_TRUTH=full``)."""
    return FULL


@pytest.fixture(scope="session")
def trials() -> Callable[[int], int]:
    """``trials(1000)`` is 1000 in a full run and a tenth of it, at least 1, otherwise."""
    return lambda whole: whole if FULL else max(1, whole // TENTH)


@pytest.fixture
def figure(request: pytest.FixtureRequest):
    """``figure(name, goal, achieved, ok, n)``: notes a figure; a missed one fails the test when it is over."""
    noted: list[Figure] = []

    def note(name: str, goal: str, achieved: str, ok: bool, n: int) -> None:
        one = Figure(str(name), str(goal), str(achieved), bool(ok), int(n))
        noted.append(one)
        request.config.stash[FIGURES].append(one)
        # With pytest-xdist the table is made by another process: results travel as properties of the test.
        request.node.user_properties.append(("figure", [one.name, one.goal, one.achieved, one.ok, one.n]))

    yield note
    missed = [f"{f.name}: {f.achieved} of n={f.n}, goal {f.goal}" for f in noted if not f.ok]
    assert not missed, "; ".join(missed)


def pytest_terminal_summary(terminalreporter) -> None:
    """Goal and achieved, one line per figure."""
    rows = [
        Figure(*value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "teardown" or getattr(report, "failed", False)
        for key, value in getattr(report, "user_properties", [])
        if key == "figure"
    ]
    rows = list(dict.fromkeys(rows or terminalreporter.config.stash.get(FIGURES, [])))
    if not rows:
        return
    missed = sum(not row.ok for row in rows)
    how = "full" if FULL else "a tenth of the trials; K1HIL_TRUTH=full runs all"
    terminalreporter.section(f"figures ({how}): {len(rows) - missed} reached, {missed} missed", red=missed > 0)
    wide = [max(len(head), *(len(cell) for cell in column)) for head, column in zip(
        ("figure", "goal", "achieved", "n"),
        zip(*((r.name, r.goal, r.achieved, str(r.n)) for r in rows), strict=True), strict=True)]  # fmt: skip
    line = f"{{:{wide[0]}}}  {{:{wide[1]}}}  {{:{wide[2]}}}  {{:>{wide[3]}}}  {{}}"
    terminalreporter.write_line(line.format("figure", "goal", "achieved", "n", ""))
    for row in rows:
        verdict = "reached" if row.ok else "MISSED"
        terminalreporter.write_line(line.format(row.name, row.goal, row.achieved, str(row.n), verdict), red=not row.ok)
