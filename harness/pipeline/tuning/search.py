"""Looks for better parameters: one at a time first, then together what helped alone. Knows no rig.

A setting is judged by what it gains over the defaults on the same trials. Trials are noisy and cost time, so settings
race: all run the first few trials, the better third runs twice as many, and so on. Of many settings the luckiest looks
best: what the search finds is a proposal, and only :func:`prove` on other clips is a result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from harness.analysis.stats import t95

Params = Mapping[str, float]
T = TypeVar("T")

LEVELS = 4
# Trials of the first heat, and settings that stay in the race whatever its size.
FIRST_HEAT, LEAST_FIELD = 2, 4
# Less than this is not worth a parameter that differs from its default.
LEAST_GAIN = 0.005
# A tuned pattern still has to look like itself: its light within this factor, its blown-out share within this much.
LIGHT_FACTOR = 2.0
MOST_BLOWN = 0.1


class Bound(NamedTuple):
    """Range and default of a parameter, as the device tells it."""

    low: float
    high: float
    default: float
    step: float


class Look(NamedTuple):
    """One setting heard one trial.

    Attributes:
        strength: share of the light's variance that the sound explains, 0–1.
        light: mean luminance, 0–1.
        blown: share of lit bytes at full.
    """

    strength: float
    light: float
    blown: float


@dataclass(frozen=True)
class Proposal:
    """What the search ends with.

    Attributes:
        params: what should differ from the defaults; empty when nothing helped.
        gain: mean gain in strength on the clips tuned with; of many settings the luckiest looks best.
        recordings: how many it took.
        steps: every setting, the trials it had run and its mean gain by then.
    """

    params: dict[str, float]
    gain: float
    recordings: int
    steps: list[dict[str, Any]] = field(default_factory=list)


class Proof(NamedTuple):
    """Defaults against a proposal on trials that were not used to find it.

    Attributes:
        default, tuned: mean strength, 0–1.
        gain: mean difference of the pairs; low, high: its 95 % interval.
        pairs: number of trials.
        by_clip: mean gain of each clip.
        better: the interval and the mean of every clip lie above 0, and the pattern still looks like itself.
        why: in words.
    """

    default: float
    tuned: float
    gain: float
    low: float
    high: float
    pairs: int
    by_clip: dict[str, float]
    better: bool
    why: str


def levels(bound: Bound, count: int = LEVELS) -> list[float]:
    """``count`` values spread over a parameter's range, on its steps, without the default."""
    spread = np.linspace(bound.low, bound.high, count)
    if bound.step > 0:
        spread = bound.low + np.round((spread - bound.low) / bound.step) * bound.step
    values = [round(min(float(v), bound.high), 6) for v in spread]
    return [v for v in dict.fromkeys(values) if abs(v - bound.default) > 1e-6]


def search(
    look: Callable[[Params, T], Look], trials: Sequence[T], bounds: Mapping[str, Bound], *,
    count: int = LEVELS, tell: Callable[[str], None] = lambda _: None,
) -> Proposal:  # fmt: skip
    """Looks for parameters that gain on these trials.

    Args:
        look: plays one trial to the device with parameters set over the defaults.
        trials: of the clips to tune with, at least one; the first few should hold all clips.
        bounds: of the parameters that may change.
        count: values tried of each.
        tell: gets a line per step.
    """
    race = _Race(look, trials)
    entrants = [_Setting({name: value}) for name, bound in bounds.items() for value in levels(bound, count)]
    best: dict[str, _Setting] = {}
    for setting in race.run(entrants):
        best.setdefault(next(iter(setting.params)), setting)
    chosen = _Setting({})
    for setting in best.values():
        together = _Setting({**chosen.params, **setting.params})
        race.look_at(together, len(trials))
        if race.helps(together) and race.gain(together) > race.gain(chosen) + LEAST_GAIN:
            chosen = together
            tell(f"{_text(chosen.params)} gain {race.gain(chosen):+.3f} on the clips tuned with")
    return Proposal(chosen.params, race.gain(chosen), race.recorded, race.steps)


@dataclass
class _Setting:
    params: dict[str, float]
    looks: list[Look] = field(default_factory=list)


