"""Wires real ports, the real network and the wall clock to the instruments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from harness.errors import RigFault
from harness.instruments.api import DeviceApi
from harness.instruments.audio_in import AudioIn
from harness.instruments.camera import CameraPort
from harness.instruments.clock import HostClock, WallClock, never
from harness.instruments.opencv_port import OpenCvPort
from harness.instruments.ota import OtaNetwork
from harness.instruments.ota_sockets import SocketNetwork
from harness.instruments.ports import OwnedPort, StampedPort, open_serial, resolve_port
from harness.instruments.speaker import Speaker
from harness.instruments.strip_tap import StripTap
from harness.rig.audio_calibration import AudioCalibration
from harness.rig.camera_open import camera_settings
from harness.rig.config import AudioConfig, PortConfig, RigConfig
from harness.rig.secrets import api_headers

STATUS_TIMEOUT_S = 5.0
MOST_FAULTS = 1000


def locate(port: PortConfig) -> str:
    """Path or URL of a port as it is now.

    Raises:
        RigFault: it is not plugged in.
    """
    return resolve_port(port.port, port.serial_number, port.mac or "")


def _speaker(audio: AudioConfig, clock: HostClock, known: AudioCalibration | None) -> Speaker:
    return Speaker(
        audio.device, audio.volume, clock.now_ns, loopback=audio.loopback, channels=audio.channels,
        latency_s=audio.latency_ms / 1e3, path_ms=audio.path_ms,
        bias_ms=None if known is None else known.driver_bias_ms,
    )  # fmt: skip


class PhysicalMount:
    """A real board (or a served virtual one) on real ports.

    Args:
        config: of the rig.
        sound: what is known of its sound; None: nothing.

    Raises:
        RigFault: the console port or the speaker cannot be opened.
    """

    def __init__(self, config: RigConfig, sound: AudioCalibration | None = None) -> None:
        self._config = config
        clock = WallClock()
        self.clock: HostClock = clock
        self._owner = OwnedPort(lambda: locate(config.console), config.console.baud, clock.now_ns, clock.notify)
        self.port: StampedPort = self._owner
        self._speaker: Speaker | None = None
        if config.audio.device:
            try:
                self._speaker = _speaker(config.audio, clock, sound)
            except RigFault:
                self._owner.close()
                raise
        self.audio: AudioIn | None = self._speaker
        self.tap: StripTap | None = None
        self.board: Any = None
        self.expected_mac = config.dut.mac or config.console.mac or config.flash.mac or ""

    def bench_faults(self) -> list[str]:
        """What the status page of the served bench says; nothing on a bench of real things.

        Raises:
            RigFault: it does not answer.
        """
        url = self._config.bench_status
        if not url:
            return []
        try:
            told = httpx.get(url, timeout=STATUS_TIMEOUT_S).raise_for_status().json()["faults"]
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            raise RigFault(
                "the served bench does not answer", expected=f"its faults at {url}", got=repr(error),
                remedy="is k1hil bench --live still running?",
            ) from error  # fmt: skip
        return [str(text) for text in told][:MOST_FAULTS] if isinstance(told, list) else []

    def open_camera(self) -> CameraPort | None:
        """See :class:`harness.rig.mount.Mount`."""
        camera = self._config.camera
        return OpenCvPort(camera.device, camera_settings(camera)) if camera.present else None

    def cost_model(self) -> str:
        """Render times of real silicon are measured, not modelled."""
        return ""

    def api(self, ip: str) -> DeviceApi:
        """A client for the address of the rig file, else the one the device reports."""
        base_url = self._config.api.base_url or f"http://{ip}"
        client = httpx.Client(base_url=base_url, timeout=self._config.api.timeout_s, headers=api_headers())
        return DeviceApi(client, self.clock)

    def ota_network(self, ip: str) -> OtaNetwork:
        """Real sockets to the update port: of the rig file, else of the address the device reports."""
        ota = self._config.ota
        ports = None if ota.listen_ports is None else range(ota.listen_ports[0], ota.listen_ports[1] + 1)
        return SocketNetwork(ota.host or ip, ota.port, ota.listen_address, ports)

    @property
    def _own_flash_port(self) -> bool:
        return self._config.flash.named and locate(self._config.flash) != locate(self._config.console)

    @contextmanager
    def flash_port(self) -> Iterator[str]:
        """The flash port; when that is the console's too, its owner lets go meanwhile."""
        url = locate(self._config.flash if self._config.flash.named else self._config.console)
        shared = not self._own_flash_port
        if shared:
            self._owner.pause()
        try:
            yield url
        finally:
            if shared:
                self._owner.resume()

    def set_reset_lines(self, *, dtr: bool, rts: bool) -> None:
        """EN and GPIO0 hang on the flash port when the board has one of its own."""
        if not self._own_flash_port:
            self.port.set_lines(dtr=dtr, rts=rts)
            return
        port = open_serial(locate(self._config.flash), self._config.flash.baud)
        try:
            port.dtr = dtr
            port.rts = rts
            if rts:
                # Closing releases the lines, so the pulse has to be given within this one opening.
                self.clock.wait(never, 0.1)
                port.rts = False
        finally:
            port.close()

    def close(self) -> None:
        """Gives port and speaker back."""
        self.port.close()
        if self._speaker is not None:
            self._speaker.close()
