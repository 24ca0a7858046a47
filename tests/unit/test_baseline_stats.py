"""Exact tests and intervals, against SciPy, against counting by hand, and against what they promise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, rankdata

from harness.baseline.stats import interval_rank, lag1, mann_whitney_p, runs_until, shift, smallest_p

values = st.lists(st.integers(0, 6).map(float), min_size=1, max_size=5)


@pytest.mark.parametrize(("n", "m"), [(1, 1), (5, 5), (30, 1), (30, 3), (30, 10), (20, 20)])
def test_without_ties_it_is_the_classical_exact_test(n: int, m: int) -> None:
    rng = np.random.default_rng(n * 100 + m)
    for moved in (0.0, 0.7, 3.0):
        a, b = rng.normal(size=n), rng.normal(size=m) + moved
        assert mann_whitney_p(a, b) == pytest.approx(mannwhitneyu(a, b, method="exact").pvalue, rel=1e-9)


@given(values, values)
def test_with_ties_it_counts_all_deals(base: list[float], fresh: list[float]) -> None:
    ranks = rankdata([*base, *fresh])
    mean = len(fresh) * (len(ranks) + 1) / 2
    seen = abs(ranks[len(base) :].sum() - mean)
    deals = [abs(sum(deal) - mean) >= seen - 1e-9 for deal in itertools.combinations(ranks, len(fresh))]
    assert mann_whitney_p(base, fresh) == pytest.approx(np.mean(deals))


def test_three_fresh_runs_are_the_fewest_for_one_in_a_thousand() -> None:
    assert smallest_p(30, 3) == pytest.approx(2 / math.comb(33, 3)) and smallest_p(30, 3) < 0.001 < smallest_p(30, 2)
    assert mann_whitney_p(range(30), [100.0, 101.0, 102.0]) == pytest.approx(smallest_p(30, 3))
    assert smallest_p(5, 5) == pytest.approx(0.0079, abs=1e-4)


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=12), st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=6))
def test_shift_is_the_median_difference_and_its_interval_holds_it(base: list[float], fresh: list[float]) -> None:
    found = shift(base, fresh)
    assert found.value == pytest.approx(float(np.median([b - a for a in base for b in fresh])))
    assert found.low <= found.value <= found.high
    mirrored = shift([-a for a in base], [-b for b in fresh])
    assert (mirrored.low, mirrored.high) == pytest.approx((-found.high, -found.low))


def test_interval_ranks_are_those_of_the_tables() -> None:
    # Critical values of U, two-sided 5 %: 5+5: 2, 10+10: 23, 20+20: 127; the interval starts one later.
    assert [interval_rank(n, n, 0.95)[0] for n in (5, 10, 20)] == [3, 24, 128]
    assert interval_rank(30, 1, 0.90) == (1, pytest.approx(1 - 2 / 31))


def test_interval_covers_at_least_what_it_says() -> None:
    rng = np.random.default_rng(20)
    hits = 0
    for _ in range(1000):
        base, fresh = rng.standard_t(3, 20), rng.standard_t(3, 5) + 0.5
        found = shift(base, fresh, 0.90)
        hits += found.low <= 0.5 <= found.high
    assert 0.88 <= hits / 1000 <= 0.935


@pytest.mark.parametrize("bad", [[], [math.nan], [math.inf], [1.0] * 101])
def test_bad_samples_are_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError):
        mann_whitney_p([1.0, 2.0], bad)
    with pytest.raises(ValueError):
        shift(bad, [1.0])


def test_more_runs_until_the_interval_fits() -> None:
    assert runs_until(30, half_width=1.0, n_fresh=3, room=0.9) == 1
    assert runs_until(30, half_width=1.0, n_fresh=3, room=0.5) == 15
    assert runs_until(30, half_width=1.0, n_fresh=3, room=0.0) == 27


def test_lag_one() -> None:
    rng = np.random.default_rng(3)
    steps = rng.normal(size=400)
    walk = [steps[0]]
    for step in steps[1:]:
        walk.append(0.6 * walk[-1] + step)
    assert lag1(walk) == pytest.approx(0.6, abs=0.1) and abs(lag1(steps)) < 0.15
    assert lag1([1.0] * 30) == 0.0 and lag1([1.0, 2.0]) == 0.0
