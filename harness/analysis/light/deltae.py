"""Colour difference CIEDE2000 and the way there from linear light.

The formula is that of CIE 142-2001 in the form of Sharma, Wu and Dalal, Color Research and Application 30 (2005) 21-30,
whose 34 test pairs the unit tests check.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

# IEC 61966-2-1: linear sRGB to XYZ; its white (1, 1, 1) is D65. The strip's full-drive white is the reference white,
# and its primaries are taken as those of sRGB: differences are between what two sets of bytes ask for, on one scale.
RGB_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]],
    dtype=np.float64,
)
WHITE = RGB_TO_XYZ.sum(axis=1)
# CIE 15: the cube root goes over into a line here.
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27
_SEVENTH = 25.0**7


def lab(linear: npt.ArrayLike) -> Floats:
    """CIE L*a*b* [..., 3] of linear light [..., 3] (R, G, B), where (1, 1, 1) is the reference white."""
    xyz = np.asarray(linear, np.float64) @ RGB_TO_XYZ.T / WHITE
    f = np.where(xyz > _EPSILON, np.cbrt(xyz), (_KAPPA * xyz + 16) / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def delta_e_2000(one: npt.ArrayLike, other: npt.ArrayLike) -> Floats:
    """CIEDE2000 between L*a*b* colours [..., 3], kL = kC = kH = 1."""
    p, q = np.asarray(one, np.float64), np.asarray(other, np.float64)
    mean_c = (np.hypot(p[..., 1], p[..., 2]) + np.hypot(q[..., 1], q[..., 2])) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(mean_c**7 / (mean_c**7 + _SEVENTH)))
    c1, h1 = _polar(p[..., 1] * stretch, p[..., 2])
    c2, h2 = _polar(q[..., 1] * stretch, q[..., 2])
    grey = c1 * c2 == 0
    turn = h2 - h1
    turn = np.where(turn > 180, turn - 360, np.where(turn < -180, turn + 360, turn))
    turn = np.where(grey, 0.0, turn)
    d_hue = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn) / 2)
    hue = np.where(grey, h1 + h2, _mean_hue(h1, h2))
    light, chroma = (p[..., 0] + q[..., 0]) / 2, (c1 + c2) / 2
    s_l = 1 + 0.015 * (light - 50) ** 2 / np.sqrt(20 + (light - 50) ** 2)
    s_c = 1 + 0.045 * chroma
    s_h = 1 + 0.015 * chroma * _hue_weight(hue)
    # Chroma and hue interact in the blue.
    bend = 60 * np.exp(-(((hue - 275) / 25) ** 2))
    cross = -2 * np.sqrt(chroma**7 / (chroma**7 + _SEVENTH)) * np.sin(np.radians(bend))
    l_part, c_part, h_part = (q[..., 0] - p[..., 0]) / s_l, (c2 - c1) / s_c, d_hue / s_h
    return np.asarray(np.sqrt(np.maximum(l_part**2 + c_part**2 + h_part**2 + cross * c_part * h_part, 0.0)))


def _polar(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    return np.hypot(a, b), np.degrees(np.arctan2(b, a)) % 360


def _mean_hue(h1: Floats, h2: Floats) -> Floats:
    """Middle of two hues in degrees, on the shorter way round."""
    far = np.abs(h1 - h2) > 180
    return np.where(far, np.where(h1 + h2 < 360, (h1 + h2 + 360) / 2, (h1 + h2 - 360) / 2), (h1 + h2) / 2)


def _hue_weight(hue: Floats) -> Floats:
    r = np.radians(hue)
    return np.asarray(
        1
        - 0.17 * np.cos(r - np.radians(30))
        + 0.24 * np.cos(2 * r)
        + 0.32 * np.cos(3 * r + np.radians(6))
        - 0.20 * np.cos(4 * r - np.radians(63))
    )


def difference(one: npt.ArrayLike, other: npt.ArrayLike) -> Floats:
    """CIEDE2000 between linear lights [..., 3]; see :func:`lab`."""
    return delta_e_2000(lab(one), lab(other))
