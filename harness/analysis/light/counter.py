"""Frame numbers in the light of ``hil_counter``, read from exposures that mix frames, and what they tell.

A camera gathers light for about as long as a frame lasts or longer, so a reading is often a mixture of frames that
follow each other. In a Gray code those differ in single bits: the code read from half-lit fields is wrong by at most
one count, which averages out over a recording. Clean readings, in which no field is half lit, are marked: only they
count as a frame that was seen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.counter import COPIES, MODULUS
from harness.analysis.light.codes import LEDS, NotShown
from harness.analysis.light.strips import STRIPS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

FIELDS, BITS = 16, 12
# A field between these shares of full light is half lit.
_CLEAR = 0.2
# Time for one LED on the wire: 24 bits of 1.25 us.
LED_NS = 30_000
_ROUNDS = 6
# Of the row time: beyond them once in 16 000, and a frame called unseen that was shown is worse than one not judged.
_SIGMAS = 4.0


class Readings(NamedTuple):
    """Readings of all copies in all frames, flat.

    Attributes:
        frame: int64[m], index of the camera frame. strip, copy: int64[m].
        number: int64[m], frame number modulo 4096.
        clean: bool[m], no field half lit, parity and toggle agree.
    """

    frame: Ints
    strip: Ints
    copy: Ints
    number: Ints
    clean: npt.NDArray[np.bool_]


def read_light(light: npt.NDArray[np.floating], usable: npt.NDArray[np.bool_]) -> Readings:
    """Reads every copy of the counter in every frame.

    Args:
        light: [n, 2, 160], linear light above darkness, in units of each LED's full light.
        usable: bool[2, 160]; fields without a usable LED make their copy unreadable.
    """
    n = len(light)
    shown = np.where(usable, light, np.nan).reshape(n, STRIPS, COPIES, FIELDS, LEDS // COPIES // FIELDS)
    seen = np.isfinite(shown)
    field = np.where(seen, shown, 0.0).sum(axis=4) / np.maximum(seen.sum(axis=4), 1)
    whole = np.all(np.any(seen, axis=4), axis=3)
    on, off = field[..., 0], field[..., 1]
    contrast = on - off
    usual = float(np.median(contrast[whole])) if whole.any() else 0.0
    readable = whole & (contrast > 0.4 * usual) & (usual > 0)
    share = (field[..., 2:] - off[..., None]) / np.where(readable, contrast, 1.0)[..., None]
    bits = share > 0.5
    number = _gray_to_number(bits[..., :BITS])
    sound = (bits[..., : BITS + 1].sum(axis=-1) % 2 == 1) & (bits[..., BITS + 1] == (number & 1).astype(bool))
    clean = sound & (np.abs(share - 0.5) > 0.5 - _CLEAR).all(axis=-1)
    frame, strip, copy = (a.astype(np.int64) for a in np.nonzero(readable))
    return Readings(frame, strip, copy, number[readable], clean[readable])


def _gray_to_number(bits: npt.NDArray[np.bool_]) -> Ints:
    number = np.zeros(bits.shape[:-1], np.int64)
    running = np.zeros(bits.shape[:-1], bool)
    for bit in range(BITS - 1, -1, -1):
        running = running ^ bits[..., bit]
        number |= running.astype(np.int64) << bit
    return number


class CounterFit(NamedTuple):
    """The line of frame numbers against time.

    Attributes:
        fps: LED frames per second of the time given.
        row_ns: time by which one picture row is exposed after the one before; nan when the strips span too few rows.
        row_error_ns: standard error of that.
        residual: rms of the readings about the line, in counts (a perfect one gives 0.29: whole numbers).
        used, outliers: readings.
    """

    fps: float
    row_ns: float
    row_error_ns: float
    residual: float
    used: int
    outliers: int


def fit_counter(
    readings: Readings, time_ns: Ints, rows: Floats, about_fps: float, *, led_ns: float = LED_NS
) -> tuple[CounterFit, Ints]:
    """Fits LED frame rate and row time together, and unwraps the numbers.

    A copy further along the wire shows a frame ``led_ns`` per LED later; a copy in a lower row is looked at later.

    Args:
        readings: of :func:`read_light`.
        time_ns: int64[n], time of each camera frame.
        rows: float64[2, 160], picture row of each LED.
        about_fps: rate to within 10 %.

    Returns:
        The fit, and int64[m] unwrapped numbers (from the first reading's).

    Raises:
        NotShown: too few readings that lie on a line.
    """
    if readings.frame.size < 20:
        raise NotShown(f"only {readings.frame.size} counters could be read")
    per_copy = LEDS // COPIES
    row = np.nanmean(rows.reshape(STRIPS, COPIES, per_copy), axis=2)[readings.strip, readings.copy]
    led = (readings.copy + 0.5) * per_copy
    t = (time_ns[readings.frame] - time_ns[0]) / 1e9 - led * led_ns / 1e9
    number, rate = _unwrap(readings.number.astype(np.float64), t, about_fps)
    spread = float(np.ptp(row))
    columns = [np.ones_like(t), t - t.mean()] + ([row - row.mean()] if spread > 8 else [])
    basis = np.stack(columns, axis=1)
    keep = np.ones(t.size, bool)
    answer = np.zeros(basis.shape[1])
    for _ in range(_ROUNDS):
        answer = np.linalg.lstsq(basis[keep], number[keep], rcond=None)[0]
        left = number - basis @ answer
        number -= MODULUS * np.rint(left / MODULUS)
        left = number - basis @ answer
        keep = np.abs(left) < 2.0
        if keep.sum() < 20:
            raise NotShown("the counters read do not lie on a line")
    left = left[keep]
    rate = float(answer[1])
    row_ns, error_ns = float("nan"), float("nan")
    if basis.shape[1] == 3:
        row_ns = float(answer[2]) / rate * 1e9
        inverse = np.linalg.inv(basis[keep].T @ basis[keep])
        # Readings of one frame share its error: the frames count, not the copies.
        share = np.unique(readings.frame[keep]).size / keep.sum()
        error_ns = float(np.sqrt(inverse[2, 2] / share) * left.std()) / rate * 1e9
    fit = CounterFit(
        rate, row_ns, error_ns, float(np.sqrt(np.mean(left**2))), int(keep.sum()), int((~keep).sum())
    )  # fmt: skip
    return fit, np.rint(number).astype(np.int64)


def _unwrap(number: Floats, t: Floats, about_fps: float) -> tuple[Floats, float]:
    """Numbers without the modulus, by the rate that makes most of them agree."""
    rates = about_fps * (1 + np.linspace(-0.1, 0.1, 2001))
    # Short enough a span that the finest step of the rate cannot slip a count.
    span = min(float(np.ptp(t)), 2.0)
    early = t <= t.min() + span
    phase = np.exp(2j * np.pi * (number[early, None] - rates * t[early, None]) / MODULUS)
    sharp = np.exp(2j * np.pi * 64 * (number[early, None] - rates * t[early, None]) / MODULUS)
    rate = float(rates[np.abs(sharp.mean(axis=0)).argmax()])
    start = float(np.angle(phase[:, np.abs(sharp.mean(axis=0)).argmax()].mean()) / (2 * np.pi) * MODULUS)
    expected = start + rate * t
    return number + MODULUS * np.rint((expected - number) / MODULUS), rate


class Coverage(NamedTuple):
    """Which LED frames the camera could see singly.

    Attributes:
        share: of LED frames between the first and the last reading that some exposure showed alone.
        covered: frames that should have been read clean.
        unseen: of these, frames that were not, by unwrapped number.
    """

    share: float
    covered: Ints
    unseen: Ints


def coverage(
    readings: Readings, number: Ints, fit: CounterFit, time_ns: Ints, rows: Floats, exposure_ns: float,
    *, margin: float = 0.15, led_ns: float = LED_NS,
) -> Coverage:  # fmt: skip
    """Frames that lay wholly over some exposure, and whether they were read there.

    A copy shows a frame alone when the exposure of every one of its LEDs begins after the frame reached that LED and
    ends before the next one does: what rows and wire spread a copy's LEDs in time counts as if it exposed longer.
    Where that is longer than a frame lasts the share is 0, and nothing can be said of single frames.

    Args:
        margin: share of a frame that an exposure must keep from both ends, for jitter of frames and exposures. To it
            comes what the row time may be wrong by, which grows away from the middle of the strips.
    """
    per_copy = LEDS // COPIES
    row_ns, row_error_ns = (0.0, 0.0) if np.isnan(fit.row_ns) else (fit.row_ns, fit.row_error_ns)
    off_middle = np.abs(np.nanmean(rows.reshape(STRIPS, COPIES, per_copy), axis=2) - np.nanmean(rows))
    doubt = _SIGMAS * row_error_ns * off_middle / 1e9 * fit.fps
    each = (rows * row_ns - (np.arange(LEDS) + 0.5) * led_ns).reshape(STRIPS, COPIES, per_copy)
    first, last = np.nanmin(each, axis=2), np.nanmax(each, axis=2)
    start = _phase(readings, number, fit, time_ns, np.nanmean(each, axis=2), exposure_ns)
    middle = time_ns[:, None, None] + (first + last + exposure_ns) / 2
    place = (middle - time_ns[0]) / 1e9 * fit.fps + start
    half = (exposure_ns + last - first) / 2e9 * fit.fps + margin + doubt
    alone = (place % 1 >= half) & (place % 1 <= 1 - half) & np.isfinite(place)
    covered = np.unique(np.floor(place[alone]).astype(np.int64))
    low, high = int(number.min()), int(number.max())
    covered = covered[(covered > low) & (covered < high)]
    seen = np.unique(number[readings.clean])
    share = covered.size / max(high - low - 1, 1)
    return Coverage(share, covered, np.setdiff1d(covered, seen))


def _phase(
    readings: Readings, number: Ints, fit: CounterFit, time_ns: Ints, delay: Floats, exposure_ns: float
) -> float:
    """Offset such that floor(rate * middle + offset) is the frame shown in the middle of an exposure."""
    at = time_ns[readings.frame] + delay[readings.strip, readings.copy] + exposure_ns / 2 - time_ns[0]
    ahead = number - at / 1e9 * fit.fps
    # Whole numbers lag the line by 0 to 1 count, evenly.
    return float(np.median(ahead)) + 0.5
