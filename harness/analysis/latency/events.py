"""Individually timed events: light that changes in steps, at known instants (strip wires, telemetry)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.latency.switches import Floats, Switches

# A level counts as settled in the last part of its chip, and the one before in the last part of its own.
_SETTLED_MS = 30.0
# Light may seem to precede its sound by the error of the clocks, never by more.
_EARLY_MS = 15.0
# An edge whose light changes less than this share of the usual step was not answered.
_LEAST_STEP = 0.5


class Events(NamedTuple):
    """Edges of the sound that light answered.

    Attributes:
        latency_ms: light at 50 % of its settled step minus sound at 50 %, float64[n].
        rising: bool[n].
        at_ms: when the sound switched, from its first sample, float64[n].
        missed: edges without an answer before the next edge.
    """

    latency_ms: Floats
    rising: npt.NDArray[np.bool_]
    at_ms: Floats
    missed: int


def step_events(change_ms: Floats, level: npt.ArrayLike, switches: Switches) -> Events:
    """Times each edge in light that holds its level until the next change.

    The light's crossing of 50 % between the level settled before the edge and the one settled before the next edge is
    the first change that passes it: nothing is interpolated, because LEDs do not.

    Args:
        change_ms: instants at which the light takes a new level, float64[n], on the clock of ``switches``.
        level: linear light from that instant on, float[n].
    """
    light = np.asarray(level, dtype=np.float64)
    n = switches.at_ms.size
    if not light.size or not n:
        return Events(np.zeros(0), np.zeros(0, bool), np.zeros(0), n)
    settled = np.array([_settled(change_ms, light, at) for at in switches.at_ms])
    last = _settled(change_ms, light, float(min(switches.at_ms[-1] + 90.0, change_ms[-1])))
    after = np.append(settled[1:], last)
    ends = np.append(switches.at_ms[1:], switches.at_ms[-1] + 100.0)
    step = after - settled
    usual = float(np.median(np.abs(step)))
    found = np.full(n, np.nan)
    for k in range(n):
        right_way = (step[k] > 0) == switches.rising[k]
        if usual > 0 and right_way and abs(step[k]) >= _LEAST_STEP * usual:
            found[k] = _crossing(change_ms, light, float(switches.at_ms[k]), float(ends[k]), settled[k], after[k])
    answered = np.isfinite(found)
    at = switches.at_ms[answered]
    return Events(found[answered] - at, switches.rising[answered], at, int((~answered).sum()))


def _settled(change_ms: Floats, light: Floats, before_ms: float) -> float:
    """Median light in the last stretch before an instant; the level in force when nothing changed in it."""
    first, last = np.searchsorted(change_ms, (before_ms - _SETTLED_MS, before_ms))
    first = max(0, first - 1) if last - first < 1 else first
    return float(np.median(light[first:last])) if last > first else float(light[0])


def _crossing(change_ms: Floats, light: Floats, at_ms: float, end_ms: float, before: float, after: float) -> float:
    """First change past the middle that follows one short of it; NaN when there is none before the next edge."""
    first, last = np.searchsorted(change_ms, (at_ms - _EARLY_MS, end_ms))
    first = max(first, 1)
    past = (light[first - 1 : last] - (before + after) / 2) * np.sign(after - before) >= 0
    crossings = np.flatnonzero(past[1:] & ~past[:-1])
    return float(change_ms[first + crossings[0]]) if crossings.size else float("nan")
