"""Wires a virtual board to the instruments. The only place of the rig that knows the virtual bench."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, cast

import httpx
import numpy as np
import serial

from harness.bench.board import Board
from harness.bench.camera_port import VirtualCameraPort
from harness.bench.config import BoardConfig
from harness.bench.http_backend import virtual_transport
from harness.errors import BadRequest, RigFault
from harness.instruments.api import DeviceApi
from harness.instruments.audio_in import AudioIn, PlayReport
from harness.instruments.camera import CameraPort
from harness.instruments.clock import HostClock
from harness.instruments.ota import OtaNetwork
from harness.instruments.ports import Stamped, StampedPort
from harness.instruments.strip_tap import StripTap
from harness.recording import LEDS, Columns
from harness.rig.config import RigConfig
from harness.rig.secrets import api_headers
from harness.rig.virtual_ota import VirtualOtaNetwork
from harness.signals import Stimulus, stereo
from harness.wire.espota import DEFAULT_PORT


class BoardClock:
    """The board's host clock: waiting moves the board."""

    def __init__(self, board: Board) -> None:
        self._board = board

    def now_ns(self) -> int:
        """Host time of the board."""
        return int(self._board.now_ns)

    def wait(self, condition: Callable[[], bool], timeout_s: float, *, stop: str | None = None) -> bool:
        """See :class:`harness.instruments.clock.HostClock`."""
        return self._board.run_until(condition, timeout_s, stop=cast(Literal["net", "console"] | None, stop))

    def sleep_until(self, host_ns: int) -> None:
        """Runs exactly to ``host_ns``, in large slices."""
        self._board.run_to(host_ns)


class BoardPort:
    """The board's console port."""

    def __init__(self, board: Board) -> None:
        self._port = board.serial

    def read_stamped(self) -> list[Stamped]:
        """See :class:`harness.instruments.ports.StampedPort`."""
        try:
            return self._port.read_stamped()
        except serial.SerialException as error:
            raise _gone(error) from error

    def write(self, data: bytes) -> int:
        """See :class:`harness.instruments.ports.StampedPort`."""
        try:
            return self._port.write(data)
        except serial.SerialException as error:
            raise _gone(error) from error

    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """See :class:`harness.instruments.ports.StampedPort`."""
        if dtr is not None and dtr != self._port.dtr:
            self._port.dtr = dtr
        if rts is not None and rts != self._port.rts:
            self._port.rts = rts

    def close(self) -> None:
        """See :class:`harness.instruments.ports.StampedPort`."""
        self._port.close()


def _gone(error: Exception) -> RigFault:
    return RigFault("the console port is gone", got=str(error), remedy="check cable and power of the device")


class BoardSpeaker:
    """Sound at the board's microphone, sample exact."""

    exact_start = True

    def __init__(self, board: Board) -> None:
        self._board = board
        self._start_ns = 0

    def play(self, stimulus: Stimulus, at_ns: int | None = None) -> int:
        """See :class:`harness.instruments.audio_in.AudioIn`."""
        sound = stimulus.samples if stimulus.reference is None else stereo(stimulus)
        self._start_ns = int(self._board.play(sound, stimulus.rate_hz, at_ns))
        return self._start_ns

    def finish(self) -> PlayReport:
        """See :class:`harness.instruments.audio_in.AudioIn`. What sounds goes on: in virtual time nothing can slide."""
        return PlayReport(self._start_ns, 0, 0, "exact")

    def stop(self) -> None:
        """Silence from now on."""
        self._board.silence()


class BoardTap:
    """Both strip wires of the board."""

    def __init__(self, board: Board) -> None:
        self._board = board

    @property
    def lost(self) -> int:
        """See :class:`harness.instruments.strip_tap.StripTap`."""
        return int(self._board.light_lost)

    def take(self) -> Columns:
        """See :class:`harness.instruments.strip_tap.StripTap`.

        Frames of another LED count are not strip frames: left out.
        """
        frames = [f for f in self._board.take_light() if len(f.rgb_a) == len(f.rgb_b) == LEDS * 3]
        rgb = np.frombuffer(b"".join(part for f in frames for part in (f.rgb_a, f.rgb_b)), np.uint8)
        return {
            "host_ns": np.array([f.start_ns for f in frames], np.int64),
            "rgb": rgb.reshape(-1, 2, LEDS, 3),
        }


class VirtualMount:
    """A fresh board (or one with a kept state folder) behind the instruments' protocols.

    Args:
        config: of the rig; its ``[bench]`` table describes the board.
        seed: of everything random on the board.
        state_dir: flash, efuses and settings of a board that outlives the run; None: a new board, gone afterwards.
        event_log: file for the board's injected truth, which only a scorer may read.
    """

    def __init__(
        self, config: RigConfig, seed: int, *, state_dir: Path | None = None, event_log: Path | None = None
    ) -> None:
        self._temporary = None if state_dir else Path(tempfile.mkdtemp(prefix="k1hil-board-"))
        bench = config.bench or BoardConfig()
        if bench.microphone:
            raise BadRequest(
                "a microphone at a sound server needs wall time", got=f"microphone = {bench.microphone}",
                remedy="k1hil bench --live, and a rig like sim-live; or remove it from [bench]",
            )  # fmt: skip
        mac = bytes.fromhex(config.dut.mac.replace(":", "")) if config.dut.mac else None
        try:
            self.board = Board(state_dir or self._temporary, seed=seed, mac=mac, wiring=bench.wiring, config=bench)
        except BaseException:
            self._remove_state()
            raise
        self._event_log = event_log
        self.clock: HostClock = BoardClock(self.board)
        self.port: StampedPort = BoardPort(self.board)
        self.audio: AudioIn | None = BoardSpeaker(self.board)
        self.tap: StripTap | None = BoardTap(self.board)
        self.expected_mac = self.board.mac.hex(":")
        self._timeout_s = config.api.timeout_s
        self._camera = config.camera.device == "virtual"

    def bench_faults(self) -> list[str]:
        """See :class:`harness.rig.mount.Mount`. Here they are raised where they happen."""
        return []

    def open_camera(self) -> CameraPort | None:
        """See :class:`harness.rig.mount.Mount`."""
        return VirtualCameraPort(self.board) if self._camera else None

    def cost_model(self) -> str:
        """See :class:`harness.rig.mount.Mount`."""
        return str(self.board.cost_model)

    def api(self, ip: str) -> DeviceApi:
        """A client whose bytes go to the board's own HTTP server, in the board's time."""
        client = httpx.Client(
            base_url=f"http://{ip}",
            transport=virtual_transport(self.board),
            timeout=self._timeout_s,
            headers=api_headers(),
        )
        return DeviceApi(client, self.clock)

    def ota_network(self, ip: str) -> OtaNetwork:
        """The board's update port, in the board's time."""
        return VirtualOtaNetwork(self.board, ip, DEFAULT_PORT)

    @contextmanager
    def flash_port(self) -> Iterator[str]:
        """The board's RFC 2217 port, served for as long as the flasher needs it."""
        addresses = self.board.serve()
        try:
            yield addresses.serial
        finally:
            self.board.unserve()

    def set_reset_lines(self, *, dtr: bool, rts: bool) -> None:
        """See :class:`harness.rig.mount.Mount`."""
        self.port.set_lines(dtr=dtr, rts=rts)

    def close(self) -> None:
        """Stops the board and removes what was temporary."""
        try:
            self.port.close()
            self.board.close()
            if self._event_log is not None:
                shutil.copyfile(self.board.event_log, self._event_log)
        finally:
            self._remove_state()

    def _remove_state(self) -> None:
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
