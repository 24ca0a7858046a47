"""When camera frames were taken, from the stamps they arrived with: jitter taken out, missing frames found.

A camera runs on its own crystal, so frame k was taken at ``start + k * period``; what jitters is the way to the host.
Stamps against frame numbers are therefore a line, fitted robustly. Frame numbers come from the stamps themselves: a gap
of more than 1.5 periods means frames that never came.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# A gap larger than this many periods holds a missing frame.
GAP_PERIODS = 1.5
MIN_FRAMES = 8
_ROUNDS = 12
# Stamps further from the line than this many robust deviations have no say (Tukey's constant for 95 % efficiency).
_TUKEY = 4.685
# A camera whose stamps wander more than this share of its period is not one of constant rate (auto exposure, file).
STEADY_SHARE = 0.25


@dataclass(frozen=True)
class FrameTimes:
    """Frames on a regular grid.

    Attributes:
        number: int64[n], frame number counted from the first frame, missing ones included.
        time_ns: int64[n], the line at each frame: same meaning as the stamps (their mean delay is not known here).
        period_ns: time from frame to frame.
        residual_ns: robust standard deviation of the stamps about the line.
        missing: frames that never came, between the first and the last.
        steady: the stamps fit a constant rate; when False ``time_ns`` are the stamps themselves.
    """

    number: Ints
    time_ns: Ints
    period_ns: float
    residual_ns: float
    missing: int
    steady: bool

    @property
    def fps(self) -> float:
        """Frames per second the camera makes, missing ones included."""
        return 1e9 / self.period_ns


def frame_times(stamps_ns: Ints) -> FrameTimes:
    """Fits the grid.

    Args:
        stamps_ns: int64[n], in order of arrival, not decreasing.

    Raises:
        ValueError: fewer than 8 stamps, or stamps that go back.
    """
    stamps = np.asarray(stamps_ns, dtype=np.int64)
    if stamps.size < MIN_FRAMES:
        raise ValueError(f"{stamps.size} frames are too few for a frame rate; {MIN_FRAMES} are needed")
    steps = np.diff(stamps)
    if (steps < 0).any():
        raise ValueError("time stamps of camera frames go back")
    t = (stamps - stamps[0]).astype(np.float64)
    period = _first_period(steps.astype(np.float64))
    number = _numbers(t, 0.0, period)
    start, residual = 0.0, 0.0
    for _ in range(_ROUNDS):
        start, period, residual = _robust_line(number, t)
        better = _numbers(t, start, period)
        if np.array_equal(better, number):
            break
        number = better
    steady = residual <= STEADY_SHARE * period
    number -= number[0]
    line = stamps[0] + np.rint(start + period * number).astype(np.int64)
    missing = int(number[-1] + 1 - number.size)
    return FrameTimes(number, line if steady else stamps.copy(), period, residual, missing, bool(steady))


def _first_period(steps: Floats) -> float:
    """The usual step: the median of those near the median, so that one gap in ten does not pull it."""
    middle = float(np.median(steps))
    near = steps[(steps > 0.5 * middle) & (steps < GAP_PERIODS * middle)]
    # The mean averages jitter out: early and late stamps cancel between neighbours.
    return max(float(near.mean()) if near.size else middle, 1.0)


def _numbers(t: Floats, start: float, period: float) -> Ints:
    """Nearest number on the grid, each later than the one before: two frames never share one.

    Numbers follow from gaps and from the line: a gap of up to 1.5 periods is the next frame, whatever the line says of
    a single late stamp.
    """
    on_grid = np.rint((t - start) / period).astype(np.int64)
    on_grid -= on_grid[0]
    number = np.maximum.accumulate(on_grid - np.arange(t.size)) + np.arange(t.size)
    return np.asarray(number, dtype=np.int64)


def _robust_line(number: Ints, t: Floats) -> tuple[float, float, float]:
    """Line by iteratively re-weighted least squares with Tukey's biweight: (start, period, robust deviation)."""
    x = number.astype(np.float64)
    weight = np.ones_like(t)
    start, slope, scale = 0.0, 1.0, 0.0
    for _ in range(_ROUNDS):
        mean_x, mean_t = np.average(x, weights=weight), np.average(t, weights=weight)
        slope = float(np.sum(weight * (x - mean_x) * (t - mean_t)) / np.sum(weight * (x - mean_x) ** 2))
        start = float(mean_t - slope * mean_x)
        residual = t - start - slope * x
        scale = 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
        if scale <= 0:
            break
        u = np.clip((residual - np.median(residual)) / (_TUKEY * scale), -1, 1)
        weight = (1 - u**2) ** 2
    return start, max(slope, 1.0), scale
