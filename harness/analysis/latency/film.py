"""Latency from a camera: a template of how light answers the sound, fitted to the light of many LEDs in many frames.

A camera frame lights its rows one after another and gathers light for the whole of its exposure; an LED waits for the
next LED frame, and an effect takes its time to rise and to fall. All of that is in the template; what is left free are
the delays and time constants (four numbers) and each group of LEDs' own dark and bright level (linear, projected out:
variable projection, Golub and Pereyra 1973).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.latency.switches import Floats, Switches
from harness.analysis.latency.template import edge_response

LED_MS = 0.030
# LEDs whose rows are read within so long of each other are one group: their light is averaged.
_GROUP_MS = 0.5
_MOST_GROUPS = 48
SEARCH_MS = (-40.0, 120.0)
_COARSE_MS = 2.0
_LEAST_FRAMES = 60
_TAU_MS = (0.02, 200.0)
# A time constant is believed from so many standard errors on; below, the light is taken to change at once.
_BELIEVED = 2.0
# Device contract: sound is heard in hops of 64 samples at 12.8 kHz, so an edge waits for the end of its hop first.
HOP_MS = 5.0


@dataclass(frozen=True)
class LightTrace:
    """Light of LEDs as a camera saw it.

    Attributes:
        host_ns: int64[n], when the first row's exposure began, on the host clock, jitter taken out; frames that never
            came are simply absent.
        light: float32[n, m], linear light above darkness, any scale per LED.
        led: int64[m], place of each LED on its strip, 0 to 159.
        row_ms: float64[m], how much later than the first row the LED's row is exposed.
        exposure_ms: length of the exposure.
        led_period_ms: time between LED frames.
        reference: float32[n] light of the reference LED, or None.
        reference_row_ms: of the reference LED's row.
    """

    host_ns: npt.NDArray[np.int64]
    light: npt.NDArray[np.float32]
    led: npt.NDArray[np.int64]
    row_ms: Floats
    exposure_ms: float
    led_period_ms: float
    reference: npt.NDArray[np.float32] | None = None
    reference_row_ms: float = 0.0

    def __post_init__(self) -> None:
        n, m = self.light.shape
        if self.host_ns.shape != (n,) or self.led.shape != (m,) or self.row_ms.shape != (m,):
            raise ValueError(f"a light trace of shape {self.light.shape} does not fit its times and LEDs")
        if self.reference is not None and self.reference.shape != (n,):
            raise ValueError("the reference LED's light must have one value per frame")
        if not (self.exposure_ms > 0 and self.led_period_ms > 0):
            raise ValueError("exposure and LED period must be positive")


class Groups(NamedTuple):
    """Groups of LEDs of one row time.

    Attributes:
        open_ms: float64[n, g], when each group's exposure begins in each frame, on the clock of the switches, already
            less what the wire takes to reach the group: as if all were LED 0.
        light: float64[n, g], scaled so that dark is about 0 and bright about 1.
    """

    open_ms: Floats
    light: Floats


class Fit(NamedTuple):
    """The template's free numbers in ms.

    Attributes:
        rise, fall: delay until the light starts to rise or fall, mean over hops and LED frames.
        tau_rise, tau_fall: time constants; 0 is "at once".
        residual: rms of what the template does not explain, share of the step.
        covariance: float64[4, 4] of (rise, fall, tau_rise, tau_fall), clustered by edge.
    """

    rise: float
    fall: float
    tau_rise: float
    tau_fall: float
    residual: float
    covariance: Floats

    def half(self, rising: bool) -> float:
        """Delay until 50 % of the settled step: the onset."""
        delay, tau = (self.rise, self.tau_rise) if rising else (self.fall, self.tau_fall)
        return delay + float(np.log(2.0)) * tau

    def group_delay(self, rising: bool) -> float:
        """Delay of the answer's centre of gravity."""
        return self.rise + self.tau_rise if rising else self.fall + self.tau_fall

    def half_error(self, rising: bool) -> float:
        """Standard error of :meth:`half`."""
        at = np.zeros(4)
        at[0 if rising else 1], at[2 if rising else 3] = 1.0, np.log(2.0)
        return float(np.sqrt(max(0.0, float(at @ self.covariance @ at))))


