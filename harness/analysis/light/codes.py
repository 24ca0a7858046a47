"""The code of ``hil_index`` as a decoder sees it (docs/hil-patterns.md): which LED is lit in which of 26 steps.

Twelve bits per LED: eight of the Gray code of its index and four check bits, each shown and then inverted. The decoder
is soft: it adds what each bit says, with its strength, for every possible LED and takes the best. Any two LEDs differ
in at least three bits, so the runner-up trails by at least six in twelve when all bits are clean.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

LEDS = 160
INDEX_BITS = 8
CHECK_MASKS = (0x5B, 0x6D, 0x8E, 0xF0)
BITS = INDEX_BITS + len(CHECK_MASKS)
# Step 0 lights all, step 1 none; then bit after bit, each followed by its complement.
STEPS = 2 + 2 * BITS
SPEED_BASE_S, SPEED_RATIO = 1.0, 0.04

Floats = npt.NDArray[np.float64]


class NotShown(ValueError):
    """The light does not show the test pattern it should: whoever shows it fell short, not the reading."""


def step_seconds(speed: float) -> float:
    """Length of one step for the device parameter ``speed`` (0 to 1): 1, 0.2, 0.04 s at 0, 0.5, 1."""
    return float(SPEED_BASE_S * SPEED_RATIO ** min(max(speed, 0.0), 1.0))


def speed_for(seconds: float) -> float:
    """The ``speed`` that gives a step of this length, within 0 to 1."""
    return float(np.clip(np.log(seconds / SPEED_BASE_S) / np.log(SPEED_RATIO), 0.0, 1.0))


def word(led: int) -> int:
    """The twelve bits of an LED: Gray code in bits 0-7, parity of each check mask in bits 8-11."""
    gray = led ^ (led >> 1)
    checks = (bin(gray & mask).count("1") & 1 for mask in CHECK_MASKS)
    return gray | sum(bit << (INDEX_BITS + c) for c, bit in enumerate(checks))


def _codebook() -> Floats:
    words = np.array([word(led) for led in range(LEDS)])
    return np.asarray(((words[:, None] >> np.arange(BITS)) & 1) * 2.0 - 1.0)


# float64[160, 12]: +1 where the bit is 1, -1 where it is 0.
CODEBOOK = _codebook()


def lit_table() -> npt.NDArray[np.bool_]:
    """bool[26, 160]: which LED is on in which step."""
    lit = np.zeros((STEPS, LEDS), bool)
    lit[0] = True
    lit[2::2] = CODEBOOK.T > 0
    lit[3::2] = CODEBOOK.T < 0
    return lit


class Reading(NamedTuple):
    """What the soft decoder says of n signals.

    Attributes:
        led: int64[n], best LED.
        margin: float64[n], lead of the best over the second, 0 to 1: 1 is the lead of a clean signal (three bits).
        purity: float64[n], share of the signal that agrees with the best word; 1 is a clean signal.
        amplitude: float64[n], light of that LED in units of the differences given.
    """

    led: npt.NDArray[np.int64]
    margin: Floats
    purity: Floats
    amplitude: Floats


def decode(differences: npt.NDArray[np.floating]) -> Reading:
    """Reads LED indices from bit differences.

    Args:
        differences: [n, 12], light while a bit is shown minus light while its complement is; nan where a bit was not
            seen.
    """
    seen = np.isfinite(differences)
    d = np.where(seen, differences, 0.0).astype(np.float64)
    count = np.maximum(seen.sum(axis=1), 1)
    strength = np.abs(d).sum(axis=1)
    score = d @ CODEBOOK.T
    best = np.argmax(score, axis=1)
    rows = np.arange(len(d))
    top = score[rows, best]
    score[rows, best] = -np.inf
    # Two words at distance 3 are 6 mean bit strengths apart when the signal is clean.
    unit = np.maximum(strength / count, 1e-12)
    margin = np.clip((top - score.max(axis=1)) / (6 * unit), 0.0, 1.0)
    return Reading(best.astype(np.int64), margin, top / np.maximum(strength, 1e-12), top / count)
