"""Single edges timed in a film, and what a film says of latency as a whole."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.latency.events import Events
from harness.analysis.latency.film import (
    HOP_MS,
    Fit,
    Groups,
    LightTrace,
    Samples,
    fit_template,
    grouped,
    samples_of,
    template,
    wait_of,
)
from harness.analysis.latency.results import Latency, summarise
from harness.analysis.latency.switches import Floats, Switches
from harness.analysis.latency.template import answer
from harness.analysis.stats import Estimate
from harness.timebase import Trust

_STEP_MS = 0.2
_MARGIN_MS = 6.0
# Slower answers than this reach into the next chip: their edges cannot be told apart one by one.
_SLOWEST_MS = 15.0
_TAUS_MS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
_FOR_TAU = 40
# An edge counts as timed by itself when its delay is known to so much (standard deviation).
_TIMED_MS = 0.5
# An edge that the film contradicts as a whole (mean square of deviations over noise) was not answered.
_CONTRADICTED = 40.0
_LEAST_NOISE = 0.005


class FilmResult(NamedTuple):
    """What one light in a film says: the strip's, or the reference LED's.

    Attributes:
        fit: of the template, with time constants refined by the single edges.
        events: all edges with the best that the film says of each; None when the answer is too slow for that.
        sd_ms: how well each is known, float64[n]: 0.05 ms when an exposure caught it, milliseconds when it fell into a
            gap between exposures.
    """

    fit: Fit
    events: Events | None
    sd_ms: Floats

    @property
    def timed(self) -> npt.NDArray[np.bool_]:
        """Edges that were timed by themselves, bool[n]."""
        return np.asarray(self.sd_ms <= _TIMED_MS, dtype=np.bool_)


class _Look(NamedTuple):
    """What timing one edge needs, prepared once."""

    open_ms: Floats
    level: Floats
    noise: Floats
    exposure_ms: float
    led_period_ms: float


def time_film(samples: Samples, switches: Switches, exposure_ms: float, led_period_ms: float) -> FilmResult | None:
    """Fits the template, then times every edge by itself where the film allows it."""
    wait_ms = wait_of(led_period_ms)
    fit = fit_template(samples, switches, exposure_ms, wait_ms)
    if fit is None:
        return None
    if max(fit.tau_rise, fit.tau_fall) > _SLOWEST_MS:
        return FilmResult(fit, None, np.zeros(0))
    level, noise = _levels(samples, fit, switches, exposure_ms, wait_ms)
    look = _Look(samples.open_ms, level, noise, exposure_ms, led_period_ms)
    n = switches.at_ms.size
    found, sd = np.full(n, np.nan), np.full(n, np.nan)
    missed = 0
    for rising in (True, False):
        which = np.flatnonzero(switches.rising == rising)
        # The template knows where the light's centre of gravity lies; a shorter time constant moves the onset, not it.
        centre = fit.group_delay(rising)
        tau = _refined_tau(look, switches.at_ms[which], rising, centre)
        for k in which:
            found[k], sd[k], cost = _time_edge(look, float(switches.at_ms[k]), rising, centre, tau)
            # An edge in a gap of the film is one nobody saw; only one that the film contradicts was not answered.
            missed += bool(np.isnan(found[k]) and cost > 0.0)
        onset = centre - tau
        fit = fit._replace(rise=onset, tau_rise=tau) if rising else fit._replace(fall=onset, tau_fall=tau)
    good = np.isfinite(found)
    events = Events(found[good], switches.rising[good], switches.at_ms[good], missed)
    return FilmResult(fit, events, sd[good])


def _refined_tau(look: _Look, at_ms: Floats, rising: bool, centre: float) -> float:
    """The time constant that explains single edges best: there no wait for an LED frame blurs them."""
    few = at_ms[:: max(1, at_ms.size // _FOR_TAU)]
    costs = [sum(_time_edge(look, float(at), rising, centre, tau)[2] for at in few) for tau in _TAUS_MS]
    best = int(np.argmin(costs))
    low, high = _TAUS_MS[max(best - 1, 0)], _TAUS_MS[min(best + 1, len(_TAUS_MS) - 1)]
    near = np.linspace(low, high, 9)
    fine = [sum(_time_edge(look, float(at), rising, centre, float(tau))[2] for at in few) for tau in near]
    return float(near[int(np.argmin(fine))])


def _levels(
    samples: Samples, fit: Fit, switches: Switches, exposure_ms: float, wait_ms: float
) -> tuple[Floats, Floats]:
    """Light between its group's dark (0) and bright (1) level, and the noise of its group, float64[k] each."""
    parameters = np.array([fit.rise, fit.fall, max(fit.tau_rise, 0.02), max(fit.tau_fall, 0.02)])
    shape = template(parameters, samples.open_ms, switches, exposure_ms, wait_ms)
    dark, bright = shape < 1e-3, shape > 1 - 1e-3
    level, noise = samples.light.copy(), np.ones(shape.size)
    for group in range(int(samples.group.max()) + 1):
        mine = samples.group == group
        if not (mine & dark).any() or not (mine & bright).any():
            noise[mine] = np.inf
            continue
        low, high = np.median(level[mine & dark]), np.median(level[mine & bright])
        level[mine] = (level[mine] - low) / max(float(high - low), 1e-9)
        settled = np.concatenate([level[mine & dark], level[mine & bright] - 1.0])
        noise[mine] = max(_LEAST_NOISE, 1.4826 * float(np.median(np.abs(settled))))
    return level, noise


