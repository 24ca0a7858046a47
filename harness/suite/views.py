"""What a test holds in its hand: ``record``, ``metric``, ``param``. Each lives for one test."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest

from harness.baseline.rule import Verdict, judge
from harness.metric import Metric
from harness.recording import Recording
from harness.rig.rig import Rig
from harness.signals import Stimulus
from harness.suite.session import SuiteSession


@dataclass
class Notes:
    """What one test leaves for the report; plain values, they may cross to another process."""

    metrics: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    recordings: list[str] = field(default_factory=list)
    own_recordings: list[str] = field(default_factory=list)
    first_line: int = 0


NOTES: pytest.StashKey[Notes] = pytest.StashKey()


def notes_of(item: pytest.Item) -> Notes:
    """The notes of a test, made on first use."""
    return item.stash.setdefault(NOTES, Notes())


class Recorder:
    """``record(stimulus, seconds, …)``: :meth:`harness.rig.rig.Rig.record`, with the recording kept for the report."""

    def __init__(self, session: SuiteSession, rig: Rig, item: pytest.Item) -> None:
        self._session = session
        self._rig = rig
        self._item = item

    def __call__(
        self,
        stimulus: Stimulus | None,
        seconds: float | None = None,
        pattern: str | None = None,
        *,
        streams: tuple[str, ...] = ("frames", "pixels", "wire"),
        settle_s: float = 0.25,
        title: str = "",
    ) -> Recording:
        """Records. Without ``seconds`` as long as the stimulus; with a ``title`` it gets a place on the page."""
        length = seconds if seconds is not None else stimulus.seconds if stimulus is not None else 1.0
        recording = self._rig.record(stimulus, length, streams, pattern, settle_s=settle_s)
        notes = notes_of(self._item)
        name = f"{file_name(self._item.name)}-{len(notes.own_recordings) + 1}"
        notes.own_recordings.append(name)
        notes.recordings.append(name)
        self._session.take(name, recording, draw=bool(title), title=title)
        return recording


class MetricBook:
    """``metric(m)`` notes one or several metrics; ``metric.judge(m)`` also compares with the rig's baseline."""

    def __init__(self, session: SuiteSession, item: pytest.Item) -> None:
        self._session = session
        self._item = item

    def __call__(self, metrics: Metric | Iterable[Metric]) -> None:
        """Notes metrics: they go to JUnit, ``metrics.json``, ``metrics.csv`` and the page."""
        for metric in [metrics] if isinstance(metrics, Metric) else metrics:
            notes_of(self._item).metrics.append(metric.to_json())
            self._item.user_properties.append((metric.key, metric.value))

    def judge(self, metrics: Metric | Iterable[Metric]) -> list[Verdict]:
        """Notes metrics and returns their verdicts."""
        several = [metrics] if isinstance(metrics, Metric) else list(metrics)
        self(several)
        verdicts = [judge(metric, self._session.baseline) for metric in several]
        for verdict in verdicts:
            notes_of(self._item).verdicts.append(verdict.to_json())
            self._item.user_properties.append((f"{verdict.key} verdict", verdict.word))
        return verdicts


class Params:
    """``param(name=value)`` sets parameters of the device; they return to their defaults after the test."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self.touched = False

    def __call__(self, **values: float) -> dict[str, float]:
        """Sets parameters over the console; returns what the device took."""
        self.touched = True
        return {name: self._rig.telemetry.param(name, value) for name, value in values.items()}


def file_name(text: str) -> str:
    """A test's name as the name of a file."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_")[:100]