def grouped(trace: LightTrace, switches: Switches) -> Groups | None:
    """LEDs that follow the sound, averaged by row time; None when none does."""
    start = switches.ms_of(trace.host_ns)
    weight = _following(trace, switches, start)
    if not weight.any():
        return None
    # An LED's own bits come later than LED 0's: seen from LED 0 its exposure opens that much earlier.
    shift = trace.row_ms - LED_MS * trace.led
    used = np.flatnonzero(weight > 0)
    first = float(shift[used].min())
    span = float(shift[used].max()) - first
    count = min(_MOST_GROUPS, int(span / _GROUP_MS) + 1)
    place = np.clip(((shift - first) / max(span, 1e-9) * count).astype(int), 0, count - 1)
    opens, light = [], []
    for group in range(count):
        members = used[place[used] == group]
        if not members.size:
            continue
        share = weight[members] / weight[members].sum()
        opens.append(start + float(shift[members] @ share))
        scaled = trace.light[:, members].astype(np.float64)
        low, high = np.percentile(scaled, (10, 90), axis=0)
        light.append(((scaled - low) / np.maximum(high - low, 1e-9)) @ share)
    return Groups(np.stack(opens, axis=1), np.stack(light, axis=1))


def _following(trace: LightTrace, switches: Switches, start: Floats) -> Floats:
    """Weight of each LED: its step between loud and quiet against its noise, 0 below a quarter of the best."""
    index = np.searchsorted(switches.at_ms, start) - 1
    since = start - switches.at_ms[np.maximum(index, 0)]
    calm = (index >= 0) & (since > 55.0) & (since < 90.0)
    loud = calm & switches.rising[np.maximum(index, 0)]
    quiet = calm & ~loud
    if loud.sum() < 4 or quiet.sum() < 4:
        return np.zeros(trace.light.shape[1])
    step: Floats = np.asarray(trace.light[loud].mean(axis=0) - trace.light[quiet].mean(axis=0), dtype=np.float64)
    step = np.maximum(step, 0.0)
    step[step < 0.25 * float(step.max())] = 0.0
    return step


class Samples(NamedTuple):
    """All exposures of all groups in order of time.

    Attributes:
        open_ms: float64[k], ascending.
        light: float64[k].
        group: int64[k].
    """

    open_ms: Floats
    light: Floats
    group: npt.NDArray[np.int64]


def samples_of(groups: Groups, switches: Switches) -> Samples:
    """The exposures around the telegraph (the chirps before and after it are no edges)."""
    opens = groups.open_ms
    inside = (opens > switches.at_ms[0] - 200.0) & (opens < switches.at_ms[-1] + 200.0)
    group = np.broadcast_to(np.arange(opens.shape[1]), opens.shape)[inside]
    order = np.argsort(opens[inside], kind="stable")
    return Samples(opens[inside][order], groups.light[inside][order], group[order].astype(np.int64))


def wait_of(led_period_ms: float) -> float:
    """Length of a box that is as wide (in variance) as the waits for hop and LED frame together."""
    return float(np.hypot(led_period_ms, HOP_MS))


def template(parameters: Floats, opens: Floats, switches: Switches, exposure_ms: float, wait_ms: float) -> Floats:
    """Mean light (0 to 1) of exposures beginning at ``opens`` (ascending), for (rise, fall, tau_rise, tau_fall)."""
    rise, fall, tau_rise, tau_fall = parameters
    up = edge_response(opens, switches.at_ms[switches.rising] + rise, tau_rise, exposure_ms, wait_ms)
    return up - edge_response(opens, switches.at_ms[~switches.rising] + fall, tau_fall, exposure_ms, wait_ms)


