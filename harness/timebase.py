"""Time: unwrapping 32-bit device stamps, and fitting a device clock to the host clock.

Host time is the monotonic clock in integer nanoseconds (or the virtual board's host time, which stands for it).
Device time is microseconds since boot.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

WRAP_US = 1 << 32
# Bound on the rate error of a crystal when too little time has passed to measure it: 10..40 ppm parts, twice that
# for safety.
MAX_SKEW = 100e-6
# Below this span the rate is not fitted: half a millisecond of round trip over one second would already be 500 ppm.
MIN_SPAN_US = 1_000_000


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

    Attributes:
        offset_ns: host time at device time ``ref_us``.
        rate: host seconds per device second.
        residual_ns: RMS distance of the used pairs from the line.
        interval_ns: half width of what the exchanges leave open (not a standard error): true host time lies within
            ``to_host(t) ± interval_ns`` for stamps between the first and the last exchange.
        n: exchanges used.
        ref_us: device time the offset belongs to.
    """

    offset_ns: float
    rate: float
    residual_ns: float
    interval_ns: float
    n: int
    ref_us: int = 0

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

    Each exchange bounds the host time of its stamp by [sent, received], whatever the asymmetry of the path. Short
    round trips bound tightest, so they carry the line (weights 1/rtt²); all of them bound what is possible: the
    extreme lines that pass through every interval give ``interval_ns`` at both ends (a linear programme in two
    unknowns).

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
    low = np.array([r.sent_ns - base_ns for r in rows], dtype=np.float64)
    high = np.array([r.received_ns - base_ns for r in rows], dtype=np.float64)
    ref_us = int(t_us[np.argmin(rtt)])
    device = (t_us - ref_us) * 1000.0
    middle = (low + high) / 2
    if int(t_us.max() - t_us.min()) < MIN_SPAN_US:
        best = int(np.argmin(rtt))
        skew = float(np.abs(device).max()) * MAX_SKEW
        return ClockFit(base_ns + float(middle[best]), 1.0, 0.0, float(rtt[best]) / 2 + skew, 1, ref_us)
    weight = 1.0 / np.maximum(rtt, 1000.0) ** 2
    rate, offset = _weighted_line(device, middle, weight)
    residual = float(np.sqrt(np.average((middle - offset - rate * device) ** 2, weights=weight)))
    interval = _possible_half_width(device, low, high, offset, rate)
    return ClockFit(base_ns + offset, rate, residual, interval, len(rows), ref_us)


def _weighted_line(x: npt.NDArray[Any], y: npt.NDArray[Any], w: npt.NDArray[Any]) -> tuple[float, float]:
    mean_x, mean_y = np.average(x, weights=w), np.average(y, weights=w)
    dx = x - mean_x
    rate = float(np.sum(w * dx * (y - mean_y)) / np.sum(w * dx * dx))
    return rate, float(mean_y - rate * mean_x)


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
