"""Cuts a video of ``hil_index`` into its 26 steps by what the pixels do, not by when the command was sent.

The moment a command reaches the strip and the moment a frame's stamp means are both unknown by tens of milliseconds,
so the start is found in the light: first by the number of lit LEDs per step, then by the contrast of the bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.light.codes import BITS, STEPS, NotShown, lit_table

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

# Of a step only this middle part is used: near its ends exposure, read-out and jitter mix two steps.
MIDDLE = (0.24, 0.76)
# How far the step length may be off: frame times of files and some streams are made up from a nominal rate.
STRETCHES = (0.98, 0.985, 0.99, 0.995, 1.0, 1.005, 1.01, 1.015, 1.02)
_COARSE_PER_STEP = 8
_FINE = np.linspace(-0.5, 0.5, 21)
_PIXELS_FOR_CONTRAST = 400


@dataclass(frozen=True)
class Pixels:
    """Pixels worth keeping of each frame.

    Attributes:
        at: int64[p], index into the picture read row by row.
        height, width: of the picture.
    """

    at: npt.NDArray[np.int64]
    height: int
    width: int

    @property
    def xy(self) -> npt.NDArray[np.float64]:
        """float64[p, 2]: column and row of each pixel."""
        return np.stack([self.at % self.width, self.at // self.width], axis=1).astype(np.float64)

    def of(self, frame: Bytes) -> Bytes:
        """uint8[p, 3] of a frame [height, width, 3].

        Raises:
            ValueError: a frame of another size.
        """
        if frame.shape != (self.height, self.width, 3):
            raise ValueError(f"a frame of shape {frame.shape} in a video of {self.height} x {self.width}")
        return np.asarray(frame.reshape(-1, 3)[self.at])


def changed_pixels(off: Floats, on: Floats, *, reach: int = 4, least: float = 6.0) -> Pixels:
    """Pixels that brighten when the strips are lit, and those within ``reach`` of them.

    Args:
        off, on: mean pictures [height, width, 3] with the strips dark and lit.
        reach: pixels kept around each changed one: a spot is wider than what clears the threshold.
        least: smallest change of the sum over channels / 3, in steps of 8-bit video.

    Raises:
        ValueError: nothing changes.
    """
    import cv2

    change = np.asarray((on - off).mean(axis=2), np.float32)
    hit = change > max(least, 0.12 * float(np.percentile(change, 99.9)))
    if not hit.any():
        raise ValueError("no pixel gets brighter when the strips are switched on")
    size = 2 * reach + 1
    wide = cv2.dilate(hit.astype(np.uint8), np.ones((size, size), np.uint8))
    return Pixels(np.flatnonzero(wide), *change.shape)


@dataclass(frozen=True)
class Steps:
    """Mean picture of each step.

    Attributes:
        mean: float32[26, p, 3], nan where a step was not seen.
        frames: int64[26], frames averaged.
        noise: of one pixel in one frame, channels averaged, in steps of 8-bit video.
        stretch: seen length of a step over the expected one.
        contrast: mean bit contrast over that of a random cut (1 would be no alignment at all).
    """

    mean: Floats
    frames: npt.NDArray[np.int64]
    noise: float
    stretch: float
    contrast: float

    @property
    def grey(self) -> Floats:
        """float32[26, p]: channels averaged."""
        return np.asarray(self.mean.mean(axis=2), dtype=np.float32)

    @property
    def differences(self) -> Floats:
        """float32[p, 12]: each bit's picture minus its complement's."""
        grey = self.grey
        return np.asarray((grey[2::2] - grey[3::2]).T, dtype=np.float32)


def cut_steps(times_ns: npt.NDArray[np.int64], values: Bytes, step_s: float) -> Steps:
    """Finds the steps and averages the frames in the middle of each, over all cycles in the video.

    Args:
        times_ns: int64[n], frame times.
        values: uint8[n, p, 3], the kept pixels of each frame.
        step_s: length of a step.

    Raises:
        ValueError: less than a whole cycle, or no cut that fits.
    """
    t = (times_ns - times_ns[0]).astype(np.float64) / (step_s * 1e9)
    if t[-1] < STEPS - 1:
        raise ValueError(f"a video of {t[-1]:.1f} steps holds no whole cycle of {STEPS}")
    light = values.mean(axis=(1, 2), dtype=np.float64)
    start, stretch = _coarse(t, light)
    bright = _strong_pixels(values)
    thin = values[:, bright].mean(axis=2, dtype=np.float32)
    # Half-grid steps around the coarse answer, in both unknowns.
    contrast, start, stretch = max(
        (_contrast(t, thin, start + shift, stretch * more), start + shift, stretch * more)
        for shift in map(float, _FINE)
        for more in (0.9975, 1.0, 1.0025)
    )
    random = float(np.mean([_contrast(t, thin, start + float(shift), stretch) for shift in np.linspace(2.3, 23.7, 7)]))
    if contrast < 1.3 * random:
        raise NotShown("the video does not show hil_index: no cut into steps fits it")
    member = _members(t, start, stretch)
    mean, noise = _averages(values, member)
    return Steps(mean, member.sum(axis=1).astype(np.int64), noise, stretch, contrast / max(random, 1e-9))


def _position(t: npt.NDArray[np.float64], start: float, stretch: float) -> npt.NDArray[np.float64]:
    """Place within the cycle, in steps, for times in nominal steps."""
    return np.asarray(((t - start) / stretch) % STEPS)


def _members(t: npt.NDArray[np.float64], start: float, stretch: float) -> npt.NDArray[np.float32]:
    """float32[26, n]: 1 where a frame lies in the middle of a step."""
    place = _position(t, start, stretch)
    inside = (place % 1 > MIDDLE[0]) & (place % 1 < MIDDLE[1])
    return np.asarray((np.arange(STEPS)[:, None] == np.floor(place)) & inside, dtype=np.float32)


def _coarse(t: npt.NDArray[np.float64], light: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Start and stretch whose number of lit LEDs goes best with the light of the frames."""
    lit = lit_table().sum(axis=1).astype(np.float64)
    found = (-np.inf, 0.0, 1.0)
    for stretch in STRETCHES:
        for start in np.arange(STEPS * _COARSE_PER_STEP) / _COARSE_PER_STEP:
            place = _position(t, float(start), stretch)
            inside = (place % 1 > MIDDLE[0]) & (place % 1 < MIDDLE[1])
            wanted = lit[np.floor(place[inside]).astype(np.int64)]
            seen = light[inside]
            spread = wanted.std() * seen.std()
            if inside.sum() < STEPS or spread <= 0:
                continue
            match = float(((wanted - wanted.mean()) * (seen - seen.mean())).mean() / spread)
            found = max(found, (match, float(start), stretch))
    if not np.isfinite(found[0]):
        raise NotShown("the light in the video does not change")
    return found[1], found[2]