def _time_edge(look: _Look, at_ms: float, rising: bool, centre: float, tau: float) -> tuple[float, float, float]:
    """Delay of one edge at 50 % of its step, how well it is known, and what stays unexplained.

    Every delay that hop and LED frame allow is weighed by how well it explains the exposures around the edge: the mean
    of what remains possible. (NaN, NaN, cost) when the film contradicts any.
    """
    reach = (look.led_period_ms + HOP_MS) / 2 + _MARGIN_MS
    decay = max(tau, 0.02)
    middle = at_ms + centre - tau
    early, late = middle - reach - look.exposure_ms - 2.0, middle + reach + 4 * decay + 2.0
    first, last = np.searchsorted(look.open_ms, (early, late))
    x, start = look.level[first:last], look.open_ms[first:last]
    if x.size < 3:
        return float("nan"), float("nan"), 0.0
    offsets = np.arange(-reach, reach + _STEP_MS / 2, _STEP_MS)
    shape = answer(start[None, :] - offsets[:, None] - middle, decay, look.exposure_ms, 0.0)
    cost = ((x - (shape if rising else 1.0 - shape)) ** 2 / look.noise[first:last] ** 2).sum(axis=1)
    least = float(cost.min())
    # What the model cannot explain must not make an edge look better known than it is.
    scale = max(1.0, least / x.size)
    if scale > _CONTRADICTED:
        return float("nan"), float("nan"), least
    likely = np.exp(-(cost - least) / (2 * scale)) * _prior(offsets, look.led_period_ms)
    likely /= likely.sum()
    mean = float(likely @ offsets)
    sd = float(np.sqrt(max(0.0, likely @ (offsets - mean) ** 2)))
    return centre - tau + mean + float(np.log(2.0)) * tau, max(sd, 0.01), least


def _prior(offsets: Floats, led_period_ms: float) -> Floats:
    """How likely each wait is before looking: hop and LED frame, both of any phase (a trapezoid), and a little else."""
    half_sum, half_gap = (led_period_ms + HOP_MS) / 2, abs(led_period_ms - HOP_MS) / 2
    slope = np.clip((half_sum - np.abs(offsets)) / max(half_sum - half_gap, 1e-9), 0.0, 1.0)
    return np.asarray(slope + 0.01, dtype=np.float64)


