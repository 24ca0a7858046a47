"""Colours of still pictures, from sums of the video values themselves.

Compressed video keeps brightness of every pixel, but colour only at half the resolution: the colour of a small spot
runs into the dark around it. That happens to video values, before anybody makes light of them, and it only moves them
about: summed over a window wider than the smear, each of red, green and blue is what it was. Sums of light do not have
that property, because the response is bent. So video is summed first, and the sum made light afterwards, by a curve
that each LED wrote itself while it showed white at ten levels (white has no colour that could smear). What follows is a
sensor's own mixture of three fixed spectra, which a 3x3 matrix undoes exactly.

The window reaches its neighbours, so an LED beside much brighter or much darker ones is seen through them; in pictures
that change gently along the strip it is not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.light.codes import LEDS
from harness.analysis.light.colour import MIN_SAMPLES, Floats, solve_matrix, to_drive, unseen_errors
from harness.analysis.light.response import CLIPPED
from harness.analysis.light.strips import STRIPS
from harness.analysis.light.traces import Layout

# Widths of the window: along the strip in pitches (between two bounds in pixels), across it in pixels.
_ALONG, _LEAST_PX, _MOST_PX, _ACROSS_PX = 0.5, 2.0, 5.0, 3.0
_RADIUS = 9


def wide_layout(xy: Floats, usable: npt.NDArray[np.bool_], width: int, height: int, pitch: float) -> Layout:
    """Windows for sums of video: half a pitch wide along the strip, wide enough across it for any smear.

    Args:
        xy: float64[2, 160, 2], LEDs in the picture; usable: bool[2, 160]; pitch: distance of neighbours, pixels.
    """
    centre = np.where(usable[..., None], np.nan_to_num(xy), 0.0)
    heading = np.gradient(_filled(xy), axis=1)
    heading /= np.maximum(np.linalg.norm(heading, axis=-1, keepdims=True), 1e-9)
    grid = np.arange(-_RADIUS, _RADIUS + 1)
    offset = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2)
    place = np.rint(centre)[:, :, None].astype(np.int64) + offset
    away = place - centre[:, :, None]
    along = (away * heading[:, :, None]).sum(axis=-1)
    across = away[..., 0] * heading[:, :, None, 1] - away[..., 1] * heading[:, :, None, 0]
    reach = float(np.clip(_ALONG * pitch, _LEAST_PX, _MOST_PX))
    weight = np.exp(-(along**2) / (2 * reach**2) - across**2 / (2 * _ACROSS_PX**2))
    inside = ((place >= 0) & (place < (width, height))).all(axis=-1)
    weight *= inside * usable[..., None]
    weight /= np.maximum(weight.sum(axis=-1, keepdims=True), 1e-12)
    clipped = np.clip(place, 0, (width - 1, height - 1))
    at = (clipped[..., 1] * width + clipped[..., 0]).reshape(STRIPS * LEDS, -1)
    return Layout(at, weight.reshape(STRIPS * LEDS, -1).astype(np.float32), height, width)


def _filled(xy: Floats) -> Floats:
    """Positions with unknown ones put between their neighbours, so that the strip has a direction everywhere."""
    out = np.array(xy, np.float64)
    index = np.arange(LEDS)
    for strip in out:
        known = np.isfinite(strip).all(axis=1)
        for axis in range(2):
            strip[:, axis] = np.interp(index, index[known], strip[known, axis]) if known.any() else 0.0
    return out


def video_sums(where: Layout, picture: npt.NDArray[np.generic]) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Sums of video values R, G, B, float64[2, 160, 3] (weights add up to 1), and which hold a clipped pixel.

    Args:
        picture: [height, width, 3], blue first; a frame, or the mean of several.
    """
    values = np.take(np.ascontiguousarray(picture).reshape(-1, 3), where.at, axis=0)
    sums = np.einsum("nk,nkc->nc", where.weight, values.astype(np.float32))
    # Far out in the window a bright neighbour may clip without harm.
    core = where.weight > 0.25 * where.weight.max(axis=1, keepdims=True)
    clipped = ((values.max(axis=2) >= CLIPPED) & core).any(axis=1)
    return sums[:, ::-1].reshape(STRIPS, LEDS, 3).astype(np.float64), clipped.reshape(STRIPS, LEDS)


