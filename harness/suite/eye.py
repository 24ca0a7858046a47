"""The suite's camera: looked at before it is believed, and again when some time has passed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.rig.camera import CHECK_A, calibration_path, recall, too_dim
from harness.rig.camera_calibration import Calibration
from harness.suite.absent import absent

if TYPE_CHECKING:
    from pathlib import Path

    from harness.rig.rig import Rig

# Somebody may knock against the tripod at any time. Before a test that looks, the last check is not older than this.
CHECKED_S = 30.0
BASIC = ("frames", "pixels", "wire")


class Eye:
    """Cameras of the session's rig and of its sibling boards.

    Args:
        rig_dir: folder of rig files, where the calibration lies beside its rig.
    """

    def __init__(self, rig_dir: Path) -> None:
        self._rig_dir = rig_dir
        self._checked_ns: dict[int, int] = {}

    def lacks(self, rig: Rig) -> str:
        """Why this rig cannot look at the strips; empty when it can."""
        if not rig.config.camera.present:
            return absent(rig, f"rig '{rig.name}' has no camera")
        if not calibration_path(self._rig_dir, rig.name).is_file():
            return f"rig '{rig.name}' has a camera without calibration: k1hil calibrate camera --rig {rig.name}"
        if too_dim(rig.config, CHECK_A):
            limit = f"led_current_limit_a = {rig.config.current_limit_a:g}"
            checked = f"the camera of rig '{rig.name}' is checked with {CHECK_A:g} A of light"
            return absent(rig, f"{checked}, above {limit}")
        return ""

    def look(self, rig: Rig) -> Calibration | None:
        """The calibration, after a look whether it still holds; None where there is no calibrated camera.

        Raises:
            RigFault: the camera was moved, or its picture changed.
            DutFailure: the device does not show the test picture that would tell.
        """
        if self.lacks(rig):
            return None
        now_ns, last_ns = rig.clock.now_ns(), self._checked_ns.get(id(rig))
        if rig.calibration is None or last_ns is None or now_ns - last_ns > CHECKED_S * 1e9:
            recall(rig, calibration_path(self._rig_dir, rig.name))
            self._checked_ns[id(rig)] = rig.clock.now_ns()
        return rig.calibration

    def streams(self, rig: Rig) -> tuple[str, ...]:
        """What a recording should hold where light matters: with the camera wherever there is a calibrated one."""
        return BASIC if self.look(rig) is None else (*BASIC, "camera")

    def need(self, rig: Rig) -> Calibration:
        """As :meth:`look`, for tests that cannot do without: they are skipped where it is missing."""
        lacking = self.lacks(rig)
        if lacking:
            pytest.skip(lacking)
        found = self.look(rig)
        assert found is not None
        return found
