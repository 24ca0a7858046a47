"""httpx in virtual time: an httpcore network backend whose sockets are the board's virtual network.

The HTTP bytes are real and meet the firmware's own parser; only the waiting is the board's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from harness.bench.handle import BoardHandle
from harness.bench.net import VirtualSocket, ip_text

_FOREVER_S = 3_600.0


class VirtualBackend(httpcore.NetworkBackend):
    """Connects to the TCP ports of one board, whatever the host name: there is only one machine on this network."""

    def __init__(self, board: BoardHandle) -> None:
        self._board = board
        self._next_port = 49_152

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Raises ``httpcore.ConnectError`` on refusal and ``httpcore.ConnectTimeout`` while the network is down."""
        board = self._board
        net = board.network
        if not board.run_until(lambda: net.up, _FOREVER_S if timeout is None else timeout, stop="net"):
            raise httpcore.ConnectTimeout(f"no network: {ip_text(board.ip)}:{port} does not answer")
        self._next_port = 49_152 + (self._next_port - 49_151) % 16_384
        sock = VirtualSocket(net)
        with board.lock:
            sock.stream = net.connect(port, sock, self._next_port)
            there = board.now_ns + 2 * net.latency()
        board.run_until(lambda: board.now_ns >= there, 60.0, stop=None)
        if sock.stream is None:
            raise httpcore.ConnectError(f"connection refused: {ip_text(board.ip)}:{port}")
        return VirtualStream(board, sock, (ip_text(board.ip), port))

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        raise httpcore.ConnectError("the board has no unix sockets")

    def sleep(self, seconds: float) -> None:
        """Lets virtual time pass."""
        end = self._board.now_ns + round(seconds * 1e9)
        self._board.run_until(lambda: self._board.now_ns >= end, seconds + 1.0, stop=None)


class VirtualStream(httpcore.NetworkStream):
    """One connection; errors are httpcore's own."""

    def __init__(self, board: BoardHandle, sock: VirtualSocket, server: tuple[str, int]) -> None:
        self._board = board
        self._sock = sock
        self._server = server

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        limit_s = _FOREVER_S if timeout is None else timeout
        if not self._board.run_until(self._sock.readable, limit_s, stop="net"):
            raise httpcore.ReadTimeout(f"nothing from {self._server[0]}:{self._server[1]} within {limit_s:g} s")
        with self._board.lock:
            data = self._sock.recv(max_bytes)
        if not data and self._sock.was_reset:
            raise httpcore.ReadError("the board was reset in mid-connection")
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with self._board.lock:
            if buffer and not self._sock.send(bytes(buffer)):
                raise httpcore.WriteError("the connection is closed")

    def close(self) -> None:
        with self._board.lock:
            self._sock.close()

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._sock.readable()
        return self._server if info == "server_addr" else None


def virtual_transport(board: BoardHandle) -> httpx.HTTPTransport:
    """An httpx transport over :class:`VirtualBackend`.

    Idle connections never expire (that reads the wall clock). A refused or unanswered connect is tried twice more,
    0 and 0.5 s later in virtual time: a board has its address some milliseconds before its server listens.
    """
    transport = httpx.HTTPTransport(retries=0)
    transport._pool = httpcore.ConnectionPool(  # noqa: SLF001  (httpx has no public way to pass a network backend)
        network_backend=VirtualBackend(board),
        max_connections=8,
        max_keepalive_connections=4,
        keepalive_expiry=None,
        retries=2,
    )
    return transport