class _Race(Generic[T]):
    """Settings against the defaults on the same trials, in heats of twice as many trials for a third of the field."""

    def __init__(self, look: Callable[[Params, T], Look], trials: Sequence[T]) -> None:
        self._look = look
        self._trials = trials
        self._base = _Setting({})
        self.recorded = 0
        self.steps: list[dict[str, Any]] = []

    def run(self, entrants: Sequence[_Setting]) -> list[_Setting]:
        """Those that ran all trials and helped, best first."""
        heat, field_ = min(len(self._trials), FIRST_HEAT), list(entrants)
        while True:
            for setting in field_:
                self.look_at(setting, heat)
            alive = [s for s in field_ if looks_like(self._base.looks[:heat], s.looks)]
            field_ = sorted(alive, key=self.gain, reverse=True)
            if heat == len(self._trials):
                return [s for s in field_ if self.helps(s)]
            heat = min(2 * heat, len(self._trials))
            field_ = field_[: max(LEAST_FIELD, -(-len(field_) // 3))]

    def look_at(self, setting: _Setting, trials: int) -> None:
        """Runs the first ``trials`` trials with a setting, as far as it has not yet."""
        for one in (self._base, setting):
            for trial in self._trials[len(one.looks) : trials]:
                one.looks.append(self._look(one.params, trial))
                self.recorded += 1
        self.steps.append({"params": setting.params, "trials": trials, "gain": round(self.gain(setting), 4)})

    def gain(self, setting: _Setting) -> float:
        """Mean gain over the defaults, 0 for the defaults themselves."""
        gains = self._gains(setting)
        return float(gains.mean()) if gains.size else 0.0

    def helps(self, setting: _Setting) -> bool:
        """More than its own standard error and than what is worth while, and still recognisable."""
        gains = self._gains(setting)
        error = float(gains.std(ddof=1)) / np.sqrt(gains.size) if gains.size > 1 else 0.0
        recognisable = looks_like(self._base.looks[: len(setting.looks)], setting.looks)
        return recognisable and self.gain(setting) > max(LEAST_GAIN, error)

    def _gains(self, setting: _Setting) -> npt.NDArray[np.float64]:
        pairs = zip(setting.looks, self._base.looks, strict=False)
        return np.array([s.strength - b.strength for s, b in pairs])


def prove(look: Callable[[Params, T], Look], trials: Sequence[T], clip_of: Callable[[T], str], params: Params) -> Proof:
    """Compares parameters with the defaults, trial by trial, each pair in turn the one or the other first.

    Args:
        look: as in :func:`search`.
        trials: at least two, of clips that were not tuned with.
        clip_of: the clip a trial belongs to.
        params: what is proposed.
    """
    base: list[Look] = []
    seen: list[Look] = []
    for n, trial in enumerate(trials):
        if n % 2:
            seen.append(look(params, trial))
        base.append(look({}, trial))
        if n % 2 == 0:
            seen.append(look(params, trial))
    gains = np.array([s.strength - b.strength for s, b in zip(seen, base, strict=True)])
    half = t95(gains.size - 1) * float(gains.std(ddof=1)) / np.sqrt(gains.size)
    mean = float(gains.mean())
    clips = [clip_of(t) for t in trials]
    by_clip = {
        c: float(np.mean([g for g, k in zip(gains, clips, strict=True) if k == c])) for c in dict.fromkeys(clips)
    }
    why = _judged(mean - half, by_clip, looks_like(base, seen))
    return Proof(
        _mean(base), _mean(seen), mean, mean - half, mean + half, int(gains.size), by_clip, why == "better", why
    )


def looks_like(base: Sequence[Look], seen: Sequence[Look]) -> bool:
    """Whether a setting leaves the pattern recognisable: no much darker, brighter or blown-out picture."""
    before, after = (float(np.mean([x.light for x in side])) for side in (base, seen))
    blown = float(np.mean([x.blown for x in seen]) - np.mean([x.blown for x in base]))
    return before / LIGHT_FACTOR <= after <= before * LIGHT_FACTOR and blown <= MOST_BLOWN


def _judged(low: float, by_clip: Mapping[str, float], recognisable: bool) -> str:
    if not recognisable:
        return "the pattern no longer looks like itself on the clips held out"
    losers = [clip for clip, gain in by_clip.items() if gain <= 0]
    if losers:
        return f"no gain on {', '.join(losers)}"
    return "better" if low > 0 else "the gain may be chance: its 95 % interval reaches 0"


def _mean(looks: Sequence[Look]) -> float:
    return float(np.mean([x.strength for x in looks]))


def _text(params: Params) -> str:
    return ", ".join(f"{name}={value:g}" for name, value in params.items())
