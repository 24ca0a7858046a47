"""Time: unwrapping 32-bit device stamps, fitting a device clock to the host clock, and what a time may be trusted for.

Host time is the monotonic clock in integer nanoseconds (or the virtual board's host time, which stands for it).
Device time is microseconds since boot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

WRAP_US = 1 << 32
# Bound on the rate error of a crystal when too little time has passed to measure it: 10..40 ppm parts, twice that
# for safety.
MAX_SKEW = 100e-6
# Below this span the rate is not fitted: half a millisecond of round trip over one second would already be 500 ppm.
MIN_SPAN_US = 1_000_000
# Each way, the faster half of the exchanges carries the fit: what bursts of the link delay never enters it.
KEPT_SHARE = 0.5
_LEAST_KEPT = 3
# The line is fitted to residuals of the line before; three rounds leave less than a nanosecond.
_ROUNDS = 4
# Two-sided 95 % quantile of Student's t by degrees of freedom 1 to 15; beyond, 1.96 + 2.4 / df is within 1 %.
_T95 = (12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)
Floats = npt.NDArray[np.float64]


def unwrap_us32(values: Iterable[int] | npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Unwraps uint32 microsecond stamps (they wrap every 4294.967296 s = 71 min 35 s).

    Args:
        values: n stamps in order of arrival. Neighbours must be less than half a wrap (35 min) apart; small steps
            back are kept.

    Returns:
        int64[n]; the first value is unchanged.
    """
    raw = np.asarray(list(values) if not isinstance(values, np.ndarray) else values).astype(np.int64) % WRAP_US
    if raw.size == 0:
        return raw
    half = WRAP_US // 2
    steps = (np.diff(raw) + half) % WRAP_US - half
    return np.concatenate(([raw[0]], raw[0] + np.cumsum(steps))).astype(np.int64)


