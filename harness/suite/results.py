"""Collects results from pytest's reports. They may come from worker processes, so only plain values are used."""

from __future__ import annotations

from typing import Any

import pytest

from harness.report.model import TestResult

_RANK = {"passed": 0, "skipped": 1, "failed": 2, "error": 3}


class Results:
    """Tests, metrics and verdicts of the run so far, in the order they came."""

    def __init__(self) -> None:
        self._tests: dict[str, TestResult] = {}
        self._metrics: dict[tuple[str, str], dict[str, Any]] = {}
        self._verdicts: dict[str, dict[str, Any]] = {}

    @property
    def tests(self) -> list[TestResult]:
        """One per test."""
        return list(self._tests.values())

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """One per pattern and name; the newest wins, so that a repeated test replaces its numbers."""
        return list(self._metrics.values())

    @property
    def verdicts(self) -> list[dict[str, Any]]:
        """One per metric that was judged."""
        return list(self._verdicts.values())

    def add(self, report: pytest.TestReport) -> None:
        """Takes one phase of one test."""
        notes: dict[str, Any] = getattr(report, "k1hil", {})
        test = self._tests.setdefault(report.nodeid, TestResult(report.nodeid, "passed"))
        test.seconds += report.duration
        outcome = _outcome(report)
        if _RANK[outcome] >= _RANK[test.outcome]:
            test.outcome = outcome
            test.message = notes.get("message", "") or test.message
            test.detail = notes.get("detail", "") or test.detail
            test.blame = notes.get("blame", "") or test.blame
        test.pattern = notes.get("pattern", "") or test.pattern
        test.serial = notes.get("serial", "") or test.serial
        test.regressed = test.regressed or bool(notes.get("regressed"))
        test.recordings += [name for name in notes.get("recordings", []) if name not in test.recordings]
        for metric in notes.get("metrics", []):
            self._metrics[metric["pattern"], metric["name"]] = metric
        for verdict in notes.get("verdicts", []):
            self._verdicts[verdict["key"]] = verdict


def _outcome(report: pytest.TestReport) -> str:
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return "skipped" if report.skipped else "passed"
