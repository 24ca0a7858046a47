"""Calibrates a rig's camera with the device's own test patterns: what to show, how long to look, in what order.

The device says itself which bytes it shows (a supply limit may dim them), so nothing depends on what was asked for.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.analysis.light.codes import STEPS, speed_for
from harness.analysis.light.colour import fit_colour, fit_scale
from harness.analysis.light.counter import CounterFit, fit_counter, read_light
from harness.analysis.light.frametimes import FrameTimes, frame_times
from harness.analysis.light.ledmap import LedMap, centres_in, lone_light, map_leds
from harness.analysis.light.response import CLIPPED, Response, fit_response
from harness.analysis.light.steps import Pixels, Steps, changed_pixels, cut_steps
from harness.analysis.light.traces import TraceReader, layout, measure_spill, read_steps, take_out_spill, window_for
from harness.analysis.light.video_colour import VideoColour, fit_video_colour, video_sums, wide_layout
from harness.errors import DutFailure, RigFault
from harness.instruments.camera import Camera
from harness.rig.camera_calibration import Calibration, Check, compare
from harness.rig.pictures import refuse_other_pictures
from harness.signals import RATE_HZ, Stimulus

if TYPE_CHECKING:
    from harness.rig.rig import Rig

Floats = npt.NDArray[np.float64]

STEP_S = 0.15
# From a command's answer until every row of a frame shows it: frame, wire, exposure, read-out, delivery, a frame of
# unknown stamp offset.
SETTLE_S = 0.15
LOOK_S = 0.3
LOOK_LONG_S = 0.6
LEVELS = (0.012, 0.03, 0.06, 0.11, 0.18, 0.28, 0.42, 0.6, 0.8, 1.0)
# Colours of the chart: hue, saturation, value. Saturated ones all round, for there video errs most.
CHART = (
    *((hue / 12, 1.0, 1.0) for hue in range(12)),
    *((hue / 6 + 0.04, 1.0, 0.35) for hue in range(6)),
    *((hue / 6 + 0.125, 0.93, 0.85) for hue in range(6)),
    *((hue / 6, 0.55, 0.8) for hue in range(6)),
    (0.08, 1.0, 0.15), (0.75, 0.8, 0.15), (0.45, 0.7, 0.12), (0.12, 0.4, 0.2),
)  # fmt: skip
COUNTER_S = 8.0
REFERENCE_S = 0.7
PARAMS = ("brightness", "color", "saturation", "speed")


@dataclass(frozen=True)
class Still:
    """A still picture, averaged.

    Attributes:
        picture: float32[height, width, 3], blue first. frames: averaged.
        rgb: uint8[160, 3], what the device says it shows.
    """

    picture: npt.NDArray[np.float32]
    frames: int
    rgb: npt.NDArray[np.uint8]


@dataclass
class Mapping:
    """What the first part of a calibration found: enough for positions, not for colours."""

    dark: Still
    lit: Still
    pixels: Pixels
    steps: Steps
    leds: LedMap
    seconds: float


class CameraSession:
    """One calibration or check of a rig's camera.

    Args:
        rig: whose camera and device.
        progress: told what is being done.

    Attributes:
        lit: picture with all LEDs on, once it was taken.
        dark: the last picture with all LEDs off.
    """

    def __init__(self, rig: Rig, camera: Camera, progress: Callable[[str], None] | None = None) -> None:
        self.rig = rig
        self.camera = camera
        self._say = progress or (lambda text: None)
        self._stamps: list[int] = []
        self.lit: npt.NDArray[np.float32] | None = None
        self.dark: npt.NDArray[np.float32] | None = None

    # ---- showing and looking -----------------------------------------------------------------------

    def show(self, pattern: str, **params: float) -> None:
        """Selects a test pattern with these parameters."""
        telemetry = self.rig.telemetry
        for name, value in params.items():
            telemetry.param(name, value)
        telemetry.select(pattern)

    def shown(self) -> npt.NDArray[np.uint8]:
        """uint8[160, 3]: the bytes the device hands to its strips now.

        Raises:
            DutFailure: it does not say.
        """
        telemetry = self.rig.telemetry
        mark = telemetry.mark()
        telemetry.command("pixels once")
        if not self.rig.clock.wait(lambda: bool(len(telemetry.pixel_rows(mark)["seq"])), 2.0, stop="console"):
            raise DutFailure("the device does not report its pixels", expected="a PIX sentence after 'pixels once'")
        rgb = telemetry.pixel_rows(mark)["rgb"][-1]
        telemetry.forget()
        return np.asarray(rgb, np.uint8)

    def frames(self, seconds: float) -> Iterator[tuple[int, npt.NDArray[np.uint8]]]:
        """Frames of the next ``seconds``, after what was on the way has passed."""
        after_ns = self.rig.clock.now_ns() + round(SETTLE_S * 1e9)
        self.rig.clock.sleep_until(after_ns)
        self.camera.drop_waiting()
        for stamp_ns, frame in self.camera.watch(seconds):
            self._stamps.append(stamp_ns)
            yield stamp_ns, frame

    def still(self, pattern: str, look_s: float = LOOK_S, **params: float) -> Still:
        """Shows a still picture and averages its frames."""
        self.show(pattern, **params)
        total: npt.NDArray[np.float32] | None = None
        count = 0
        rgb = None
        for _, frame in self.frames(look_s):
            total = frame.astype(np.float32) if total is None else total + frame
            count += 1
        rgb = self.shown()
        if total is None:
            raise RigFault("the camera sent no frame of a still picture", remedy="check its rate and cable")
        return Still(np.asarray(total / count, np.float32), count, rgb)

    @contextmanager
    def undisturbed(self) -> Iterator[None]:
        """Gives the device its parameters back at the end."""
        try:
            yield
        finally:
            self.rig.telemetry.command("reset")
            self.rig.telemetry.select("spectrum")

    # ---- positions ---------------------------------------------------------------------------------

    def map(self) -> Mapping:
        """Positions of all LEDs of both strips.

        Raises:
            RigFault: the strips cannot be told apart in the picture.
        """
        began_ns = self.rig.clock.now_ns()
        self._say("dark and lit")
        dark = self.still("hil_solid", LOOK_LONG_S, brightness=0.0, saturation=0.0)
        lit = self.still("hil_solid", brightness=1.0, saturation=0.0)
        self.lit = lit.picture
        if not lit.rgb.any():
            raise DutFailure("hil_solid at full brightness is dark", got="all bytes 0")
        try:
            pixels = changed_pixels(dark.picture, lit.picture)
            self._say(f"LED numbers: {STEPS} pictures, twice")
            self.show("hil_index", speed=speed_for(STEP_S), brightness=1.0)
            pairs = [(ns, pixels.of(frame)) for ns, frame in self.frames(2 * STEPS * STEP_S)]
            times = _times([ns for ns, _ in pairs])
            steps = cut_steps(times, np.stack([values for _, values in pairs]), STEP_S)
            seconds = (self.rig.clock.now_ns() - began_ns) / 1e9
            leds = map_leds(steps, pixels)
        except ValueError as error:
            raise RigFault(
                "the camera cannot make out the LEDs", got=str(error),
                remedy="both strips in view, as large as fits; a dark room; exposure so that full white is not clipped",
            ) from error  # fmt: skip
        return Mapping(dark, lit, pixels, steps, leds, seconds)

    # ---- all of it ---------------------------------------------------------------------------------

    def calibrate(self) -> Calibration:
        """Positions, response, colours, row time and fingerprint.

        Raises:
            RigFault: something about the camera makes a calibration impossible; says what to do.
        """
        with self.undisturbed():
            found = self.map()
            try:
                return self._learn(found)
            except ValueError as error:
                raise RigFault(
                    "the camera's colours cannot be calibrated", got=str(error),
                    remedy="set [camera] exposure_ms and gain so that full white stays below 250 of 255",
                ) from error  # fmt: skip

    def _learn(self, found: Mapping) -> Calibration:
        self._say("response: levels of white")
        levels = [found.dark] + [self.still("hil_solid", brightness=b, saturation=0.0) for b in LEVELS]
        levels = _apart(levels)
        top = _drive(levels[-1])
        response = self._response(found, levels)
        window = window_for(found.leds.pitch)
        reader = TraceReader(
            layout(found.leds.xy, found.leds.usable, found.leds.width, found.leds.height, window), response
        )
        usable = found.leds.usable
        spill = measure_spill(read_steps(reader, found.steps, found.pixels), found.leds.xy, usable)
        dark, _ = reader.read_mean(found.dark.picture)

        def own(still: Still) -> tuple[Floats, npt.NDArray[np.bool_]]:
            light, clipped = reader.read_mean(still.picture)
            return take_out_spill((light - dark)[None], spill)[0].astype(np.float64), clipped | ~usable

        whites = [own(still) for still in levels[1:]]
        scale = fit_scale(
            np.stack([light for light, _ in whites]),
            np.stack([still.rgb.mean(axis=1) / 255.0 for still in levels[1:]]),
            np.stack([bad for _, bad in whites]),
        )
        self._say(f"colours: {len(CHART) + 1} pictures")
        chart = [self.still("hil_solid", color=h, saturation=s, brightness=v * top) for h, s, v in CHART]
        ramp = self.still("hil_ramp", LOOK_LONG_S)
        shown = [*levels[1:], *chart, ramp]
        seen = whites + [own(still) for still in [*chart, ramp]]
        colour = fit_colour(
            np.stack([light for light, _ in seen]), np.stack([s.rgb for s in shown]).astype(np.float64) / 255, scale,
            np.stack([bad | _beyond(s, top) for s, (_, bad) in zip(shown, seen, strict=True)]),
        )  # fmt: skip
        self._say("frame numbers: row time")
        counter = self._counter(reader, dark, spill, scale.white, found.leds)
        light, xy = _fingerprint(found, ramp, own)
        rate = frame_times_of(self._stamps)
        return Calibration(
            found.leds, response, window, spill, colour, dark, rate.fps if rate else float("nan"),
            self._exposure_ms(), counter.row_ns if counter else float("nan"),
            counter.row_error_ns if counter else float("nan"), self.camera.settings(),
            tuple(self.camera.warnings + _unusual(found, levels[-1])), light, xy,
            {"rig": self.rig.name, "firmware": self.rig.identity.sha256[:12]}, self._reference(found),
            _video_colour(found, levels, [*chart, ramp]),
        )  # fmt: skip

    def _exposure_ms(self) -> float | None:
        """As the camera reports it; a camera without controls (a stream) has what the rig file states."""
        return self.camera.settings().get("exposure_ms", self.rig.config.camera.exposure_ms)

    def _response(self, found: Mapping, levels: list[Still]) -> Response:
        at = found.pixels.at
        values = np.stack([s.picture.reshape(-1, 3)[at][:, ::-1] for s in levels])
        drive = np.array([_drive(s) for s in levels])
        return fit_response(drive, values)

    def _counter(
        self, reader: TraceReader, dark: Floats, spill: Floats, white: Floats, leds: LedMap
    ) -> CounterFit | None:
        """Row time from the frame counter; None when it cannot be read."""
        self.show("hil_counter", brightness=1.0)
        pairs = [(ns, reader.read(frame)[0]) for ns, frame in self.frames(COUNTER_S)]
        light = take_out_spill(np.stack([light for _, light in pairs]) - dark.astype(np.float32), spill)
        share = np.asarray(light.mean(axis=3) / np.where(leds.usable, white.mean(axis=2), np.nan), np.float64)
        try:
            readings = read_light(share, leds.usable)
            times = _times([ns for ns, _ in pairs])
            return fit_counter(readings, times, leds.xy[..., 1], self._led_fps())[0]
        except ValueError:
            return None  # too few LEDs or too long an exposure: the row time stays unknown, which the report says

    def _reference(self, found: Mapping) -> tuple[float, float] | None:
        """Where the reference LED is, found by lighting it while the strips are dark; None when there is none."""
        audio = self.rig.audio
        if audio is None:
            return None
        self._say("reference LED")
        self.show("hil_solid", brightness=0.0, saturation=0.0)
        on = np.ones(round(REFERENCE_S * RATE_HZ), np.float32)
        audio.play(Stimulus("reference LED", np.zeros_like(on), reference=on))
        pictures = [frame.astype(np.float32) for _, frame in self.frames(REFERENCE_S - 2 * SETTLE_S)]
        audio.finish()
        return lone_light(found.dark.picture, np.mean(pictures, axis=0)) if pictures else None

    def _led_fps(self) -> float:
        """LED frames per second as the device counts them."""
        telemetry = self.rig.telemetry
        telemetry.on()
        mark = telemetry.mark()
        self.rig.clock.sleep_until(self.rig.clock.now_ns() + 500_000_000)
        frames = telemetry.frames(mark)
        telemetry.off()
        telemetry.forget()
        if frames["seq"].size < 8:
            raise ValueError("the device reports no frames")
        return float(np.ptp(frames["seq"]) / np.ptp(frames["t_us"]) * 1e6)

    # ---- before a test -----------------------------------------------------------------------------

    def check(self, calibration: Calibration) -> tuple[Check, Floats]:
        """Whether the calibration still holds, and the room's light in each LED's window now.

        Raises:
            RigFault: another picture size.
            DutFailure: the device says itself that it does not show the pictures this needs.
        """
        with self.undisturbed():
            dark = self.still("hil_solid", brightness=0.0, saturation=0.0)
            ramp = self.still("hil_ramp")
        self.dark = dark.picture
        refuse_other_pictures(dark.rgb, ramp.rgb)
        if ramp.picture.shape[:2] != (calibration.leds.height, calibration.leds.width):
            raise RigFault(
                "the camera's picture has another size than when it was calibrated",
                expected=f"{calibration.leds.width} x {calibration.leds.height}",
                got=f"{ramp.picture.shape[1]} x {ramp.picture.shape[0]}", remedy="k1hil calibrate camera",
            )  # fmt: skip
        reader = calibration.reader()
        room, _ = reader.read_mean(dark.picture)
        lit, _ = reader.read_mean(ramp.picture)
        light = take_out_spill((lit - room)[None], calibration.spill)[0].mean(axis=2).astype(np.float64)
        grey = ramp.picture.mean(axis=2) - dark.picture.mean(axis=2)
        xy = centres_in(grey, calibration.leds.xy, calibration.leds.pitch)
        return compare(calibration, light, xy), room


def _apart(levels: list[Still]) -> list[Still]:
    """One picture for each light: a current limit makes all levels above it one and the same."""
    return list({s.rgb.tobytes(): s for s in levels}.values())


def _drive(white: Still) -> float:
    return float(white.rgb.mean()) / 255


def _beyond(still: Still, top: float) -> npt.NDArray[np.bool_]:
    """bool[160]: LEDs with a channel above the brightest white, about which nothing was learnt."""
    return np.asarray(still.rgb.max(axis=1) / 255 > top + 0.5 / 255)


def _video_colour(found: Mapping, levels: list[Still], colours: list[Still]) -> VideoColour:
    """Colours of still pictures, from the same pictures: the dark one first, then white at rising levels."""
    leds = found.leds
    where = wide_layout(leds.xy, leds.usable, leds.width, leds.height, leds.pitch)
    shown = [*levels[1:], *colours]
    sums, clipped = (np.stack(part) for part in zip(*(video_sums(where, s.picture) for s in shown), strict=True))
    n = len(levels) - 1
    return fit_video_colour(
        np.array([_drive(s) for s in levels[1:]]), sums[:n],
        video_sums(where, levels[0].picture)[0], sums,
        np.stack([s.rgb for s in shown]).astype(np.float64) / 255,
        clipped | ~leds.usable | np.stack([_beyond(s, _drive(levels[-1])) for s in shown])[:, None],
    )  # fmt: skip


def _fingerprint(
    found: Mapping, ramp: Still, own: Callable[[Still], tuple[Floats, npt.NDArray[np.bool_]]]
) -> tuple[Floats, Floats]:
    light, refused = own(ramp)
    grey = ramp.picture.mean(axis=2) - found.dark.picture.mean(axis=2)
    xy = centres_in(grey, found.leds.xy, found.leds.pitch)
    return np.where(refused, np.nan, light.mean(axis=2)), xy


def _times(stamps: list[int]) -> npt.NDArray[np.int64]:
    return frame_times(np.array(stamps, np.int64)).time_ns


def frame_times_of(stamps: list[int]) -> FrameTimes | None:
    """Frame grid of all frames of a session, pauses included; None when too few came."""
    try:
        return frame_times(np.array(stamps, np.int64))
    except ValueError:
        return None


def _unusual(found: Mapping, lit: Still) -> list[str]:
    """What a person should know about this picture."""
    out = []
    hot = (lit.picture.reshape(-1, 3)[found.pixels.at] >= CLIPPED).any(axis=1).mean()
    if hot > 0.002:
        out.append(f"{hot:.1%} of the lit pixels are clipped at full white: those samples are refused; expose less")
    brightest = float(lit.picture.max())
    if brightest < 100:
        out.append(f"full white reaches only {brightest:.0f} of 255: expose more for better colour")
    bad = sum(len(found.leds.named(s)) for s in ("doubtful", "swapped"))
    if bad:
        out.append(f"{bad} LEDs are doubtful or in another's place; they are left out")
    if found.leds.pitch < 5:
        out.append(f"LEDs are {found.leds.pitch:.1f} px apart; nearer or with more pixels colours get better")
    if not math.isfinite(found.leds.spot):
        out.append("no spot could be centred")
    return out