def apart_us32(t_us: int, from_us: int) -> int:
    """``t_us`` minus ``from_us`` around the wrap of uint32, in µs; right up to 35 minutes either way."""
    return (t_us - from_us + WRAP_US // 2) % WRAP_US - WRAP_US // 2


def near_us32(t_us: int, near_us: int) -> int:
    """The 64-bit device time with the low half ``t_us`` that lies nearest to ``near_us`` (from ``uptime_ms``, say)."""
    return near_us + apart_us32(t_us, near_us)


class SyncPair(NamedTuple):
    """One exchange: the device took stamp ``t_us`` between ``sent_ns`` and ``received_ns`` of the host clock."""

    sent_ns: int
    t_us: int
    received_ns: int

    @property
    def rtt_ns(self) -> int:
        """Round-trip time in ns."""
        return self.received_ns - self.sent_ns


@dataclass(frozen=True)
class ClockFit:
    """A device clock on the host clock: ``host_ns = offset_ns + (t_us - ref_us) * 1000 * rate``.

    Three widths, never added silently: ``stat_ns`` is what another recording over the same link would change,
    ``asymmetry_ns`` what no exchange over it can ever tell, ``interval_ns`` what holds without any assumption.

    Attributes:
        offset_ns: host time at device time ``ref_us``.
        rate: host seconds per device second.
        residual_ns: RMS distance of the exchanges that carry the fit (midpoints) from the line.
        interval_ns: half width of what the exchanges leave open (not a standard error): true host time lies within
            ``to_host(t) ± interval_ns`` for stamps between the first and the last exchange.
        n: exchanges used.
        ref_us: device time the offset belongs to.
        stat_ns: half width of the 95 % interval of the statistical part, at the worse end of the span.
        asymmetry_ns: half the shortest round trip: the way out may have been all of it, or none.
    """

    offset_ns: float
    rate: float
    residual_ns: float
    interval_ns: float
    n: int
    ref_us: int = 0
    stat_ns: float = 0.0
    asymmetry_ns: float = 0.0

    def to_host(self, t_us: npt.ArrayLike) -> Any:
        """Host nanoseconds for device stamps: int for one stamp, int64[n] for an array."""
        stamps = np.asarray(t_us)
        host = np.rint(self.offset_ns + (stamps - self.ref_us) * (1000.0 * self.rate)).astype(np.int64)
        return int(host) if host.ndim == 0 else host

    def to_device_us(self, host_ns: npt.ArrayLike) -> Any:
        """Device microseconds (float) for host times; the inverse of :meth:`to_host`."""
        device = self.ref_us + (np.asarray(host_ns, dtype=np.float64) - self.offset_ns) / (1000.0 * self.rate)
        return float(device) if device.ndim == 0 else device

    def to_json(self) -> dict[str, float | int]:
        """Plain values."""
        return asdict(self)


def fit_min_rtt(pairs: Sequence[SyncPair | tuple[int, int, int]]) -> ClockFit:
    """Fits a device clock from request/reply exchanges.

    Each exchange bounds the host time of its stamp by [sent, received], whatever the asymmetry of the path. The way
    out and the way back are judged apart: of each, the faster half of the exchanges is averaged (a one-sided trimmed
    mean), and the clock lies midway between. The rate comes from two groups of exchanges, early and late, after a first
    line by Theil-Sen. The 95 % half width uses the winsorised variance that belongs to a trimmed mean (Tukey and
    McLaughlin 1963) and Student's t. All exchanges together bound what is possible: the extreme lines that pass through
    every interval give ``interval_ns`` at both ends (a linear programme in two unknowns).

    Args:
        pairs: exchanges (sent_ns, t_us, received_ns), t_us already 64 bit.

    Returns:
        The fit. With stamps less than a second apart, the rate is taken as 1 and its possible error widens the
        interval.

    Raises:
        ValueError: no exchange, or one with a reply before its request.
    """
    rows = [SyncPair(*p) for p in pairs]
    if not rows:
        raise ValueError("a clock fit needs at least one exchange")
    if any(r.rtt_ns < 0 for r in rows):
        raise ValueError("an exchange was answered before it was asked")
    t_us = np.array([r.t_us for r in rows], dtype=np.int64)
    rtt = np.array([r.rtt_ns for r in rows], dtype=np.float64)
    base_ns = min(r.sent_ns for r in rows)
    low: Floats = np.array([r.sent_ns - base_ns for r in rows], dtype=np.float64)
    high: Floats = np.array([r.received_ns - base_ns for r in rows], dtype=np.float64)
    ref_us = int(t_us[np.argmin(rtt)])
    device: Floats = ((t_us - ref_us) * 1000.0).astype(np.float64)
    if int(t_us.max() - t_us.min()) < MIN_SPAN_US:
        return _offset_only(device, low, high, base_ns, ref_us)
    offset, rate, stat = _line(device, low, high)
    kept = rtt <= np.median(rtt)
    residual = float(np.sqrt(np.mean(((low + high) / 2 - offset - rate * device)[kept] ** 2)))
    interval = _possible_half_width(device, low, high, offset, rate)
    asymmetry = max(float(rtt[part].min()) for part in _early_late(device)) / 2
    return ClockFit(base_ns + offset, rate, residual, interval, len(rows), ref_us, stat, asymmetry)


def _offset_only(device: Floats, low: Floats, high: Floats, base_ns: int, ref_us: int) -> ClockFit:
    """Too short for a rate: the trimmed centre of enough exchanges, else the shortest round trip alone."""
    rtt = high - low
    best = int(np.argmin(rtt))
    skew = float(np.abs(device).max()) * MAX_SKEW
    centre = float(low[best] + high[best]) / 2
    interval = float(rtt[best]) / 2 + skew
    if device.size < 2 * _LEAST_KEPT:
        # What a repetition would change is not known from so few: all that is possible stands in for it.
        return ClockFit(base_ns + centre, 1.0, 0.0, interval, 1, ref_us, interval, float(rtt[best]) / 2)
    way = _way(device, low, high, centre, 1.0)
    t = _t95(way.kept - 1)
    stat = t * float(np.sqrt(way.squares / (way.n - 1) / way.n)) + skew
    interval += abs(way.centre)
    return ClockFit(base_ns + centre + way.centre, 1.0, 0.0, interval, way.n, ref_us, stat, float(rtt[best]) / 2)


class _Way(NamedTuple):
    """Midpoint of one group of exchanges against a line, and the sum of squares of its influence values."""

    at: float
    centre: float
    squares: float
    n: int
    kept: int


def _way(device: Floats, low: Floats, high: Floats, offset: float, rate: float) -> _Way:
    """Trimmed centre between the way out and the way back, relative to a line."""
    line = offset + rate * device
    out, back = line - low, high - line
    n = out.size
    kept = min(n, max(_LEAST_KEPT, round(n * KEPT_SHARE)))
    out_edge, back_edge = np.sort(out)[kept - 1], np.sort(back)[kept - 1]
    centre = (np.sort(back)[:kept].mean() - np.sort(out)[:kept].mean()) / 2
    influence = (np.minimum(back, back_edge) - np.minimum(out, out_edge)) / 2 * (n / kept)
    squares = float(np.sum((influence - influence.mean()) ** 2))
    return _Way(float(device.mean()), float(centre), squares, n, kept)


def _early_late(device: Floats) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Indices of the early and the late exchanges: cut at a pause of half the span (before and after a recording),
    else in the middle."""
    order = np.argsort(device, kind="stable")
    gaps = np.diff(device[order])
    widest = int(np.argmax(gaps))
    cut = widest + 1 if gaps[widest] >= (device.max() - device.min()) / 2 else order.size // 2
    return order[:cut], order[cut:]


def _line(device: Floats, low: Floats, high: Floats) -> tuple[float, float, float]:
    """Offset at device time 0, rate, and the 95 % half width at the worse end of the span."""
    early, late = _early_late(device)
    rate = _first_rate(device, low, high, early, late)
    offset = float(np.median((low + high) / 2 - rate * device))

    def ways() -> tuple[_Way, _Way]:
        a, b = (_way(device[part], low[part], high[part], offset, rate) for part in (early, late))
        return a, b

    a, b = ways()
    for _ in range(_ROUNDS):
        slope = (b.centre - a.centre) / (b.at - a.at)
        rate += slope
        offset += a.centre - slope * a.at
        a, b = ways()
    freedom = a.n + b.n - 2
    if freedom < 1:
        return offset, rate, float(np.max(high - low))
    variance = (a.squares + b.squares) / freedom  # one link: both groups tell how much it varies
    t = _t95(max(1, a.kept + b.kept - 2))
    widths = []
    for end in (float(device.min()), float(device.max())):
        share = (end - a.at) / (b.at - a.at)
        widths.append(t * float(np.sqrt(variance * ((1 - share) ** 2 / a.n + share**2 / b.n))))
    return offset, rate, max(widths)


def _first_rate(
    device: Floats, low: Floats, high: Floats, early: npt.NDArray[np.intp], late: npt.NDArray[np.intp]
) -> float:
    """Theil-Sen between the faster half of the early and of the late exchanges: no slow exchange tilts it."""
    rtt, middle = high - low, (low + high) / 2
    fast_a = early[rtt[early] <= np.median(rtt[early])][:200]
    fast_b = late[rtt[late] <= np.median(rtt[late])][:200]
    run = device[fast_b][:, None] - device[fast_a][None, :]
    rise = middle[fast_b][:, None] - middle[fast_a][None, :]
    return float(np.median(rise[run > 0] / run[run > 0]))


def _t95(df: int) -> float:
    return _T95[df - 1] if df <= len(_T95) else 1.96 + 2.4 / df


class Trust(Enum):
    """What ties sound and light to one clock, best first; the value is how reports name it."""

    REFERENCE_LED = "reference LED"
    LOOPBACK = "loopback"
    MIN_RTT = "min-RTT"
    RELATIVE_ONLY = "relative only"


def choose_trust(*, reference_led: bool, loopback: bool, clock_fit: bool, audio_start_known: bool) -> Trust:
    """The best tie between sound and light that a recording offers.

    Args:
        reference_led: an LED driven by the sound's second channel is in the camera's view: one film shows both.
        loopback: the sound came back on a second channel, stamped by the clock that the light is mapped to.
        clock_fit: the clock of the light (device, camera) is mapped to the host clock.
        audio_start_known: the host knows when the first sample left, not only when it was handed over.
    """
    if reference_led:
        return Trust.REFERENCE_LED
    if loopback and clock_fit:
        return Trust.LOOPBACK
    return Trust.MIN_RTT if clock_fit and audio_start_known else Trust.RELATIVE_ONLY


def _possible_half_width(
    device: npt.NDArray[Any], low: npt.NDArray[Any], high: npt.NDArray[Any], offset: float, rate: float
) -> float:
    """Largest distance, at both ends, between the fitted line and any line that passes through all intervals."""
    from scipy.optimize import linprog  # half a second to import; most users of this module never fit

    # Unknowns: correction (a, b) to the fitted line, scaled so that both are in ns at the end of the span.
    scale = float(np.abs(device).max())
    x = device / scale
    fitted = offset + rate * device
    matrix = np.column_stack([np.ones_like(x), x])
    upper = np.concatenate([high - fitted, fitted - low])
    worst = 0.0
    for end in (float(x.min()), float(x.max())):
        for sign in (1.0, -1.0):
            result = linprog(
                [sign, sign * end],
                A_ub=np.vstack([matrix, -matrix]),
                b_ub=upper,
                bounds=[(None, None)] * 2,
                method="highs",
            )
            if result.status != 0:
                # The clock wandered: no straight line explains every exchange. The widest miss is then the honest
                # bound.
                return float(np.max(np.abs(np.concatenate([high - fitted, fitted - low]))))
            worst = max(worst, abs(float(result.fun)))
    return worst
