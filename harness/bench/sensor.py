"""What the sensor does: light becomes electrons, noise, a response curve, 8 bits and, if asked, JPEG.

Order: photo-electrons with shot noise, read noise, clipping at full well, gain, clipping, white balance, the camera's
colour matrix (negatives clipped), response curve, 8 bits, JPEG. Normal noise is drawn once per camera; pixels lit
by LEDs get a piece of it from a random place in every frame, the others come from :class:`StillPicture`.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from harness.bench.camera_config import IDENTITY, CameraConfig
from harness.bench.draws import Draws
from harness.bench.optics import Spots, vignette
from harness.bench.still_picture import BAND_ROWS, Floats, Picture, StillPicture, through_jpeg

_CURVE_STEPS = 65_535
_TEXTURE_PX = 40  # size of the brighter and darker patches of the room
_NATIVE_WHITE_K = 5000.0

# Smoothing of colour between the blocks of a JPEG reaches one row beyond the band it belongs to.
_JPEG_REACH = 2


@dataclass(frozen=True)
class Levels:
    """What the controls make of the signal.

    Attributes:
        exposure: exposure time as a multiple of the nominal one.
        gain: analogue gain.
        white_balance_k: setting; 5000 leaves the sensor's own balance.
    """

    exposure: float
    gain: float
    white_balance_k: float

    @property
    def balance(self) -> Floats:
        """Gains of R, G and B, the smallest 1."""
        warm = (self.white_balance_k / _NATIVE_WHITE_K) ** 0.5
        gains = np.array([warm, 1.0, 1.0 / warm])
        return np.asarray(gains / gains.min(), np.float32)


class Sensor:
    """Turns the signals of the lights into pictures.

    Args:
        config: of the camera.
        draws: of the run; the pool of noise comes from it.
        fixture: of what stays from run to run, room light and hot pixels; default: the run's.
    """

    def __init__(self, config: CameraConfig, draws: Draws, fixture: Draws | None = None) -> None:
        fixture = fixture or draws
        self._config = config
        self._shape = (config.height, config.width)
        self._crosstalk = np.array(config.crosstalk, np.float64)
        self._matrix = None if config.colour_matrix == IDENTITY else np.array(config.colour_matrix, np.float32)
        self._read = np.float32(config.read_noise)
        self._per_electron = np.float32(1.0 / config.full_well_e)
        self._shade = vignette(config.width, config.height, config.vignetting)
        room = self._make_room(fixture.stream("room light")) * self._shade
        self._room = np.asarray(room + self._hot(fixture.stream("hot pixels")), np.float32)
        self._curve = response_curve(config)
        still = draws.stream("background noise")
        self._still = StillPicture(still, self._shape, self._unlit, config.jpeg_quality)
        self._levels: Levels | None = None
        self._lit: _Lit | None = None

    def _make_room(self, random: np.random.Generator) -> Floats:
        """Signal of the room light at nominal exposure, [3, height, width]: a gradient and soft patches."""
        config = self._config
        height, width = self._shape
        coarse = random.standard_normal((height // _TEXTURE_PX + 2, width // _TEXTURE_PX + 2, 3)).astype(np.float32)
        soft = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        slope = random.uniform(-1.0, 1.0) * np.linspace(-1.0, 1.0, width)
        soft = np.moveaxis(soft, -1, 0) + slope
        soft = (soft - soft.mean()) / max(float(soft.std()), 1e-6) * config.ambient_texture
        warmth = np.array([1.1, 1.0, 0.8])[:, None, None]
        return np.asarray(np.maximum(1.0 + soft, 0.0) * config.ambient * warmth, np.float32)

    def _hot(self, random: np.random.Generator) -> Floats:
        out = np.zeros(self._shape, np.float32)
        n = min(self._config.hot_pixels, out.size)
        out.flat[random.choice(out.size, n, replace=False)] = random.uniform(0.1, 1.0, n)
        return out

    def picture(
        self,
        spots: Spots,
        light: NDArray[np.float64],
        levels: Levels,
        random: np.random.Generator,
        *,
        wandering: bool = False,
        packed: bool = True,
    ) -> Picture:
        """One frame.

        Args:
            spots: where the lights fall.
            light: drive of the LED channels gathered by each light and row, times exposure over nominal exposure,
                times the peak level: [lights, rows, 3].
            levels: of exposure, gain and white balance.
            random: noise of this frame.
            wandering: the levels change with every frame.
            packed: after JPEG, as configured; or as the sensor made it.

        Returns:
            uint8 [height, width, 3], blue first.
        """
        if levels != self._levels:
            self._levels = levels
            self._still.forget()
        if self._lit is None or self._lit.spots is not spots:
            self._lit = _Lit.of(spots, self._shade, self._room)
        lit = self._lit
        packed = packed and self._config.jpeg_quality > 0
        out = self._still.frame(random, packed & ~lit.bands, wandering)
        signal: Floats = spots.expose(light @ self._crosstalk.T) * lit.shade
        signal += lit.room * np.float32(levels.exposure)
        noise = self._still.noise(random, signal.size).reshape(signal.shape)
        out.ravel()[lit.bgr] = self._finish(self._exposed(signal, noise))
        if packed:
            for rows in lit.runs():
                out[rows] = through_jpeg(out[rows], self._config.jpeg_quality)
        return out

    def _unlit(self, noise: Floats) -> Picture:
        """The whole picture without LEDs, blue first."""
        assert self._levels is not None
        room = self._room * np.float32(self._levels.exposure)
        red, green, blue = self._finish(self._exposed(room, noise.reshape(room.shape)))
        return np.asarray(cv2.merge([blue, green, red]), np.uint8)

    def _exposed(self, signal: Floats, noise: Floats) -> Floats:
        """Signal with shot and read noise, clipped at full well."""
        value: Floats = np.sqrt(self._read**2 + signal * self._per_electron)
        value *= noise
        value += signal
        return np.clip(value, 0.0, 1.0, out=value)

    def _finish(self, signal: Floats) -> Picture:
        """From the sensor to 8 bits; R, G, B in the first axis."""
        assert self._levels is not None
        value: Floats = np.minimum(signal * np.float32(self._levels.gain), 1.0)
        value *= self._levels.balance.reshape(3, *[1] * (value.ndim - 1))
        if self._matrix is not None:
            value = np.tensordot(self._matrix, value, 1)
        np.clip(value, 0.0, 1.0, out=value)
        value *= _CURVE_STEPS
        done: Picture = self._curve[value.astype(np.uint16)]
        return done


@dataclass(frozen=True)
class _Lit:
    """What the sensor knows of the pixels that LEDs light."""

    spots: Spots
    shade: Floats  # [pixels]
    room: Floats  # [3, pixels], R, G, B
    bgr: NDArray[np.int64]  # place of each R, G, B value in a flat picture
    bands: NDArray[np.bool_]  # which bands of rows have light in them

    def runs(self) -> list[slice]:
        """Rows of neighbouring bands with light in them."""
        steps = np.flatnonzero(np.diff(np.concatenate([[False], self.bands, [False]]).astype(np.int8)))
        return [slice(a * BAND_ROWS, b * BAND_ROWS) for a, b in zip(steps[::2], steps[1::2], strict=True)]

    @classmethod
    def of(cls, spots: Spots, shade: Floats, room: Floats) -> _Lit:
        at = spots.pixels
        bgr = at * 3 + np.array([[2], [1], [0]])
        height, width = shade.shape
        bands = np.zeros(-(-height // BAND_ROWS), bool)
        for reach in (-_JPEG_REACH, 0, _JPEG_REACH):
            bands[np.clip(at // width + reach, 0, height - 1) // BAND_ROWS] = True
        return cls(spots, shade.reshape(-1)[at], np.ascontiguousarray(room.reshape(3, -1)[:, at]), bgr, bands)


def response_curve(config: CameraConfig) -> Picture:
    """8-bit value for each signal 0 to 1 in 65536 steps.

    gamma: signal to the power 1/gamma. s_curve: the same, mixed with the smooth step 3v^2 - 2v^3 of it. linear: as is.
    """
    signal = np.linspace(0.0, 1.0, _CURVE_STEPS + 1)
    value = signal if config.response == "linear" else signal ** (1.0 / config.gamma)
    if config.response == "s_curve":
        value = (1.0 - config.s_curve) * value + config.s_curve * value**2 * (3.0 - 2.0 * value)
    return np.rint(value * 255.0).astype(np.uint8)

