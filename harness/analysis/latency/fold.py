"""Light around the sound's edges, all edges laid over each other: what a latency was read from, for eyes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.latency.film_trace import film_trace
from harness.analysis.latency.results import LED_MS
from harness.analysis.latency.switches import Floats, switches_of
from harness.analysis.pixels import luminance
from harness.recording import Recording

BEFORE_MS, AFTER_MS = 10.0, 50.0
SOME_LEDS = 16


@dataclass(frozen=True)
class Fold:
    """Light against time since the edge that came last.

    Attributes:
        since_ms: float64[n], -10 to 50 ms.
        level: float64[n], 0 is the dark level, 1 the bright one (5th and 95th percentile of the recording).
        rising: bool[n], whether that edge switched the sound on.
    """

    since_ms: Floats
    level: Floats
    rising: npt.NDArray[np.bool_]


def fold(recording: Recording, source: str) -> Fold | None:
    """Lays the light of one source over its edges; None where that source or the edges are missing.

    Args:
        source: ``camera`` (some LEDs, each at the middle of its row's exposure and counted from LED 0), ``wire`` or
            ``telemetry`` (light of LED 0 from the start of its transmission on).
    """
    try:
        switches = switches_of(recording)
    except ValueError:
        return None
    read = _light(recording, source)
    if read is None or not read[0].size or not switches.at_ms.size:
        return None
    at_ms, light = switches.ms_of(read[0]), read[1]
    low, high = np.percentile(light, (5, 95))
    if high <= low:
        return None
    parts = []
    for edge, rising in zip(switches.at_ms, switches.rising, strict=True):
        near = (at_ms >= edge - BEFORE_MS) & (at_ms <= edge + AFTER_MS)
        parts.append(np.stack([at_ms[near] - edge, light[near], np.full(near.sum(), float(rising))]))
    since, level, kind = np.concatenate(parts, axis=1)
    return Fold(since, (level - low) / (high - low), kind > 0.5)


def _light(recording: Recording, source: str) -> tuple[npt.NDArray[np.int64], Floats] | None:
    """Host times and light of one source."""
    if source == "camera":
        read = film_trace(recording)
        if read is None:
            return None
        trace = read[0]
        some = np.unique(np.linspace(0, trace.light.shape[1] - 1, SOME_LEDS).astype(np.int64))
        # Each LED at the middle of its own row's exposure, less what the wire took to reach it.
        late_ms = trace.row_ms[some] + trace.exposure_ms / 2 - LED_MS * trace.led[some]
        host_ns = trace.host_ns[:, None] + np.rint(late_ms * 1e6).astype(np.int64)
        light = trace.light[:, some].astype(np.float64)
        bright = np.maximum(np.percentile(light, 95, axis=0), 1e-9)
        return host_ns.reshape(-1), (light / bright).reshape(-1)
    if source == "wire" and recording.wire is not None:
        return recording.wire["host_ns"], luminance(recording.wire["rgb"][:, 0])[:, 0].astype(np.float64)
    fit = recording.clock_fits.get("device")
    if source == "telemetry" and fit is not None:
        host_ns = np.asarray(fit.to_host(recording.pixels["t_us"]), np.int64)
        return host_ns, luminance(recording.pixels["rgb"])[:, 0].astype(np.float64)
    return None