def _strong_pixels(values: Bytes) -> npt.NDArray[np.int64]:
    """The pixels that change most between frames."""
    spread = values[::2].astype(np.float32).mean(axis=2).std(axis=0)
    return np.argsort(spread)[-_PIXELS_FOR_CONTRAST:]


def _contrast(t: npt.NDArray[np.float64], thin: Floats, start: float, stretch: float) -> float:
    """Mean size of the bit differences for one cut; 0 when a bit has no frame."""
    member = _members(t, start, stretch)
    count = member.sum(axis=1)
    mean = (member @ thin) / np.maximum(count, 1)[:, None]
    good = (count[2::2] > 0) & (count[3::2] > 0)
    if good.sum() < BITS - 2:
        return 0.0
    return float(np.abs(mean[2::2][good] - mean[3::2][good]).mean())


def _averages(values: Bytes, member: npt.NDArray[np.float32]) -> tuple[Floats, float]:
    """Mean per step, nan where none, and the noise of a frame about its step's mean."""
    mean = np.full((STEPS, *values.shape[1:]), np.nan, np.float32)
    variances = []
    for step in range(STEPS):
        chosen = values[member[step] > 0].astype(np.float32)
        if len(chosen):
            mean[step] = chosen.mean(axis=0)
        if len(chosen) > 1:
            variances.append(np.median(chosen.mean(axis=2).var(axis=0, ddof=1)))
    return mean, float(np.sqrt(np.mean(variances))) if variances else 0.0
