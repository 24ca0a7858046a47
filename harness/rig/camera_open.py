"""Opens a rig's camera as its file says."""

from __future__ import annotations

from harness.instruments.camera import Camera, Settings
from harness.instruments.clock import HostClock
from harness.rig.config import CameraTable
from harness.rig.mount import Mount


def camera_settings(table: CameraTable) -> Settings:
    """The camera settings of a rig file."""
    return Settings(
        table.width, table.height, table.fps, table.exposure_ms, table.gain, table.white_balance_k, table.focus
    )


def open_locked(mount: Mount, table: CameraTable, clock: HostClock) -> Camera | None:
    """Opens the camera and locks exposure, gain, white balance and focus; what did not take is in its warnings."""
    port = mount.open_camera()
    if port is None:
        return None
    camera = Camera(port, clock)
    try:
        camera.lock(camera_settings(table))
    except BaseException:
        camera.close()
        raise
    return camera
