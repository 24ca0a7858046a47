"""Small statistics with honest intervals for autocorrelated series."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# Two-sided 95 % quantile of Student's t, by degrees of freedom 1..15; beyond that it is within 7 % of 1.96 + 2.4/df.
_T95 = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
DEFAULT_BATCHES = 8


class Estimate(NamedTuple):
    """A value with its 95 % interval and the number of independent samples behind it."""

    value: float
    low: float
    high: float
    n: int

    @property
    def half_width(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2


def t95(df: int) -> float:
    """Two-sided 95 % quantile of Student's t with ``df`` degrees of freedom (at least 1)."""
    return _T95[df - 1] if df <= len(_T95) else 1.96 + 2.4 / df


def batch_estimate(
    values: npt.ArrayLike, statistic: Callable[[Array], float], batches: int = DEFAULT_BATCHES
) -> Estimate:
    """A statistic of a time series with a batch-means interval.

    Neighbouring frames resemble each other, so frames are not independent samples; means over long batches nearly are.
    (Method of batch means, as in simulation output analysis.)

    Args:
        values: the series, float[n].
        statistic: of an array, such as ``np.median``.
        batches: pieces; fewer are used when the series is short.

    Returns:
        The statistic of the whole, the interval from the spread of the batches, and the number of batches.

    Raises:
        ValueError: an empty series.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.size == 0:
        raise ValueError("an estimate needs at least one value")
    whole = float(statistic(series))
    count = min(batches, series.size // 8)
    if count < 2:
        return Estimate(whole, whole, whole, 1)
    parts = np.array([statistic(part) for part in np.array_split(series, count)])
    half = t95(count - 1) * float(parts.std(ddof=1)) / np.sqrt(count)
    return Estimate(whole, whole - half, whole + half, count)


def theil_sen(x: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Median of the slopes between all pairs of points: a line that outliers do not move. O(n²), so n ≤ 500 or so."""
    xs, ys = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    first, second = np.triu_indices(xs.size, k=1)
    run = xs[second] - xs[first]
    rise = ys[second] - ys[first]
    return float(np.median(rise[run != 0] / run[run != 0]))
