"""The camera's response: how 8-bit video values go with light, learnt from the strips themselves.

A WS2812's light is proportional to its byte, so a series of still pictures with known bytes is a series of known
exposures: for every pixel the light above darkness is (some constant of that pixel) times the byte. The curve that
makes this true for all pixels at once is found by linear least squares on its own values at knots; the pixels'
constants are projected out. The idea of using known exposure ratios is that of Debevec and Malik (SIGGRAPH 1997).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# Values from here up may be clipped: never used, never trusted.
CLIPPED = 250
# Cameras' curves are smooth: twelve knots follow them, and leave no room for the noise of the few pixels that reach the
# top (33 knots: up to 1.9 % wrong there, 12: at most 0.8 %, in ten random scenes).
KNOTS = 12
MIN_PIXELS, MAX_PIXELS = 60, 1500
# A pixel must rise by this many steps of video between dark and brightest to say something.
MIN_RISE = 12.0
_SMOOTH = 3e-4
_ROUNDS = 3


@dataclass(frozen=True)
class Response:
    """Light for each video value.

    Attributes:
        table: float64[3, 256], light of value v in channels R, G, B; scaled so that 250 is 1 in each.
        highest: float[3], highest video value that was measured; above it the table is carried on.
        residual: rms of what the fit leaves, as a share of the brightest light.
    """

    table: Floats
    highest: tuple[float, float, float]
    residual: float

    def light(self, values: npt.ArrayLike) -> Floats:
        """Light of (mean) video values [..., 3] in R, G, B order."""
        v = np.asarray(values, np.float64)
        grid = np.arange(256)
        return np.stack([np.interp(v[..., c], grid, self.table[c]) for c in range(3)], axis=-1)


def fit_response(drive: npt.ArrayLike, values: npt.ArrayLike) -> Response:
    """Finds the response.

    Args:
        drive: [levels], byte / 255 of white on all LEDs; one of them 0, four or more others.
        values: [levels, p, 3], mean video of p pixels at each level, channels R, G, B.

    Raises:
        ValueError: too few levels, or too few pixels that are neither dark nor clipped.
    """
    level = np.asarray(drive, np.float64)
    seen = np.asarray(values, np.float64)
    dark = int(np.argmin(level))
    if level[dark] != 0 or np.unique(level).size < 5:
        raise ValueError("a response needs a dark picture and four levels of light")
    table, highest, left = [], [], []
    for c in range(3):
        curve, top, residual = _fit_channel(level, seen[:, :, c], dark)
        table.append(curve)
        highest.append(top)
        left.append(residual)
    return Response(np.stack(table), (highest[0], highest[1], highest[2]), float(np.sqrt(np.mean(np.square(left)))))


def _fit_channel(level: Floats, seen: Floats, dark: int) -> tuple[Floats, float, float]:
    """Curve [256], highest value seen, residual of one channel."""
    usable = np.where(seen < CLIPPED, seen, np.nan)
    rise = np.fmax.reduce(usable, axis=0, initial=-np.inf) - seen[dark]
    enough = (np.isfinite(usable).sum(axis=0) >= 4) & (rise > MIN_RISE)
    order = np.flatnonzero(enough)
    if order.size < MIN_PIXELS:
        raise ValueError(
            f"only {order.size} pixels are neither dark nor clipped; {MIN_PIXELS} are needed: change the exposure"
        )
    # From bright to dim, evenly: bright pixels show the top of the curve, dim ones its foot.
    order = order[np.argsort(rise[order])]
    chosen = order[np.linspace(0, order.size - 1, min(order.size, MAX_PIXELS)).astype(np.int64)]
    low, top = float(seen[dark, chosen].min()), float(np.nanmax(usable[:, chosen]))
    knots = np.linspace(low, top, KNOTS)
    curve = (knots / top) ** 2.2
    residual = 0.0
    for _ in range(_ROUNDS):
        curve, residual = _solve(level, usable[:, chosen], dark, knots, curve)
    return _table(knots, curve), top, residual


def _solve(level: Floats, seen: Floats, dark: int, knots: Floats, before: Floats) -> tuple[Floats, float]:
    """One weighted least-squares solution: curve values at the knots, the first 0, the last 1.

    For each pixel the vector of its lights above darkness must be parallel to the levels; what is not parallel is
    linear in the curve's values and is made small, in relation to the pixel's brightness as the curve before says it
    is. The scale is fixed by the mean brightness of all pixels: fixing single values would let the curve collapse
    between them.
    """
    step = knots[1] - knots[0]
    normal, total = np.zeros((KNOTS, KNOTS)), np.zeros(KNOTS)
    slopes = np.gradient(before, step)
    for z in seen.T:
        good = np.isfinite(z)
        good[dark] = False
        rows = _hats(z[good], knots) - _hats(z[[dark]], knots)
        along = level[good] / np.linalg.norm(level[good])
        bright = max(float(along @ (rows @ before)), 1e-4)
        total += (along @ rows) / bright
        # Noise of the video is the same at every value, so in light it grows with the slope of the curve.
        rows = rows - np.outer(along, along @ rows)
        rows /= (0.02 * bright + np.interp(z[good], knots, slopes) + 1e-4)[:, None]
        normal += rows.T @ rows
    bend = np.diff(np.eye(KNOTS), 2, axis=0)
    # Curvature is penalised relative to the curve itself, so the foot may bend as freely as the top.
    bend /= np.maximum(before[1:-1] - before[0], 0.02)[:, None]
    normal += _SMOOTH * seen.shape[1] * bend.T @ bend
    curve = np.zeros(KNOTS)
    curve[1:] = np.linalg.solve(normal[1:, 1:], total[1:])
    curve = np.maximum.accumulate(np.maximum(curve / curve[-1], 0.0))
    return curve, _residual(level, seen, dark, knots, curve)


def _hats(z: Floats, knots: Floats) -> Floats:
    """[n, knots]: weights of the knots for linear interpolation at z."""
    place = np.clip((z - knots[0]) / (knots[1] - knots[0]), 0, KNOTS - 1 - 1e-9)
    low = place.astype(np.int64)
    out = np.zeros((z.size, KNOTS))
    out[np.arange(z.size), low] = 1 - (place - low)
    out[np.arange(z.size), low + 1] = place - low
    return out


def _residual(level: Floats, seen: Floats, dark: int, knots: Floats, curve: Floats) -> float:
    light = np.stack([_hats(np.nan_to_num(z), knots) @ curve for z in seen])
    light -= light[dark]
    good = np.isfinite(seen)
    x = np.where(good, level[:, None], 0.0)
    scale = (x * light * good).sum(axis=0) / np.maximum((x**2).sum(axis=0), 1e-12)
    return float(np.sqrt(((light - level[:, None] * scale)[good] ** 2).mean()))


def _table(knots: Floats, curve: Floats) -> Floats:
    """The curve at all 256 values: a monotone cubic through the knots, carried on straight at both ends, 1 at 250.

    Below the darkest value seen the table may be negative: light is always counted from darkness.
    """
    from scipy.interpolate import PchipInterpolator

    grid = np.arange(256, dtype=np.float64)
    inside = np.clip(grid, knots[0], knots[-1])
    smooth = PchipInterpolator(knots, curve)
    slope = smooth.derivative()
    ends = np.where(grid > knots[-1], float(slope(knots[-1])), float(slope(knots[0])))
    table = smooth(inside) + ends * (grid - inside)
    return np.asarray(table / table[CLIPPED])
