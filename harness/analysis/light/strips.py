"""Puts decoded spots on two strips, and names LEDs that are missing, in a wrong place, or in doubt.

Both strips show the same, so light cannot tell them apart: geometry does. Spots with neighbouring indices that lie near
each other belong to one strip, however it bends. Going from LED 0 to LED 159, strip A is the one on the left hand (in a
picture with LED 0 on the left: the upper one); that does not change when the camera is turned. Along a strip positions
are smooth: an LED is where its neighbours say, or something is wrong with it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from harness.analysis.light.codes import LEDS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
STRIPS = 2
# A spot further than this share of the pitch from where its neighbours put it is not where that LED belongs.
JUMP_SHARE = 0.5
# Spots up to this many indices apart, and no further than this many pitches per index, hang together.
_LINK_INDICES, _LINK_PITCHES = 3, 1.7
# Fewer spots than this are no piece of a strip.
_LEAST_PIECE = 4
_OFFSETS = range(1, 7)


class Spots(NamedTuple):
    """Decoded spots.

    Attributes:
        led: int64[n], decoded index.
        xy: float64[n, 2], position in pixels.
        weight: float64[n], light.
    """

    led: Ints
    xy: Floats
    weight: Floats

    def take(self, chosen: npt.NDArray[np.generic]) -> Spots:
        """The chosen ones (mask or indices)."""
        return Spots(self.led[chosen], self.xy[chosen], self.weight[chosen])


class Placed(NamedTuple):
    """Spots put on strips.

    Attributes:
        xy: float64[2, 160, 2], nan where no spot bears the index.
        expected: float64[2, 160, 2], where the neighbours put each LED; nan without neighbours.
        off_place: bool[2, 160], a spot too far from there.
        taken_by: int64[2, 160], for a spot off its place the LED that belongs where it is, else -1.
        pitch: median distance of neighbours, pixels.
        strips: strips seen, 1 or 2.
    """

    xy: Floats
    expected: Floats
    off_place: npt.NDArray[np.bool_]
    taken_by: Ints
    pitch: float
    strips: int


def place(spots: Spots) -> Placed:
    """Sorts spots by strip and checks each against its neighbours.

    Raises:
        ValueError: too few spots for a strip.
    """
    if np.unique(spots.led).size < 8:
        raise ValueError(f"{np.unique(spots.led).size} LEDs were recognised, too few for a strip")
    pitch = _pitch(spots)
    pieces = _join(spots, _pieces(spots, pitch))
    if not pieces:
        raise ValueError("the LEDs that were recognised do not form a strip")
    xy = np.full((STRIPS, LEDS, 2), np.nan)
    for strip, piece in enumerate(pieces[:STRIPS]):
        xy[strip] = _one_per_led(spots.take(piece))
    _adopt_strays(spots, np.concatenate(pieces[:STRIPS]), xy, pitch)
    strips = min(len(pieces), STRIPS)
    if strips == STRIPS and not _is_first(xy[0], xy[1]):
        xy = xy[::-1].copy()
    expected = np.stack([neighbours_say(xy[strip], pitch) for strip in range(STRIPS)])
    away = np.linalg.norm(xy - expected, axis=2)
    off_place = np.nan_to_num(away, nan=0.0) > JUMP_SHARE * pitch
    return Placed(xy, expected, off_place, _whose_place(xy, expected, off_place, pitch), pitch, strips)


# ---- from spots to strips --------------------------------------------------------------------------


def _pitch(spots: Spots) -> float:
    """Median distance from a spot to the nearest one with the next index."""
    distances = []
    for led in range(LEDS - 1):
        here, there = spots.xy[spots.led == led], spots.xy[spots.led == led + 1]
        if len(here) and len(there):
            distances += list(np.linalg.norm(here[:, None] - there[None], axis=2).min(axis=1))
    if not distances:
        raise ValueError("no two neighbouring LEDs were recognised")
    return float(np.median(distances))


def _pieces(spots: Spots, pitch: float) -> list[Ints]:
    """Groups of spots that hang together by index and place, the larger first."""
    reach = _LINK_INDICES * _LINK_PITCHES * pitch
    pairs = cKDTree(spots.xy).query_pairs(reach, output_type="ndarray")
    apart = np.abs(spots.led[pairs[:, 0]] - spots.led[pairs[:, 1]])
    distance = np.linalg.norm(spots.xy[pairs[:, 0]] - spots.xy[pairs[:, 1]], axis=1)
    linked = pairs[(apart >= 1) & (apart <= _LINK_INDICES) & (distance <= _LINK_PITCHES * pitch * apart)]
    n = len(spots.led)
    graph = coo_matrix((np.ones(len(linked)), (linked[:, 0], linked[:, 1])), shape=(n, n))
    _, label = connected_components(graph, directed=False)
    groups = [np.flatnonzero(label == k) for k in np.unique(label)]
    return sorted((g for g in groups if g.size >= _LEAST_PIECE), key=lambda g: -g.size)


def _join(spots: Spots, pieces: list[Ints]) -> list[Ints]:
    """Joins pieces whose indices follow on from each other (a strip with a gap or a fold), nearest ends first.

    Two pieces that share indices are two strips, or a strip and its reflection: those stay apart, the larger first.
    """
    pieces = list(pieces)
    while len(pieces) > 1:
        gaps = [
            (gap, a, b)
            for a in range(len(pieces))
            for b in range(a + 1, len(pieces))
            if (gap := _gap(spots, pieces[a], pieces[b])) is not None
        ]
        if not gaps:
            break
        _, a, b = min(gaps)
        pieces[a] = np.concatenate([pieces[a], pieces[b]])
        del pieces[b]
    return sorted(pieces, key=lambda g: -g.size)


def _gap(spots: Spots, one: Ints, other: Ints) -> float | None:
    """Distance between the ends of two pieces of which one follows the other; None when their indices overlap."""
    if spots.led[one].min() > spots.led[other].min():
        one, other = other, one
    last, first = one[spots.led[one].argmax()], other[spots.led[other].argmin()]
    if spots.led[last] >= spots.led[first]:
        return None
    return float(np.linalg.norm(spots.xy[last] - spots.xy[first]))


def _one_per_led(spots: Spots) -> Floats:
    """float64[160, 2]: of several spots with one index on one strip the brightest."""
    xy = np.full((LEDS, 2), np.nan)
    for at in np.argsort(spots.weight):
        xy[spots.led[at]] = spots.xy[at]
    return xy


def _adopt_strays(spots: Spots, used: Ints, xy: Floats, pitch: float) -> None:
    """Gives spots that hang together with nothing to a strip that lacks their index and runs by them: swapped LEDs."""
    strays = np.setdiff1d(np.arange(len(spots.led)), used)
    for at in strays[np.argsort(-spots.weight[strays])]:
        led = spots.led[at]
        near = [np.nanmin(np.linalg.norm(one - spots.xy[at], axis=1), initial=np.inf) for one in xy]
        for strip in np.argsort(near):
            if near[strip] < 1.5 * pitch and np.isnan(xy[strip, led, 0]):
                xy[strip, led] = spots.xy[at]
                break


def _is_first(one: Floats, other: Floats) -> bool:
    """Whether ``one`` is strip A: on the left hand, going from LED 0 to LED 159 (picture rows grow downwards)."""
    side_one, side_other = _side(one, other), _side(other, one)
    if side_one * side_other < 0:
        return side_one < 0
    # Strips that run against each other are each on the same hand of the other: then the upper (or the left) one is A.
    aside = np.nanmedian(one, axis=0) - np.nanmedian(other, axis=0)
    return bool(aside[1] < 0 if abs(aside[1]) > abs(aside[0]) else aside[0] < 0)


def _side(one: Floats, other: Floats) -> float:
    """-1 when most of ``one`` lies left of ``other``, seen along ``one``; +1 right."""
    heading = one[4:] - one[:-4]
    nearest = np.array([
        other[np.nanargmin(np.linalg.norm(other - at, axis=1))] if np.isfinite(at[0]) else (np.nan, np.nan)
        for at in one[2:-2]
    ])  # fmt: skip
    aside = one[2:-2] - nearest
    return float(np.sign(np.nansum(np.sign(heading[:, 0] * aside[:, 1] - heading[:, 1] * aside[:, 0]))))


# ---- is it where it belongs? -----------------------------------------------------------------------


def neighbours_say(xy: Floats, pitch: float) -> Floats:
    """Where each LED should be, from its neighbours alone: float64[n, 2], nan where there are too few.

    Three answers, each a median of many two-point predictions that are exact on a straight line of equal steps: from
    the neighbours before, from those behind, and from the middles of pairs. Where a strip folds, only one side is
    right: of answers that differ, the one nearest to the LED itself counts, for it needs one witness and not three.
    """
    n = len(xy)
    wide = np.full((n + 24, 2), np.nan)
    wide[12 : n + 12] = xy
    at = np.arange(n) + 12
    sides = [
        np.stack([2 * wide[at - k] - wide[at - 2 * k] for k in _OFFSETS]),
        np.stack([2 * wide[at + k] - wide[at + 2 * k] for k in _OFFSETS]),
        np.stack([(wide[at - k] + wide[at + k]) / 2 for k in _OFFSETS]),
    ]
    answers = np.stack([_median(side) for side in sides])
    out = np.full((n, 2), np.nan)
    for i in range(n):
        good = answers[:, i][np.isfinite(answers[:, i, 0])]
        if not len(good):
            continue
        spread = float(np.linalg.norm(good - good.mean(axis=0), axis=1).max())
        if spread < JUMP_SHARE * pitch:
            out[i] = good.mean(axis=0)
        elif np.isfinite(xy[i, 0]):
            out[i] = good[np.linalg.norm(good - xy[i], axis=1).argmin()]
        else:
            out[i] = good[0]
    return out


def _median(guesses: Floats) -> Floats:
    """Median over guesses [k, n, 2], nan where fewer than two are there."""
    out = np.full(guesses.shape[1:], np.nan)
    enough = np.isfinite(guesses[..., 0]).sum(axis=0) >= 2
    out[enough] = np.nanmedian(guesses[:, enough], axis=0)
    return out


def _whose_place(xy: Floats, expected: Floats, off_place: npt.NDArray[np.bool_], pitch: float) -> Ints:
    taken = np.full((STRIPS, LEDS), -1, np.int64)
    for strip, led in zip(*np.nonzero(off_place), strict=True):
        away = np.linalg.norm(expected[strip] - xy[strip, led], axis=1)
        nearest = int(np.nanargmin(away))
        if away[nearest] < JUMP_SHARE * pitch and nearest != led:
            taken[strip, led] = nearest
    return taken
