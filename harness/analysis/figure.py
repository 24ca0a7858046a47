"""From the bytes of a strip to what a layer of a pattern shows: colour, brightness, place of its figures.

The strip is mirrored, so everything is told by place h = 0 (centre) to 79 (ends). A settled pixel's byte is
255 (clip(v) balance (0.3 + 0.7 brightness))^2 with clip(v) = v up to 0.75 and 0.75 + 0.25 tanh(4 (v - 0.75)) beyond;
dither makes that true on average. :func:`light` undoes it and gives v^2: averages of bytes are averages of light.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.pixels import Pixels

Floats = npt.NDArray[np.float64]

HALF = 80
BALANCE = np.array([1.0, 0.9375, 0.84])
SHOULDER = 0.75
STEPS = 120  # of a turn, when a colour is looked for on its ring
# Places darker than this (light of all three channels) do not say what colour they have: 20 steps of a byte.
COLOUR_LEAST = 0.08
# What a shift is looked for in may be darker: noise spreads its colours, but moves none of them along the ring.
SHIFT_LEAST = 0.02
# Fewer places than this, and a frame does not say it either.
COLOUR_PLACES = 3
# A figure dimmer than this (drive) does not say where it is.
PLACE_LEAST = 0.1


def light(rgb: Pixels, brightness: float = 1.0) -> Floats:
    """Square of the drive (0 to about 1.7) of each place: mean of both halves, the colour pipeline undone.

    Args:
        rgb: uint8[n, 160, 3].
        brightness: the parameter.

    Returns:
        float64[n, 80, 3].
    """
    root = np.sqrt(np.arange(256) / 255) / (0.3 + 0.7 * brightness)
    tables = root[:, None] / BALANCE
    beyond = np.clip((tables - SHOULDER) / 0.25, 0.0, 0.999)
    tables = np.where(tables > SHOULDER, SHOULDER + np.arctanh(beyond) / 4, tables) ** 2
    seen = np.stack([tables[:, c][rgb[:, :, c]] for c in range(3)], axis=-1)
    return np.asarray((seen[:, 80:] + seen[:, 79::-1]) / 2)


class Ring(NamedTuple):
    """A ring of colours: places float64[k] rising from 0 within [0, 1), colours float64[k, 3] of 0–1."""

    at: Floats
    rgb: Floats

    def colour(self, turns: npt.ArrayLike) -> Floats:
        """Colours at any turns, float64[..., 3]; linear between keys, the last leads back to the first."""
        places = np.mod(np.asarray(turns, dtype=np.float64), 1.0)
        at = np.append(self.at, 1.0)
        return np.stack([np.interp(places, at, np.append(self.rgb[:, c], self.rgb[0, c])) for c in range(3)], axis=-1)


class ColourMatch(NamedTuple):
    """Where on the ring the colours are.

    Attributes:
        shift: float64[n], turns beyond the expected place, -0.5 to 0.5; nan where it is too dark.
        angle_deg: float64[n], angle between the light seen and that of the ring's colours; nan where it is too dark.
        sharp_deg: angle that a shift of a twentieth of a turn makes: small, and shifts cannot be told.
    """

    shift: Floats
    angle_deg: Floats
    sharp_deg: float


def match_colour(seen: Floats, ring: Ring, places: Floats, *, shifting: bool) -> ColourMatch:
    """Finds how far the colours have moved along their ring, and how well they fit.

    Brightness plays no part: each place is compared by the direction of its light, weighted by its amount.

    Args:
        seen: light, float64[n, 80, 3].
        ring: the palette.
        places: expected place on the ring of each LED, turns, float64[80].
        shifting: False: the shift is taken to be 0.
    """
    shift = _shift(seen, ring, places) if shifting else np.zeros(len(seen))
    bright, dark = _bright(seen, COLOUR_LEAST)
    expected = _unit(ring.colour(places + np.nan_to_num(shift)[:, None]) ** 2)
    along = (np.einsum("nhc,nhc->nh", bright, expected) ** 2).sum(axis=1)
    share = np.clip(along / np.maximum((bright**2).sum(axis=(1, 2)), 1e-12), 0.0, 1.0)
    angle = np.degrees(np.arccos(np.sqrt(share)))
    angle[dark] = np.nan
    return ColourMatch(shift, angle, _sharpness(ring, places))


def _bright(seen: Floats, least: float) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Only the places that are bright enough; and the frames that hold too few of them."""
    bright = seen.sum(axis=2) >= least
    return np.where(bright[..., None], seen, 0.0), bright.sum(axis=1) < COLOUR_PLACES


