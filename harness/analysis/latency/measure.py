"""Latency of one recording: every source it offers, each with its interval and its clock bound, and their agreement."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from harness.analysis.frames import conditions
from harness.analysis.latency.events import step_events
from harness.analysis.latency.film_events import measure_film
from harness.analysis.latency.film_trace import film_trace
from harness.analysis.latency.results import LED_MS, SKEW_LAST_MS, SKEW_MEAN_MS, Latency, summarise
from harness.analysis.latency.switches import Floats, Switches, switches_of
from harness.analysis.pixels import luminance
from harness.analysis.stats import Estimate
from harness.metric import Metric
from harness.recording import Recording
from harness.timebase import ClockFit, Trust, choose_trust

_CONTRADICTS = 3.29 / 1.96  # half widths are of 95 %; this makes them 99.9 %


def measure(recording: Recording, *, followers: bool = False) -> list[Latency]:
    """Latency by every source of the recording that shows edges, best first: camera, strip wire, telemetry.

    A camera whose stamps are off by an unknown constant (no reference LED in view) comes last: its mean cannot be
    compared from one run to the next.

    Args:
        followers: use all LEDs that follow the sound, weighted by their step, instead of LED 0 (patterns that leave it
            dark). What the wire takes to reach them is taken off, so that the result still speaks of LED 0.

    Raises:
        ValueError: not a recording of the latency stimulus.
    """
    switches = switches_of(recording)
    camera = _from_camera(recording, switches)
    found = []
    trust, sound_ms = sound_trust(recording)
    if recording.wire is not None and recording.wire["host_ns"].size:
        start_ms = switches.ms_of(recording.wire["host_ns"])
        rgb = recording.wire["rgb"][:, 0]
        found.append(_from_pixels("wire", start_ms, rgb, switches, followers, None, trust, sound_ms))
    fit = recording.clock_fits.get("device")
    if fit is not None and recording.pixels["t_us"].size:
        sent = ~np.isin(recording.pixels["seq"], recording.frames["seq"][~recording.frames["sent"]])
        start_ms = switches.ms_of(fit.to_host(recording.pixels["t_us"][sent]))
        rgb = recording.pixels["rgb"][sent]
        found.append(_from_pixels("telemetry", start_ms, rgb, switches, followers, fit, trust, sound_ms))
    ranked = [camera, *found] if camera is not None and camera.trust is not Trust.RELATIVE_ONLY else [*found, camera]
    return [latency for latency in ranked if latency is not None]


def _from_camera(recording: Recording, switches: Switches) -> Latency | None:
    read = film_trace(recording)
    if read is None:
        return None
    trace, bound_ms = read
    latency = measure_film(trace, switches, path_ms=float(recording.meta.get("sound_path_ms") or 0.0))
    return None if latency is None else latency.with_bound(bound_ms)


def sound_trust(recording: Recording) -> tuple[Trust, float]:
    """What ties the sound to the host clock, and the bound (± ms) on its start."""
    sound = recording.meta.get("sound") or {}
    source = sound.get("source") or ("exact" if recording.meta.get("audio_start") == "exact" else "driver")
    trust = choose_trust(
        reference_led=False, loopback=source == "loopback", clock_fit=True, audio_start_known=source != "driver"
    )
    return trust, float(sound.get("interval_ns") or 0) / 1e6


def _from_pixels(
    source: str,
    start_ms: Floats,
    rgb: Any,
    switches: Switches,
    followers: bool,
    fit: ClockFit | None,
    trust: Trust,
    sound_ms: float,
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
    clock_ms = sound_ms + (fit.asymmetry_ns / 1e6 if fit is not None else 0.0)
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
    """Whether two sources contradict each other. Both heard the same edges, so the sampling error counts once.

    A contradiction fails a device: like a verdict, chance alone may bring it about once in a thousand runs.
    """
    difference = first.mean.value - second.mean.value
    statistical = _CONTRADICTS * max(first.mean.half_width, second.mean.half_width)
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
