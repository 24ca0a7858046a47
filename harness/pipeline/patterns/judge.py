"""What a layer showed, measured and held against its specification.

Each layer is recorded alone (the faders of the others down), with low-pass and resting glow off, while tones of
three bands and quiet come in a random order. What drives the light (see :mod:`harness.pipeline.patterns.look`) is found
by fitting the specified structure with free numbers. Those numbers are then compared.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from harness.analysis.figure import Floats
from harness.analysis.follow import Follow, envelope, fit_events, fit_gates
from harness.pipeline.patterns.look import Look
from harness.pipeline.patterns.spec import BANDS, EVENTS, Binding, Layer, PatternSpec
from harness.recording import Recording
from harness.signals.bands import BANDS as TONES

Outcome = Literal["pass", "fail", "inconclusive"]

# How far a measured value may lie from the specified one, and what that allows for.
COLOUR_DEG = 3.0  # of light; bytes of a dark colour are coarse
SHARP_DEG = 1.5  # a palette whose twentieth of a turn changes less cannot tell a shift
LEVEL_SHARE = 0.12
AMOUNT = 0.15  # a tone reaches 0.9 to 1 of its band's range
RATE_SHARE = 0.03
RATE_LEDS_PER_S = 0.5
DEPTH = 0.1
SIZE = 0.04
TURNS_PER_S = 0.01
SHIFT_TURNS = 0.04
RELEASE_SHARE, RELEASE_S = 0.25, 0.06  # the spectrum's own window and mean are 5 to 110 ms
STRAY = 0.15  # what another band's tone may do, of what the right one's does
DEAF = 0.06  # what sound may seem to do to what it does not drive
# What a source may show between the tones. Loudness is a square root: the faint noise there counts for a quarter.
FAINT, FAINT_LOUDNESS = 0.05, 0.35
EXPLAINED = 0.5
LOW_PASS_S = 0.0064  # the device's own at softness 0: what runs fast is blurred
SHAPE = 0.9  # share of the light's energy that lies where the shape says
SETTLE_S = 0.2  # of a stimulus, in which the device's range follows it
MOST_DARK = 0.9


@dataclass(frozen=True)
class Check:
    """One property: measured against specified.

    Attributes:
        name: what.
        layer: 1 for the first; 0 for the whole pattern.
        measured, expected, tolerance: numbers in ``unit``; measured is None where nothing could be measured.
        passed: None where nothing could be measured.
        note: conditions, or why nothing could be measured.
    """

    name: str
    layer: int
    measured: float | None
    expected: float
    tolerance: float
    unit: str
    passed: bool | None
    note: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def outcome(checks: list[Check]) -> Outcome:
    """fail if anything is wrong; inconclusive if something specified could not be measured; else pass."""
    if any(c.passed is False for c in checks):
        return "fail"
    return "pass" if checks and all(c.passed for c in checks) else "inconclusive"


def judge_layer(spec: PatternSpec, number: int, recordings: dict[str, Recording]) -> list[Check]:
    """Everything specified of one layer.

    Args:
        spec: the pattern.
        number: of the layer, from 1.
        recordings: of this layer alone: ``bands`` with :func:`harness.signals.bands.band_steps`; ``clicks`` with a
            click track, for a layer that beats drive.
    """
    judge = _Judge(spec, number, {name: Look.of(r, spec, number) for name, r in recordings.items()})
    return judge.checks()


class _Judge:
    def __init__(self, spec: PatternSpec, number: int, looks: dict[str, Look]) -> None:
        self.layer: Layer = spec.layers[number - 1]
        self._number = number
        self._looks = looks
        self._found: list[Check] = []
        self._tones: dict[str, float] = {}  # what each tone did, where loudness drives

    def checks(self) -> list[Check]:
        bands = self._looks["bands"]
        dark = float(np.isnan(bands.angle_deg).mean())
        self._below("dark share", dark, MOST_DARK, "")
        if dark > MOST_DARK:
            return self._found
        self._colour(bands)
        self._level()
        if self.layer.shape == "bar":
            self._size()
        elif not np.isnan(bands.shape_share).all():
            self._above("shape", float(np.nanmedian(bands.shape_share)), SHAPE - self._blur())
        if self.layer.length_leds:
            self._travel()
        return self._found

    # ---- properties --------------------------------------------------------------------------------

    def _colour(self, look: Look) -> None:
        self._below("colour error", float(np.nanmedian(look.angle_deg)), COLOUR_DEG, "deg")
        layer, bound = self.layer, self.layer.bound("colour")
        if not (layer.cycle_s or bound):
            return
        if look.sharp_deg < SHARP_DEG:
            self._unmeasured("colour shift", "turns", "the palette's colours are too alike to tell one from the next")
            return
        look = self._look(bound)
        rate = 1.0 / layer.cycle_s if layer.cycle_s else 0.0
        value = _unwrapped(look.shift - rate * look.t_s)
        base = np.stack([np.ones_like(look.t_s), look.t_s], axis=1)
        fit = self._fit(look, value, base, bound)
        if fit is None:
            return
        self._near("palette turns", rate + float(fit.base[1]), rate, max(TURNS_PER_S, RATE_SHARE * rate), "1/s")
        if bound:
            self._driven("colour", bound, fit, _main(fit, bound)[0], bound.amount, "turns")

    def _level(self) -> None:
        layer, bound = self.layer, self.layer.bound("level")
        look = self._look(bound)
        base = self._swelling(look.t_s, layer.swell.period_s if layer.swell else 0.0)
        fit = self._fit(look, look.top, base, bound, base)
        if fit is None:
            return
        both = fit.base + _main(fit, bound) if bound else fit.base
        depth = 0.0
        if layer.swell:
            depth = self._swell(look, fit, both)
        full = float(both[0]) / (1.0 - depth / 2)
        if bound is None:
            self._near("level", full, layer.level, (LEVEL_SHARE + self._blur()) * layer.level + 0.01, "drive")
            worst = max((abs(v) for v in fit.others.values()), default=0.0) / max(abs(float(fit.base[0])), 1e-6)
            self._below("level follows sound", worst, DEAF + self._blur(), "")
            return
        if bound.source != "loudness":
            allowed = (LEVEL_SHARE + AMOUNT * bound.amount + self._blur()) * layer.level
            self._near("level", full, layer.level, allowed, "drive")
        self._driven("level", bound, fit, float(_main(fit, bound)[0] / max(both[0], 1e-6)), bound.amount, "")

    def _swell(self, look: Look, fit: Follow, both: Floats) -> float:
        swell = self.layer.swell
        assert swell is not None
        depth = 2 * (r := float(np.hypot(both[1], both[2]) / max(both[0], 1e-6))) / (1 + r)
        self._near("swell depth", depth, swell.depth, DEPTH, "")
        # The period: the one near the specified that leaves least, everything else fitted anew each time.
        bound = self.layer.bound("level")
        periods = swell.period_s * np.linspace(0.75, 1.25, 41)
        left = []
        for period_s in periods:
            base = self._swelling(look.t_s, float(period_s))
            again = self._fit_once(look, look.top, base, bound, base, fit)
            left.append(1.0 - again)
        best = int(np.argmin(left))
        self._near("swell period", float(periods[best]), swell.period_s, 0.05 * swell.period_s, "s")
        return min(depth, 0.999)

    def _fit_once(
        self, look: Look, value: Floats, base: Floats, bound: Binding | None, modulation: Floats, like: Follow
    ) -> float:
        """Share of the variance explained by these columns, with the time constants another fit has found."""
        columns = [base]
        if bound is not None:
            events = bound.source in EVENTS
            heard = [envelope(look.t_s, source, like, events=events) for source in self._heard(look, bound)]
            columns += [shape[:, None] * modulation for shape in heard]
        known = ~np.isnan(value)
        matrix = np.column_stack(columns)[known]
        fit, *_ = np.linalg.lstsq(matrix, value[known], rcond=None)
        return 1.0 - float(np.var(value[known] - matrix @ fit)) / max(float(np.var(value[known])), 1e-12)

    def _size(self) -> None:
        bound = self.layer.bound("size")
        look = self._look(bound)
        fit = self._fit(look, look.size, np.ones((look.t_s.size, 1)), bound)
        if fit is None:
            return
        driven = float(_main(fit, bound)[0]) if bound else 0.0
        full = float(fit.base[0]) + driven
        if bound is None:
            self._near("size", full, self.layer.size, SIZE, "")
            self._below("size follows sound", max((abs(v) for v in fit.others.values()), default=0.0), DEAF, "")
            return
        if bound.source != "loudness":
            self._near("size", full, self.layer.size, SIZE + AMOUNT * bound.amount * self.layer.size, "")
        self._driven("size", bound, fit, driven / max(full, 1e-6), bound.amount, "")

    def _travel(self) -> None:
        layer, bound = self.layer, self.layer.bound("speed")
        look = self._look(bound)
        turns_per_s = layer.travel_leds_per_s / layer.length_leds
        # Only what differs from the specified motion has to be unwrapped: that bridges the dark.
        value = _unwrapped(look.place_turns - turns_per_s * look.t_s) * layer.length_leds
        base = np.stack([np.ones_like(look.t_s), look.t_s], axis=1)
        fit = self._fit(look, value, base, bound, integrate=True)
        if fit is None:
            return
        speed = layer.travel_leds_per_s + float(fit.base[1])
        allowed = RATE_SHARE * abs(layer.travel_leds_per_s) + RATE_LEDS_PER_S
        if bound:
            faint = FAINT_LOUDNESS if bound.source == "loudness" else FAINT
            allowed += 2.0 * bound.amount * abs(layer.travel_leds_per_s) * faint
        self._near("travel", speed, layer.travel_leds_per_s, allowed, "LEDs/s")
        if bound is None:
            worst = max((abs(v) for v in fit.others.values()), default=0.0)
            self._below("speed follows sound", worst, DEAF * abs(layer.travel_leds_per_s) + RATE_LEDS_PER_S, "LEDs/s")
        else:
            driven = float(_main(fit, bound)[0]) / (2.0 * layer.travel_leds_per_s)
            self._driven("speed", bound, fit, driven, bound.amount, "")

    def _blur(self) -> float:
        """How far a figure runs within the device's low-pass, in parts of its width, at its fastest."""
        layer, bound = self.layer, self.layer.bound("speed")
        if not layer.length_leds:
            return 0.0
        fastest = abs(layer.travel_leds_per_s) * (1.0 + 2.0 * bound.amount if bound else 1.0)
        return fastest * LOW_PASS_S / ((layer.width or 0.5) * layer.length_leds)

    # ---- the fit -----------------------------------------------------------------------------------

    def _look(self, bound: Binding | None) -> Look:
        return self._looks["clicks" if bound is not None and bound.source == "beat" else "bands"]

    def _heard(self, look: Look, bound: Binding) -> list[Floats]:
        if bound.source in EVENTS:
            return [look.events[bound.source]]
        return [look.gates[band] for band in TONES]

    def _fit(
        self, look: Look, value: Floats, base: Floats, bound: Binding | None, modulation: Floats | None = None, *,
        integrate: bool = False,
    ) -> Follow | None:  # fmt: skip
        value = np.where(look.t_s < SETTLE_S, np.nan, value)
        try:
            if bound is not None and bound.source in EVENTS:
                events = look.events[bound.source]
                if events.size < 3:
                    self._unmeasured(bound.drives, "", f"the device told of only {events.size} {bound.source} events")
                    return None
                return fit_events(look.t_s, value, base, events, modulation, integrate=integrate)
            sources = tuple(TONES) if bound is not None else ()
            fit = fit_gates(look.t_s, value, base, look.gates, sources, modulation, integrate=integrate)
            if bound is None or bound.source != "loudness":
                return fit
            # One envelope of one loudness, whichever tone makes it: how loud each counts is taken from the first fit.
            most = max((abs(v) for v in fit.driven_by.values()), default=0.0)
            heard = sum(look.gates[b] * np.clip(abs(v) / max(most, 1e-9), 0, 1) for b, v in fit.driven_by.items())
            again = fit_gates(look.t_s, value, base, {"loudness": np.asarray(heard)}, ("loudness",), modulation,
                              integrate=integrate)  # fmt: skip
            self._tones = fit.driven_by
            return again
        except ValueError as error:
            self._unmeasured(bound.drives if bound else "motion", "", str(error))
            return None

    @staticmethod
    def _swelling(t_s: Floats, period_s: float) -> Floats:
        ones = np.ones_like(t_s)
        if not period_s:
            return ones[:, None]
        turns = 2 * np.pi * t_s / period_s
        return np.stack([ones, np.cos(turns), np.sin(turns)], axis=1)

    def _driven(self, what: str, bound: Binding, fit: Follow, amount: float, expected: float, unit: str) -> None:
        """Amount, envelope and selectivity of a binding."""
        name = f"{bound.source} drives {what}"
        self._above(f"{name}: explained", fit.explained, EXPLAINED)
        by = fit.driven_by
        main = float(_main(fit, bound)[0])
        if bound.source == "loudness":
            # How loud a tone counts is the device's business; that each one does, and none beyond the amount, is not.
            least = min(v if main > 0 else -v for v in self._tones.values())
            self._above(f"{name}: weakest tone", least / max(abs(v) for v in self._tones.values()), 0.1)
            self._below(name, amount, expected + AMOUNT, unit)
        else:
            self._near(name, amount, expected, AMOUNT * (expected if unit == "turns" else 1.0) + 0.02, unit)
        for other in (b for b in by if bound.source in BANDS and b != bound.source):
            self._below(f"{name}: {other} does too", abs(by[other]) / max(abs(main), 1e-9), STRAY, "")
        release_s = bound.envelope.release_s
        allowed = RELEASE_SHARE * release_s + RELEASE_S
        self._near(f"{name}: release", fit.release_s, release_s, allowed, "s")

    # ---- results -----------------------------------------------------------------------------------

    def _near(self, name: str, measured: float, expected: float, tolerance: float, unit: str) -> None:
        self._add(name, measured, expected, tolerance, unit, abs(measured - expected) <= tolerance, "")

    def _below(self, name: str, measured: float, limit: float, unit: str) -> None:
        self._add(name, measured, 0.0, limit, unit, measured <= limit, "at most")

    def _above(self, name: str, measured: float, least: float) -> None:
        self._add(name, measured, 1.0, 1.0 - least, "", measured >= least, "at least")

    def _add(
        self, name: str, measured: float, expected: float, tolerance: float, unit: str, passed: bool, note: str
    ) -> None:
        value = round(float(measured), 5)
        self._found.append(Check(name, self._number, value, expected, round(tolerance, 5), unit, bool(passed), note))

    def _unmeasured(self, name: str, unit: str, why: str) -> None:
        self._found.append(Check(name, self._number, None, 0.0, 0.0, unit, None, why))


def _main(fit: Follow, bound: Binding) -> Floats:
    """Coefficients of the source a binding names."""
    return fit.modulated["event" if bound.source in EVENTS else bound.source]


def _unwrapped(turns: Floats) -> Floats:
    """Turns without the jumps of whole ones, over gaps too; nan stays nan."""
    known = ~np.isnan(turns)
    out = np.full_like(turns, np.nan)
    out[known] = np.unwrap(turns[known], period=1.0)
    return out
