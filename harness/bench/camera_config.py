"""What the virtual camera and its scene are like: the ``[bench.camera]`` table, all of it injected truth.

``docs/bench-camera.md`` says what each value means and how to pose a case with a known answer.
"""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Layout = Literal["horizontal", "vertical", "two_rows", "arc"]
Control = Literal[
    "width", "height", "fps", "exposure_ms", "gain", "white_balance_k", "focus",
    "auto_exposure", "auto_white_balance", "auto_focus",
]  # fmt: skip
Triple = tuple[float, float, float]
Matrix = tuple[Triple, Triple, Triple]

IDENTITY: Matrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
# Rows: red, green, blue of the sensor; columns: red, green, blue light of an LED. Neighbouring dyes overlap.
OVERLAPPING_DYES: Matrix = ((1.00, 0.10, 0.02), (0.08, 0.95, 0.15), (0.02, 0.12, 0.90))
LARGEST_PSF_PX = 12.0


class CameraConfig(BaseModel):
    """One virtual camera looking at the two strips.

    Signals are fractions of what saturates the sensor at gain 1; times are milliseconds, lengths pixels, and pixel
    coordinates refer to pixel centres (the first pixel is 0, 0). ``None`` means "drawn from the seed of the run".
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    # picture and time
    width: int = Field(default=640, ge=64, le=3840)
    height: int = Field(default=360, ge=64, le=2160)
    fps: float = Field(default=30.0, ge=1.0, le=240.0)
    exposure_ms: float = Field(default=8.0, ge=0.02, le=1000.0, description="of every row; also the nominal exposure")
    readout_ms: float = Field(default=15.0, ge=0.0, le=1000.0, description="rows times line time; 0: global shutter")
    delivery_ms: float = Field(default=12.0, ge=0.0, le=500.0, description="end of the last row to the host")
    skew_ppm: float | None = Field(default=None, ge=-500.0, le=500.0, description="crystal error of the camera")
    max_skew_ppm: float = Field(default=50.0, ge=0.0, le=500.0, description="range the crystal error is drawn from")
    frame_jitter_ms: float = Field(default=0.02, ge=0.0, le=20.0, description="rms of the frame's true start")
    timestamp_offset_ms: float | None = Field(
        default=None, ge=-500.0, le=500.0, description="time stamp minus start of the first row; drawn: 0 to 1/fps"
    )
    timestamp_jitter_ms: float = Field(default=0.5, ge=0.0, le=100.0, description="rms of the time stamps")
    drop: float = Field(default=0.0, ge=0.0, le=1.0, description="probability that a frame never arrives")

    # scene
    scene_seed: int | None = Field(
        default=None, ge=0, lt=1 << 48, description="of what stays when a run ends: places, brightness, room light"
    )
    layout: Layout = "two_rows"
    rotation_deg: float = Field(default=0.0, ge=-360.0, le=360.0, description="clockwise in the picture")
    perspective: float = Field(default=0.05, ge=0.0, le=0.4, description="keystone: nearer edge larger by 1 +- this")
    irregularity_px: float = Field(default=0.3, ge=0.0, le=20.0, description="rms of each LED beside its place")
    margin: float = Field(default=0.08, ge=0.0, le=0.4, description="of the picture that stays free on each side")
    strip_gap: float = Field(default=0.2, ge=0.02, le=0.9, description="between rows of LEDs, of the picture's side")
    reversed: bool = Field(default=False, description="data enters the strips at the other end")
    mirrored: bool = Field(default=False, description="left and right of the picture swapped")
    shift_px: tuple[float, float] = Field(default=(0.0, 0.0), description="x and y; may push LEDs out of the picture")
    reference_led: bool = Field(default=True, description="LED on the second audio channel, in the picture")
    ambient: float = Field(default=0.01, ge=0.0, le=1.0, description="mean signal of the room light")
    ambient_texture: float = Field(default=0.3, ge=0.0, le=1.0, description="its relative rms over the picture")
    vignetting: float = Field(default=0.2, ge=0.0, le=0.9, description="loss of light in the corners")
    hot_pixels: int = Field(default=8, ge=0, le=10_000)

    # light of the LEDs
    led_level: float = Field(default=0.5, ge=0.0, le=100.0, description="signal at the peak of a full-drive LED")
    led_spread: float = Field(default=0.03, ge=0.0, le=0.5, description="relative rms of brightness among LEDs")
    light_delay_ms: float = Field(default=0.0, ge=0.0, le=1000.0, description="between the strip's wire and its light")
    latch: Literal["serial", "reset"] = Field(
        default="serial", description="an LED shows its bits as they are in, or all do after the latch pause"
    )
    pwm_hz: float = Field(default=0.0, ge=0.0, le=100_000.0, description="0: light without pulse width modulation")
    reference_on: float = Field(default=0.05, ge=0.0, le=0.9, description="second channel where the LED starts")
    reference_full: float = Field(default=0.5, gt=0.0, le=1.0, description="second channel where it is fully lit")
    reference_highpass_hz: float = Field(default=5.0, ge=0.0, le=100.0, description="output capacitor; 0: none")
    reference_rgb: Triple = Field(default=(1.0, 0.9, 0.6), description="its light, in units of full-drive LEDs")

    # optics and sensor
    psf_px: float | Triple = Field(default=1.2, description="blur sigma in focus, one or one for R, G and B")
    crosstalk: Matrix = Field(default=OVERLAPPING_DYES, description="rows: sensor RGB, columns: LED RGB")
    read_noise: float = Field(default=0.002, ge=0.0, le=0.5, description="rms signal of a dark pixel")
    full_well_e: float = Field(default=10_000.0, ge=10.0, le=1e9, description="photo-electrons at signal 1: shot noise")
    colour_matrix: Matrix = Field(default=IDENTITY, description="in-camera, after white balance; clips negatives")
    response: Literal["gamma", "s_curve", "linear"] = "gamma"
    gamma: float = Field(default=2.2, ge=0.5, le=4.0)
    s_curve: float = Field(default=0.3, ge=0.0, le=1.0, description="share of the smooth step in an s_curve response")
    jpeg_quality: int = Field(default=90, ge=0, le=100, description="0: frames as the sensor made them")

    # the camera's controls as they stand when it is opened
    gain: float = Field(default=1.0, ge=1.0, le=16.0)
    white_balance_k: float = Field(default=5000.0, ge=2000.0, le=10_000.0)
    focus: float = Field(default=30.0, ge=0.0, le=255.0)
    best_focus: float = Field(default=30.0, ge=0.0, le=255.0)
    defocus_px: float = Field(default=0.05, ge=0.0, le=1.0, description="extra blur sigma per unit of focus")
    auto_exposure: bool = False
    auto_white_balance: bool = False
    auto_focus: bool = False
    ignores_sets: tuple[Control, ...] = Field(default=(), description="controls whose setting does not take")

    @field_validator("psf_px")
    @classmethod
    def _possible_blur(cls, value: float | Triple) -> float | Triple:
        if not all(0.2 <= sigma <= LARGEST_PSF_PX for sigma in (value if isinstance(value, tuple) else (value,))):
            raise ValueError(f"psf_px must be 0.2 to {LARGEST_PSF_PX:g} pixels")
        return value

    @model_validator(mode="after")
    def _possible_timing(self) -> Self:
        period_ms = 1000.0 / self.fps
        for name, value in (("exposure_ms", self.exposure_ms), ("readout_ms", self.readout_ms)):
            if value > period_ms + 1e-9:
                raise ValueError(f"{name} = {value:g} does not fit between two frames ({period_ms:g} ms)")
        if self.reference_full <= self.reference_on:
            raise ValueError("reference_full must be above reference_on")
        return self

    @property
    def psf_rgb(self) -> Triple:
        """Blur sigma in pixels for red, green and blue of the sensor."""
        return self.psf_px if isinstance(self.psf_px, tuple) else (self.psf_px,) * 3

    @property
    def period_ns(self) -> float:
        """Nominal time between two frames."""
        return 1e9 / self.fps
