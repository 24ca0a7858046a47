"""The seam between a rig and its bench: what a virtual and a physical one do differently."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

from harness.instruments.api import DeviceApi
from harness.instruments.audio_in import AudioIn
from harness.instruments.camera import CameraPort
from harness.instruments.clock import HostClock
from harness.instruments.ota import OtaNetwork
from harness.instruments.ports import StampedPort
from harness.instruments.strip_tap import StripTap


class Mount(Protocol):
    """What differs between a virtual and a physical bench. Everything else is shared.

    Attributes:
        clock, port: host clock and console port.
        audio, tap: None when the rig has no such instrument.
        board: the virtual board, for the bench's own tools; None on physical rigs.
        expected_mac: MAC the chip must have, "" when unknown.
    """

    clock: HostClock
    port: StampedPort
    audio: AudioIn | None
    tap: StripTap | None
    expected_mac: str

    @property
    def board(self) -> Any: ...

    def bench_faults(self) -> list[str]:
        """Faults of a served bench itself since it started (it fell behind wall time, its sound ran dry)."""
        ...

    def open_camera(self) -> CameraPort | None:
        """Opens the rig's camera; None when it has none.

        Raises:
            RigFault: it cannot be opened.
        """
        ...

    def cost_model(self) -> str:
        """What render times are computed by; "" on real silicon."""
        ...

    def api(self, ip: str) -> DeviceApi:
        """An API client for a device at this address."""
        ...

    def ota_network(self, ip: str) -> OtaNetwork:
        """Sockets to the update port of a device at this address."""
        ...

    def flash_port(self) -> AbstractContextManager[str]:
        """Path or URL for the flasher, with the console out of its way meanwhile."""
        ...

    def set_reset_lines(self, *, dtr: bool, rts: bool) -> None:
        """Drives EN and GPIO0."""
        ...

    def close(self) -> None:
        """Gives everything back."""
        ...
