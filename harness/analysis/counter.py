"""Frame numbers read from light: the pattern ``hil_counter`` shows each frame's number, five times along the strip.

A copy covers 32 LEDs as 16 fields of two: always on, always off, twelve bits of Gray code (bit 0 first), a parity that
makes the lit fields 2 to 14 odd, and bit 0 of the number in plain. The number is ``seq`` modulo 4096.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MODULUS = 4096
COPIES = 5
_FIELDS = 16
_BITS = 12
UNREAD = -1
Ints = npt.NDArray[np.int64]


def read_counters(level: npt.ArrayLike) -> Ints:
    """Frame numbers in each picture, int64[n, 5] (one per copy), -1 where a copy cannot be read.

    A copy's own first two fields say what is on and what is off. A copy is not read when they do not differ, when a
    field lies near the middle (an exposure that mixes two frames), or when parity and toggle contradict the code.

    Args:
        level: light of the 160 LEDs, float[n, 160], linear, any scale.
    """
    light = np.asarray(level, dtype=np.float64).reshape(-1, COPIES, _FIELDS, 2).mean(axis=3)
    on, off = light[:, :, 0], light[:, :, 1]
    contrast = on - off
    usable = contrast > 0.1 * max(float(contrast.max(initial=0.0)), 1e-9)
    share = (light - off[..., None]) / np.where(usable, contrast, 1.0)[..., None]
    clear = (np.abs(share[:, :, 2:] - 0.5) > 0.2).all(axis=2)
    bits = (share[:, :, 2:] > 0.5).astype(np.int64)
    gray = bits[:, :, :_BITS]
    number = np.zeros(gray.shape[:2], np.int64)
    running = np.zeros(gray.shape[:2], np.int64)
    for bit in range(_BITS - 1, -1, -1):
        running = running ^ gray[:, :, bit]
        number |= running << bit
    parity_ok = bits[:, :, : _BITS + 1].sum(axis=2) % 2 == 1
    toggle_ok = bits[:, :, _BITS + 1] == (number & 1)
    return np.where(usable & clear & parity_ok & toggle_ok, number, UNREAD)


def unwrap_counters(number: Ints, at_ns: Ints, about_fps: float, first_seq: int = 0) -> Ints:
    """Whole sequence numbers from numbers modulo 4096, int64[n].

    Args:
        number: as read, in order of time, none of them -1.
        at_ns: when each was seen; tells how many wraps lie in a pause.
        about_fps: frame rate, to within a few percent.
        first_seq: a sequence number near the first one, to settle the wrap it begins with.
    """
    if not number.size:
        return number.astype(np.int64)
    expected = first_seq + np.concatenate(([0.0], np.cumsum(np.diff(at_ns) / 1e9 * about_fps)))
    start = float(first_seq + (int(number[0]) - first_seq + MODULUS // 2) % MODULUS - MODULUS // 2)
    expected += start - first_seq
    return np.asarray(number + MODULUS * np.rint((expected - number) / MODULUS), dtype=np.int64)


class Seen(NamedTuple):
    """Frames an observer of the light saw.

    Attributes:
        fps: frames shown per second: counted by their numbers, so that the observer's own rate does not matter.
        unseen: sequence numbers that were sent and never read, int64[n].
        covered: sent frames the observer could have seen at all.
        unread: pictures (or copies in them) that could not be read.
    """

    fps: float
    unseen: Ints
    covered: int
    unread: int


def seen_frames(
    seq: Ints, at_ns: Ints, sent: Ints, unread: int = 0, blind: npt.NDArray[np.bool_] | None = None
) -> Seen:
    """Compares what was seen with what was sent.

    Args:
        seq: whole sequence numbers read, with repeats, in order of ``at_ns`` (host time each was seen).
        sent: sequence numbers the device says it sent.
        blind: bool[len(sent)], frames the observer had no chance to see (between two exposures, in a dropped camera
            frame). They are no fault of the device; default: none.
    """
    if seq.size < 2 or at_ns[-1] <= at_ns[0]:
        return Seen(0.0, np.zeros(0, np.int64), 0, unread)
    fps = float(seq[-1] - seq[0]) / (float(at_ns[-1] - at_ns[0]) / 1e9)
    inside = (sent >= seq.min()) & (sent <= seq.max())
    if blind is not None:
        inside &= ~blind
    within = sent[inside]
    return Seen(fps, np.setdiff1d(within, seq), int(within.size), unread)
