"""Which LED answers to which number, from a camera's light of ``hil_index``: order, mirror, count, dead LEDs by name.

A calibration says where each LED of both strips is. Here every one of these places is asked again which number it
shows: a strip fed from its other end, crossed data or a dead LED contradict the calibration and are named.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.light.codes import LEDS, decode
from harness.analysis.light.frames_seen import known, shares
from harness.analysis.light.steps import cut_steps
from harness.analysis.light.strips import STRIPS
from harness.metric import Metric
from harness.recording import Light, Recording

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

# An LED whose bits change its light by less than this share of its white is dark.
DARK_SHARE = 0.25
# A number is believed when the best word leads the second by this share of a clean signal's lead.
LEAST_MARGIN = 0.4
# Full white in the 8 bits that the cutting of steps works in; what is brighter by noise still fits.
_WHITE = 180.0
NONE = -1


class Geometry(NamedTuple):
    """What each place shows.

    Attributes:
        led: int64[2, 160], number shown at the place of each LED; -1 where it is dark, unread or never was in view.
        dark: bool[2, 160], places in view that stay dark.
        unknown: bool[2, 160], places the calibration could not use: nothing is said of them.
    """

    led: Ints
    dark: Bools
    unknown: Bools

    @property
    def answering(self) -> int:
        """LEDs that show a number."""
        return int((self.led != NONE).sum())

    @property
    def misplaced(self) -> Bools:
        """bool[2, 160]: places that show another LED's number."""
        return np.asarray((self.led != NONE) & (self.led != np.arange(LEDS)))

    def reversed(self, strip: int) -> bool:
        """Whether a strip shows its numbers from the other end."""
        read = self.led[strip] != NONE
        turned = self.led[strip] == LEDS - 1 - np.arange(LEDS)
        return bool(read.any() and turned[read].mean() > 0.9)

    def faults(self) -> list[str]:
        """One sentence for each thing that is wrong; empty when every place in view shows its own number."""
        out = []
        unread = (self.led == NONE) & ~self.dark & ~self.unknown
        for strip, name in enumerate("AB"):
            out += _named(f"strip {name}: dark", self.dark[strip])
            out += _named(f"strip {name}: no number to be read at", unread[strip])
            if self.reversed(strip):
                out.append(f"strip {name} runs from the other end")
            else:
                places = np.flatnonzero(self.misplaced[strip])
                if places.size:
                    first = int(places[0])
                    shown = int(self.led[strip, first])
                    out.append(f"strip {name}: {places.size} LEDs out of order, at {first} shows {shown}")
        return out


def geometry(light: Light, step_s: float) -> Geometry:
    """Reads the number each LED's place shows.

    Args:
        light: camera light of ``hil_index``, at least one whole cycle of 26 steps.
        step_s: length of a step in seconds.

    Raises:
        ValueError: less than a cycle, or light that does not show ``hil_index``.
    """
    usable = known(light)
    share = np.where(usable, shares(light), 0.0).reshape(len(light.host_ns), STRIPS * LEDS)
    values = np.clip(np.repeat(share[..., None], 3, axis=2) * _WHITE, 0, 255).astype(np.uint8)
    steps = cut_steps(light.host_ns, values, step_s)
    reading = decode(steps.differences / _WHITE)
    flat = usable.ravel()
    dark = flat & (np.nanmean(np.abs(steps.differences), axis=1) / _WHITE < DARK_SHARE)
    read = flat & ~dark & (reading.margin >= LEAST_MARGIN)
    led = np.where(read, reading.led, NONE).reshape(STRIPS, LEDS)
    return Geometry(led, dark.reshape(STRIPS, LEDS), ~usable)


def _named(what: str, which: Bools) -> list[str]:
    places = np.flatnonzero(which)
    if not places.size:
        return []
    shown = ", ".join(map(str, places[:12])) + (f" and {places.size - 12} more" if places.size > 12 else "")
    return [f"{what} LED {shown}"]


def geometry_metrics(recording: Recording, found: Geometry) -> list[Metric]:
    """``leds_answering`` of the recording's pattern."""
    told = {"dark": int(found.dark.sum()), "unknown": int(found.unknown.sum())}
    return [Metric("leds_answering", float(found.answering), "", "higher", STRIPS * LEDS, "camera",
                   recording.meta.get("provenance", "simulated"), pattern=str(recording.meta.get("pattern") or ""),
                   detail=told)]  # fmt: skip
