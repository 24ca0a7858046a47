"""A recording's camera light as colours: bytes per LED, comparable with what the device says it showed."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.light.colour import Scale, to_bytes, to_drive
from harness.analysis.light.deltae import difference
from harness.analysis.light.video_colour import VideoColour
from harness.recording import Light

Floats = npt.NDArray[np.float64]


def drive_of(light: Light) -> Floats:
    """Drive 0-1 of each LED in each frame: float64[n, 2, 160, 3]; nan where unknown or clipped."""
    drive = to_drive(Scale(light.white, light.tone).relative(light.light), light.matrix)
    drive[light.clipped] = np.nan
    return drive


def film_bytes(light: Light) -> npt.NDArray[np.uint8]:
    """uint8[n, 160, 3] for a strip film: the mean of both strips, 0 where neither is known."""
    drive = drive_of(light)
    known = np.all(np.isfinite(drive), axis=-1, keepdims=True)
    total = np.where(known, drive, 0.0).sum(axis=1)
    return to_bytes(total / np.maximum(known.sum(axis=1), 1))


def still_drive(light: Light) -> Floats:
    """Mean drive over a recording of a still picture: float64[2, 160, 3]; nan for LEDs clipped in any frame.

    From sums of video where the recording has them: those do not mind that video smears colours.
    """
    clipped = np.any(light.clipped, axis=0, keepdims=True)
    if light.video is not None:
        v = light.video
        drive = VideoColour(v.level, v.curve, v.dark, v.matrix).drive(v.sums[None].astype(np.float64))
        drive[clipped] = np.nan
        return np.asarray(drive[0])
    mean = light.light.mean(axis=0, dtype=np.float64)[None].astype(np.float32)
    return np.asarray(drive_of(replace(light, light=mean, clipped=clipped))[0])


class ColourError(NamedTuple):
    """Colours seen against colours wanted.

    Attributes:
        per_led: float64[2, 160], CIEDE2000; nan where an LED could not be measured.
        mean, p95: over all measured LEDs.
        measured, refused: LEDs.
    """

    per_led: Floats
    mean: float
    p95: float
    measured: int
    refused: int


def colour_error(seen: Floats, wanted: npt.NDArray[np.floating]) -> ColourError:
    """Compares drives [2, 160, 3] with wanted drives [160, 3] (byte / 255).

    Raises:
        ValueError: no LED could be measured.
    """
    both = np.broadcast_to(wanted, seen.shape)
    good = np.isfinite(seen).all(axis=-1)
    if not good.any():
        raise ValueError("no LED's colour could be measured")
    per_led = np.full(good.shape, np.nan)
    per_led[good] = difference(np.clip(seen[good], 0, None), both[good])
    errors = per_led[good]
    return ColourError(
        per_led, float(errors.mean()), float(np.percentile(errors, 95)), int(good.sum()), int((~good).sum())
    )
