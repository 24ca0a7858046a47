"""What a source says of latency, and how single events become a mean with an honest interval."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from harness.analysis.latency.events import Events
from harness.analysis.stats import Estimate, t95
from harness.recording import LEDS
from harness.timebase import Trust

# WS2812: 24 bits of 1.25 us each; an LED's own bits are in after so long, those of all LEDs before it first.
LED_MS = 0.030
SKEW_LAST_MS = LED_MS * (LEDS - 1)
SKEW_MEAN_MS = SKEW_LAST_MS / 2
# A percentile needs events beyond it: from fewer it would be one event's luck.
LEAST_FOR_PERCENTILES = 200
_LEAST_EVENTS = 8


@dataclass(frozen=True)
class Latency:
    """Latency as one source tells it, in ms, for LED 0.

    Attributes:
        source: ``wire``, ``telemetry`` or ``camera``.
        rise, fall: means over the edges of each kind with the 95 % interval of the statistical part.
        mean: midway between both.
        clock_ms: bound on what the clocks may add to all of it alike (± ms); no repetition makes it smaller.
        trust: what ties sound and light together.
        events: the single edges; None where only the mean is known.
        missed: edges of the sound without an answer.
        detail: more of the same source (time constants, coverage), plain JSON values.
    """

    source: str
    rise: Estimate
    fall: Estimate
    mean: Estimate
    clock_ms: float
    trust: Trust
    events: Events | None
    missed: int
    detail: dict[str, Any]

    def with_bound(self, more_ms: float) -> Latency:
        """The same with a wider clock bound (± ms)."""
        return replace(self, clock_ms=self.clock_ms + more_ms)

    def percentile(self, q: float, rising: bool) -> float | None:
        """A percentile (0 to 100) of the single latencies of one kind; None from fewer than 200 events."""
        if self.events is None:
            return None
        values = self.events.latency_ms[self.events.rising == rising]
        return float(np.percentile(values, q)) if values.size >= LEAST_FOR_PERCENTILES else None


def summarise(
    source: str,
    events: Events,
    clock_stat_ms: float,
    clock_ms: float,
    trust: Trust,
    detail: dict[str, Any],
    unsure_ms2: float = 0.0,
) -> Latency | None:
    """Means with intervals from single events; None from fewer than eight of a kind.

    Args:
        unsure_ms2: mean variance of the single latencies, where each is only known to within something.

    The sampling error of the events and the statistical part of the clock fit are independent: their half widths add as
    squares.
    """
    parts = []
    for kind in (True, False):
        values = events.latency_ms[events.rising == kind]
        if values.size < _LEAST_EVENTS:
            return None
        error = float(np.sqrt((values.var(ddof=1) + unsure_ms2) / values.size))
        parts.append(_Mean(float(values.mean()), error, int(values.size)))
    rise, fall = parts
    mean = _Mean((rise.value + fall.value) / 2, float(np.hypot(rise.error, fall.error)) / 2, rise.n + fall.n)
    a, b, both = (_interval(part, clock_stat_ms) for part in (rise, fall, mean))
    spreads = {
        "rise_sd_ms": round(rise.error * rise.n**0.5, 4),
        "fall_sd_ms": round(fall.error * fall.n**0.5, 4),
    }
    return Latency(source, a, b, both, clock_ms, trust, events, events.missed, {**spreads, **detail})


class _Mean(NamedTuple):
    value: float
    error: float
    n: int


def _interval(mean: _Mean, clock_stat_ms: float) -> Estimate:
    half = float(np.hypot(t95(max(1, mean.n - 1)) * mean.error, clock_stat_ms))
    return Estimate(mean.value, mean.value - half, mean.value + half, mean.n)