@dataclass(frozen=True)
class VideoColour:
    """From sums of video to drive.

    Attributes:
        level: float64[k], drives of white the curves were taken at, ascending, without 0.
        curve: float64[k, 2, 160, 3], sums of video above darkness at these levels; nan where unknown.
        dark: float64[2, 160, 3], sums of video in the dark.
        matrix: float64[3, 3], drive = matrix @ light.
        mean_de, p95_de: CIEDE2000 on colours left out of the fit in turn.
    """

    level: Floats
    curve: Floats
    dark: Floats
    matrix: Floats
    mean_de: float = 0.0
    p95_de: float = 0.0

    def drive(self, sums: Floats) -> Floats:
        """Drive 0-1 of sums of video (darkness included) [n, 2, 160, 3]; nan where the curve is unknown."""
        return to_drive(light_of(sums - self.dark, self.level, self.curve), self.matrix)


def light_of(video: Floats, level: Floats, curve: Floats) -> Floats:
    """Light in units of white from video above darkness [n, 2, 160, 3], each LED and channel by its own curve.

    Interpolated over the root of the level, against which video is nearly straight, by a monotone cubic; carried on
    straight at both ends.
    """
    root = np.concatenate([[0.0], np.sqrt(level)])
    shape = video.shape
    seen = np.concatenate([np.zeros((1, *shape[1:])), curve]).reshape(root.size, -1).T
    known = np.isfinite(seen).all(axis=1)
    # Noise may turn two levels round; a curve of light never falls.
    knots = np.maximum.accumulate(np.where(known[:, None], seen, np.arange(root.size)), axis=1)
    knots = knots + 1e-6 * np.arange(root.size)
    value = video.reshape(shape[0], -1)
    share = _monotone_cubic(knots, root, value)
    share[:, ~known] = np.nan
    return np.asarray((np.sign(share) * share**2).reshape(shape))


def _monotone_cubic(x: Floats, y: Floats, at: Floats) -> Floats:
    """Curves through (x[m], y), x float64[m, k] and y float64[k] ascending, at float64[n, m]; straight beyond the ends.

    Cubic Hermite pieces with harmonic means of the neighbouring slopes, which never overshoot (Fritsch and Butland,
    SIAM J. Sci. Stat. Comput. 5, 1984).
    """
    step, rise = np.diff(x, axis=1), np.diff(y) / np.diff(x, axis=1)
    before, after = rise[:, :-1], rise[:, 1:]
    left, right = 2 * step[:, 1:] + step[:, :-1], step[:, 1:] + 2 * step[:, :-1]
    middle = (left + right) / (left / np.maximum(before, 1e-12) + right / np.maximum(after, 1e-12))
    slope = np.concatenate([rise[:, :1], middle, rise[:, -1:]], axis=1)
    piece = np.clip((at[:, :, None] >= x).sum(axis=2) - 1, 0, x.shape[1] - 2)
    row = np.arange(x.shape[0])
    h = step[row, piece]
    t = (at - x[row, piece]) / h
    u = np.clip(t, 0.0, 1.0)
    inside = (
        y[piece] * (1 + 2 * u) * (1 - u) ** 2 + slope[row, piece] * h * u * (1 - u) ** 2
        + y[piece + 1] * u**2 * (3 - 2 * u) + slope[row, piece + 1] * h * u**2 * (u - 1)
    )  # fmt: skip
    beyond = np.minimum(t, 0.0) * h * slope[row, piece] + np.maximum(t - 1.0, 0.0) * h * slope[row, piece + 1]
    return np.asarray(inside + beyond)


def fit_video_colour(
    level: Floats, white: Floats, dark: Floats, sums: Floats, drive: Floats, refused: npt.NDArray[np.bool_]
) -> VideoColour:
    """Learns curves and matrix.

    Args:
        level: float64[k] drives of the white pictures; white: float64[k, 2, 160, 3] their sums; dark: float64[2, 160,
            3] sums in the dark.
        sums: float64[n, 2, 160, 3] of all pictures; drive: float64[n, 160, 3]; refused: bool[n, 2, 160].

    Raises:
        ValueError: too few samples, or levels that do not rise.
    """
    order = np.argsort(level)
    if level[order[0]] <= 0 or np.unique(level).size != level.size:
        raise ValueError("curves of white need levels that differ and are above 0")
    curve = np.where((white > 0).all(axis=-1, keepdims=True), white - dark, np.nan)[order]
    light = light_of(sums - dark, level[order], curve)
    wanted = np.broadcast_to(drive[:, None], light.shape)
    good = ~refused & np.isfinite(light).all(axis=-1)
    if good.sum() < MIN_SAMPLES:
        raise ValueError(f"only {int(good.sum())} colour samples are usable, {MIN_SAMPLES} are needed")
    errors = unseen_errors(light[good], wanted[good])
    matrix = solve_matrix(light[good], wanted[good])
    return VideoColour(level[order], curve, dark, matrix, float(errors.mean()), float(np.percentile(errors, 95)))
