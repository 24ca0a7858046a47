"""Sockets of the virtual network for the espota client: waiting moves the board."""

from __future__ import annotations

from harness.bench.board import Board
from harness.bench.net import VirtualDatagrams, VirtualSocket

_PORTS = iter(range(40_000, 60_000))


class _Datagrams:
    def __init__(self, board: Board, port: int) -> None:
        self._board, self._port = board, port
        self._socket: VirtualDatagrams = board.network.udp_socket()

    def send(self, data: bytes) -> None:
        with self._board.lock:
            self._socket.send(self._port, data)

    def receive(self, timeout_s: float) -> bytes | None:
        self._board.run_until(self._socket.readable, timeout_s, stop="net")
        return self._socket.recv()

    def close(self) -> None:
        self._socket.close()


class _Connection:
    def __init__(self, board: Board, sock: VirtualSocket) -> None:
        self._board, self._socket = board, sock

    def send(self, data: bytes, timeout_s: float) -> None:
        if self._socket.was_reset:
            raise ConnectionResetError("the device was reset in mid-transfer")
        with self._board.lock:
            self._socket.send(data)

    def receive(self, timeout_s: float) -> bytes | None:
        if not self._board.run_until(self._socket.readable, timeout_s, stop="net"):
            return None
        data = self._socket.recv(4096)
        if not data and self._socket.was_reset:
            raise ConnectionResetError("the device was reset in mid-transfer")
        return data

    def close(self) -> None:
        with self._board.lock:
            self._socket.close()


class _Listener:
    def __init__(self, board: Board) -> None:
        self._board = board
        self.port = next(_PORTS)
        self._accepted = board.network.tcp_accept(self.port)

    def accept(self, timeout_s: float) -> _Connection | None:
        self._board.run_until(lambda: bool(self._accepted), timeout_s, stop="net")
        return _Connection(self._board, self._accepted.pop(0)) if self._accepted else None

    def close(self) -> None:
        self._board.network.host_listeners.pop(self.port, None)


class VirtualOtaNetwork:
    """The update port of one virtual board (:class:`harness.instruments.ota.OtaNetwork`)."""

    def __init__(self, board: Board, host: str, port: int) -> None:
        self._board, self._port = board, port
        self.host = host

    def datagrams(self) -> _Datagrams:
        return _Datagrams(self._board, self._port)

    def listen(self) -> _Listener:
        return _Listener(self._board)
