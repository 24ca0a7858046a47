"""From what a recording's camera saw to what the latency template reads."""

from __future__ import annotations

import numpy as np

from harness.analysis.frames import sent_intervals_us
from harness.analysis.latency.film import LightTrace
from harness.recording import LEDS, Light, Recording

# Without a measured row time, rows are taken to be read evenly through this share of a frame period.
_USUAL_READOUT = 0.9
_USUAL_LED_PERIOD_MS = 6.0


def film_trace(recording: Recording) -> tuple[LightTrace, float] | None:
    """The light trace of a recording, and the bound (± ms) that unknown row times and exposure leave.

    LEDs whose light is unknown are left out. Colours are added up, each LED in units of its own white.

    Returns:
        None without a camera, or when it saw no LED.
    """
    seen = recording.light
    if seen is None or seen.host_ns.size < 2:
        return None
    white = np.where(np.isfinite(seen.white) & (seen.white > 0), seen.white, np.nan).reshape(2 * LEDS, 3)
    light = (seen.light.reshape(-1, 2 * LEDS, 3) / white).mean(axis=2)
    place = seen.xy.reshape(2 * LEDS, 2)
    used = np.isfinite(light).all(axis=0) & np.isfinite(place).all(axis=1)
    if not used.any():
        return None
    period_ms = float(np.median(np.diff(seen.host_ns) / np.maximum(np.diff(seen.number), 1))) / 1e6
    row_ms, row_error_ms = _row_time(seen, period_ms)
    exposure = seen.about.get("exposure_ms")
    exposure_ms = float(exposure) if exposure else period_ms / 2
    y = place[used, 1]
    reference_xy = seen.about.get("reference_xy")
    has_reference = seen.reference is not None and reference_xy is not None
    against = float(reference_xy[1]) if has_reference and reference_xy else 0.0
    bound = row_error_ms * abs(float(y.mean()) - against)
    if not exposure and not has_reference:
        bound += period_ms / 4  # an exposure of half a period, give or take as much
    trace = LightTrace(
        seen.host_ns, light[:, used].astype(np.float32), np.tile(np.arange(LEDS), 2)[used], row_ms * y, exposure_ms,
        _led_period_ms(recording), seen.reference if has_reference else None, row_ms * against,
    )  # fmt: skip
    return trace, bound


def _row_time(seen: Light, period_ms: float) -> tuple[float, float]:
    """Time from one picture row to the next and its error, ms; a guess with an error as large where it is unknown."""
    row_ns, error_ns = seen.about.get("row_ns"), seen.about.get("row_error_ns")
    if row_ns is None:
        usual = _USUAL_READOUT * period_ms / max(1, int(seen.about.get("height") or 1))
        return usual / 2, usual / 2
    return float(row_ns) / 1e6, 1.96 * float(error_ns or 0.0) / 1e6


def _led_period_ms(recording: Recording) -> float:
    intervals = sent_intervals_us(recording)
    return float(np.median(intervals)) / 1e3 if intervals.size else _USUAL_LED_PERIOD_MS
