"""Where every LED of both strips is in the picture, from a video of ``hil_index``.

Every pixel is decoded by itself; pixels that agree on an index and touch form a spot; spots are put on two strips; then
each spot is centred anew in the steps in which its neighbours are dark. Nothing is guessed: an LED without light where
it belongs is named dead, one whose light cannot be told is named doubtful, one that stands in another's place swapped.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from harness.analysis.light.codes import CODEBOOK, LEDS, decode, lit_table
from harness.analysis.light.steps import Pixels, Steps
from harness.analysis.light.strips import STRIPS, Placed, Spots, place

Floats = npt.NDArray[np.float64]

OK, DEAD, DOUBTFUL, SWAPPED, UNSEEN = "ok", "dead", "doubtful", "swapped", "unseen"
# A pixel has a say when its signal is this clean (a pixel lit by two LEDs is not) and this strong.
MIN_PURITY, MIN_MARGIN, MIN_STEPS_OF_VIDEO, MIN_SIGMAS = 0.6, 0.5, 3.0, 6.0
# Spots dimmer than this share of the median are reflections or noise.
MIN_WEIGHT_SHARE = 0.12
# An LED with less of its own light than this share of its neighbours is dead.
DEAD_SHARE = 0.12
_TOUCH = 1.5
# Neighbours nearer than this run into each other at any sharpness a camera has.
MIN_PITCH = 3.0
_LONE_RISE = 12.0


@dataclass(frozen=True)
class LedMap:
    """Positions of the LEDs of both strips.

    Attributes:
        xy: float64[2, 160, 2], column and row in pixels (0 is the middle of the first pixel); nan where unknown. Dead
            LEDs have the place where their neighbours put them.
        state: [2][160] of ok, dead, doubtful, swapped, unseen (a strip out of view).
        notes: one sentence for each LED that is not ok.
        pitch: median distance of neighbours, pixels.
        spot: typical width of a spot (standard deviation of a Gaussian), pixels.
        strips: strips seen.
        width, height: of the picture.
    """

    xy: Floats
    state: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    pitch: float
    spot: float
    strips: int
    width: int
    height: int
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def usable(self) -> npt.NDArray[np.bool_]:
        """bool[2, 160]: LEDs whose light may be measured."""
        return np.array([[s == OK for s in row] for row in self.state])

    def named(self, state: str) -> list[tuple[int, int]]:
        """(strip, LED) of all LEDs in a state."""
        return [(s, i) for s, row in enumerate(self.state) for i, one in enumerate(row) if one == state]


def map_leds(steps: Steps, pixels: Pixels) -> LedMap:
    """Finds, names and centres all LEDs.

    Raises:
        ValueError: too little light or too few LEDs for a map.
    """
    placed = place(find_spots(steps, pixels))
    if placed.pitch < MIN_PITCH:
        raise ValueError(f"LEDs are {placed.pitch:.1f} pixels apart; {MIN_PITCH:g} are needed to tell them apart")
    xy, spot = _centre_all(steps, pixels, placed)
    state, notes = _judge(steps, pixels, placed)
    lost = np.array([[s in (DOUBTFUL, UNSEEN) for s in row] for row in state])
    dead = np.array([[s == DEAD for s in row] for row in state])
    xy[dead] = placed.expected[dead]
    xy[lost & ~np.isfinite(placed.xy[..., 0])] = np.nan
    return LedMap(
        xy, state, tuple(notes), placed.pitch, spot, placed.strips, pixels.width, pixels.height,
        {"noise": steps.noise, "contrast": steps.contrast, "stretch": steps.stretch},
    )  # fmt: skip


def find_spots(steps: Steps, pixels: Pixels) -> Spots:
    """Groups of touching pixels that spell the same index.

    Raises:
        ValueError: no pixel spells any.
    """
    differences = steps.differences
    reading = decode(differences)
    frames = max(float(np.median(steps.frames)), 1.0)
    floor = max(MIN_STEPS_OF_VIDEO, MIN_SIGMAS * steps.noise * np.sqrt(2 / frames / 12))
    good = (reading.purity > MIN_PURITY) & (reading.margin > MIN_MARGIN) & (reading.amplitude > floor)
    if not good.any():
        raise ValueError("no pixel of the video spells the index of an LED")
    xy, led, light = pixels.xy[good], reading.led[good], np.asarray(reading.amplitude[good], np.float64)
    pairs = cKDTree(xy).query_pairs(_TOUCH, output_type="ndarray")
    same = pairs[led[pairs[:, 0]] == led[pairs[:, 1]]]
    graph = coo_matrix((np.ones(len(same)), (same[:, 0], same[:, 1])), shape=(len(xy), len(xy)))
    n, group = connected_components(graph, directed=False)
    weight: Floats = np.bincount(group, light, n).astype(np.float64)
    centre = np.stack([np.bincount(group, light * xy[:, k], n) / weight for k in range(2)], axis=1)
    index = np.zeros(n, np.int64)
    index[group] = led
    strongest = np.zeros(LEDS)
    np.maximum.at(strongest, index, weight)
    keep = np.flatnonzero(weight > MIN_WEIGHT_SHARE * np.median(strongest[strongest > 0]))
    return Spots(index, centre, weight).take(keep)


# ---- sub-pixel centres -----------------------------------------------------------------------------


def _alone_steps() -> list[list[npt.NDArray[np.int64]]]:
    """For each LED groups of steps in which it is lit and its neighbours are dark: one group, or left and right apart.

    LEDs 127 and 128 have no step with both neighbours dark; a group for each side, weighted alike, cancels the bias.
    """
    lit = lit_table()
    padded = np.pad(lit, ((0, 0), (2, 2)))
    out: list[list[npt.NDArray[np.int64]]] = []
    for i in range(LEDS):
        near = padded[:, i : i + 5]
        on = near[:, 2]
        left, right = on & ~near[:, 1], on & ~near[:, 3]
        both = left & right
        clean = both & ~near[:, 0] & ~near[:, 4]
        one = clean if clean.sum() >= 2 else both
        out.append([np.flatnonzero(one)] if one.any() else [np.flatnonzero(left), np.flatnonzero(right)])
    return out


def _centre_all(steps: Steps, pixels: Pixels, placed: Placed) -> tuple[Floats, float]:
    """Centres of all found spots, and the typical width of a spot."""
    at_pixel = np.full(pixels.height * pixels.width, -1, np.int64)
    at_pixel[pixels.at] = np.arange(pixels.at.size)
    grey = steps.grey
    dark = grey[1] if np.isfinite(grey[1]).all() else np.nanmin(grey, axis=0)
    alone = _alone_steps()
    radius = int(np.clip(np.ceil(0.65 * placed.pitch + 1), 2, 7))
    xy = placed.xy.copy()
    widths = []
    for strip, led in zip(*np.nonzero(np.isfinite(placed.xy[..., 0])), strict=True):
        patch = _Patch(xy[strip, led], radius, at_pixel, pixels)
        pictures = [np.nanmean(grey[group][:, patch.index], axis=0) for group in alone[led] if group.size]
        light = np.mean(pictures, axis=0) - dark[patch.index]
        centre, width = patch.centre(np.nan_to_num(light), placed.pitch)
        if np.isfinite(width):
            xy[strip, led] = centre
            widths.append(width)
    return xy, float(np.median(widths)) if widths else float("nan")


class _Patch:
    """The kept pixels around one spot."""

    def __init__(self, xy: Floats, radius: int, at_pixel: npt.NDArray[np.int64], pixels: Pixels) -> None:
        column, row = (int(v) for v in np.rint(xy))
        rows, columns = np.mgrid[row - radius : row + radius + 1, column - radius : column + radius + 1]
        inside = (rows >= 0) & (rows < pixels.height) & (columns >= 0) & (columns < pixels.width)
        index = at_pixel[(rows * pixels.width + columns)[inside]]
        self.index = index[index >= 0]
        self.x = columns[inside][index >= 0].astype(np.float64)
        self.y = rows[inside][index >= 0].astype(np.float64)
        self.start = np.array(xy, np.float64)

    def centre(self, light: npt.NDArray[np.floating], pitch: float) -> tuple[Floats, float]:
        """See :func:`window_centre`."""
        return window_centre(self.x, self.y, light, self.start, pitch)


def window_centre(
    x: Floats, y: Floats, light: npt.NDArray[np.floating], start: Floats, pitch: float
) -> tuple[Floats, float]:
    """Centre of a spot by a Gaussian window moved until it rests, and its width; width nan when it runs away.

    A window about as wide as the spot keeps neighbours and noise out; at rest the first moment under it is 0, which
    for a symmetric spot is its centre, whatever the window's width.
    """
    centre = np.array(start, np.float64)
    window = float(np.clip(0.4 * pitch, 1.0, 2.5))
    width = np.nan
    for _ in range(30):
        dx, dy = x - centre[0], y - centre[1]
        weighted = np.exp(-(dx**2 + dy**2) / (2 * window**2)) * light
        total = float(weighted.sum())
        if total <= 0:
            return np.array(start, np.float64), np.nan
        step = np.array([(weighted * dx).sum(), (weighted * dy).sum()]) / total
        moment = float((weighted * (dx**2 + dy**2)).sum() / total / 2)
        # Window and spot multiply: 1/moment = 1/window^2 + 1/width^2.
        width = float(np.sqrt(1 / max(1 / max(moment, 1e-3) - 1 / window**2, 1e-2)))
        centre += np.clip(2 * step, -1, 1)
        if np.abs(step).max() < 1e-4:
            break
    away = float(np.linalg.norm(centre - start))
    return (centre, width) if away < max(1.5, 0.5 * pitch) else (np.array(start, np.float64), np.nan)


def centres_in(picture: npt.NDArray[np.floating], xy: Floats, pitch: float) -> Floats:
    """Centres of the spots near ``xy`` [2, 160, 2] in a picture [height, width] of light above darkness.

    Neighbours that are lit pull at each other, but always alike: good for comparing two pictures of one pattern.
    """
    height, width = picture.shape
    radius = int(np.clip(np.ceil(0.65 * pitch + 1), 2, 7))
    out = np.full(xy.shape, np.nan)
    for strip, led in np.argwhere(np.isfinite(xy[..., 0])):
        start = xy[strip, led]
        column, row = (int(v) for v in np.rint(start))
        rows = slice(max(row - radius, 0), row + radius + 1)
        columns = slice(max(column - radius, 0), column + radius + 1)
        part = picture[rows, columns]
        if not part.size or row >= height or column >= width:
            continue
        y, x = np.mgrid[rows.start : rows.start + part.shape[0], columns.start : columns.start + part.shape[1]]
        centre, spot = window_centre(x.ravel().astype(float), y.ravel().astype(float), part.ravel(), start, pitch)
        if np.isfinite(spot):
            out[strip, led] = centre
    return out


def lone_light(off: npt.NDArray[np.floating], on: npt.NDArray[np.floating]) -> tuple[float, float] | None:
    """Centre (x, y) of the one spot that ``on`` [height, width, 3] has over ``off``; None when there is none.

    Meant for a reference LED beside dark strips: a spot counts when it rises by 12 steps of video and is at most a
    fiftieth of the picture wide, so that a lamp switched on in the room is not taken for it.
    """
    import cv2

    change = cv2.GaussianBlur(np.asarray((on - off).max(axis=2), np.float32), (0, 0), 1.5)
    peak = float(change.max())
    if peak < _LONE_RISE:
        return None
    count, label, stats, _ = cv2.connectedComponentsWithStats((change > 0.5 * peak).astype(np.uint8))
    row, column = np.unravel_index(int(change.argmax()), change.shape)
    spot = int(label[row, column])
    largest = max(on.shape[1] / 50, 8)
    if count > 3 or max(stats[spot, cv2.CC_STAT_WIDTH], stats[spot, cv2.CC_STAT_HEIGHT]) > largest:
        return None
    rows, columns = np.nonzero(label == spot)
    weight = change[rows, columns]
    return float((columns * weight).sum() / weight.sum()), float((rows * weight).sum() / weight.sum())


# ---- verdicts --------------------------------------------------------------------------------------


def _judge(steps: Steps, pixels: Pixels, placed: Placed) -> tuple[tuple[tuple[str, ...], ...], list[str]]:
    """State of every LED, and a sentence for each that is not ok."""
    own = _own_light(steps, cKDTree(pixels.xy), placed)
    state: list[tuple[str, ...]] = []
    notes: list[str] = []
    for strip in range(STRIPS):
        row = []
        for led in range(LEDS):
            word, note = _judge_one(strip, led, placed, own)
            row.append(word)
            if note and word != UNSEEN:
                notes.append(f"strip {'AB'[strip]} LED {led}: {word}, {note}")
        state.append(tuple(row))
    if placed.strips < STRIPS:
        notes.append("only one strip is in view")
    return tuple(state), notes


def _own_light(steps: Steps, tree: Any, placed: Placed) -> Floats:
    """float64[2, 160]: light that follows each LED's own code, at the place where it belongs; nan without a place.

    Light of neighbours reaches a dark place too, with their codes: all codes near by are fitted together, none
    negative. Video is brought near linear light first (a power of 2.2, good enough to judge), for only light adds up.
    """
    light = (steps.grey / 255.0) ** 2.2
    differences = np.nan_to_num(light[2::2] - light[3::2]).T
    own = np.full((STRIPS, LEDS), np.nan)
    for strip, led in zip(*np.nonzero(np.isfinite(placed.expected[..., 0])), strict=True):
        at = placed.xy[strip, led] if np.isfinite(placed.xy[strip, led, 0]) else placed.expected[strip, led]
        near = tree.query_ball_point(at, 1.2)
        first, last = max(led - 3, 0), min(led + 4, LEDS)
        shares = nnls(CODEBOOK[first:last].T, differences[near].mean(axis=0))[0] if near else np.zeros(last - first)
        own[strip, led] = shares[led - first]
    return own


def _judge_one(strip: int, led: int, placed: Placed, own: Floats) -> tuple[str, str]:
    if strip >= placed.strips:
        return UNSEEN, "strip not in view"
    seen = bool(np.isfinite(placed.xy[strip, led, 0]))
    low, high = max(led - 8, 0), led + 9
    usual = float(np.nanmedian(own[strip, low:high])) if np.isfinite(own[strip, low:high]).any() else np.nan
    if not seen:
        if not np.isfinite(placed.expected[strip, led, 0]):
            return UNSEEN, "out of view, or too many neighbours are dark"
        if own[strip, led] < DEAD_SHARE * usual:
            return DEAD, f"no light where it belongs ({own[strip, led] / usual:.0%} of its neighbours)"
        return DOUBTFUL, f"light of {own[strip, led] / usual:.0%} of its neighbours, but not its code"
    if placed.off_place[strip, led]:
        other = int(placed.taken_by[strip, led])
        if other >= 0:
            return SWAPPED, f"it stands where LED {other} belongs"
        return DOUBTFUL, "far from where its neighbours put it"
    if not np.isfinite(placed.expected[strip, led, 0]):
        return DOUBTFUL, "too few neighbours to confirm its place"
    if own[strip, led] < 2 * DEAD_SHARE * usual:
        return DOUBTFUL, f"only {own[strip, led] / usual:.0%} of its neighbours' light"
    return OK, ""
