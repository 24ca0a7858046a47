"""What is played to find out how well a pattern follows: parts of a clip, switched between loud and quiet at random.

The measure of reactivity needs an order nobody could guess (see :mod:`harness.analysis.reactivity`); which part of the
clip and which order belong to a trial follows from the clip and a seed, so that two settings hear exactly the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.analysis.music import block_levels_dbfs
from harness.pipeline.tuning.clips import Clip
from harness.signals import RATE_HZ, Stimulus, gated

SEGMENTS = 16
SEGMENT_S = 0.4
# Time for the device to range itself and for its tempo to settle.
LEAD_S = 1.0
# Quiet is 12 dB below loud: as much as music itself swings, and hard enough that there is something to gain.
FLOOR = 0.25
TRIAL_S = LEAD_S + SEGMENTS * SEGMENT_S
_BLOCK_S = 0.4


@dataclass(frozen=True)
class Trial:
    """One thing to play; all settings that are compared hear the same one."""

    clip: str
    sound: Stimulus


def trials(clips: Sequence[Clip], each: int, seed: int) -> list[Trial]:
    """``each`` trials of every clip, clip by clip in turn, so that the first few hold all clips.

    Args:
        each: parts and orders per clip.
        seed: of the orders.
    """
    made: list[Trial] = []
    for n in range(each):
        for i, clip in enumerate(clips):
            order = np.random.SeedSequence([seed, i, n]).generate_state(1)[0]
            part = excerpt(clip.sound, n, each)
            made.append(Trial(clip.name, gated(part, SEGMENTS, SEGMENT_S, LEAD_S, FLOOR, int(order))))
    return made


def excerpt(sound: Stimulus, n: int, of: int) -> Stimulus:
    """The ``n``-th of several parts of a trial's length, spread over the parts of a sound that are not silent.

    A sound shorter than a trial is repeated until it is long enough.
    """
    size = round(TRIAL_S * RATE_HZ) + 1
    if sound.samples.size <= size:
        whole = np.tile(sound.samples, size // sound.samples.size + 1)[:size]
        return Stimulus(sound.name, whole, RATE_HZ, sound.truth)
    starts = _good_starts(sound, size)
    start = starts[round(n * (len(starts) - 1) / max(1, of - 1))] if of > 1 else starts[len(starts) // 2]
    return Stimulus(sound.name, sound.samples[start : start + size].copy(), RATE_HZ, sound.truth)


def _good_starts(sound: Stimulus, size: int) -> list[int]:
    """Starts, a block apart, of the parts whose mean level is within 6 dB of the loudest part's."""
    step = round(_BLOCK_S * RATE_HZ)
    power = 10 ** (block_levels_dbfs(sound) / 10)
    blocks = size // step
    sums = np.convolve(power, np.ones(blocks), mode="valid")
    starts = [int(i) * step for i in np.flatnonzero(sums >= sums.max() / 4) if i * step + size <= sound.samples.size]
    return starts or [max(0, min(int(np.argmax(sums)) * step, sound.samples.size - size))]
