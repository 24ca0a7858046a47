"""Two samples of runs: is there a difference, how large is it, and how sure is that? Distribution-free and exact.

The unit is the run (one boot, one stimulus, its own seed); what happens within a run is summarised before it comes
here. Mann and Whitney's test (1947) asks whether one sample tends to lie above the other, Hodges and Lehmann's
estimate (1963) says by how much, and the test turned round gives the estimate's interval. All three hold for whatever
distribution the runs have, and a wild run moves them little.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
MAX_RUNS = 100


class Shift(NamedTuple):
    """How far the fresh runs lie above the baseline's, in the metric's unit.

    Attributes:
        value: the Hodges-Lehmann estimate: median of all differences between a fresh and a baseline run.
        low, high: interval of that shift; infinite when there are too few runs for any.
        confidence: what the interval really holds: at least what was asked for, or the most these runs can give.
    """

    value: float
    low: float
    high: float
    confidence: float


def mann_whitney_p(baseline: npt.ArrayLike, fresh: npt.ArrayLike) -> float:
    """Exact two-sided p of the Mann-Whitney test; with ties the exact permutation p of the mid-ranks.

    Of all ways to deal the pooled values into two groups of these sizes: the share with a rank sum at least as far
    from its mean as the one seen. Without ties this is the classical exact test.

    Args:
        baseline, fresh: values per run, float[n] and float[m], 1 to 100 each, finite.

    Raises:
        ValueError: an empty sample, more than 100 runs, or a value that is not finite.
    """
    base, new = _checked(baseline), _checked(fresh)
    pooled = np.concatenate([base, new])
    ranks = _double_midranks(pooled)
    mean = new.size * (pooled.size + 1)  # of the doubled rank sum
    distance = abs(int(ranks[base.size :].sum()) - mean)
    chance = _rank_sum_chances(tuple(sorted(ranks.tolist())), int(new.size))
    sums = np.arange(chance.size)
    return min(1.0, float(chance[np.abs(sums - mean) >= distance].sum()))


def smallest_p(n_baseline: int, n_fresh: int) -> float:
    """The smallest two-sided p that samples of these sizes can give: all fresh runs on one side of all others."""
    return min(1.0, 2.0 / math.comb(n_baseline + n_fresh, n_fresh))


def shift(baseline: npt.ArrayLike, fresh: npt.ArrayLike, confidence: float = 0.90) -> Shift:
    """Hodges-Lehmann shift with its exact interval (the Mann-Whitney test turned round).

    The interval runs from the k-th smallest to the k-th largest difference, with the largest k whose test would not
    have been refused. With ties it holds at least what it says (Lehmann, Nonparametrics, 1975). So few runs that no k
    reaches the wanted confidence get the widest interval there is, and its true confidence.

    Raises:
        ValueError: see :func:`mann_whitney_p`.
    """
    base, new = _checked(baseline), _checked(fresh)
    differences = np.sort((new[:, None] - base[None, :]).ravel())
    k, reached = interval_rank(int(base.size), int(new.size), confidence)
    return Shift(
        float(np.median(differences)), float(differences[k - 1]), float(differences[differences.size - k]), reached
    )


@lru_cache(maxsize=1024)
def interval_rank(n_baseline: int, n_fresh: int, confidence: float) -> tuple[int, float]:
    """(k, true confidence): the interval of the shift ends at the k-th smallest and k-th largest difference."""
    chance = _u_chances(n_baseline, n_fresh)
    below = np.cumsum(chance)
    fitting = int(np.searchsorted(below, (1.0 - confidence) / 2.0 * (1 + 1e-12), side="right"))
    k = max(1, fitting)
    return k, float(1.0 - 2.0 * below[k - 1])


def runs_until(n_baseline: int, half_width: float, n_fresh: int, room: float) -> int:
    """Roughly how many more fresh runs would make an interval of this half width fit into ``room`` on either side.

    The width shrinks with sqrt(1/n + 1/m); where even endless fresh runs would not do, the answer is as many as the
    baseline has. At least 1.
    """
    if room <= 0 or half_width <= 0 or not math.isfinite(half_width):
        return max(1, n_baseline - n_fresh)
    scale = half_width**2 / (1 / n_fresh + 1 / n_baseline)
    left = room**2 / scale - 1 / n_baseline
    wanted = math.ceil(1 / left) if left > 1 / max(n_baseline, 1) else n_baseline
    return max(1, wanted - n_fresh)


def lag1(values: npt.ArrayLike) -> float:
    """Correlation of each value with the one before it; 0 for fewer than 8 values or none that differ."""
    series = np.asarray(values, dtype=np.float64)
    if series.size < 8:
        return 0.0
    centred = series - series.mean()
    power = float((centred**2).sum())
    return float((centred[1:] * centred[:-1]).sum() / power) if power > 0 else 0.0


def _checked(values: npt.ArrayLike) -> Array:
    sample = np.asarray(values, dtype=np.float64).ravel()
    if not 1 <= sample.size <= MAX_RUNS:
        raise ValueError(f"a sample holds 1 to {MAX_RUNS} runs, got {sample.size}")
    if not np.isfinite(sample).all():
        raise ValueError("a sample holds a value that is not finite")
    return sample


def _double_midranks(pooled: Array) -> npt.NDArray[np.int64]:
    """Twice the mid-ranks, so that they are whole: equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(pooled, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    doubled = 2 * last - counts + 1  # (first + last) of each group of equal values
    return np.asarray(doubled[inverse], dtype=np.int64)


@lru_cache(maxsize=256)
def _rank_sum_chances(ranks: tuple[int, ...], size: int) -> Array:
    """Probability of each sum when ``size`` of these whole ranks are drawn without return, float[largest sum + 1]."""
    top = sum(ranks[len(ranks) - size :])
    ways = np.zeros((size + 1, top + 1))
    ways[0, 0] = 1.0
    for rank in ranks:
        # From the largest group down, so that each rank is used once.
        ways[1:, rank:] += ways[:-1, : top + 1 - rank].copy()
    return np.asarray(ways[size] / ways[size].sum())


@lru_cache(maxsize=256)
def _u_chances(n_baseline: int, n_fresh: int) -> Array:
    """Null distribution of the U statistic without ties, float[n * m + 1]."""
    total = n_baseline + n_fresh
    chance = _rank_sum_chances(tuple(range(2, 2 * total + 1, 2)), n_fresh)
    least = n_fresh * (n_fresh + 1)
    return np.asarray(chance[least : least + 2 * n_baseline * n_fresh + 1 : 2])
