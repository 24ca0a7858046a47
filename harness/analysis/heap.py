"""Does free memory shrink?"""

from __future__ import annotations

import numpy as np

from harness.analysis.frames import conditions
from harness.analysis.stats import Estimate, t95, theil_sen
from harness.metric import Metric
from harness.recording import Recording

PIECES = 60


def heap_slope(recording: Recording, skip_s: float = 5.0) -> Estimate | None:
    """Change of free heap in bytes per minute of device time; negative is a leak.

    The record is cut into 60 pieces; each gives the least free heap it saw (short-lived blocks then do not matter),
    and the slope is the median of the slopes between all pairs of pieces. The interval comes from the slopes of four
    quarters. None with fewer than 600 frames after the start: that little cannot tell.

    Args:
        skip_s: start that is left out: first requests and first use of buffers cost memory once.
    """
    t_us, free = recording.frames["t_us"], recording.frames["heap_free"]
    late = t_us >= t_us[0] + round(skip_s * 1e6) if t_us.size else np.zeros(0, bool)
    minutes, free = t_us[late] / 60e6, free[late].astype(np.float64)
    if minutes.size < 10 * PIECES:
        return None
    parts = np.array_split(np.arange(minutes.size), PIECES)
    x = np.array([minutes[part].mean() for part in parts])
    y = np.array([free[part].min() for part in parts])
    whole = theil_sen(x, y)
    quarters = np.array([theil_sen(qx, qy) for qx, qy in zip(np.array_split(x, 4), np.array_split(y, 4), strict=True)])
    half = t95(3) * float(quarters.std(ddof=1)) / 2
    return Estimate(whole, whole - half, whole + half, 4)


def heap_metrics(recording: Recording, slope: Estimate) -> list[Metric]:
    """The slope as a metric of the device, whatever pattern it showed."""
    return [Metric("heap_slope_bytes_per_min", round(slope.value, 1), "B/min", "higher", slope.n, "telemetry",
                   recording.meta.get("provenance", "simulated"), ci95=(slope.low, slope.high),
                   detail=conditions(recording))]  # fmt: skip
