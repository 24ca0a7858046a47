"""The camera of a rig: opened and locked, calibrated or loaded, and checked before it is believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.light.video_colour import video_sums
from harness.errors import BadRequest, RigFault
from harness.instruments.camera import Camera
from harness.rig import camera_calibration
from harness.rig.camera_calibration import Calibration, Check
from harness.rig.config import RigConfig

if TYPE_CHECKING:
    from harness.rig.rig import Rig


# What both strips draw (harness.analysis.pixels.current_a) with hil_ramp, which is looked at before every run. White
# may be dimmed: the device tells its bytes, and they are what light is compared with.
CHECK_A = 5.12


class Calibrated(NamedTuple):
    """A calibration, and the picture with all LEDs lit that it was made from (float32[height, width, 3])."""

    calibration: Calibration
    lit: npt.NDArray[np.float32]


def need_camera(rig: Rig) -> Camera:
    """The rig's camera.

    Raises:
        RigFault: the rig has none.
    """
    camera = rig.camera
    if camera is None:
        raise RigFault(f"rig '{rig.name}' has no camera", remedy="name one in [camera] of the rig file")
    return camera


def calibration_path(rig_dir: Path, name: str) -> Path:
    """Where a rig's calibration is kept: beside its file."""
    return rig_dir / f"{name}.camera.json"


def too_dim(config: RigConfig, need_a: float) -> bool:
    """Whether the rig limits the LED current below ``need_a``."""
    return 0 < config.current_limit_a < need_a


def calibrate(rig: Rig, path: Path | None = None, progress: Callable[[str], None] | None = None) -> Calibrated:
    """Calibrates the rig's camera, keeps the result in the rig and, when a path is given, in a file.

    Raises:
        BadRequest: the rig limits the LED current below what ``hil_ramp`` draws: a run could not check the calibration.
        RigFault: no camera, or one that cannot make out the LEDs; says what to do.
    """
    if too_dim(rig.config, CHECK_A):
        raise BadRequest(
            f"rig '{rig.name}': its camera cannot be calibrated within led_current_limit_a = "
            f"{rig.config.current_limit_a:g}", expected=f"0 (no limit) or at least {CHECK_A:g} A",
            remedy="a supply that carries this, and its amperes as led_current_limit_a in the rig file",
        )  # fmt: skip
    from harness.rig.camera_session import CameraSession  # needs the rig's type

    session = CameraSession(rig, need_camera(rig), progress)
    calibration = session.calibrate()
    if path is not None:
        camera_calibration.save(calibration, path)
    rig.calibration = calibration
    assert session.lit is not None  # the map comes first
    return Calibrated(calibration, session.lit)


def recall(rig: Rig, path: Path) -> Check:
    """Loads a calibration and looks whether it still holds, before a test and not after.

    Raises:
        BadRequest: no file, or a damaged one.
        RigFault: the camera was moved, or its picture changed.
    """
    from dataclasses import replace

    from harness.rig.camera_session import CameraSession

    calibration = camera_calibration.load(path)
    session = CameraSession(rig, need_camera(rig))
    check, room = session.check(calibration)
    if not check.holds:
        raise RigFault(
            "the camera calibration no longer holds", got=check.text, evidence=str(path),
            remedy="k1hil calibrate camera",
        )  # fmt: skip
    video = calibration.video
    if video is not None and session.dark is not None:
        video = replace(video, dark=video_sums(calibration.wide(), session.dark)[0])
    rig.calibration = replace(calibration, dark=room, video=video)
    return check
