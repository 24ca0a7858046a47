"""From the camera's light to the bytes that made it.

Everything is relative to white: each LED's light is divided by what it gives at full white, channel by channel, which
takes out the lens, the LED's place and its strength, and straightened by what each LED gave at ten levels of white.
Then one mapping for all LEDs goes from camera red, green, blue to drive. Light of an LED is a sum of three fixed
spectra, so for a sensor's own picture a 3x3 matrix is exact. Video that was compressed with colour at half resolution
is not that: colours of small spots run into the dark around them. Where the matrix leaves more than the eye would
pass, roots of products of channels are added (root-polynomial regression, Finlayson, Mackiewicz and Hurlbert 2015):
like the matrix they do not change with exposure. Whether they help is judged on colours the fit has not seen. The fit
is made once, on the strips' own still pictures, and never on the picture under test. Clipped samples are refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.light.deltae import difference

Floats = npt.NDArray[np.float64]

# A byte of 1/255 is about L* 3; errors of dim colours weigh more to the eye, so they weigh more in the fit.
_DIM = 0.05
MIN_SAMPLES = 30
# Terms of each degree; the rows add up to 1, so white stays white.
TERMS = {1: 3, 2: 6, 3: 13}
# A mapping of higher degree must beat the lower one by this share on unseen colours.
_GAIN = 0.95
_FOLDS = 4
_RIDGE = 1e-4
_TONE_RIDGE = 0.05


@dataclass(frozen=True)
class Scale:
    """Each LED's own scale of light.

    Attributes:
        white: float64[2, 160, 3], light at full white; nan where unknown.
        tone: float64[2, 160, 3, 2], how light relative to white bends away from drive: the foot of its spot sinks in
        the
            noise and the compression of the video, at every LED a little differently.
    """

    white: Floats
    tone: Floats

    def relative(self, light: npt.NDArray[np.floating]) -> Floats:
        """Light [..., 2, 160, 3] above darkness as a share of full white, straightened."""
        share = np.asarray(light / self.white, np.float64)
        return np.asarray(share - (_bends(share) * self.tone).sum(axis=-1))


def _bends(share: Floats) -> Floats:
    """[..., 2]: two humps over 0-1 that are 0 at both ends, one for the foot and one for the middle."""
    x = np.clip(share, 0.0, 1.0)
    root = np.sqrt(x)
    return np.stack([root * (1 - root), x * (1 - x)], axis=-1)


def fit_scale(light: Floats, level: Floats, refused: npt.NDArray[np.bool_]) -> Scale:
    """Full white and tone of each LED from pictures of white at several levels.

    Args:
        light: float64[levels, 2, 160, 3] above darkness. level: float64[levels, 160], drive 0-1 of each LED.
        refused: bool[levels, 2, 160].
    """
    drive = np.broadcast_to(level[:, None], refused.shape)
    weight = np.where(refused, 0.0, drive**2)[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        # Every unclipped level says light per drive; the brighter, the surer.
        white = (weight * light / drive[..., None]).sum(axis=0) / weight.sum(axis=0)
    white[weight.sum(axis=0)[..., 0] < 0.05 * float(weight.sum(axis=0).max(initial=0.0)) + 1e-9] = np.nan
    tone = np.zeros((*white.shape, 2))
    for strip, led in np.argwhere(np.isfinite(white).all(axis=2)):
        good = ~refused[:, strip, led]
        x = drive[good, strip, led]
        share = light[good, strip, led] / white[strip, led]
        emphasis = (1.0 / (_DIM + x))[:, None]
        basis = _bends(x) * emphasis
        normal = basis.T @ basis + _TONE_RIDGE * np.eye(2)
        tone[strip, led] = np.linalg.solve(normal, basis.T @ ((share - x[:, None]) * emphasis)).T
    return Scale(white, tone)


@dataclass(frozen=True)
class ColourFit:
    """Camera light to drive.

    Attributes:
        scale: of each LED.
        matrix: float64[3, 3, 6 or 13], drive = matrix @ terms(relative light).
        mean_de, p95_de: CIEDE2000 on colours left out of the fit in turn.
        samples, refused: samples used, and refused as clipped.
    """

    scale: Scale
    matrix: Floats
    mean_de: float
    p95_de: float
    samples: int
    refused: int

    def drive(self, light: npt.NDArray[np.floating]) -> Floats:
        """Drive 0-1 (R, G, B as in the strip's bytes) for light [..., 2, 160, 3] above darkness."""
        return to_drive(self.scale.relative(light), self.matrix)


def terms(relative: npt.NDArray[np.floating], n: int) -> Floats:
    """[..., n] root-polynomial terms of camera colours [..., 3]: 3, 6 or 13 of degree 1, 2 or 3."""
    x = np.asarray(relative, np.float64)
    if n == TERMS[1]:
        return x
    r, g, b = np.moveaxis(np.maximum(x, 0.0), -1, 0)
    parts = [x, np.stack([np.sqrt(r * g), np.sqrt(g * b), np.sqrt(r * b)], axis=-1)]
    if n == TERMS[3]:
        cubes = (r * g * g, g * b * b, r * b * b, g * r * r, b * g * g, b * r * r, r * g * b)
        parts.append(np.stack([np.cbrt(c) for c in cubes], axis=-1))
    return np.concatenate(parts, axis=-1)


def to_drive(relative: npt.NDArray[np.floating], matrix: Floats) -> Floats:
    """Drive [..., 3] of light relative to white [..., 3]."""
    return np.asarray(terms(relative, matrix.shape[1]) @ matrix.T, dtype=np.float64)


def fit_colour(light: Floats, drive: Floats, scale: Scale, refused: npt.NDArray[np.bool_]) -> ColourFit:
    """Fits the mapping.

    Args:
        light: float64[pictures, 2, 160, 3] above darkness, spill taken out.
        drive: float64[pictures, 160, 3], byte / 255 of each LED (both strips alike).
        scale: of each LED.
        refused: bool[pictures, 2, 160], clipped or otherwise unusable samples.

    Raises:
        ValueError: too few samples.
    """
    wanted = np.broadcast_to(drive[:, None], light.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = scale.relative(light)
    good = ~refused & np.isfinite(relative).all(axis=-1)
    x, y = relative[good], wanted[good]
    if len(x) < MIN_SAMPLES:
        raise ValueError(f"only {len(x)} colour samples are usable, {MIN_SAMPLES} are needed")
    fold = _folds(y)
    chosen, errors = TERMS[1], _unseen_errors(x, y, fold, TERMS[1])
    for degree in (2, 3):
        more = _unseen_errors(x, y, fold, TERMS[degree])
        if more.mean() < _GAIN * errors.mean():
            chosen, errors = TERMS[degree], more
    return ColourFit(
        scale, _solve(x, y, chosen), float(errors.mean()), float(np.percentile(errors, 95)), len(x), int(refused.sum())
    )


def _folds(y: Floats) -> npt.NDArray[np.int64]:
    """Which part of the colours each sample belongs to: equal colours stay together."""
    _, kind = np.unique(np.rint(y * 255), axis=0, return_inverse=True)
    # A multiplicative step scatters neighbouring colours over the parts.
    return np.asarray((kind.reshape(-1) * 7919) % _FOLDS, dtype=np.int64)


def _unseen_errors(x: Floats, y: Floats, fold: npt.NDArray[np.int64], n: int) -> Floats:
    """CIEDE2000 of every sample under a fit made without its colour."""
    errors = np.zeros(len(x))
    for part in range(_FOLDS):
        out = fold == part
        if not out.any() or out.all():
            continue
        drive = to_drive(x[out], _solve(x[~out], y[~out], n))
        errors[out] = difference(np.clip(drive, 0, None), y[out])
    return errors


def _solve(x: Floats, y: Floats, n: int) -> Floats:
    """Weighted least squares of all rows, entries of each adding up to 1: the first term is 1 minus the others."""
    weight = (1.0 / (_DIM + y.max(axis=1)))[:, None]
    basis = terms(x, n)
    free = (basis[:, 1:] - basis[:, :1]) * weight
    target = (y - basis[:, :1]) * weight
    normal = free.T @ free
    part = np.linalg.solve(normal + _RIDGE * np.trace(normal) / len(normal) * np.eye(len(normal)) * (n > TERMS[1]),
                           free.T @ target)  # fmt: skip
    return np.concatenate([1.0 - part.sum(axis=0, keepdims=True), part]).T


def solve_matrix(x: Floats, y: Floats) -> Floats:
    """The 3x3 matrix from light relative to white [n, 3] to drive [n, 3]; rows add up to 1, so white stays white."""
    return _solve(x, y, TERMS[1])


def unseen_errors(x: Floats, y: Floats) -> Floats:
    """CIEDE2000 of every sample under a 3x3 matrix fitted without its colour."""
    return _unseen_errors(x, y, _folds(y), TERMS[1])


def to_bytes(drive: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Drive 0-1 as bytes, for a strip film: uint8 of the same shape, 0 where unknown."""
    return np.asarray(np.rint(255 * np.clip(np.nan_to_num(drive), 0, 1)), dtype=np.uint8)