def measure_film(
    trace: LightTrace, switches: Switches, *, offset_bound_ms: float | None = None, path_ms: float = 0.0
) -> Latency | None:
    """Latency as a camera shows it.

    With a reference LED in view, what comes out is the strip's delay less the reference's, both in the same film: the
    camera's and the sound card's clocks cancel, and so does whatever offset the frame stamps have. Without one, the
    offset of the stamps is unknown and the result is ``relative only``.

    Args:
        offset_bound_ms: what is known of the stamps' offset without a reference LED; default: a frame period.
        path_ms: the sound takes so long from where it drives the reference LED to the microphone; switches are times
            at the microphone.

    Returns:
        None when no LED follows the sound, or the film is too short.
    """
    groups = grouped(trace, switches)
    if groups is None:
        return None
    strip = time_film(samples_of(groups, switches), switches, trace.exposure_ms, trace.led_period_ms)
    if strip is None:
        return None
    period_ms = float(np.median(np.diff(trace.host_ns))) / 1e6
    reference = _reference(trace, switches, path_ms)
    trust = Trust.RELATIVE_ONLY if reference is None else Trust.REFERENCE_LED
    bound = (period_ms if offset_bound_ms is None else offset_bound_ms) if reference is None else 0.0
    detail = _detail(trace, strip, reference, period_ms)
    if strip.events is None:
        return _by_template(strip.fit, reference, bound, trust, switches, detail)
    return _by_edges(strip, strip.events, reference, bound, trust, detail)


def _by_edges(
    strip: FilmResult, events: Events, reference: Fit | None, bound: float, trust: Trust, detail: dict[str, Any]
) -> Latency | None:
    """Mean over all edges; percentiles later from those that were timed by themselves."""
    shift = {up: reference.half(up) if reference else 0.0 for up in (True, False)}
    moved = events._replace(latency_ms=events.latency_ms - np.where(events.rising, shift[True], shift[False]))
    error = 1.96 * float(np.hypot(reference.half_error(True), reference.half_error(False))) / 2 if reference else 0.0
    unsure = float(np.mean(strip.sd_ms**2))
    whole = summarise("camera", moved, error, bound, trust, {"by": "single edges", **detail}, unsure)
    timed = strip.timed
    single = Events(moved.latency_ms[timed], moved.rising[timed], moved.at_ms[timed], moved.missed)
    return None if whole is None else replace(whole, events=single)


def _by_template(
    fit: Fit, reference: Fit | None, bound: float, trust: Trust, switches: Switches, detail: dict[str, Any]
) -> Latency:
    rise, fall = (_from_template(fit, reference, up, switches) for up in (True, False))
    half = float(np.hypot(rise.half_width, fall.half_width)) / 2
    value = (rise.value + fall.value) / 2
    mean = Estimate(value, value - half, value + half, rise.n + fall.n)
    return Latency("camera", rise, fall, mean, bound, trust, None, 0, {"by": "template", **detail})


def _reference(trace: LightTrace, switches: Switches, path_ms: float) -> Fit | None:
    """The reference LED's own delay. It has no frames: it lights as its channel does, ``path_ms`` before the sound."""
    if trace.reference is None:
        return None
    start = switches.ms_of(trace.host_ns) + trace.reference_row_ms + path_ms
    light = trace.reference.astype(np.float64)
    low, high = np.percentile(light, (10, 90))
    if high - low <= 0:
        return None
    scaled: npt.NDArray[np.float64] = ((light - low) / (high - low))[:, None]
    return fit_template(samples_of(Groups(start[:, None], scaled), switches), switches, trace.exposure_ms, 0.0)


def _from_template(fit: Fit, reference: Fit | None, rising: bool, switches: Switches) -> Estimate:
    value, error = fit.half(rising), fit.half_error(rising)
    if reference is not None:
        value, error = value - reference.half(rising), float(np.hypot(error, reference.half_error(rising)))
    return Estimate(value, value - 1.96 * error, value + 1.96 * error, int((switches.rising == rising).sum()))


def _detail(trace: LightTrace, strip: FilmResult, reference: Fit | None, period_ms: float) -> dict[str, Any]:
    fit = strip.fit
    timed = float(strip.timed.mean()) if strip.sd_ms.size else 0.0
    detail: dict[str, Any] = {
        "camera_fps": round(1e3 / period_ms, 3), "exposure_ms": trace.exposure_ms,
        "tau_rise_ms": round(fit.tau_rise, 3), "tau_fall_ms": round(fit.tau_fall, 3),
        "group_delay_rise_ms": round(fit.group_delay(True), 3), "group_delay_fall_ms": round(fit.group_delay(False), 3),
        "template_residual": round(fit.residual, 4), "edges_timed": round(timed, 4),
    }  # fmt: skip
    if reference is not None:
        detail["reference_rise_ms"] = round(reference.half(True), 4)
        detail["reference_fall_ms"] = round(reference.half(False), 4)
    return detail
