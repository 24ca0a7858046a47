"""From the runs of a metric to its verdict.

improved, regressed: the fresh runs lie beyond the practical floor, and chance alone does so once in a thousand times.
unchanged: whatever the true shift is, its interval lies inside the floor. inconclusive: neither can be said yet.
A metric that gave one and the same value in all accepted runs has no randomness: it is compared exactly, one run is
enough. Hard budgets of the rig file hold regardless.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from harness.baseline.floors import practical_floor
from harness.baseline.stats import Shift, interval_rank, mann_whitney_p, runs_until, shift, smallest_p
from harness.baseline.store import AcceptedSet, Samples
from harness.errors import BadRequest
from harness.metric import Direction, Metric

Word = Literal["improved", "unchanged", "regressed", "inconclusive"]
ALPHA = 0.001
# Two one-sided tests at 5 % are the 90 % interval inside the floor (Schuirmann 1987).
CONFIDENCE = 0.90
# Whoever looks again after more runs acquits on a stricter interval: all looks together then call a shift as large as
# the floor unchanged about as seldom as one look does (tests/truth/test_gate_truth.py).
LATER_CONFIDENCE = 0.97
# With 30 accepted runs, 3 fresh ones are the fewest that can reach ALPHA at all: smallest p 0.0004, with 2 it is 0.004.
BASELINE_RUNS = 30
FRESH_RUNS = 3
# More than this many are not taken: what they leave open is a shift near the floor.
MOST_RUNS = 6
# So many runs alike to the last digit: nothing random reaches this metric.
EXACT_RUNS = 10


@dataclass(frozen=True)
class Verdict:
    """What became of a metric.

    Attributes:
        key: ``pattern/name`` or ``name``.
        word: improved, unchanged, regressed or inconclusive.
        value, unit: median of the fresh runs.
        baseline: median of the accepted runs, None without any.
        change: shift relative to it, None without one or when it is 0.
        why: one sentence with the numbers.
        exact: compared without statistics: the metric has no randomness.
        floor: practical floor in the unit.
        shift, low, high, confidence: how far the fresh runs lie above, with its interval (equal when exact).
        p: of no difference; None when exact.
        runs, fresh: accepted and fresh runs.
        needed: fresh runs still needed, roughly; 0 when the verdict stands or runs would not help.
        new: neither pattern nor metric was accepted before: rules and budgets decide alone.
        over_budget: how it breaks a hard budget of the rig file, "" when it does not.
    """

    key: str
    word: Word
    value: float
    unit: str
    baseline: float | None = None
    change: float | None = None
    why: str = ""
    exact: bool = False
    floor: float | None = None
    shift: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    p: float | None = None
    runs: int = 0
    fresh: int = 0
    needed: int = 0
    new: bool = False
    over_budget: str = ""

    @property
    def fails(self) -> bool:
        """Whether a test on it has to fail."""
        return self.word == "regressed" or bool(self.over_budget)

    @property
    def reason(self) -> str:
        """What to say when it fails."""
        return "; ".join(part for part in (self.over_budget, self.why) if part)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class Gate:
    """The judge of one run of the suite.

    Args:
        accepted: the set whose conditions are those of this run; None when there is none.
        absent: why there is none.
        budgets: hard limits of the rig file, by ``pattern/name`` or ``name``.
    """

    def __init__(
        self, accepted: AcceptedSet | None, absent: str = "", budgets: Mapping[str, float] | None = None
    ) -> None:
        self.accepted = accepted
        self.absent = absent or "nothing was accepted"
        self.budgets = dict(budgets or {})

    def acquit(self, open_: Verdict, metric: Metric) -> Verdict:
        """The verdict on a metric whose runs were enough to convict and left it open, after further runs.

        Returns:
            ``unchanged`` if the stricter interval says so, else the verdict as it was.
        """
        if not open_.needed or open_.fresh < FRESH_RUNS:
            return open_
        again = self.judge(metric, LATER_CONFIDENCE)
        return again if again.word == "unchanged" else replace(open_, over_budget=again.over_budget)

    def judge(self, metric: Metric, confidence: float = CONFIDENCE) -> Verdict:
        """The verdict on a metric; :func:`run_values` says what its runs were.

        Raises:
            BadRequest: a budget on a metric of which neither less nor more is better.
        """
        verdict = self._compare(metric, confidence)
        return replace(verdict, over_budget=self.over_budget(metric))

    def _compare(self, metric: Metric, confidence: float) -> Verdict:
        values = run_values(metric)
        bare = Verdict(metric.key, "inconclusive", metric.value, metric.unit, fresh=len(values))
        if self.accepted is None:
            return replace(bare, why=self.absent)
        samples = self.accepted.samples.get(metric.key)
        if samples is None:
            return replace(bare, new=True, why=f"new: no accepted value of {metric.key}; rules and budgets decide")
        if samples.source and samples.source != metric.source:
            return replace(bare, why=f"{metric.key} comes from {metric.source}, accepted was {samples.source}")
        floor = max(practical_floor(metric.name, samples.median), 1e-9)
        finest = float(metric.detail.get("resolution", 0.0))
        bare = replace(bare, baseline=samples.median, floor=max(floor, finest), runs=len(samples.values))
        if samples.alike and bare.runs >= EXACT_RUNS and len(set(values)) == 1:
            return _exact(bare, metric.direction, samples, values[0], finest)
        return _statistical(bare, metric.direction, samples, values, finest, confidence)

    def over_budget(self, metric: Metric) -> str:
        """How a metric, judged or not, breaks its hard budget; "" when it does not, or has none.

        Raises:
            BadRequest: neither less nor more of it is better.
        """
        limit = self.budgets.get(metric.key, self.budgets.get(metric.name))
        if limit is None:
            return ""
        if metric.direction not in ("lower", "higher"):
            raise BadRequest(
                f"[budgets] {metric.name}: neither less nor more of it is better",
                expected="a budget on a metric with direction lower or higher",
                got=f"direction {metric.direction}",
                remedy="remove it from the rig file",
            )
        broken = metric.value > limit if metric.direction == "lower" else metric.value < limit
        bound = "at most" if metric.direction == "lower" else "at least"
        return f"{_num(metric.value)} {metric.unit} breaks the budget of {bound} {_num(limit)}" if broken else ""


def run_values(metric: Metric) -> tuple[float, ...]:
    """The values of the metric's runs: ``detail["samples"]``, else its one value."""
    given = metric.detail.get("samples")
    return tuple(float(v) for v in given) if given else (metric.value,)


