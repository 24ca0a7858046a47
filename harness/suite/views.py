"""What a test holds in its hand: ``record``, ``metric``, ``param``. Each lives for one test."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from harness.baseline.gate import FRESH_RUNS, LATER_CONFIDENCE, MOST_RUNS, Verdict
from harness.metric import Metric, pooled
from harness.recording import Recording
from harness.rig.record import Command
from harness.rig.rig import Rig
from harness.signals import Stimulus
from harness.suite.session import SuiteSession


@dataclass
class Notes:
    """What one test leaves for the report; plain values, they may cross to another process."""

    metrics: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    over_budget: list[str] = field(default_factory=list)
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
        commands: Sequence[Command] = (),
    ) -> Recording:
        """Records. Without ``seconds`` as long as the stimulus; with a ``title`` it gets a place on the page."""
        length = seconds if seconds is not None else stimulus.seconds if stimulus is not None else 1.0
        recording = self._rig.record(stimulus, length, streams, pattern, settle_s=settle_s, commands=commands)
        notes = notes_of(self._item)
        name = f"{file_name(self._item.name)}-{len(notes.own_recordings) + 1}"
        notes.own_recordings.append(name)
        notes.recordings.append(name)
        self._session.take(name, recording, draw=bool(title), title=title)
        return recording


class MetricBook:
    """``metric(m)`` notes one or several metrics; ``metric.judge(m)`` also compares with the rig's baseline.

    Each is held to its budget in the rig file. A test that notes one beyond it fails when it is over, whatever it
    asserts itself.
    """

    def __init__(self, session: SuiteSession, item: pytest.Item) -> None:
        self._session = session
        self._item = item

    def __call__(self, metrics: Metric | Iterable[Metric]) -> None:
        """Notes metrics: they go to JUnit, ``metrics.json``, ``metrics.csv`` and the page."""
        capped = self._session.capped_frames(notes_of(self._item).recordings)
        for metric in [metrics] if isinstance(metrics, Metric) else metrics:
            if capped and "capped_frames" not in metric.detail:
                metric = replace(metric, detail={**metric.detail, "capped_frames": capped})
            notes_of(self._item).metrics.append(plain(metric.to_json()))
            self._item.user_properties.append((metric.key, float(metric.value)))
            broken = self._session.gate.over_budget(metric)
            if broken:
                notes_of(self._item).over_budget.append(f"{metric.key}: {broken}")

    def judge(
        self,
        runs: Metric | Sequence[Metric] | Sequence[Sequence[Metric]],
        more: Callable[[], Sequence[Metric]] | None = None,
    ) -> list[Verdict]:
        """Notes metrics, one list per run, and returns the verdicts on their medians.

        Args:
            runs: what each recording gave: the same metrics in the same order. What is no list of lists is one run.
            more: takes one more run. Asked as long as something is open. Fewer runs than a verdict of change needs can
                only acquit, so asking again does not make false alarms more likely; once there were enough to convict,
                further ones, up to ``MOST_RUNS``, can only acquit, on a stricter interval.
        """
        taken = _as_runs(runs)
        gate = self._session.gate
        verdicts = [gate.judge(metric) for metric in pooled(taken)]
        while more is not None and len(taken) < FRESH_RUNS and any(v.needed for v in verdicts):
            taken.append(more())
            verdicts = [gate.judge(metric, LATER_CONFIDENCE) for metric in pooled(taken)]
        while more is not None and len(taken) < MOST_RUNS and any(v.needed for v in verdicts):
            taken.append(more())
            verdicts = [gate.acquit(v, m) for v, m in zip(verdicts, pooled(taken), strict=True)]
        self(pooled(taken))
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


def _as_runs(given: Metric | Sequence[Metric] | Sequence[Sequence[Metric]]) -> list[Sequence[Metric]]:
    if isinstance(given, Metric):
        return [[given]]
    flat = [m for m in given if isinstance(m, Metric)]
    return [flat] if flat else [run for run in given if not isinstance(run, Metric)]


def plain(values: dict[str, Any]) -> dict[str, Any]:
    """Without NumPy's number types, which neither JSON nor the way to another process accepts."""
    made: dict[str, Any] = json.loads(json.dumps(values, default=_builtin))
    return made


def _builtin(value: Any) -> Any:
    if hasattr(value, "item"):
        return value.item()
    raise TypeError(f"{type(value).__name__} has no place in a metric")


def file_name(text: str) -> str:
    """A test's name as the name of a file."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", text).strip("_")[:100]