def _shift(seen: Floats, ring: Ring, places: Floats) -> Floats:
    """Turns by which the colours lie beyond ``places``, by trying :data:`STEPS` of them; nan in the dark."""
    seen, dark = _bright(seen, SHIFT_LEAST)
    explained = np.stack([_explained(seen, ring, places + k / STEPS) for k in range(STEPS)], axis=1)
    best, rows = explained.argmax(axis=1), np.arange(len(seen))
    top, before = explained[rows, best], explained[rows, best - 1]
    after = explained[rows, (best + 1) % STEPS]
    bend = np.minimum(before - 2 * top + after, -1e-12)
    shift = (best + np.clip(0.5 * (before - after) / bend, -1, 1)) / STEPS
    shift[dark] = np.nan
    return np.asarray(np.mod(shift + 0.5, 1.0) - 0.5)


def _explained(seen: Floats, ring: Ring, places: Floats) -> Floats:
    return np.asarray((np.einsum("nhc,hc->nh", seen, _unit(ring.colour(places) ** 2)) ** 2).sum(axis=1))


def _sharpness(ring: Ring, places: Floats, step: float = 0.05) -> float:
    """Smallest root mean square angle over the ring between the colours and the same, a step further."""
    turns = np.arange(40) / 40
    here = _unit(ring.colour(turns[:, None] + places) ** 2)
    there = _unit(ring.colour(turns[:, None] + places + step) ** 2)
    cosine = np.clip((here * there).sum(axis=-1), 0.0, 1.0)
    return float(np.degrees(np.sqrt((np.arccos(cosine) ** 2).mean(axis=1))).min())


def _unit(colours: Floats) -> Floats:
    return np.asarray(colours / np.maximum(np.linalg.norm(colours, axis=-1, keepdims=True), 1e-9))


def levels(seen: Floats, colours: Floats) -> tuple[Floats, Floats]:
    """Light of each place in units of its own colour at full level, and the weight it deserves.

    Args:
        seen: light, float64[n, 80, 3].
        colours: drive at level 1, float64[80, 3] or float64[n, 80, 3].

    Returns:
        float64[n, 80] (the square of the level), and float64[n, 80].
    """
    full = np.broadcast_to(colours**2, seen.shape)
    weight = np.maximum((full**2).sum(axis=2), 1e-6)
    return np.asarray((seen * full).sum(axis=2) / weight), np.asarray(weight)


class FigureMatch(NamedTuple):
    """Where the figures are and how bright.

    Attributes:
        turns: float64[n], phase, 0 to 1: how far a figure has moved from the centre, in lengths; rises outwards.
        top: float64[n], level (drive) of the figure at its brightest.
        share: float64[n], share 0–1 of the light's energy that the shape explains.
        visible: float64[n], 0–1, how much of a figure is in sight, in parts of the most that any phase shows.
    """

    turns: Floats
    top: Floats
    share: Floats
    visible: Floats


def match_figure(squares: Floats, weight: Floats, profiles: Floats) -> FigureMatch:
    """Finds figures of a known shape by trying every phase: weighted least squares on each, the best one refined.

    Args:
        squares, weight: from :func:`levels`.
        profiles: level 0–1 of each place, one row per phase in equal steps of a turn, float64[p, 80]; one row: a
            shape that does not move.
    """
    shapes = profiles**2
    cross = (weight * squares) @ shapes.T
    energy = np.maximum(weight @ (shapes**2).T, 1e-9)
    explained = np.maximum(cross, 0.0) ** 2 / energy
    rows, best = np.arange(len(squares)), explained.argmax(axis=1)
    top = np.sqrt(np.maximum(cross[rows, best] / energy[rows, best], 0.0))
    share = explained[rows, best] / np.maximum((weight * squares**2).sum(axis=1), 1e-12)
    whole = (shapes**2).sum(axis=1)
    count = len(shapes)
    middle = explained[rows, best]
    before, after = explained[rows, best - 1], explained[rows, (best + 1) % count]
    bend = np.minimum(before - 2 * middle + after, -1e-12)
    fine = np.clip(0.5 * (before - after) / bend, -1.0, 1.0) if count > 2 else np.zeros(len(rows))
    return FigureMatch(np.mod((best + fine) / count, 1.0), top, share, whole[best] / whole.max())


def lit_share(squares: Floats) -> Floats:
    """Share 0–1 of the half strip that a bar from the centre covers, float64[n]; nan where it is dark.

    The last LED of a bar is lit in part, so the sum over the value at the centre is its length.
    """
    top = np.median(squares[:, :4], axis=1)
    dark = top < PLACE_LEAST**2
    return np.asarray(np.where(dark, np.nan, squares.sum(axis=1) / np.where(dark, 1.0, top) / HALF))