def word_for(direction: Direction, change: float) -> Word:
    """What a certain change means; where neither way is better, any is a regression."""
    if direction == "none" or direction == "target":
        return "regressed"
    worse = change > 0 if direction == "lower" else change < 0
    return "regressed" if worse else "improved"


def _exact(bare: Verdict, direction: Direction, samples: Samples, value: float, finest: float) -> Verdict:
    change = value - samples.values[0]
    matters = abs(change) >= (bare.floor or 0.0) and abs(change) > finest
    word: Word = word_for(direction, change) if matters else "unchanged"
    why = f"{_num(value)} {bare.unit} against {_num(samples.values[0])} in each of {bare.runs} runs"
    why += f": {_signed(change)}, floor {_num(bare.floor)}" if change else ""
    return replace(
        bare, word=word, exact=True, why=why, change=_relative(change, samples.median), confidence=1.0,
        shift=change, low=change, high=change,
    )  # fmt: skip


def _statistical(
    bare: Verdict, direction: Direction, samples: Samples, values: tuple[float, ...], finest: float, confidence: float
) -> Verdict:
    moved = shift(samples.values, values, confidence)
    p = mann_whitney_p(samples.values, values)
    floor = bare.floor or 0.0
    word: Word = "inconclusive"
    needed = 0
    matters = abs(moved.value) >= floor and abs(moved.value) > finest
    if max(abs(moved.low), abs(moved.high)) < floor and moved.confidence >= confidence:
        word = "unchanged"
    elif matters and p <= ALPHA and bare.fresh >= FRESH_RUNS and bare.runs >= BASELINE_RUNS:
        word = word_for(direction, moved.value)
    else:
        needed = _needed(bare, moved, matters)
    judged = replace(
        bare, word=word, shift=moved.value, low=moved.low, high=moved.high, confidence=round(moved.confidence, 4),
        p=p, needed=needed, change=_relative(moved.value, samples.median),
    )  # fmt: skip
    return replace(judged, why=_sentence(judged, matters))


def _needed(bare: Verdict, moved: Shift, matters: bool) -> int:
    """Fresh runs still needed, roughly; the widths scale with the square root."""
    fewest = max(0, FRESH_RUNS - bare.fresh)
    k, _ = interval_rank(bare.runs, bare.fresh, CONFIDENCE)
    half = (moved.high - moved.low) / 2
    if k == 1 and fewest:
        return fewest  # one or two runs span the whole spread: their width tells nothing of that of more
    room = abs(moved.value) / 2 if matters else (bare.floor or 0.0) - abs(moved.value)
    return max(fewest, min(runs_until(bare.runs, half, bare.fresh, room), BASELINE_RUNS))


def _sentence(v: Verdict, matters: bool) -> str:
    assert v.confidence is not None and v.p is not None
    unit = f" {v.unit}" if v.unit else ""
    text = (
        f"{_num(v.value)}{unit} in {v.fresh} run{'s' * (v.fresh > 1)} against {_num(v.baseline)} in {v.runs}: "
        f"shift {_signed(v.shift)} [{_signed(v.low)}, {_signed(v.high)}] at {v.confidence:.1%}, "
        f"floor {_num(v.floor)}, p = {v.p:.2g}"
    )
    if v.word != "inconclusive":
        return text
    if matters and v.runs < BASELINE_RUNS:
        return f"{text}; a change is certain only against {BASELINE_RUNS} accepted runs"
    return f"{text}; about {v.needed} more run{'s' * (v.needed != 1)} needed"


def _relative(change: float, accepted: float) -> float | None:
    return change / abs(accepted) if accepted else (0.0 if change == 0 else None)


def _num(value: float | None) -> str:
    return "?" if value is None else f"{value:.6g}"


def _signed(value: float | None) -> str:
    return "?" if value is None else f"{value:+.4g}"


def detectable(samples: Samples, name: str, fresh: int) -> float:
    """The smallest change of a metric, as a share of it, that so many fresh runs turn into a verdict.

    Without randomness that is the floor. Otherwise the floor, or the spread where that is larger: fresh runs that all
    lie beyond every accepted one are what three of them need (power about one half at that shift, more beyond it).
    """
    centre = abs(samples.median)
    if centre == 0:
        return 0.0
    floor = practical_floor(name, centre) / centre
    if samples.alike and len(samples.values) >= EXACT_RUNS:
        return floor
    if smallest_p(len(samples.values), max(fresh, FRESH_RUNS)) > ALPHA:
        return float("inf")
    reach = max(abs(v - samples.median) for v in samples.values) / centre
    return max(floor, reach)
