"""From the camera's light to the bytes that made it: three fixed spectra add up, so a 3x3 matrix is exact.

Everything is relative to white: each LED's light is divided by what it gives at full white, channel by channel, which
takes out the lens, the LED's place and its strength; then one matrix for all LEDs maps camera red, green, blue to drive.
Its rows add up to 1, so white stays white. It is fitted once, on the strips' own still pictures, and never on the
picture under test. Clipped samples are refused.
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


@dataclass(frozen=True)
class ColourFit:
    """Camera light to drive.

    Attributes:
        white: float64[2, 160, 3], light of each LED at full white; nan where unknown.
        matrix: float64[3, 3], drive = matrix @ (light / white).
        mean_de, p95_de: CIEDE2000 of the samples the fit was made from.
        samples, refused: samples used, and refused as clipped.
    """

    white: Floats
    matrix: Floats
    mean_de: float
    p95_de: float
    samples: int
    refused: int

    def drive(self, light: npt.NDArray[np.floating]) -> Floats:
        """Drive 0-1 (R, G, B as in the strip's bytes) for light [..., 2, 160, 3] above darkness."""
        return np.asarray((light / self.white) @ self.matrix.T, dtype=np.float64)


def fit_colour(light: Floats, drive: Floats, white: Floats, refused: npt.NDArray[np.bool_]) -> ColourFit:
    """Fits the matrix.

    Args:
        light: float64[pictures, 2, 160, 3] above darkness, spill taken out.
        drive: float64[pictures, 160, 3], byte / 255 of each LED (both strips alike).
        white: float64[2, 160, 3], light at full white.
        refused: bool[pictures, 2, 160], clipped or otherwise unusable samples.

    Raises:
        ValueError: too few samples.
    """
    wanted = np.broadcast_to(drive[:, None], light.shape)
    with np.errstate(invalid="ignore", divide="ignore"):
        relative = light / white
    good = ~refused & np.isfinite(relative).all(axis=-1)
    x, y = relative[good], wanted[good]
    if len(x) < MIN_SAMPLES:
        raise ValueError(f"only {len(x)} colour samples are usable, {MIN_SAMPLES} are needed")
    weight = 1.0 / (_DIM + y.max(axis=1))
    matrix = np.stack([_row(x, y[:, c], weight) for c in range(3)])
    errors = difference(np.clip(x @ matrix.T, 0, None), y)
    return ColourFit(
        white, matrix, float(errors.mean()), float(np.percentile(errors, 95)), len(x), int(refused.sum())
    )


def _row(x: Floats, y: Floats, weight: Floats) -> Floats:
    """Weighted least squares of one row whose entries add up to 1: the last one is 1 minus the others."""
    basis = (x[:, :2] - x[:, 2:]) * weight[:, None]
    part = np.linalg.lstsq(basis, (y - x[:, 2]) * weight, rcond=None)[0]
    return np.array([part[0], part[1], 1.0 - part.sum()])


def to_bytes(drive: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Drive 0-1 as bytes, for a strip film: uint8 of the same shape, 0 where unknown."""
    return np.rint(255 * np.clip(np.nan_to_num(drive), 0, 1)).astype(np.uint8)
