"""The serial servers on real loopback sockets: order, one client at a time, what opening and closing do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
import serial

from harness.bench.servers import SerialServer, serve_rfc2217, serve_socket
from harness.errors import BadRequest

PATIENCE_S = 10.0


class Echo:
    """A port whose chip answers every byte with itself; remembers all that happened, in order."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.happened: list[object] = []
        self.output = bytearray()

    def note(self, what: object) -> None:
        with self.changed:
            self.happened.append(what)
            self.changed.notify_all()

    def wait_for(self, what: object) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: what in self.happened, PATIENCE_S), (what, self.happened)

    def host_open(self, kind: str) -> None:
        self.note(("open", kind))

    def host_close(self, kind: str) -> None:
        self.note(("close", kind))

    def host_write(self, data: bytes) -> None:
        with self.changed:
            self.output += data
        self.note(data)

    def set_lines(self, dtr: bool | None, rts: bool | None) -> None:
        self.note(("lines", dtr, rts))

    def set_baud(self, baud: int) -> None:
        self.note(("baud", baud))

    def read_output(self, timeout_s: float) -> bytes:
        with self.changed:
            self.changed.wait_for(lambda: len(self.output) > 0, timeout_s)
            data = bytes(self.output)
            self.output.clear()
            return data

    def purge_rx(self) -> None:
        self.note("purge rx")

    def purge_tx(self) -> None:
        self.note("purge tx")


@pytest.fixture
def echo() -> Echo:
    return Echo()


@pytest.fixture
def plain(echo: Echo) -> Iterator[SerialServer]:
    server = serve_socket(echo)
    yield server
    server.stop()


@pytest.fixture
def telnet(echo: Echo) -> Iterator[SerialServer]:
    server = serve_rfc2217(echo)
    yield server
    server.stop()


def connect(server: SerialServer) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE_S)
    return sock


def receive(sock: socket.socket, n: int) -> bytes:
    data = b""
    while len(data) < n and (piece := sock.recv(n - len(data))):
        data += piece
    return data


def test_socket_carries_all_bytes(plain: SerialServer) -> None:
    everything = bytes(range(256)) * 300
    with connect(plain) as sock:
        sock.sendall(everything)
        assert receive(sock, len(everything)) == everything


def test_real_pyserial_client(echo: Echo, telnet: SerialServer) -> None:
    """pyserial's own RFC 2217 client: data with FF, lines, rate, and closing releases both lines at once."""
    port = serial.serial_for_url(f"rfc2217://127.0.0.1:{telnet.port}", timeout=PATIENCE_S)
    try:
        port.write(bytes(range(256)))
        assert port.read(256) == bytes(range(256))
        assert port.cts and port.dsr
        port.dtr = False
        port.baudrate = 921_600
        echo.wait_for(("baud", 921_600))
    finally:
        port.close()
    echo.wait_for(("close", "rfc2217"))
    lines = [x for x in echo.happened if isinstance(x, tuple) and x[0] == "lines"]
    assert lines[:2] == [("lines", True, None), ("lines", None, True)]
    assert lines[-1] == ("lines", False, False)


def test_data_and_line_changes_keep_their_order(echo: Echo, telnet: SerialServer) -> None:
    with connect(telnet) as sock:
        sock.sendall(b"one" + bytes.fromhex("fffa2c0508fff0") + b"two" + bytes.fromhex("fffa2c0c01fff0") + b"three")
        echo.wait_for(b"three")
    start = echo.happened.index(b"one")
    assert echo.happened[start : start + 5] == [b"one", ("lines", True, None), b"two", "purge rx", b"three"]


def test_next_client_follows_the_first(plain: SerialServer) -> None:
    for i in range(20):
        with connect(plain) as sock:
            sock.sendall(bytes([i]))
            assert receive(sock, 1) == bytes([i])


def test_second_client_is_turned_away(plain: SerialServer) -> None:
    with connect(plain) as first:
        first.sendall(b"x")
        assert receive(first, 1) == b"x"
        with connect(plain) as second:
            assert receive(second, 1) == b"", "closed, not left waiting"
        first.sendall(b"y")
        assert receive(first, 1) == b"y", "the first one is not disturbed"


def test_disconnect_and_come_back(echo: Echo, plain: SerialServer) -> None:
    with connect(plain) as sock:
        sock.sendall(b"x")
        receive(sock, 1)
        plain.disconnect()
        assert receive(sock, 1) == b""
    echo.wait_for(("close", "socket"))
    with connect(plain) as sock:
        sock.sendall(b"z")
        assert receive(sock, 1) == b"z"


def test_stop_ends_every_thread(echo: Echo) -> None:
    before = threading.active_count()
    server = serve_rfc2217(echo)
    with connect(server) as sock:
        sock.sendall(b"x")
        receive(sock, 1)
        server.stop()
        server.stop()
        assert receive(sock, 1) == b""
    assert threading.active_count() == before
    with pytest.raises(OSError):
        connect(server)


def test_port_in_use(plain: SerialServer, echo: Echo) -> None:
    with pytest.raises(BadRequest, match="cannot listen"):
        serve_socket(echo, tcp_port=plain.port)
