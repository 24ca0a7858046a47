"""Light of every LED in every frame: fixed weighted sums of the pixels around each LED, in linear light.

The weights are a Gaussian about the LED's centre and never depend on the frame. What neighbours spill into a sum is a
fixed share of their light; these shares are measured from ``hil_index``, where who is lit is known, and taken out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.analysis.light.codes import LEDS, lit_table
from harness.analysis.light.response import CLIPPED, Response
from harness.analysis.light.steps import Pixels, Steps
from harness.analysis.light.strips import STRIPS

Floats = npt.NDArray[np.float64]
Light = npt.NDArray[np.float32]

# LEDs this many places away and nearer may spill into a sum.
SPILL_REACH = 3
N = STRIPS * LEDS
# How firmly shares are held to the common curve; a column of the steps has a square sum of 6.
_HOLD = 3.0


def window_for(pitch: float) -> float:
    """Width of the window for LEDs this far apart: wide enough for spot and smeared colours, clear of neighbours."""
    return float(np.clip(0.33 * pitch, 1.0, 3.5))


@dataclass(frozen=True)
class Layout:
    """Where pixels are summed.

    Attributes:
        at: int64[320, k], pixels of each LED, index into the picture read row by row.
        weight: float32[320, k], sums to 1; all 0 for an LED without a place.
        height, width: of the picture.
    """

    at: npt.NDArray[np.int64]
    weight: Light
    height: int
    width: int


def layout(xy: Floats, usable: npt.NDArray[np.bool_], width: int, height: int, sigma: float) -> Layout:
    """Weights for LEDs at ``xy`` [2, 160, 2]; ``sigma`` in pixels is the window's width."""
    radius = int(np.clip(np.ceil(1.6 * sigma), 1, 7))
    centre = np.where(usable[..., None], np.nan_to_num(xy), 0.0).reshape(N, 2)
    offset = np.stack(np.meshgrid(np.arange(-radius, radius + 1), np.arange(-radius, radius + 1)), axis=-1)
    offset = offset.reshape(-1, 2)[(offset**2).sum(axis=2).ravel() <= (radius + 0.4) ** 2]
    place = np.rint(centre)[:, None, :].astype(np.int64) + offset
    inside = ((place >= 0) & (place < (width, height))).all(axis=2)
    distance2 = ((place - centre[:, None]) ** 2).sum(axis=2)
    weight = np.exp(-distance2 / (2 * sigma**2)) * inside * usable.reshape(N, 1)
    weight /= np.maximum(weight.sum(axis=1, keepdims=True), 1e-12)
    clipped = np.clip(place, 0, (width - 1, height - 1))
    return Layout(clipped[..., 1] * width + clipped[..., 0], weight.astype(np.float32), height, width)


class TraceReader:
    """Reads the light of all LEDs from frames. Made for speed: a frame of any size costs a fraction of a millisecond.

    Args:
        where: pixels and weights.
        response: of the camera.
    """

    def __init__(self, where: Layout, response: Response) -> None:
        self.where = where
        self._response = response
        # Frames come blue first; light goes out red first.
        self._at = np.stack([where.at * 3 + channel for channel in (2, 1, 0)])
        self._tables = response.table.astype(np.float32)
        self._used = where.weight > 0

    def read(self, frame: npt.NDArray[np.uint8]) -> tuple[Light, npt.NDArray[np.bool_]]:
        """Light float32[2, 160, 3] (darkness included) and which LEDs have a clipped pixel, bool[2, 160].

        Raises:
            ValueError: a frame of another size.
        """
        where = self.where
        if frame.shape != (where.height, where.width, 3):
            raise ValueError(f"a frame of shape {frame.shape}; the map is of {where.height} x {where.width}")
        values = np.take(np.ascontiguousarray(frame).reshape(-1), self._at)
        light = np.empty((N, 3), np.float32)
        for channel in range(3):
            lit = np.take(self._tables[channel], values[channel])
            light[:, channel] = np.einsum("nk,nk->n", lit, where.weight)
        clipped = ((values.max(axis=0) >= CLIPPED) & self._used).any(axis=1)
        return light.reshape(STRIPS, LEDS, 3), clipped.reshape(STRIPS, LEDS)

    def read_mean(self, picture: npt.NDArray[np.floating]) -> tuple[Floats, npt.NDArray[np.bool_]]:
        """The same for a mean picture [height, width, 3] with fractional values, blue first."""
        values = np.asarray(picture, np.float64).reshape(-1, 3)[self.where.at][..., ::-1]
        light = (self._response.light(values) * self.where.weight[..., None]).sum(axis=1)
        clipped = ((values.max(axis=2) >= CLIPPED) & self._used).any(axis=1)
        return light.reshape(STRIPS, LEDS, 3), clipped.reshape(STRIPS, LEDS)


