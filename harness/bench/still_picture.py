"""The part of the picture that stands still: ready noisy versions of it, put together anew for every frame.

Making a whole picture with noise costs many times more than a frame may. So a few are made when first asked for, and
each frame takes every band of rows from one chosen at random: no two frames are alike. Bands are as high as the blocks
of a JPEG with colour at half resolution, so a band that no LED lights can come from a picture that is JPEG already.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

BAND_ROWS = 16
_POOL_BYTES = 48 * 1024 * 1024

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]
Maker = Callable[[Floats], Picture]


class StillPicture:
    """Ready pictures, each a function of the random stream and the settings alone.

    Args:
        random: noise and its places.
        shape: rows and columns.
        make: a whole picture from height x width x 3 standard normal values.
        jpeg_quality: 0: none.
    """

    def __init__(self, random: np.random.Generator, shape: tuple[int, int], make: Maker, jpeg_quality: int) -> None:
        size = shape[0] * shape[1] * 3
        self._shape = shape
        self._make = make
        self._quality = jpeg_quality
        self._noise = random.standard_normal(2 * size + 65_536, np.float32)
        n = int(np.clip(_POOL_BYTES // size, 6, 10))
        self._offsets = random.integers(0, size, n)
        self._raw: dict[int, Picture] = {}
        self._packed: dict[int, Picture] = {}
        self.bands = -(-shape[0] // BAND_ROWS)

    def forget(self) -> None:
        """Something about the picture changed."""
        self._raw.clear()
        self._packed.clear()

    def noise(self, random: np.random.Generator, n: int) -> Floats:
        """``n`` standard normal values, at most those of a picture."""
        first = int(random.integers(0, self._noise.size - n))
        return self._noise[first : first + n]

    def frame(self, random: np.random.Generator, packed: NDArray[np.bool_], one: bool = False) -> Picture:
        """A fresh picture.

        Args:
            random: of this frame.
            packed: for each band, whether it shall have gone through JPEG.
            one: all bands from one picture, while settings change with every frame.
        """
        picks = random.integers(0, len(self._offsets), self.bands)
        if one:
            picks[:] = picks[0]
        out = np.empty((*self._shape, 3), np.uint8)
        for band, pick in enumerate(picks.tolist()):
            rows = slice(band * BAND_ROWS, (band + 1) * BAND_ROWS)
            out[rows] = (self._packed_picture(pick) if packed[band] else self._raw_picture(pick))[rows]
        return out

    def _raw_picture(self, pick: int) -> Picture:
        if pick not in self._raw:
            noise = self._noise[self._offsets[pick] :][: self._shape[0] * self._shape[1] * 3]
            self._raw[pick] = self._make(noise if pick % 2 else -noise)
        return self._raw[pick]

    def _packed_picture(self, pick: int) -> Picture:
        if pick not in self._packed:
            self._packed[pick] = through_jpeg(self._raw_picture(pick), self._quality)
        return self._packed[pick]


def through_jpeg(picture: Picture, quality: int) -> Picture:
    """The picture after encoding and decoding; unchanged for quality 0."""
    if quality == 0:
        return picture
    return np.asarray(cv2.imdecode(np.frombuffer(to_jpeg(picture, quality), np.uint8), cv2.IMREAD_COLOR), np.uint8)


def to_jpeg(picture: Picture, quality: int) -> bytes:
    """A baseline JPEG file, colour at half resolution as cameras do."""
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    assert done, "the encoder refuses no 8-bit colour picture"
    return bytes(data)
