"""Does the strip show what the device says it shows? A camera's film beside the bytes, picture for picture on average.

Light is proportional to bytes, so the mean light of an LED is its mean byte, whatever either sampled in between. What a
camera's frames and the device's have in common is compared: mean light of each LED, and how much it changes over time.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.light.seen import drive_of
from harness.analysis.pixels import LUMINANCE, luminance, shown
from harness.metric import Metric
from harness.recording import Recording

Floats = npt.NDArray[np.float64]


class Agreement(NamedTuple):
    """Camera and bytes of one recording; luminance, full white is 1.

    Attributes:
        seen, said: mean over LEDs and time, from the camera and from the bytes.
        apart: mean over LEDs of |mean light seen - mean light said|.
        seen_change, said_change: rms over time of an LED's light about its mean, mean over LEDs.
        leds: LEDs compared.
    """

    seen: float
    said: float
    apart: float
    seen_change: float
    said_change: float
    leds: int


def agreement(recording: Recording) -> Agreement:
    """Compares both.

    Raises:
        ValueError: no camera light, no pixels, or no LED that was seen without clipping.
    """
    if recording.light is None or not recording.light.host_ns.size:
        raise ValueError("the recording has no camera light")
    said = luminance(shown(recording)[1]).astype(np.float64)
    if not len(said):
        raise ValueError("the recording has no pixels")
    seen = drive_of(recording.light) @ LUMINANCE.astype(np.float64)
    good = np.isfinite(seen).mean(axis=0) > 0.9
    if not good.any():
        raise ValueError("no LED was seen without clipping")
    both = np.broadcast_to(said[:, None], (len(said), *good.shape))[:, good]
    eye = seen[:, good]
    mean, spread = np.nanmean(eye, axis=0), np.nanstd(eye, axis=0)
    wanted = both.mean(axis=0)
    return Agreement(
        float(mean.mean()), float(wanted.mean()), float(np.abs(mean - wanted).mean()), float(spread.mean()),
        float(both.std(axis=0).mean()), int(good.sum()),
    )  # fmt: skip


def agreement_metrics(recording: Recording, found: Agreement) -> list[Metric]:
    """``light_apart`` of the recording's pattern."""
    told = {"seen": round(found.seen, 5), "said": round(found.said, 5)}
    return [Metric("light_apart", round(found.apart, 5), "", "lower", found.leds, "camera",
                   recording.meta.get("provenance", "simulated"), pattern=str(recording.meta.get("pattern") or ""),
                   detail=told)]  # fmt: skip
