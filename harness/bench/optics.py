"""What the lens does: each light becomes a small round spot, spread over pixels and rows, blurred per colour.

A spot is a Gaussian integrated over the area of each pixel (differences of the error function), cut at four sigma and
scaled so that no light is lost. Spots are kept as sparse matrices from (light, row) to pixels: because each row has an
exposure window of its own, a light's signal may differ from row to row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse, special

from harness.bench.camera_config import Triple

_REACH_SIGMA = 4.0


@dataclass(frozen=True)
class Spots:
    """All lights on the sensor.

    Attributes:
        rows: sensor row of each column of the matrices, int64[lights, rows per light]; may lie outside the picture.
        pixels: flat indices (y x width + x) of the pixels that get light, ascending.
        spread: for R, G and B a sparse matrix [pixels, lights x rows per light]; each light's columns sum to 1.
    """

    rows: NDArray[np.int64]
    pixels: NDArray[np.int64]
    spread: tuple[sparse.csr_array, sparse.csr_array, sparse.csr_array]

    def expose(self, signal: NDArray[np.float64]) -> NDArray[np.float32]:
        """Signal of each lit pixel, float32[3, pixels], from that of each light and row, [lights, rows, 3]."""
        flat = signal.reshape(-1, 3).T.astype(np.float32)
        return np.stack([self.spread[c] @ flat[c] for c in range(3)])


def make_spots(places: NDArray[np.float64], sigma_px: Triple, width: int, height: int) -> Spots:
    """Spots of lights at ``places`` ([n, 2], pixels; anywhere) with blur ``sigma_px`` for R, G and B."""
    reach = int(np.ceil(_REACH_SIGMA * max(sigma_px)))
    around = np.arange(-reach, reach + 1)
    centre = np.rint(places).astype(np.int64)
    columns = centre[:, 0, None] + around  # [n, d]
    rows = centre[:, 1, None] + around
    n, d = rows.shape
    x = np.broadcast_to(columns[:, None, :], (n, d, d))
    y = np.broadcast_to(rows[:, :, None], (n, d, d))
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    pixels, where = np.unique((y * width + x)[inside], return_inverse=True)
    source = np.broadcast_to(np.arange(n * d).reshape(n, d, 1), (n, d, d))[inside]
    spread = []
    for sigma in sigma_px:
        across = _profile(columns - places[:, 0, None], sigma)
        down = _profile(rows - places[:, 1, None], sigma)
        value = (down[:, :, None] * across[:, None, :])[inside].astype(np.float32)
        spread.append(sparse.csr_array((value, (where, source)), shape=(pixels.size, n * d)))
    return Spots(rows, pixels, (spread[0], spread[1], spread[2]))


def _profile(distance: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """Share of a line of light that falls on each pixel of a row: [n, d], sums to 1 over d."""
    scale = 1.0 / (np.sqrt(2.0) * sigma)
    share: NDArray[np.float64] = special.erf((distance + 0.5) * scale) - special.erf((distance - 0.5) * scale)
    share /= share.sum(axis=1, keepdims=True)
    return share


def vignette(width: int, height: int, loss: float) -> NDArray[np.float32]:
    """Share of light that reaches each pixel, [height, width]: 1 in the middle, ``1 - loss`` in the corners."""
    x = np.linspace(-1.0, 1.0, width)
    y = np.linspace(-1.0, 1.0, height)
    return (1.0 - loss * (x[None, :] ** 2 + y[:, None] ** 2) / 2.0).astype(np.float32)