def read_steps(reader: TraceReader, steps: Steps, pixels: Pixels) -> Floats:
    """Light of all LEDs in the mean picture of each step of ``hil_index``: float64[26, 2, 160, 3]."""
    picture = np.zeros((pixels.height * pixels.width, 3))
    out = []
    for mean in steps.mean:
        picture[pixels.at] = mean
        out.append(reader.read_mean(picture.reshape(pixels.height, pixels.width, 3))[0])
    return np.stack(out)


def measure_spill(light: Floats, xy: Floats, usable: npt.NDArray[np.bool_]) -> Floats:
    """Shares in which LEDs of a strip spill into each other's sums.

    First one width for all: spill falls with distance as a Gaussian. Then each LED's own shares, held to that curve as
    far as the steps leave them open (at some places of the code neighbours cannot be told apart by 26 steps).

    Args:
        light: float64[26, 2, 160, 3] of :func:`read_steps`.
        xy: float64[2, 160, 2], positions.
        usable: bool[2, 160].

    Returns:
        float64[2, 160, 160]; row l: weights of all LEDs in the sum of LED l, 1 for itself.
    """
    lit = lit_table().astype(np.float64)
    grey = light.mean(axis=3)
    good = np.isfinite(grey).all(axis=(1, 2))
    lit, grey = lit[good], grey[good]
    lit, grey = lit - lit.mean(axis=0), grey - grey.mean(axis=0)
    problems = [_Spill(strip, led, lit, grey[:, strip, led], xy, usable) for strip, led in np.argwhere(usable)]
    widths = np.geomspace(0.15, 0.8, 40) * float(np.nanmedian(np.linalg.norm(np.diff(xy, axis=1), axis=2)))
    width = widths[int(np.argmin([np.median([p.misfit(w) for p in problems]) for w in widths]))]
    out = np.broadcast_to(np.eye(LEDS), (STRIPS, LEDS, LEDS)).copy()
    for problem in problems:
        out[problem.strip, problem.led, problem.near] = problem.shares(width)
    return out


class _Spill:
    """One LED's sum against who was lit near by; everything is counted from its mean over the steps."""

    def __init__(
        self, strip: int, led: int, lit: Floats, seen: Floats, xy: Floats, usable: npt.NDArray[np.bool_]
    ) -> None:
        self.strip, self.led = int(strip), int(led)
        near = np.arange(max(led - SPILL_REACH, 0), min(led + SPILL_REACH + 1, LEDS))
        self.near = near[usable[strip, near]]
        self._lit = lit[:, self.near]
        self._seen = seen
        self._distance = np.linalg.norm(xy[strip, self.near] - xy[strip, led], axis=1)

    def _curve(self, width: float) -> Floats:
        return np.asarray(np.exp(-(self._distance**2) / (2 * width**2)))

    def _fit(self, width: float) -> tuple[float, Floats]:
        """Own light for this width, and what it leaves of the sum."""
        model = self._lit @ self._curve(width)
        own = float(model @ self._seen / max(float(model @ model), 1e-12))
        return own, self._seen - own * model

    def misfit(self, width: float) -> float:
        """Squares left, as a share of all."""
        return float((self._fit(width)[1] ** 2).sum() / max(float((self._seen**2).sum()), 1e-12))

    def shares(self, width: float) -> Floats:
        """Shares of all LEDs near by, 1 for itself: the curve, corrected as far as the steps say so clearly."""
        own, left = self._fit(width)
        if own <= 0:
            return np.asarray((self.near == self.led).astype(np.float64))
        ridge = _HOLD * np.eye(self.near.size)
        more = np.linalg.solve(self._lit.T @ self._lit + ridge, self._lit.T @ left)
        share = self._curve(width) + more / own
        return np.asarray(np.clip(share / share[self.near == self.led], 0.0, 0.9) * (self.near != self.led)
                          + (self.near == self.led))  # fmt: skip


def take_out_spill(light: npt.NDArray[np.floating], spill: Floats) -> Light:
    """Each LED's own light: ``light`` [n, 2, 160, 3] above darkness, unmixed."""
    back = np.linalg.inv(spill)
    return np.asarray(np.einsum("slm,nsmc->nslc", back, light, optimize=True), dtype=np.float32)
