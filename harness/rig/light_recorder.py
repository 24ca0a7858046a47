"""Turns camera frames into the light of every LED while a recording runs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.analysis.light.frametimes import frame_times
from harness.analysis.light.traces import take_out_spill
from harness.analysis.light.video_colour import video_sums
from harness.errors import RigFault
from harness.instruments.camera import Camera
from harness.recording import Light, Video
from harness.rig.camera_calibration import Calibration

REFERENCE_RADIUS = 4
# Frames whose video is summed: enough to average noise and the steps of compression; only still pictures are read so.
VIDEO_FRAMES = 32


class LightRecorder:
    """Collects light traces of one recording.

    Args:
        camera: whose frames are taken.
        calibration: of that camera.
        video: file for a compressed video of the same frames, for eyes; None: no video.
    """

    def __init__(self, camera: Camera, calibration: Calibration, video: Path | None = None) -> None:
        self._camera = camera
        self._calibration = calibration
        self._reader = calibration.reader()
        self._stamps: list[int] = []
        self._light: list[npt.NDArray[np.float32]] = []
        self._clipped: list[npt.NDArray[np.bool_]] = []
        self._reference: list[float] = []
        self._wide = calibration.wide() if calibration.video is not None else None
        self._sums: list[npt.NDArray[np.float64]] = []
        self.video = video
        self._video = _Video(video, calibration) if video is not None else None
        camera.drop_waiting()

    def take(self) -> None:
        """Reads the light of all frames that have come."""
        for stamp_ns, frame in self._camera.waiting():
            light, clipped = self._reader.read(frame)
            self._stamps.append(stamp_ns)
            self._light.append(light)
            self._clipped.append(clipped)
            if self._wide is not None and len(self._sums) < VIDEO_FRAMES:
                self._sums.append(video_sums(self._wide, frame)[0])
            if self._calibration.reference is not None:
                self._reference.append(self._reference_light(frame))
            if self._video is not None:
                self._video.add(frame)

    def _reference_light(self, frame: npt.NDArray[np.uint8]) -> float:
        assert self._calibration.reference is not None
        column, row = (round(v) for v in self._calibration.reference)
        r = REFERENCE_RADIUS
        part = frame[max(row - r, 0) : row + r + 1, max(column - r, 0) : column + r + 1, ::-1]
        return float(self._calibration.response.light(part).mean())

    def finish(self, first_ns: int, last_ns: int) -> Light:
        """The light between two host times.

        Raises:
            RigFault: hardly any frame came.
        """
        self.take()
        if self._video is not None:
            self._video.close()
        c = self._calibration
        try:
            times = frame_times(np.array(self._stamps, np.int64))
        except ValueError as error:
            raise RigFault(
                "the camera sent too few frames", got=str(error), remedy="check its cable, rate and exposure"
            ) from error
        keep = (times.time_ns >= first_ns) & (times.time_ns < last_ns)
        dark = c.dark.astype(np.float32)
        raw = np.stack(self._light)[keep] - dark
        raw[:, ~c.leds.usable] = 0.0
        light = take_out_spill(raw, c.spill)
        light[:, ~c.leds.usable] = np.nan
        number = times.number[keep]
        return Light(
            times.time_ns[keep], np.array(self._stamps, np.int64)[keep], number, light, np.stack(self._clipped)[keep],
            c.leds.xy, c.colour.scale.white, c.colour.scale.tone, c.colour.matrix,
            np.array(self._reference, np.float32)[keep] if self._reference else None,
            self._about(number, times.period_ns, times.residual_ns, times.steady), self._still(),
        )  # fmt: skip

    def _still(self) -> Video | None:
        """Mean video of the first frames with what makes colours of it; None from a calibration without."""
        known = self._calibration.video
        if known is None or not self._sums:
            return None
        sums = np.asarray(np.mean(self._sums, axis=0), np.float32)
        spread = np.asarray(np.std(self._sums, axis=0), np.float32)
        return Video(sums, spread, known.level, known.curve, known.dark, known.matrix)

    def _about(
        self, number: npt.NDArray[np.int64], period_ns: float, residual_ns: float, steady: bool
    ) -> dict[str, Any]:
        c = self._calibration
        return {
            "width": c.leds.width, "height": c.leds.height, "fps": 1e9 / period_ns, "period_ns": period_ns,
            "residual_ns": residual_ns, "steady": steady, "exposure_ms": c.exposure_ms,
            "row_ns": c.row_ns if math.isfinite(c.row_ns) else None,
            "row_error_ns": c.row_error_ns if math.isfinite(c.row_error_ns) else None,
            "missing": int(number[-1] - number[0] + 1 - number.size) if number.size else 0,
            "warnings": list(c.warnings), "reference_xy": list(c.reference) if c.reference else None,
        }  # fmt: skip


class _Video:
    """An MP4 of the frames at their nominal rate."""

    def __init__(self, path: Path, calibration: Calibration) -> None:
        import cv2

        fps = calibration.fps if math.isfinite(calibration.fps) else 30.0
        size = (calibration.leds.width, calibration.leds.height)
        self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)

    def add(self, frame: npt.NDArray[np.uint8]) -> None:
        """One more frame."""
        self._writer.write(frame)

    def close(self) -> None:
        """Completes the file."""
        self._writer.release()
