"""Latency of one recording: every source it offers, each with its interval and its clock bound, and their agreement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from harness.analysis.frames import conditions
from harness.analysis.latency.events import Events, step_events
from harness.analysis.latency.switches import Floats, Switches, switches_of
from harness.analysis.pixels import luminance
from harness.analysis.stats import Estimate, t95
from harness.metric import Metric
from harness.recording import LEDS, Recording
from harness.timebase import ClockFit, Trust, choose_trust

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

    def percentile(self, q: float, rising: bool) -> float | None:
        """A percentile (0 to 100) of the single latencies of one kind; None from fewer than 200 events."""
        if self.events is None:
            return None
        values = self.events.latency_ms[self.events.rising == rising]
        return float(np.percentile(values, q)) if values.size >= LEAST_FOR_PERCENTILES else None


def measure(recording: Recording, *, followers: bool = False) -> list[Latency]:
    """Latency by every source of the recording that shows edges, best first: wire, then telemetry.

    Args:
        followers: use all LEDs that follow the sound, weighted by their step, instead of LED 0 (patterns that leave it
            dark). The mean skew of those LEDs is taken off, so that the result still speaks of LED 0.

    Raises:
        ValueError: not a recording of the latency stimulus.
    """
    switches = switches_of(recording)
    fit = recording.clock_fits.get("device")
    known = recording.meta.get("audio_start") == "exact"
    found = []
    if recording.wire is not None and recording.wire["host_ns"].size:
        trust = choose_trust(reference_led=False, loopback=False, clock_fit=True, audio_start_known=known)
        start_ms = switches.ms_of(recording.wire["host_ns"])
        found.append(_from_pixels("wire", start_ms, recording.wire["rgb"][:, 0], switches, followers, None, trust))
    if fit is not None and recording.pixels["t_us"].size:
        trust = choose_trust(reference_led=False, loopback=False, clock_fit=True, audio_start_known=known)
        sent = ~np.isin(recording.pixels["seq"], recording.frames["seq"][~recording.frames["sent"]])
        start_ms = switches.ms_of(fit.to_host(recording.pixels["t_us"][sent]))
        rgb = recording.pixels["rgb"][sent]
        found.append(_from_pixels("telemetry", start_ms, rgb, switches, followers, fit, trust))
    return [latency for latency in found if latency is not None]


def _from_pixels(
    source: str, start_ms: Floats, rgb: Any, switches: Switches, followers: bool, fit: ClockFit | None, trust: Trust
) -> Latency | None:
    """Latency from pixels and the instants at which their transmission began; None when nothing follows the sound."""
    level = luminance(rgb)
    detail: dict[str, Any] = {}
    if followers:
        weight = _weights(start_ms, level, switches)
        if weight is None:
            return None
        light = level @ weight
        detail["leds"] = int(np.count_nonzero(weight))
    else:
        light = level[:, 0]
    events = step_events(start_ms + LED_MS, light, switches)
    stat_ms = fit.stat_ns / 1e6 if fit is not None else 0.0
    clock_ms = fit.asymmetry_ns / 1e6 if fit is not None else 0.0
    return summarise(source, events, stat_ms, clock_ms, trust, detail)


def _weights(at_ms: Floats, level: Any, switches: Switches) -> Any:
    """Each LED's share of the step between loud and quiet, float[160] with sum 1; None when no LED follows."""
    index = np.searchsorted(switches.at_ms, at_ms) - 1
    inside = index >= 0
    since = at_ms - switches.at_ms[np.maximum(index, 0)]
    calm = inside & (since > 50.0) & (since < 110.0)
    loud = calm & switches.rising[np.maximum(index, 0)]
    quiet = calm & ~loud
    if not loud.any() or not quiet.any():
        return None
    step = np.maximum(level[loud].mean(axis=0) - level[quiet].mean(axis=0), 0.0)
    step[step < 0.5 * step.max()] = 0.0
    return step / step.sum() if step.max() > 0.002 else None


