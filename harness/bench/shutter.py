"""Exposure: how much light of each LED each row of the sensor gathers.

Row r is open from ``start + r x line time`` for the exposure time; a line time of 0 is a global shutter. Light between
two latches is constant, so its integral over a window is exact, with pulse width modulation too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.bench.light_history import N_LEDS, Segments

_NEVER_NS = 1e15
_FULL_DRIVE = 255.0

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pwm:
    """Free-running pulse width modulation of every LED: lit for drive/255 of each cycle, new data taken at its start.

    Attributes:
        hz: of each LED, [320]; no two run alike.
        phase_ns: host time of some cycle's start, [320].
    """

    hz: Floats
    phase_ns: Floats

    @classmethod
    def drawn(cls, hz: float, random: np.random.Generator) -> Pwm | None:
        """Cycles within 3 % of ``hz`` at any phase; None for 0."""
        if hz <= 0.0:
            return None
        rates = hz * (1.0 + random.uniform(-0.03, 0.03, N_LEDS))
        return cls(rates, random.uniform(0.0, 1e9, N_LEDS) / rates)

    def cycles(self, at_ns: float, since: Floats, leds: tuple[slice | None, ...]) -> Floats:
        """Cycles of each LED from its phase to ``at_ns + since``, broadcast over LED axis ``leds``."""
        # whole cycles until at_ns are taken away exactly: what is left is small enough for float64
        whole = (at_ns - self.phase_ns) * self.hz * 1e-9
        cycles: Floats = (whole - np.floor(whole))[leds] + since * (self.hz * 1e-9)[leds]
        return cycles


def gathered(
    segments: Segments, start_ns: float, opens: Floats, exposure_ns: float, pwm: Pwm | None = None
) -> Floats:
    """Light times time of every LED for each row it covers.

    Args:
        segments: light around the exposure of this frame.
        start_ns: host time at which row 0 opens.
        opens: when the rows covered by each LED open, ns after ``start_ns``, shape [320, rows].
        exposure_ns: how long a row stays open.
        pwm: of the LEDs; None: steady light.

    Returns:
        Integral of drive (1.0 = full) over the window, in ns, shape [320, rows, 3].
    """
    on = (segments.change_ns - round(start_ns)).astype(np.float64)[:, None] + segments.offset_ns  # [k, 320]
    if pwm is not None:
        axis = (None, slice(None))
        cycles = pwm.cycles(start_ns, np.maximum(on, -_NEVER_NS), axis)
        on = on + (np.ceil(cycles) - cycles) * 1e9 / pwm.hz
    on[0] = -_NEVER_NS
    off = np.vstack([on[1:], np.full((1, N_LEDS), _NEVER_NS)])
    first = np.maximum(on[:, :, None], opens)
    last = np.minimum(off[:, :, None], opens + exposure_ns)
    drive = segments.rgb.astype(np.float64) / _FULL_DRIVE
    if pwm is None:
        lit = np.maximum(last - first, 0.0)
        out: Floats = np.einsum("knr,knc->nrc", lit, drive)
        return out
    return _pulsed(pwm, start_ns, first, np.maximum(last, first), drive)


def _pulsed(pwm: Pwm, start_ns: float, first: Floats, last: Floats, drive: Floats) -> Floats:
    """Time lit within [first, last]: whole cycles at their duty, plus what the broken ones at both ends give."""
    axis = (None, slice(None), None)
    duty = drive[:, :, None, :]

    def until(since: Floats) -> Floats:
        cycles = pwm.cycles(start_ns, since, axis)[..., None]
        whole = np.floor(cycles)
        lit: Floats = whole * duty + np.minimum(cycles - whole, duty)
        return lit

    out: Floats = ((until(last) - until(first)) * 1e9 / pwm.hz[None, :, None, None]).sum(axis=0)
    return out
