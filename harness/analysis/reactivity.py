"""Does the light follow the sound? A randomised experiment with an exact test.

The stimulus switches between loud and quiet in a random order (:func:`harness.signals.gated`). If the light ignores the
sound, that order is as good as any other with the same number of loud segments, whatever the light does by itself: an
animation, a drift, noise. So the difference between loud and quiet segments is compared with the differences other
random orders would have given (re-randomisation test; R. A. Fisher, The Design of Experiments, 1935). No model of the
pattern is needed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.pixels import Pixels, luminance, shown
from harness.recording import Recording

ZONES = 8
SHUFFLES = 20_000
# From sound to light: hop, filters, frame, smoothing. A segment's light is looked at so much later than its sound.
DELAY_S = 0.12


class Reaction(NamedTuple):
    """How the light answered.

    Attributes:
        p: chance of an answer this strong if the light ignored the sound.
        strength: share of the variance of the best feature that the sound explains, 0–1.
        feature: which feature that was.
        segments: loud and quiet segments together.
    """

    p: float
    strength: float
    feature: str
    segments: int


def combined_p(ps: Sequence[float]) -> float:
    """Chance of independent experiments looking this convincing together if there is nothing to find (Fisher's method).

    The tail of chi-square with 2 n degrees of freedom is a finite sum: exp(-x) sum x^k / k! with x = -sum ln p.
    """
    x = -sum(math.log(p) for p in ps)
    return math.exp(-x) * sum(x**k / math.factorial(k) for k in range(len(ps)))


def features(rgb: Pixels) -> tuple[list[str], npt.NDArray[np.float32]]:
    """What may change with the sound: brightness, colour, where the light is, how lively it is.

    Args:
        rgb: uint8[n, 160, 3].

    Returns:
        names [k], float32[n, k].
    """
    lum = luminance(rgb)
    half = (lum[:, :80] + lum[:, :79:-1]) / 2
    zones = half.reshape(len(rgb), ZONES, -1).mean(axis=2)
    colour = rgb.astype(np.float32).mean(axis=1)
    total = colour.sum(axis=1, keepdims=True)
    share = np.divide(colour, total, out=np.zeros_like(colour), where=total > 0)
    motion = np.zeros(len(rgb), np.float32)
    if len(rgb) > 1:
        motion[1:] = np.abs(np.diff(rgb.astype(np.int16), axis=0)).mean(axis=(1, 2))
    names = ["light", "red", "blue", "motion", *(f"zone{i}" for i in range(ZONES))]
    columns = [lum.mean(axis=1), share[:, 0], share[:, 2], motion, *zones.T]
    return names, np.column_stack(columns).astype(np.float32)


class TooFewSegments(ValueError):
    """The light was seen in too few segments of the sound: the device, not the analysis, fell short."""


def reaction(recording: Recording, seed: int = 1, shuffles: int = SHUFFLES) -> Reaction:
    """Tests whether the light follows a gated stimulus.

    Raises:
        ValueError: not a recording of a gated stimulus.
        TooFewSegments: fewer than eight segments hold frames.
    """
    truth = (recording.meta.get("stimulus") or {}).get("truth") or {}
    if "loud" not in truth or recording.audio is None:
        raise ValueError("a reaction needs a recording of a gated stimulus")
    loud = np.array(truth["loud"], dtype=bool)
    names, values = _segment_means(recording, truth, loud.size)
    usable = ~np.isnan(values).any(axis=1)
    if usable.sum() < 8:
        raise TooFewSegments(f"only {int(usable.sum())} of {usable.size} segments of the sound hold frames")
    loud, values = loud[usable], values[usable]
    keep = _quick(loud.size)
    varied = values.std(axis=0) > 1e-9
    values = keep @ values[:, varied]
    if not varied.any() or not np.any(np.abs(values) > 1e-9):
        return Reaction(1.0, 0.0, "none", int(loud.size))
    seen = _explained(values, loud[None, :], keep)[0]
    rng = np.random.default_rng(seed)
    orders = loud[np.argsort(rng.random((shuffles, loud.size)), axis=1)]
    others = _explained(values, orders, keep).max(axis=1)
    best = int(np.argmax(seen))
    p = (1 + int((others >= seen[best] - 1e-12).sum())) / (shuffles + 1)
    return Reaction(p, float(seen[best]), [n for n, v in zip(names, varied, strict=True) if v][best], int(loud.size))


def _segment_means(
    recording: Recording, truth: dict[str, Any], count: int
) -> tuple[list[str], npt.NDArray[np.float64]]:
    assert recording.audio is not None
    times, rgb = shown(recording)
    names, values = features(rgb)
    at = (times - recording.audio.start_ns) / 1e9
    length, first = float(truth["segment_s"]), float(truth.get("lead_s", 0.0))
    means = np.full((count, len(names)), np.nan)
    for i in range(count):
        begin = first + i * length + DELAY_S
        inside = (at >= begin) & (at < begin + length)
        if inside.sum() >= 4:
            means[i] = values[inside].mean(axis=0)
    return names, means


def _quick(n: int) -> npt.NDArray[np.float64]:
    """Projection float64[n, n] that takes out the mean and the slowest fifth of the cosines.

    An animation's slow drift would otherwise drown a reaction. Values and orders both go through it, so the test stays
    exact.
    """
    slow = np.cos(np.pi * np.outer(np.arange(n) + 0.5, np.arange(max(1, n // 5))) / n)
    basis, _ = np.linalg.qr(slow)
    return np.asarray(np.eye(n) - basis @ basis.T)


def _explained(
    values: npt.NDArray[np.float64], orders: npt.NDArray[np.bool_], keep: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Share of each feature's variance that each order of loud and quiet explains: float64[orders, features].

    A segment's light may owe something to the segment before (waves that still run, light that fades), so both are
    regressors, made orthogonal.
    """
    now = orders @ keep
    before = np.concatenate([np.ones((len(orders), 1)), orders[:, :-1]], axis=1) @ keep
    now = now / np.maximum(np.linalg.norm(now, axis=1, keepdims=True), 1e-9)
    before = before - (before * now).sum(axis=1, keepdims=True) * now
    before = before / np.maximum(np.linalg.norm(before, axis=1, keepdims=True), 1e-9)
    shapes = values / np.maximum(np.linalg.norm(values, axis=0), 1e-9)
    return np.asarray((now @ shapes) ** 2 + (before @ shapes) ** 2)
