"""The light an exposure gathers from edges: exponential answer, wait for an LED frame, exposure, in closed form."""

from __future__ import annotations

import numpy as np

from harness.analysis.latency.switches import Floats

# Beyond so many time constants an answer is settled to one part in a million.
_SETTLED = 14.0


def edge_response(opens: Floats, at_ms: Floats, tau_ms: float, exposure_ms: float, wait_ms: float) -> Floats:
    """Sum over edges of what exposures see of each (0 before, 1 when settled), float64[n].

    Args:
        opens: when exposures begin, float64[n], ascending.
        at_ms: middle of each edge's start, ascending.
    """
    first = np.searchsorted(opens, at_ms - wait_ms / 2 - exposure_ms)
    last = np.searchsorted(opens, at_ms + wait_ms / 2 + _SETTLED * tau_ms)
    # All exposures near any edge in one row: edges overlap when the answer is slow.
    length = last - first
    row = np.arange(int(length.sum())) + np.repeat(first - np.concatenate(([0], np.cumsum(length)[:-1])), length)
    near = answer(opens[row] - np.repeat(at_ms, length), tau_ms, exposure_ms, wait_ms)
    settled = np.cumsum(np.bincount(last, minlength=opens.size + 1)[:-1])
    return np.asarray(np.bincount(row, near, minlength=opens.size) + settled, dtype=np.float64)


def answer(since: Floats, tau: float, exposure: float, wait: float) -> Floats:
    """Light (0 to 1) in exposures that begin ``since`` ms after the middle of one edge's start, any shape.

    The answer is 1 - exp(-t / tau), after a wait between -wait/2 and +wait/2, every length alike; the exposure averages
    over its length. Both averages are integrals of the answer, known in closed form.
    """
    start = since + wait / 2 if wait > 0 else since
    if wait <= 0:
        return (_once(start + exposure, tau) - _once(start, tau)) / exposure
    late = start - wait
    total = _twice(start + exposure, tau) - _twice(start, tau) - _twice(late + exposure, tau) + _twice(late, tau)
    return total / (exposure * wait)


def _once(t: Floats, tau: float) -> Floats:
    """Integral of 1 - exp(-t / tau) from 0 to t; 0 before 0."""
    u = np.maximum(t, 0.0)
    return np.asarray(u + tau * np.expm1(-u / tau), dtype=np.float64)


def _twice(t: Floats, tau: float) -> Floats:
    """Integral of :func:`_once`."""
    u = np.maximum(t, 0.0)
    return np.asarray(u * u / 2 - tau * u - tau * tau * np.expm1(-u / tau), dtype=np.float64)
