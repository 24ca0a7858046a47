"""Verdicts: certain when they may be, inconclusive when not, exact where nothing is random."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness.baseline.floors import practical_floor
from harness.baseline.gate import Gate, Verdict, detectable
from harness.baseline.store import AcceptedSet, Samples
from harness.errors import BadRequest
from harness.metric import Metric, pooled

RNG = np.random.default_rng(7)
NOISY = tuple(float(v) for v in 100 + RNG.normal(0, 0.4, 30))  # floor 2 %: five times the spread
WIDE = tuple(float(v) for v in 100 + RNG.normal(0, 3.0, 30))


def accepted(values: tuple[float, ...], name: str = "render_us_mean") -> AcceptedSet:
    key = f"bloom/{name}"
    return AcceptedSet({"cost_model": "m1"}, "quick", samples={key: Samples(key, "us", values)})


def judge(
    base: tuple[float, ...], fresh: list[float], direction: Any = "lower", name: str = "render_us_mean", **detail: Any
) -> Verdict:
    runs = [[Metric(name, v, "us", direction, 8, "telemetry", "simulated", pattern="bloom", detail=detail)]
            for v in fresh]  # fmt: skip
    (metric,) = pooled(runs)
    return Gate(accepted(base, name)).judge(metric)


@pytest.mark.parametrize(
    ("value", "direction", "word"),
    [(100.0, "lower", "unchanged"), (101.9, "lower", "unchanged"), (102.1, "lower", "regressed"),
     (97.9, "lower", "improved"), (97.9, "higher", "regressed"), (102.1, "higher", "improved"),
     (102.1, "none", "regressed"), (97.9, "target", "regressed")],
)  # fmt: skip
def test_without_randomness_one_run_is_judged_exactly(value: float, direction: str, word: str) -> None:
    verdict = judge((100.0,) * 30, [value], direction)
    assert (verdict.word, verdict.exact, verdict.p) == (word, True, None)
    assert verdict.low == verdict.high == pytest.approx(value - 100) and "each of 30 runs" in verdict.why


def test_a_difference_within_the_resolution_is_none() -> None:
    assert judge((6.0,) * 30, [7.0], resolution=1.0).word == "unchanged"
    assert judge((6.0,) * 30, [7.1], resolution=1.0).word == "regressed"


def test_few_runs_alike_are_not_called_exact() -> None:
    verdict = judge((100.0,) * 9, [105.0])
    assert verdict.word == "inconclusive" and not verdict.exact


def test_one_run_acquits_when_even_the_spread_lies_inside_the_floor() -> None:
    verdict = judge(NOISY, [100.1])
    assert verdict.word == "unchanged" and verdict.confidence == pytest.approx(1 - 2 / 31, abs=1e-3)
    assert -2 < verdict.low < verdict.shift < verdict.high < 2  # type: ignore[operator]


def test_one_or_two_runs_never_convict() -> None:
    for fresh in ([150.0], [150.0, 151.0]):
        verdict = judge(NOISY, fresh)
        assert verdict.word == "inconclusive" and verdict.needed == 3 - len(fresh) and "more run" in verdict.why


def test_three_runs_beyond_the_floor_convict() -> None:
    worse = judge(NOISY, [105.0, 104.8, 105.3])
    assert worse.word == "regressed" and worse.p is not None and worse.p < 0.001
    assert worse.change == pytest.approx(0.05, abs=0.005) and worse.low > 4  # type: ignore[operator]
    assert judge(NOISY, [95.0, 94.8, 95.3]).word == "improved"
    assert judge(NOISY, [95.0, 94.8, 95.3], "higher").word == "regressed"


def test_a_certain_change_below_the_floor_is_unchanged() -> None:
    base = tuple(100 + 0.001 * i for i in range(30))
    verdict = judge(base, [100.5, 100.6, 100.7])
    assert verdict.p is not None and verdict.p < 0.001 and verdict.word == "unchanged"


def test_a_short_baseline_acquits_and_never_convicts() -> None:
    assert judge(NOISY[:20], [100.0, 100.1, 99.9]).word == "unchanged"
    verdict = judge(NOISY[:29], [150.0] * 3)
    assert verdict.word == "inconclusive" and "30 accepted runs" in verdict.why


def test_what_is_too_wide_asks_for_more_runs_and_gets_its_verdict_with_them() -> None:
    verdict = judge(WIDE, [100.0, 99.0, 101.0])
    assert verdict.word == "inconclusive" and 3 < verdict.needed <= 30
    settled = judge(tuple(WIDE * 3), list(np.linspace(99, 101, 60)))
    assert settled.word == "unchanged"


def test_nothing_accepted_and_something_new() -> None:
    metric = Metric("render_us_mean", 1.0, "us", "lower", 1, "telemetry", "simulated", pattern="glow")
    none = Gate(None, "the fingerprint changed: cost_model").judge(metric)
    assert none.word == "inconclusive" and not none.new and "cost_model" in none.why
    new = Gate(accepted(NOISY)).judge(metric)
    assert new.word == "inconclusive" and new.new and not new.fails and "budgets" in new.why


def test_streams_are_not_compared_with_each_other() -> None:
    key = "bloom/render_us_mean"
    wire = AcceptedSet({}, "quick", samples={key: Samples(key, "us", (100.0,) * 30, "wire")})
    told = Metric("render_us_mean", 100.0, "us", "lower", 1, "telemetry", "simulated", pattern="bloom")
    verdict = Gate(wire).judge(told)
    assert verdict.word == "inconclusive" and not verdict.new and "accepted was wire" in verdict.why


def test_budgets_hold_regardless() -> None:
    slow = Metric("render_us_mean", 120.0, "us", "lower", 1, "telemetry", "simulated", pattern="glow")
    for budgets in ({"render_us_mean": 100.0}, {"glow/render_us_mean": 119.0, "render_us_mean": 500.0}):
        verdict = Gate(None, budgets=budgets).judge(slow)
        assert verdict.fails and "at most" in verdict.over_budget and verdict.reason.startswith("120 us breaks")
    assert not Gate(None, budgets={"glow/render_us_mean": 121.0, "render_us_mean": 1.0}).judge(slow).fails
    rate = Metric("fps", 90.0, "1/s", "higher", 1, "telemetry", "simulated")
    assert "at least" in Gate(None, budgets={"fps": 100.0}).judge(rate).over_budget
    mood = Metric("mood", 1.0, "", "none", 1, "telemetry", "simulated")
    with pytest.raises(BadRequest, match="neither less nor more"):
        Gate(None, budgets={"mood": 1.0}).judge(mood)


def test_floors() -> None:
    assert practical_floor("render_us_p95", 200.0) == pytest.approx(4.0)
    assert practical_floor("latency_mean", 30.0) == 1.0
    assert practical_floor("heap_free_least", 10_000.0) == 512.0
    assert practical_floor("anything_else", -10.0) == pytest.approx(0.5)


def test_detectable_change() -> None:
    assert detectable(Samples("k", "us", (100.0,) * 30), "render_us_mean", 1) == pytest.approx(0.02)
    assert detectable(Samples("k", "us", WIDE), "render_us_mean", 3) > 0.04
    assert detectable(Samples("k", "us", WIDE[:5]), "render_us_mean", 1) == float("inf")


def test_pooling_keeps_the_single_runs() -> None:
    runs = [[Metric("fps", v, "1/s", "higher", 8, "telemetry", "simulated", ci95=(v - 1, v + 1),
                    detail={"seed": int(v)})] for v in (3.0, 1.0, 2.0)]  # fmt: skip
    (one,) = pooled(runs)
    assert (one.value, one.n, one.ci95) == (2.0, 3, None)
    assert one.detail["samples"] == [3.0, 1.0, 2.0] and one.detail["seeds"] == [3, 1, 2]
    (single,) = pooled(runs[:1])
    assert single.value == 3.0 and single.n == 8 and single.ci95 == (2.0, 4.0)
    with pytest.raises(ValueError):
        pooled([])
    other = [Metric("spf", 1.0, "s", "lower", 1, "telemetry", "simulated")]
    with pytest.raises(ValueError, match="different metrics"):
        pooled([runs[0], other])


def test_further_runs_can_only_acquit():
    """What three runs left open: more of the same acquit, a shift that shows is left to the next run of the suite."""
    base = accepted(NOISY, "render_us_mean")
    gate = Gate(base)

    def metric(values):
        return Metric("render_us_mean", sorted(values)[len(values) // 2], "us", "lower", len(values), "telemetry",
                      "simulated", pattern="bloom", detail={"samples": values})  # fmt: skip

    spread = [97.0, 100.0, 103.0]
    open_ = gate.judge(metric(spread))
    assert (open_.word, open_.needed > 0) == ("inconclusive", True)
    assert gate.acquit(open_, metric([*spread, 100.0, 100.1, 99.9])).word == "unchanged"
    worse = metric([110.0] * 6)
    assert gate.judge(worse).word == "regressed"
    assert gate.acquit(open_, worse).word == "inconclusive"
    decided = gate.judge(metric([110.0] * 3))
    assert gate.acquit(decided, metric(spread * 2)) == decided, "what was called stays called"


@pytest.mark.parametrize(
    "other", [{"source": "wire"}, {"unit": "us"}, {"direction": "none"}, {"provenance": "hardware"}], ids=str
)
def test_what_was_measured_in_another_way_is_not_pooled(other: dict[str, Any]) -> None:
    """A camera run and one that fell back to the wire differ by the light's own delay: their median means nothing."""
    seen = Metric("latency_mean", 9.0, "ms", "lower", 120, "camera", "simulated", pattern="hil_flash")
    assert pooled([[seen], [replace(seen, value=10.0)]])[0].value == 9.5
    with pytest.raises(ValueError, match=r"measured hil_flash/latency_mean in different ways: .*camera"):
        pooled([[seen], [replace(seen, **other)], [seen]])
