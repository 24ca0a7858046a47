"""What a camera tells of a still picture: the colour of each LED, and about which place the picture is mirrored."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter1d

from harness.analysis.frames import conditions
from harness.analysis.light.codes import LEDS
from harness.analysis.light.seen import ColourError, colour_error, still_drive
from harness.analysis.pixels import LUMINANCE, distinct_frames
from harness.metric import Metric
from harness.recording import Recording

Floats = npt.NDArray[np.float64]

MIDDLE = (LEDS - 1) / 2
# Colours are told when at least so many of the LEDs could be measured.
LEAST_SHARE = 0.9
# Places about which a picture may be mirrored, and how finely they are tried, in LEDs.
_REACH, _STEP, _SMOOTH = 6.0, 0.02, 2.0
# Folded about its centre, a picture must cancel all but this share of its variance: an even one, or one that is not
# mirrored at all, has no centre.
_MOST_LEFT = 0.1


class Centre(NamedTuple):
    """About which place of each strip a picture is mirrored.

    Attributes:
        led: float64[2], in LEDs from 0; 79.5 is the middle of 160. nan where the strip cannot be read.
        half: float64[2], half width of its 95 % interval, from what is left of the picture when it is folded there.
        apart: float64[2], mean |light of an LED - light of its mirror image about 79.5|, full white is 1.
    """

    led: Floats
    half: Floats
    apart: Floats


def still_colour(recording: Recording) -> ColourError | None:
    """Each LED's colour by camera against its bytes.

    None of a picture that moves, or where fewer than nine tenths of the LEDs can be measured: whether a picture should
    stand still is for others to judge.

    Raises:
        ValueError: no camera light, or no pixels.
    """
    if recording.light is None or not recording.light.host_ns.size:
        raise ValueError("the recording has no camera light")
    if not recording.pixels["seq"].size:
        raise ValueError("the recording has no pixels")
    rgb = recording.pixels["rgb"]
    if distinct_frames(rgb) > 1 and int(np.ptp(rgb, axis=0).max()) > 1:  # 1: dither
        return None
    drive = still_drive(recording.light)
    if np.isfinite(drive).all(axis=-1).mean() < LEAST_SHARE:
        return None
    return colour_error(drive, rgb.mean(axis=0) / 255.0)


def colour_metrics(recording: Recording, found: ColourError) -> list[Metric]:
    """``colour_error_mean`` and ``colour_error_p95``, CIEDE2000 over all LEDs."""
    about = {**conditions(recording), "measured": found.measured, "refused": found.refused}
    meta = recording.meta
    rest = {"provenance": meta.get("provenance", "simulated"), "pattern": meta.get("pattern") or "", "detail": about}
    n = found.measured
    return [
        Metric("colour_error_mean", round(found.mean, 4), "dE00", "lower", n, "camera", **rest),
        Metric("colour_error_p95", round(found.p95, 4), "dE00", "lower", n, "camera", **rest),
    ]


def centre(recording: Recording) -> Centre | None:
    """About which place the picture on each strip is mirrored; None where nothing can be told.

    The place at which a strip's light folds onto itself best, to a fraction of an LED. It stands for the geometry of
    the device (pictures are made from the centre outwards), not for that of the camera, whose map of LEDs it uses.

    Raises:
        ValueError: no camera light.
    """
    if recording.light is None or not recording.light.host_ns.size:
        raise ValueError("the recording has no camera light")
    profile = still_drive(recording.light) @ LUMINANCE.astype(np.float64)
    led, half, apart = (np.full(2, np.nan) for _ in range(3))
    for strip, light in enumerate(profile):
        good = np.isfinite(light)
        if good.mean() < LEAST_SHARE:
            continue
        full = np.interp(np.arange(LEDS), np.flatnonzero(good), light[good])
        folded = _fold(full)
        if folded.left > _MOST_LEFT * full.var():
            continue
        led[strip], half[strip] = folded.at, folded.half
        apart[strip] = float(np.abs(full - full[::-1]).mean())
    return Centre(led, half, apart) if np.isfinite(led).any() else None


class _Fold(NamedTuple):
    """Where a profile differs least from its mirror image, how well that is known (95 %), and half the mean square of
    what is left there."""

    at: float
    half: float
    left: float


def _fold(light: Floats) -> _Fold:
    """Tries all places in reach, and puts a parabola through the best three."""
    at = np.arange(MIDDLE - _REACH, MIDDLE + _REACH + _STEP / 2, _STEP)
    # Between two LEDs interpolation averages their noise, and the fold would settle there: so it is smoothed first.
    smooth = gaussian_filter1d(light, _SMOOTH, mode="nearest")
    reach = np.arange(0.5, MIDDLE - _REACH - 2 * _SMOOTH, 0.5)
    left, right = (np.interp(at[:, None] + side * reach, np.arange(LEDS), smooth) for side in (-1, 1))
    cost = ((left - right) ** 2).mean(axis=1) / 2
    best = int(np.clip(np.argmin(cost), 1, at.size - 2))
    a, b, c = cost[best - 1 : best + 2]
    bend = a - 2 * b + c
    place = float(at[best] + (_STEP * np.clip(0.5 * (a - c) / bend, -1, 1) if bend > 0 else 0.0))
    # Every pair of LEDs tells the place by itself, to its noise over the slopes on both sides.
    whole = round(2 * place)
    pairs = np.arange(1, round(MIDDLE - _REACH - 2 * _SMOOTH))
    one, other = (whole + 1) // 2 - pairs, whole // 2 + pairs
    slope = np.gradient(smooth)
    steep = float(np.sqrt(((slope[one] - slope[other]) ** 2).sum()))
    half = 1.96 * float((light[one] - light[other]).std()) / max(steep, 1e-9)
    return _Fold(place, half, float(b))


def centre_metrics(recording: Recording, found: Centre) -> list[Metric]:
    """``centre_led`` (the strip further from the middle) and ``mirror_apart`` (the worse strip)."""
    meta = recording.meta
    about = {
        **conditions(recording), "led": [None if np.isnan(v) else round(float(v), 3) for v in found.led],
        "apart": [None if np.isnan(v) else round(float(v), 5) for v in found.apart],
    }  # fmt: skip
    rest = {"provenance": meta.get("provenance", "simulated"), "pattern": meta.get("pattern") or "", "detail": about}
    strip = int(np.nanargmax(np.abs(found.led - MIDDLE)))
    furthest, half = float(found.led[strip]), float(found.half[strip])
    interval = (round(furthest - half, 3), round(furthest + half, 3))
    n, worst = int(np.isfinite(found.led).sum()), float(np.nanmax(found.apart))
    return [
        Metric("centre_led", round(furthest, 3), "LED", "none", n, "camera", ci95=interval, **rest),
        Metric("mirror_apart", round(worst, 5), "", "lower", n, "camera", **rest),
    ]