def summarise(
    source: str, events: Events, clock_stat_ms: float, clock_ms: float, trust: Trust, detail: dict[str, Any]
) -> Latency | None:
    """Means with intervals from single events; None from fewer than eight of a kind.

    The sampling error of the events and the statistical part of the clock fit are independent: their half widths add as
    squares.
    """
    parts = []
    for kind in (True, False):
        values = events.latency_ms[events.rising == kind]
        if values.size < _LEAST_EVENTS:
            return None
        parts.append(_Mean(float(values.mean()), float(values.std(ddof=1)) / np.sqrt(values.size), int(values.size)))
    rise, fall = parts
    mean = _Mean((rise.value + fall.value) / 2, float(np.hypot(rise.error, fall.error)) / 2, rise.n + fall.n)
    a, b, both = (_interval(part, clock_stat_ms) for part in (rise, fall, mean))
    spread = {
        "rise_sd_ms": round(rise.error * np.sqrt(rise.n), 4),
        "fall_sd_ms": round(fall.error * np.sqrt(fall.n), 4),
    }
    return Latency(source, a, b, both, clock_ms, trust, events, events.missed, {**spread, **detail})


class _Mean(NamedTuple):
    value: float
    error: float
    n: int


def _interval(mean: _Mean, clock_stat_ms: float) -> Estimate:
    half = float(np.hypot(t95(max(1, mean.n - 1)) * mean.error, clock_stat_ms))
    return Estimate(mean.value, mean.value - half, mean.value + half, mean.n)


class Disagreement(NamedTuple):
    """Two sources of one recording compared.

    Attributes:
        difference_ms: first minus second.
        allowed_ms: what both intervals and both clock bounds leave open.
        found: they contradict each other: something lies between the two places they look at.
    """

    difference_ms: float
    allowed_ms: float
    found: bool


def disagreement(first: Latency, second: Latency) -> Disagreement:
    """Whether two sources contradict each other. Both heard the same edges, so the sampling error counts once."""
    difference = first.mean.value - second.mean.value
    statistical = max(first.mean.half_width, second.mean.half_width)
    allowed = statistical + first.clock_ms + second.clock_ms
    return Disagreement(difference, allowed, abs(difference) > allowed)


def latency_metrics(recording: Recording, latencies: list[Latency], prefix: str = "latency") -> list[Metric]:
    """Metrics of :func:`measure`'s results. The first source's mean is the baseline metric ``latency_mean``.

    Values in ms. ``detail`` holds what belongs beside each: clock bound, trust, spread, skew along the strip.
    """
    if not latencies:
        return []
    best = latencies[0]
    metrics = [_metric(recording, f"{prefix}_mean", best.mean, best, "lower")]
    metrics += [
        _metric(recording, f"{prefix}_rise_mean", best.rise, best, "lower"),
        _metric(recording, f"{prefix}_fall_mean", best.fall, best, "none"),
    ]
    for rising, kind in ((True, "rise"), (False, "fall")):
        for q in (50, 95, 99):
            value = best.percentile(q, rising)
            if value is not None:
                n = best.rise.n if rising else best.fall.n
                metrics.append(
                    _metric(recording, f"{prefix}_{kind}_p{q}", Estimate(value, value, value, n), best, "lower")
                )
    metrics.append(_count(recording, f"{prefix}_events_missed", best))
    for other in latencies[1:]:
        apart = disagreement(best, other)
        metrics.append(_metric(recording, f"{prefix}_mean_{other.source}", other.mean, other, "none"))
        gap = Estimate(apart.difference_ms, apart.difference_ms, apart.difference_ms, other.mean.n)
        flags = {"allowed_ms": round(apart.allowed_ms, 4), "disagrees": apart.found, "with": other.source}
        metrics.append(_metric(recording, f"{prefix}_{best.source}_minus_{other.source}", gap, best, "none", flags))
    return metrics


def _metric(
    recording: Recording, name: str, estimate: Estimate, latency: Latency, direction: Any,
    more: dict[str, Any] | None = None,
) -> Metric:  # fmt: skip
    detail = {
        **conditions(recording), "clock_bound_ms": round(latency.clock_ms, 4), "trust": latency.trust.value,
        "strip_skew_mean_ms": SKEW_MEAN_MS, "strip_skew_last_ms": SKEW_LAST_MS, **latency.detail, **(more or {}),
    }  # fmt: skip
    interval = (round(estimate.low, 4), round(estimate.high, 4)) if estimate.high > estimate.low else None
    return Metric(
        name, round(estimate.value, 4), "ms", direction, estimate.n, latency.source,
        recording.meta.get("provenance", "simulated"), ci95=interval, pattern=recording.meta.get("pattern") or "",
        detail=detail,
    )  # fmt: skip


def _count(recording: Recording, name: str, latency: Latency) -> Metric:
    return Metric(
        name, float(latency.missed), "", "lower", latency.mean.n + latency.missed, latency.source,
        recording.meta.get("provenance", "simulated"), pattern=recording.meta.get("pattern") or "",
        detail=conditions(recording),
    )  # fmt: skip
