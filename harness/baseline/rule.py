"""The rule: a metric is judged by its relative distance from the accepted value, ±10 %."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from harness.baseline.store import Baseline, Entry
from harness.metric import Metric

Word = Literal["improved", "unchanged", "regressed", "inconclusive"]
TOLERANCE = 0.10


@dataclass(frozen=True)
class Verdict:
    """What became of a metric.

    Attributes:
        key: ``pattern/name`` or ``name``.
        word: improved, unchanged, regressed or inconclusive.
        value, unit: measured.
        baseline: accepted value, None when there is none.
        change: relative change against it, None without one.
        tolerance: the rule's limit of that change.
        why: one sentence with the numbers.
    """

    key: str
    word: Word
    value: float
    unit: str
    baseline: float | None
    change: float | None
    tolerance: float
    why: str

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def judge(metric: Metric, baseline: Baseline, tolerance: float = TOLERANCE) -> Verdict:
    """Compares a metric with the rig's accepted value.

    Without an entry under the same cost model the verdict is ``inconclusive``. An accepted value of 0 allows only 0.
    """
    entry = baseline.find(metric)
    if entry is None:
        return Verdict(
            metric.key, "inconclusive", metric.value, metric.unit, None, None, tolerance, _no_entry(metric, baseline)
        )
    change = _relative(metric.value, entry.value)
    word: Word = "unchanged"
    if abs(change) > tolerance:
        worse = change > 0 if metric.direction == "lower" else change < 0
        both_ways = metric.direction in ("target", "none")
        word = "regressed" if worse or both_ways else "improved"
    why = f"{metric.value:.6g} {metric.unit} against {entry.value:.6g}: {change:+.1%}, allowed ±{tolerance:.0%}"
    return Verdict(metric.key, word, metric.value, metric.unit, entry.value, change, tolerance, why)


def _relative(value: float, accepted: float) -> float:
    if accepted == 0:
        return 0.0 if value == 0 else float(1e9 if value > 0 else -1e9)
    return (value - accepted) / abs(accepted)


def _no_entry(metric: Metric, baseline: Baseline) -> str:
    model = str(metric.detail.get("cost_model", ""))
    others = baseline.cost_models() - {model}
    if model and model not in baseline.cost_models() and others:
        return f"no accepted value under cost model {model}; the baseline has {', '.join(sorted(others))}"
    return f"rig '{baseline.rig}' has no accepted value; accept one: k1hil baseline accept"


def smallest_change(entry: Entry, repeats: int, tolerance: float = TOLERANCE) -> float:
    """Smallest relative worsening that the rule finds in 19 runs of 20: the tolerance and 1.64 standard errors.

    Args:
        entry: an accepted value with its spread between runs (or, with a single run, its noise within the run).
        repeats: independent recordings the metric will be the mean of.
    """
    if entry.spread is not None:
        sigma = entry.spread
    else:
        sigma = (entry.noise or 0.0) / 1.96
    if entry.value == 0:
        return tolerance
    return tolerance + 1.64 * sigma / abs(entry.value) / math.sqrt(max(repeats, 1))
