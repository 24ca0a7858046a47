"""The virtual camera: frames of the board's light, exactly as injected, on a clock of its own.

Nothing runs by itself. A frame is worked out when it is taken, from the light history; its random numbers depend on the
seed and its index alone, so how often and by whom frames are taken changes nothing in them. One lock guards the camera.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.bench.camera_config import CameraConfig
from harness.bench.camera_controls import Controls
from harness.bench.chip import LightFrame
from harness.bench.draws import Draws
from harness.bench.events import Batch, EventLog
from harness.bench.light_history import N_LEDS, LightHistory, ReferenceLight
from harness.bench.optics import Spots, make_spots
from harness.bench.scene import make_scene
from harness.bench.sensor import Levels, Sensor
from harness.bench.shutter import Pwm, gathered

BACKLOG_NS = 20_000_000_000  # frames nobody took in this time are gone; less than the light history keeps


class CameraFrame(NamedTuple):
    """What the host gets: its time stamp of the frame (ns) and the picture, uint8 [height, width, 3], blue first."""

    host_ns: int
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Exposure:
    """When a frame truly happens.

    Attributes:
        index: since the stream began; dropped frames count.
        start_ns: row 0 opens.
        end_ns: the last row closes.
        delivery_ns: the host has the frame.
        stamp_ns: what the host believes about it.
        dropped: it never arrives.
        levels, exposure_ns: settings in force.
        random: of this frame's noise.
    """

    index: int
    start_ns: int
    end_ns: int
    delivery_ns: int
    stamp_ns: int
    dropped: bool
    levels: Levels
    exposure_ns: float
    random: np.random.Generator


class VirtualCamera:
    """A camera looking at the strips of one board.

    Args:
        config: of camera and scene.
        draws: of the run.
        events: the log of injected truth.

    Attributes:
        controls: its settings as a driver sees them.
        history, reference: the light it looks at.
        scene: where the lights truly are.
        lost: frames that nobody took in time, since the camera was made.
    """

    def __init__(self, config: CameraConfig, draws: Draws, events: EventLog) -> None:
        self.config = config
        self.controls = Controls(config)
        self.history = LightHistory(config)
        self.reference = ReferenceLight(config)
        # A camera on its stand stays where it is from run to run; its noise and its clock do not.
        self._fixture = draws if config.scene_seed is None else Draws(config.scene_seed)
        self.scene = make_scene(config, self._fixture)
        self.lost = 0
        self._draws = draws
        self._events = events
        self._photons = Batch(events, "photons")
        self._taken = Batch(events, "camera frames")
        self._lock = threading.RLock()
        self._sensor: Sensor | None = None
        self._pwm = Pwm.drawn(config.pwm_hz, draws.stream("pwm"))
        random = draws.stream("camera clock")
        skew, offset = float(random.uniform(-1.0, 1.0)), float(random.uniform(0.0, 1.0))
        self.skew_ppm = skew * config.max_skew_ppm if config.skew_ppm is None else config.skew_ppm
        given_ms = config.timestamp_offset_ms
        self._offset_ns = offset * config.period_ns if given_ms is None else given_ms * 1e6
        self._period_ns = config.period_ns * (1.0 + self.skew_ppm * 1e-6)
        self._line_ns = config.readout_ms * 1e6 / config.height
        self._key = (0, 0)
        self._origin_ns = 0
        self._index = 0
        self._next: Exposure | None = None
        self._last_stamp_ns = 0
        self.streaming = False
        self._spots_of: tuple[float, Spots] | None = None
        self._log_scene(0)

    # ---- what happens to it

    def on_light(self, frame: LightFrame) -> None:
        """A transmission on both strips' wires."""
        at_ns = self.history.add(*frame)
        self._photons.add(at_ns, at_ns=at_ns, led0=list(frame.rgb_a[:3]))

    def move(self, dx_px: float, dy_px: float, rotation_deg: float, now_ns: int) -> None:
        """Somebody knocks against the tripod: the picture shifts and turns about its middle."""
        with self._lock:
            centre = ((self.config.width - 1) / 2.0, (self.config.height - 1) / 2.0)
            self.scene = self.scene.moved(dx_px, dy_px, rotation_deg, centre)
            self._spots_of = None
            self._log_scene(now_ns)

    def set(self, prop: str, value: float, now_ns: int) -> bool:
        """Sets a control from ``now_ns`` on; frames not taken before are gone, as when a driver restarts its stream."""
        with self._lock:
            took = self.controls.set(prop, value)
            self.skip_to(now_ns)
            self._events.add(now_ns, "camera control", prop=prop, asked=value, now=self.controls.get(prop))
            return took

    def start(self, now_ns: int, epoch: int = 0) -> None:
        """Begins a stream: first frame at a random phase after ``now_ns``."""
        with self._lock:
            self._key = (epoch, self._key[1] + 1 if self._key[0] == epoch else 1)
            phase = float(self._draws.stream("camera phase", *self._key).random())
            self._origin_ns = now_ns + round(phase * self._period_ns)
            self._index, self._next, self._last_stamp_ns = 0, None, 0
            self.streaming = True
            self._events.add(
                now_ns, "camera", first_ns=self._origin_ns, period_ns=self._period_ns, line_ns=self._line_ns,
                exposure_ns=self.controls.exposure_ns, stamp_offset_ns=self._offset_ns,
            )  # fmt: skip

    def stop(self) -> None:
        """Ends the stream."""
        with self._lock:
            self.streaming = False
            self.flush_log()

    def time_jumped(self, now_ns: int, epoch: int) -> None:
        """Host time was moved on while nothing ran: what shone goes on shining, a running stream starts anew."""
        with self._lock:
            self.reference.clear()
            if self.streaming:
                self.start(now_ns, epoch)

    # ---- frames

    def upcoming(self) -> Exposure:
        """The next frame of the stream; its settings are fixed now."""
        with self._lock:
            if self._next is None:
                self._next = self._expose(self._index)
            return self._next

    def take(self, now_ns: int) -> CameraFrame | None:
        """The oldest frame that has arrived by ``now_ns`` and was not taken yet; None when there is none.

        The board must have got to ``now_ns``: light that is not known yet cannot be seen.
        """
        with self._lock:
            while self.streaming and self.upcoming().delivery_ns <= now_ns:
                if self.upcoming().start_ns < now_ns - BACKLOG_NS:
                    self.lost += self.skip_to(now_ns - BACKLOG_NS)
                    continue
                frame = self.develop()
                if frame is not None:
                    return frame
            return None

    def frames(self, until_ns: int) -> Iterator[CameraFrame]:
        """All frames that have arrived by ``until_ns`` and were not taken yet, oldest first."""
        while (frame := self.take(until_ns)) is not None:
            yield frame

    def develop(self, packed: bool = True) -> CameraFrame | None:
        """Takes the upcoming frame once the board has got to its end, JPEG or not; None when it was dropped."""
        with self._lock:
            exposure = self.upcoming()
            self._index, self._next = exposure.index + 1, None
            self._last_stamp_ns = exposure.stamp_ns
            self._taken.add(
                exposure.start_ns, index=exposure.index, start_ns=exposure.start_ns, stamp_ns=exposure.stamp_ns,
                dropped=exposure.dropped,
            )  # fmt: skip
            if exposure.dropped:
                return None
            return CameraFrame(exposure.stamp_ns, self._picture(exposure, packed))

    def skip_to(self, now_ns: int) -> int:
        """Lets every frame that began before ``now_ns`` go by; how many those were."""
        with self._lock:
            index = max(self._index, int(np.ceil((now_ns - self._origin_ns) / self._period_ns)))
            skipped, self._index, self._next = index - self._index, index, None
            return skipped

    def flush_log(self) -> None:
        """Writes what is known so far to the event log."""
        self._photons.flush()
        self._taken.flush()

    # ---- inside

    def _expose(self, index: int) -> Exposure:
        config = self.config
        random = self._draws.stream("camera frame", *self._key, index)
        early, stamp = random.standard_normal(2)
        dropped = bool(random.random() < config.drop)
        start = self._origin_ns + round(index * self._period_ns + early * config.frame_jitter_ms * 1e6)
        end = start + round(config.readout_ms * 1e6 + self.controls.exposure_ns)
        delivery = end + round(config.delivery_ms * 1e6)
        stamp_ns = min(delivery, start + round(self._offset_ns + stamp * config.timestamp_jitter_ms * 1e6))
        stamp_ns = max(stamp_ns, self._last_stamp_ns + 1_000)  # a driver's stamps never go back
        return Exposure(
            index, start, end, delivery, stamp_ns, dropped, self.controls.levels, self.controls.exposure_ns, random
        )

    def _picture(self, exposure: Exposure, packed: bool) -> NDArray[np.uint8]:
        if self._sensor is None:  # only now: most boards are never looked at
            self._sensor = Sensor(self.config, self._draws, self._fixture)
        spots = self._spots()
        automatic = self.controls.automatic
        picture = self._sensor.picture(
            spots, self._light(exposure, spots), exposure.levels, exposure.random, wandering=automatic, packed=packed
        )
        if automatic:
            self.controls.learn(*picture[::4, ::4].reshape(-1, 3).mean(axis=0).tolist())
        return picture

    def _light(self, exposure: Exposure, spots: Spots) -> NDArray[np.float64]:
        """Drive of R, G, B gathered by each light and row, scaled to total signal at nominal exposure."""
        config = self.config
        slack_ns = 0.0 if self._pwm is None else 1.1e9 / config.pwm_hz
        opens = np.clip(spots.rows, 0, config.height - 1).astype(np.float64) * self._line_ns
        seen = self.history.between(exposure.start_ns, exposure.end_ns, slack_ns)
        light = np.zeros((*spots.rows.shape, 3))
        light[:N_LEDS] = gathered(seen, exposure.start_ns, opens[:N_LEDS], exposure.exposure_ns, self._pwm)
        light[:N_LEDS] *= self.scene.brightness.reshape(-1, 1, 1)
        if self.scene.reference is not None:
            last = opens[N_LEDS:]
            lit = self.reference.integral(exposure.start_ns, last, last + exposure.exposure_ns)
            light[N_LEDS:] = lit[..., None] * np.array(config.reference_rgb)
        # led_level is the peak density of a spot in focus; its light stays the same when it is blurred
        peak = 2.0 * np.pi * config.psf_rgb[1] ** 2 * config.led_level
        light *= peak / (config.exposure_ms * 1e6)
        return light

    def _spots(self) -> Spots:
        """The lights' spots at the present focus."""
        defocus = self.controls.defocus_px
        if self._spots_of is None or self._spots_of[0] != defocus:
            red, green, blue = (float(np.hypot(sigma, defocus)) for sigma in self.config.psf_rgb)
            places = self.scene.leds.reshape(-1, 2)
            if self.scene.reference is not None:
                places = np.vstack([places, self.scene.reference])
            self._spots_of = (
                defocus, make_spots(places, (red, green, blue), self.config.width, self.config.height)
            )  # fmt: skip
        return self._spots_of[1]

    def _log_scene(self, now_ns: int) -> None:
        reference = self.scene.reference
        self._events.add(
            now_ns, "scene", leds=self.scene.leds.round(4).tolist(),
            reference=None if reference is None else reference.round(4).tolist(),
            pitch_px=self.scene.pitch_px, brightness=self.scene.brightness.round(5).tolist(),
        )  # fmt: skip
