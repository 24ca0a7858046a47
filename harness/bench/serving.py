"""A board open to outside clients on loopback, in wall time."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from harness.bench.bridge import Bridge
from harness.bench.chip import Power
from harness.bench.handle import BoardHandle
from harness.bench.mjpeg import MjpegServer
from harness.bench.pacer import Pacer
from harness.bench.servers import serve_rfc2217, serve_socket

HTTP_PORT, OTA_PORT = 80, 3232
_READ_MOST = 16 * 1024 * 1024
_MOST_WAITING = 1024 * 1024  # a client that does not read loses its oldest bytes after so many
# A SLIP-framed SYNC command of 36 bytes: what every loader tool sends first.
_SYNC_HEAD = bytes.fromhex("c000082400")


@dataclass(frozen=True)
class Addresses:
    """Where outside clients find a served board; ``camera`` is "" when it has none."""

    mac: str
    serial: str
    socket: str
    http: str
    ota: str
    camera: str = ""

    def to_json(self) -> str:
        """One line, keys as the attributes."""
        return json.dumps(asdict(self))


class SharedLine:
    """One console line read by several clients: each open one gets every byte."""

    def __init__(self, board: BoardHandle) -> None:
        self._board = board
        self._waiting: dict[OutsideConsole, bytearray] = {}

    def join(self, client: OutsideConsole) -> None:
        self._waiting.setdefault(client, bytearray())

    def leave(self, client: OutsideConsole) -> None:
        self._waiting.pop(client, None)

    def collect(self, only: OutsideConsole | None = None) -> None:
        """Moves what has arrived by now to the clients (to ``only`` one: the loader answers who asked)."""
        if self._board.console.settle(self._board.now_ns) == 0:
            return
        data = self._board.console.take(_READ_MOST)
        for client, waiting in self._waiting.items():
            if only is None or client is only:
                waiting += data
                del waiting[: max(0, len(waiting) - _MOST_WAITING)]

    def waiting(self, client: OutsideConsole) -> bytearray:
        self.collect()
        return self._waiting.get(client, bytearray())


class OutsideConsole:
    """The board's console and reset lines as one serial server uses them (``SerialEndpoint``)."""

    def __init__(
        self, board: BoardHandle, shared: SharedLine, *, has_lines: bool, nudge: Callable[[], None] = lambda: None
    ) -> None:
        self._board = board
        self._nudge = nudge
        self._shared = shared
        self._has_lines = has_lines

    def host_open(self, kind: str) -> None:
        """A client came. Never resets the board."""
        with self._board.lock:
            self._shared.join(self)
            self._board.console_opened(kind)

    def host_close(self, kind: str) -> None:
        with self._board.lock:
            self._shared.leave(self)
            self._board.console_closed(kind)

    def host_write(self, data: bytes) -> None:
        """A plain socket has no reset lines: a loader's SYNC on it does what fingers on BOOT and RESET would do."""
        board = self._board
        with board.changed:
            if not self._has_lines and _SYNC_HEAD in data and board.chip.power is not Power.LOADER:
                board.reset(download=True)
            self._shared.collect()
            in_loader = board.chip.power is Power.LOADER
            board.console_write(data)
            if in_loader:
                self._shared.collect(only=self)
        if not in_loader:
            self._nudge()

    def set_lines(self, dtr: bool | None, rts: bool | None) -> None:
        self._board.set_lines(dtr, rts)

    def set_baud(self, baud: int) -> None:
        self._board.set_baud(baud)

    def read_output(self, timeout_s: float) -> bytes:
        """What the chip has sent; b"" when nothing came within ``timeout_s`` of wall time."""
        with self._board.changed:
            self._board.changed.wait_for(lambda: bool(self._shared.waiting(self)), timeout_s)
            waiting = self._shared.waiting(self)
            data = bytes(waiting)
            waiting.clear()
            return data

    def purge_rx(self) -> None:
        """Forgets what the chip has sent and this client has not read."""
        with self._board.lock:
            self._shared.waiting(self).clear()

    def purge_tx(self) -> None:
        """Nothing waits on the way to the chip."""


class Serving:
    """Servers, bridge and pacing of one served board."""

    def __init__(self, board: BoardHandle, ports: Mapping[str, int]) -> None:
        self._board = board
        self._pacer = Pacer(board, board.config.pace_ms / 1e3)
        self._bridge = Bridge(board.network, board.lock, self._pacer.nudge)
        http = self._bridge.serve_tcp(HTTP_PORT, ports.get("http", 0))
        ota = self._bridge.serve_udp(OTA_PORT, ports.get("ota", 0))
        shared = SharedLine(board)
        self._servers = [
            serve_rfc2217(
                OutsideConsole(board, shared, has_lines=True, nudge=self._pacer.nudge), tcp_port=ports.get("rfc2217", 0)
            ),
            serve_socket(
                OutsideConsole(board, shared, has_lines=False, nudge=self._pacer.nudge), tcp_port=ports.get("socket", 0)
            ),
        ]
        self._camera = None
        if board.camera is not None:
            self._camera = MjpegServer(board, board.camera, ports.get("camera", 0))
        self.addresses = Addresses(
            mac=board.mac.hex(":"),
            serial=f"rfc2217://127.0.0.1:{self._servers[0].port}",
            socket=f"socket://127.0.0.1:{self._servers[1].port}",
            http=f"http://127.0.0.1:{http}",
            ota=f"127.0.0.1:{ota}",
            camera="" if self._camera is None else self._camera.url,
        )

    def start(self) -> None:
        self._pacer.start()
        self._bridge.start()
        if self._camera is not None:
            self._camera.start()

    def hang_up(self) -> None:
        """Turns the serial clients out: the cable was pulled."""
        for server in self._servers:
            server.hang_up()

    def stop(self) -> None:
        """Joins every thread; the board then stands still."""
        if self._camera is not None:
            self._camera.stop()
        for server in self._servers:
            server.stop()
        self._bridge.stop()
        self._pacer.stop()
