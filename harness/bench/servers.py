"""A board's serial port on loopback: by RFC 2217 with reset lines, and as a plain socket without.

Each server has one client at a time, as a serial port has. A second one waits a moment, because the first may just be
leaving, and is then turned away.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Final, Protocol

from harness.bench.telnet import Answer, Baud, ComPort, Data, Event, Lines, Purge, TelnetSession, escape
from harness.errors import BadRequest

_READ_BYTES: Final = 65_536
# The sending thread looks this often whether its client has left; data itself wakes it at once.
_LEAVE_CHECK_S: Final = 0.05
_WAIT_FOR_TURN_S: Final = 1.0
_JOIN_S: Final = 10.0


class SerialEndpoint(Protocol):
    """The board's side of a serial port. Called from several threads; ``kind`` is ``rfc2217`` or ``socket``."""

    def host_open(self, kind: str) -> None:
        """A client came."""

    def host_close(self, kind: str) -> None:
        """The client left."""

    def host_write(self, data: bytes) -> None:
        """Bytes for the chip."""

    def set_lines(self, dtr: bool | None, rts: bool | None) -> None:
        """True is asserted; None leaves a line as it is."""

    def set_baud(self, baud: int) -> None:
        """The client's rate."""

    def read_output(self, timeout_s: float) -> bytes:
        """What the chip has sent; b"" when nothing came within the time."""

    def purge_rx(self) -> None:
        """Forgets what the chip has sent and nobody has read."""

    def purge_tx(self) -> None:
        """Forgets what is on its way to the chip."""


class SerialServer:
    """Listens on one TCP port, in threads of its own.

    Args:
        endpoint: the board.
        kind: ``rfc2217`` or ``socket``.
        host: address to listen on.
        tcp_port: 0 takes a free one.

    Attributes:
        port: TCP port in use.

    Raises:
        BadRequest: the port cannot be listened on.
    """

    def __init__(self, endpoint: SerialEndpoint, kind: str, host: str, tcp_port: int) -> None:
        self._endpoint = endpoint
        self._kind = kind
        try:
            self._listener = socket.create_server((host, tcp_port))
        except OSError as e:
            raise BadRequest(
                f"cannot listen on {host}:{tcp_port}", got=str(e), remedy="choose another port, or 0 for a free one"
            ) from e
        self.port = int(self._listener.getsockname()[1])
        self._com_port = ComPort()
        self._turn = threading.Lock()  # held while a client is served
        self._guard = threading.Lock()
        self._client: socket.socket | None = None
        self._threads: list[threading.Thread] = []
        self._stopped = False
        self._acceptor = threading.Thread(target=self._accept, name=f"serial {kind} {self.port}", daemon=True)
        self._acceptor.start()

    def disconnect(self) -> None:
        """Breaks the client's connection off, as a pulled cable would; the next client is welcome."""
        with self._guard:
            client = self._client
        if client is not None:
            _hang_up(client)

    def stop(self) -> None:
        """Turns the client out and joins every thread. Safe to call twice."""
        with self._guard:
            self._stopped = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.disconnect()
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=0.2):
            pass  # wakes an accept() that shutdown() does not wake everywhere
        self._acceptor.join(_JOIN_S)
        for thread in self._threads:
            thread.join(_JOIN_S)

    def hang_up(self) -> None:
        """Turns the client out: the cable was pulled."""
        with self._guard:
            client = self._client
        if client is not None:
            _hang_up(client)

    def _accept(self) -> None:
        while not self._stopped:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._turn.acquire(timeout=_WAIT_FOR_TURN_S):
                client.close()
                continue
            with self._guard:
                self._client = client
                if self._stopped:
                    _hang_up(client)
            self._threads = [thread for thread in self._threads if thread.is_alive()]
            thread = threading.Thread(
                target=self._serve, args=(client,), name=f"serial client {self.port}", daemon=True
            )
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        """One client from its first to its last byte."""
        connection = _Connection(self._endpoint, self._kind, client, self._com_port)
        try:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._endpoint.host_open(self._kind)
            try:
                connection.run()
            finally:
                self._endpoint.host_close(self._kind)
        finally:
            with self._guard:
                self._client = None
            client.close()
            self._turn.release()


class _Connection:
    """Both directions of one client. This thread receives, a second one sends what the chip says."""

    def __init__(self, endpoint: SerialEndpoint, kind: str, client: socket.socket, com_port: ComPort) -> None:
        self._endpoint = endpoint
        self._kind = kind
        self._client = client
        self._com_port = com_port
        self._telnet = TelnetSession(com_port) if kind == "rfc2217" else None
        self._send_lock = threading.Lock()
        self._gone = threading.Event()

    def run(self) -> None:
        """Until the client leaves."""
        sender = threading.Thread(target=self._send_output, name=f"serial {self._kind} output", daemon=True)
        sender.start()
        try:
            while data := self._receive():
                self._take(data)
        finally:
            self._gone.set()
            _hang_up(self._client)
            sender.join(_JOIN_S)
            self._drop_lines()

    def _receive(self) -> bytes:
        try:
            return self._client.recv(_READ_BYTES)
        except OSError:
            return b""

    def _take(self, data: bytes) -> None:
        if self._telnet is None:
            self._endpoint.host_write(data)
            return
        for event in self._telnet.feed(data):
            self._on_event(event)

    def _on_event(self, event: Event) -> None:
        """In the order of the stream: data before a line change reaches the chip before it."""
        if isinstance(event, Data):
            self._endpoint.host_write(event.data)
        elif isinstance(event, Answer):
            self._send(event.data)
        elif isinstance(event, Lines):
            self._endpoint.set_lines(event.dtr, event.rts)
        elif isinstance(event, Baud):
            self._endpoint.set_baud(event.baud)
        elif isinstance(event, Purge):
            if event.rx:
                self._endpoint.purge_rx()
            if event.tx:
                self._endpoint.purge_tx()

    def _drop_lines(self) -> None:
        """Closing a serial port releases both lines at once."""
        if self._telnet is not None:
            self._com_port.dtr = self._com_port.rts = False
            self._endpoint.set_lines(False, False)

    def _send_output(self) -> None:
        while not self._gone.is_set():
            data = self._endpoint.read_output(_LEAVE_CHECK_S)
            if data:
                self._send(data if self._telnet is None else escape(data))

    def _send(self, data: bytes) -> None:
        with self._send_lock, contextlib.suppress(OSError):  # a client that is gone ends the receiving side
            self._client.sendall(data)


def _hang_up(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)


def serve_rfc2217(endpoint: SerialEndpoint, host: str = "127.0.0.1", tcp_port: int = 0) -> SerialServer:
    """Serves a board as ``rfc2217://host:port``, reset lines included."""
    return SerialServer(endpoint, "rfc2217", host, tcp_port)


def serve_socket(endpoint: SerialEndpoint, host: str = "127.0.0.1", tcp_port: int = 0) -> SerialServer:
    """Serves a board as ``socket://host:port``: bytes only."""
    return SerialServer(endpoint, "socket", host, tcp_port)
