"""How often the LED current limit dimmed a frame. Frame records do not say it; the device counts such frames."""

from __future__ import annotations

from typing import Protocol

from harness.errors import K1HilError
from harness.instruments.api import DeviceApi
from harness.rig.config import RigConfig
from harness.wire.telemetry import Identity

NO_ADDRESS = "0.0.0.0"


class Limited(Protocol):
    """What counting needs of a rig."""

    config: RigConfig

    @property
    def identity(self) -> Identity: ...

    @property
    def api(self) -> DeviceApi: ...


class CappedFrames:
    """The device's count, where the rig limits the current and the device can be asked over HTTP.

    Where no limit is set nothing is asked: no request disturbs a recording for a number that is zero.
    """

    def __init__(self) -> None:
        self._mute_boot = ""

    def count(self, rig: Limited) -> int | None:
        """Frames dimmed since boot; None where there is no limit, no network, or no such figure."""
        if rig.config.current_limit_a <= 0:
            return None
        identity = rig.identity
        if identity.ip == NO_ADDRESS or identity.boot_id == self._mute_boot:
            return None
        try:
            told = rig.api.get("/api/device/performance").get("capped_frames")
        except K1HilError:
            told = None
        if isinstance(told, bool) or not isinstance(told, int) or told < 0:
            # Asked once in vain is enough: an address that does not answer costs its whole deadline each time.
            self._mute_boot = identity.boot_id
            return None
        return told


def between(before: int | None, after: int | None) -> int | None:
    """Frames dimmed between two counts; None when one is missing or the device began anew."""
    return after - before if before is not None and after is not None and after >= before else None
