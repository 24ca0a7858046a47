"""The suite's progress on a terminal: one line with a bar, what is left, what failed so far, and the test at hand.

Elsewhere (a pipe, CI, ``-v``, ``-q``, ``-s``) pytest's own plain output stays as it is. Time left comes from how long
each test took in the newest run, scaled by how this one goes: tests differ by a factor of a thousand, so their number
says nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

# A test nobody has timed yet.
_UNKNOWN_S = 0.1
_MAX_BYTES = 16 << 20
Clock = Callable[[], float]


def wanted(config: pytest.Config, terminal: Any) -> bool:
    """Whether a bar makes sense: a person at a terminal who asked for nothing else."""
    plain = config.get_verbosity() != 0 or config.getoption("capture", "fd") == "no"
    return bool(terminal is not None and terminal.isatty and not plain)


def seconds_of(results: Path) -> dict[str, float]:
    """How long each test of an earlier run took, by node id; empty without a readable ``metrics.json``."""
    try:
        if results.stat().st_size > _MAX_BYTES:
            return {}
        tests = json.loads(results.read_text(encoding="utf-8"))["tests"]
        return {str(t["nodeid"]): max(0.0, float(t["seconds"])) for t in tests}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


class Estimate:
    """How much is done and how long the rest will take.

    Args:
        tests: node ids, in their order.
        known: seconds some of them took before.
        clock: seconds, for the time that passes.
    """

    def __init__(self, tests: list[str], known: dict[str, float], clock: Clock = time.monotonic) -> None:
        timed = sorted(known[t] for t in tests if t in known)
        usual = timed[len(timed) // 2] if timed else _UNKNOWN_S
        # Nothing takes no time: a run of untimed tests still moves the bar.
        self._expected = {t: max(known.get(t, usual), 1e-3) for t in tests}
        self._clock = clock
        self._began = clock()
        self.total_s = sum(self._expected.values())
        self.done_s = 0.0

    def done(self, test: str) -> None:
        """A test is over; one that runs again counts once."""
        self.done_s += self._expected.pop(test, 0.0)

    def left_s(self) -> float | None:
        """Seconds left; None before a first test is over."""
        if self.done_s <= 0:
            return None
        return (self.total_s - self.done_s) * (self._clock() - self._began) / self.done_s


class Bar:
    """Hooks that draw the line in place of pytest's dots.

    Args:
        terminal: pytest's reporter.
        results: ``metrics.json`` of the newest run.
    """

    def __init__(self, terminal: Any, results: Path) -> None:
        self._results = results
        self._bad = 0
        self._count = 0
        self._tests = 0
        self._estimate: Estimate | None = None
        terminal.showfspath = False
        terminal._show_progress_info = False
        screen = Console(file=terminal._tw._file, force_terminal=True)
        self._progress = Progress(
            BarColumn(24), TextColumn("{task.fields[count]}  {task.fields[left]}"),
            TextColumn("{task.fields[bad]}{task.fields[test]}"), console=screen, auto_refresh=False, transient=True,
        )  # fmt: skip
        self._task = self._progress.add_task("", total=1.0, count="", left="", bad="", test="")

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """All tests are known."""
        tests = [item.nodeid for item in session.items]
        self._tests = len(tests)
        self._estimate = Estimate(tests, seconds_of(self._results))
        self._progress.update(self._task, total=max(self._estimate.total_s, 1e-9))

    @pytest.hookimpl(wrapper=True)
    def pytest_report_teststatus(self) -> Generator[None, Any, Any]:
        """Counts as ever, but without a letter on the screen."""
        category, _, _ = yield
        return category, "", ""

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """A test begins."""
        self._draw(nodeid.rpartition("::")[2])

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """A phase of a test is over."""
        self._bad += report.failed
        if report.when == "teardown" and self._estimate is not None:
            self._count += 1
            self._estimate.done(report.nodeid)
            self._draw("")

    def _draw(self, test: str) -> None:
        if self._estimate is None or not self._tests:
            return
        if not self._progress.live.is_started:
            self._progress.start()
        left = self._estimate.left_s()
        self._progress.update(
            self._task, completed=self._estimate.done_s, count=f"{self._count}/{self._tests}",
            left="" if left is None else f"{left // 60:.0f}:{left % 60:02.0f} left",
            bad=f"[red]{self._bad} failed[/]  " if self._bad else "", test=test[:50].replace("[", r"\["),
        )  # fmt: skip
        self._progress.refresh()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """The line goes; what was found comes after it."""
        if self._progress.live.is_started:
            self._progress.stop()
