"""The strip film: time from left to right, LED 0 at the top, each pixel in the colour the LED had."""

from __future__ import annotations

import base64
import struct
import zlib

import numpy as np
import numpy.typing as npt

from harness.analysis.pixels import Pixels

# Columns of a film: six seconds of a fast strip are a thousand frames; a page of thirty films stays below its bound.
WIDTH = 720


def film(times_ns: npt.NDArray[np.int64], rgb: Pixels, width: int = WIDTH) -> Pixels:
    """Frames as a picture.

    Columns are equal steps of time. Each shows the frame that was on the strip in its middle: averaging would turn test
    patterns that change with every frame into grey.

    Args:
        times_ns: int64[n], start of each frame.
        rgb: uint8[n, 160, 3].

    Returns:
        uint8[160, width, 3], in sRGB: LED bytes are proportional to light, screens are not.
    """
    if not len(rgb):
        return np.zeros((160, 1, 3), np.uint8)
    width = max(1, min(width, len(rgb)))
    middles = np.linspace(times_ns[0], times_ns[-1], 2 * width + 1)[1::2]
    index = np.clip(np.searchsorted(times_ns, middles, side="right") - 1, 0, len(rgb) - 1)
    return np.asarray(_SRGB[rgb[index]].transpose(1, 0, 2))


def _srgb_table() -> npt.NDArray[np.uint8]:
    """sRGB transfer function (IEC 61966-2-1) for linear bytes."""
    linear = np.arange(256) / 255
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(255 * encoded), dtype=np.uint8)


_SRGB = _srgb_table()


def png(picture: Pixels) -> bytes:
    """A picture as PNG (ISO/IEC 15948): 8-bit RGB, each row filtered against the one above or the pixel before.

    Args:
        picture: uint8[height, width, 3].
    """
    height, width, _ = picture.shape
    rows = picture.reshape(height, width * 3)
    above = np.vstack([np.zeros((1, width * 3), np.uint8), rows[:-1]])
    before = np.hstack([np.zeros((height, 3), np.uint8), rows[:, :-3]])
    # uint8 differences wrap modulo 256, as the filters want it.
    candidates = np.stack([rows, rows - before, rows - above])
    cost = np.abs(candidates.view(np.int8).astype(np.int32)).sum(axis=2)
    kinds = cost.argmin(axis=0)
    chosen = candidates[kinds, np.arange(height)]
    data = np.hstack([kinds[:, None].astype(np.uint8), chosen]).tobytes()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(data, 6)) + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def film_base64(times_ns: npt.NDArray[np.int64], rgb: Pixels, width: int = WIDTH) -> str:
    """The film as text for a ``data:`` address."""
    return base64.b64encode(png(film(times_ns, rgb, width))).decode("ascii")