def fit_template(samples: Samples, switches: Switches, exposure_ms: float, wait_ms: float) -> Fit | None:
    """Fits the four numbers; None when the light does not follow the sound.

    Args:
        wait_ms: spread of the waits, see :func:`wait_of`; 0 for light without frames.
    """
    if samples.open_ms.size < _LEAST_FRAMES:
        return None

    def residual(parameters: Floats) -> Floats:
        return _projected(template(parameters, samples.open_ms, switches, exposure_ms, wait_ms), samples)

    start = _coarse(samples, switches, exposure_ms, wait_ms)
    free = np.ones(4, bool)
    found, covariance, left = _solve(residual, np.array([start, start, 1.0, 1.0]), free, samples, switches)
    for which in (2, 3):
        free[which] = found[which] > _BELIEVED * np.sqrt(covariance[which, which])
    if not free.all():
        found[~free] = _TAU_MS[0]
        found, covariance, left = _solve(residual, found, free, samples, switches)
    if np.sum(left**2) > 0.4 * np.sum(_projected(np.zeros(samples.light.size), samples) ** 2):
        return None
    tau_rise, tau_fall = (float(found[i]) if free[i] else 0.0 for i in (2, 3))
    rms = float(np.sqrt(np.mean(left**2)))
    return Fit(float(found[0]), float(found[1]), tau_rise, tau_fall, rms, covariance)


def _coarse(samples: Samples, switches: Switches, exposure_ms: float, wait_ms: float) -> float:
    """The delay on a coarse grid that explains a part of the exposures best: where the fit begins."""
    few = Samples(samples.open_ms[::4], samples.light[::4], samples.group[::4])
    delays = np.arange(*SEARCH_MS, _COARSE_MS)
    shapes = (template(np.array([d, d, 1.0, 1.0]), few.open_ms, switches, exposure_ms, wait_ms) for d in delays)
    return float(delays[int(np.argmin([float(np.sum(_projected(shape, few) ** 2)) for shape in shapes]))])


def _solve(
    residual: Callable[[Floats], Floats],
    start: Floats,
    free: npt.NDArray[np.bool_],
    samples: Samples,
    switches: Switches,
) -> tuple[Floats, Floats, Floats]:
    """Least squares in the free parameters: all parameters, their covariance (0 where fixed), what is left."""
    from scipy.optimize import least_squares  # half a second to import; only cameras need it

    low = np.array([SEARCH_MS[0] - 20.0] * 2 + [_TAU_MS[0]] * 2)
    high = np.array([SEARCH_MS[1] + 20.0] * 2 + [_TAU_MS[1]] * 2)

    def partial(values: Floats) -> Floats:
        whole = start.copy()
        whole[free] = values
        return residual(whole)

    solved = least_squares(partial, start[free], bounds=(low[free], high[free]), diff_step=1e-4, xtol=1e-6, ftol=1e-8)
    whole = start.copy()
    whole[free] = solved.x
    covariance = np.zeros((4, 4))
    covariance[np.ix_(free, free)] = _clustered(solved.jac, solved.fun, samples, switches)
    return whole, covariance, np.asarray(solved.fun, dtype=np.float64)


def _projected(shape: Floats, samples: Samples) -> Floats:
    """What is left of each group's light after its best dark and bright level for this shape, float64[k]."""
    group, light = samples.group, samples.light
    count = np.maximum(np.bincount(group), 1)
    centred = shape - (np.bincount(group, shape) / count)[group]
    rest = light - (np.bincount(group, light) / count)[group]
    power = np.bincount(group, centred * centred)
    gain = np.bincount(group, centred * rest) / np.maximum(power, 1e-12)
    return np.asarray(rest - np.maximum(gain, 0.0)[group] * centred, dtype=np.float64)


def _clustered(jacobian: Any, residual: Floats, samples: Samples, switches: Switches) -> Floats:
    """Covariance that treats all samples near one edge as one observation: they share the edge's own waits.

    (The sandwich estimator of Liang and Zeger 1986 with clusters.)
    """
    edge = np.searchsorted(switches.at_ms, samples.open_ms - 5.0)
    score = np.zeros((switches.at_ms.size + 1, jacobian.shape[1]))
    np.add.at(score, edge, jacobian * residual[:, None])
    bread = np.linalg.pinv(jacobian.T @ jacobian)
    n = switches.at_ms.size
    meat = score.T @ score * (n / max(1, n - jacobian.shape[1]))
    return np.asarray(bread @ meat @ bread, dtype=np.float64)
