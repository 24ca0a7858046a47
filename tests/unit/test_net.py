"""The virtual network, and real httpx over it, against a firmware played by the test."""

from __future__ import annotations

import struct
from typing import Any, cast

import httpx
import pytest
from bench_stub import StubBoard

from harness.bench import link
from harness.bench.http_backend import virtual_transport
from harness.bench.net import HOST_IP, VirtualSocket, board_ip, ip_text


class HttpFirmware:
    """Listens on port 80 and answers every request with ``answer``, in pieces of ``piece`` bytes."""

    def __init__(self, board: StubBoard, answer: bytes, piece: int = 1_436, *, close: bool = False) -> None:
        self.board, self.answer, self.piece, self.close = board, answer, piece, close
        self.requests: list[bytes] = []
        self.room: dict[int, int] = {}
        self.pending: dict[int, bytes] = {}
        self.rx: dict[int, bytes] = {}
        board.network.up_from(0)
        board.network.on_out(0, link.NET_LISTEN, struct.pack("<IH", 1, 80))
        board.react = self.react

    def react(self) -> None:
        now = self.board.now_ns
        due = sorted(f for f in self.board.sent if f[0] <= now)
        self.board.sent[:] = [f for f in self.board.sent if f[0] > now]
        for _, kind, body in due:
            handle = struct.unpack_from("<I", body)[0]
            if kind == link.NET_ACCEPT:
                handle = struct.unpack_from("<I", body, 4)[0]
                self.room[handle], self.pending[handle], self.rx[handle] = link.SEND_WINDOW, b"", b""
            elif kind == link.NET_DATA:
                self.rx[handle] += body[4:]
                if self.rx[handle].endswith(b"\r\n\r\n"):
                    self.requests.append(self.rx[handle])
                    self.rx[handle] = b""
                    self.pending[handle] += self.answer
            elif kind == link.NET_ROOM:
                self.room[handle] += struct.unpack_from("<I", body, 4)[0]
        for handle in list(self.pending):
            self.push(handle, now)

    def push(self, handle: int, now: int) -> None:
        while self.pending[handle] and self.room[handle]:
            part = self.pending[handle][: min(self.piece, self.room[handle])]
            self.pending[handle] = self.pending[handle][len(part) :]
            self.room[handle] -= len(part)
            self.board.network.on_out(now, link.NET_SEND, struct.pack("<I", handle) + part)
            if not self.pending[handle] and self.close:
                self.board.network.on_out(now, link.NET_CLOSE, struct.pack("<I", handle))


def client(board: StubBoard, timeout: float = 2.0) -> httpx.Client:
    return httpx.Client(
        base_url=f"http://{ip_text(board.ip)}", transport=virtual_transport(cast(Any, board)), timeout=timeout
    )


def response(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize("piece", [1, 7, 1_436])
def test_httpx_gets_every_byte_through_the_send_window(piece: int) -> None:
    board = StubBoard()
    body = bytes(range(256)) * (2 if piece == 1 else 100)
    firmware = HttpFirmware(board, response(body), piece)
    with client(board) as http:
        assert http.get("/api/health").content == body
        assert http.get("/again").content == body  # the same connection
    assert [r.split(b" ")[1] for r in firmware.requests] == [b"/api/health", b"/again"]
    assert len(firmware.room) == 1
    assert b"Host: 10.71.2.3" in firmware.requests[0]


def test_end_of_stream_ends_the_body() -> None:
    board = StubBoard()
    HttpFirmware(board, b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it", close=True)
    with client(board) as http:
        assert http.get("/").text == "all of it"


def test_failures_are_those_of_a_real_network() -> None:
    board = StubBoard()
    with client(board) as http:
        with pytest.raises(httpx.ConnectTimeout):  # no address yet
            http.get("/")
        assert board.now_ns == 6_500_000_000  # three tries and the pause before the last
        board.network.up_from(0)
        with pytest.raises(httpx.ConnectError):  # nobody listens
            http.get("/")
        HttpFirmware(board, b"")
        start = board.now_ns
        with pytest.raises(httpx.ReadTimeout):
            http.get("/")
        assert 2.0 <= (board.now_ns - start) / 1e9 < 2.1


def test_a_reset_in_mid_answer_is_a_read_error() -> None:
    board = StubBoard()
    firmware = HttpFirmware(board, response(b"x" * 50_000))
    answer = firmware.react

    def reset_later() -> None:
        answer()
        if firmware.requests and board.now_ns > 60_000_000:
            board.network.power_off()

    board.react = reset_later
    with client(board) as http, pytest.raises(httpx.ReadError):
        http.get("/")
    assert not board.network.is_listening(80)


def test_latency_keeps_the_order_of_a_stream() -> None:
    board = StubBoard()
    delays = iter([9, 1, 5, 2, 8, 3, 7])
    board.network.latency = lambda: next(delays) * 1_000_000
    board.network.up_from(0)
    board.network.on_out(0, link.NET_LISTEN, struct.pack("<IH", 1, 23))
    sock = VirtualSocket(board.network)
    sock.stream = board.network.connect(23, sock, 50_000)
    assert sock.stream is not None
    sock.send(b"a")
    sock.send(b"b")
    assert [at for at, _, _ in board.sent] == [9_000_000, 9_001_000, 9_002_000]  # in order, a microsecond a byte
    handle = sock.stream.handle
    board.network.on_out(0, link.NET_SEND, struct.pack("<I", handle) + b"x")
    board.network.on_out(0, link.NET_SEND, struct.pack("<I", handle) + b"y")
    assert board.network.next_arrival(0) == 2_000_000
    board.now_ns = 2_000_000
    assert sock.readable() and sock.recv(10) == b"x"
    board.now_ns = 8_000_000
    assert sock.recv(10) == b"y"


def test_a_client_that_does_not_read_stops_the_stream() -> None:
    board = StubBoard()
    board.network.latency = lambda: 0
    board.network.up_from(0)
    board.network.on_out(0, link.NET_LISTEN, struct.pack("<IH", 1, 80))
    sock = VirtualSocket(board.network)
    sock.stream = board.network.connect(80, sock, 50_000)
    assert sock.stream is not None
    head = struct.pack("<I", sock.stream.handle)
    for _ in range(100):
        board.network.on_out(0, link.NET_SEND, head + bytes(1_000))

    def room() -> int:
        return sum(struct.unpack_from("<I", body, 4)[0] for _, kind, body in board.sent if kind == link.NET_ROOM)

    assert 60_000 < room() <= 65_536
    got = 0
    while data := sock.recv(4_096):
        got += len(data)
    assert got == 100_000 == room()


def test_firmware_connects_out_and_is_refused_where_nobody_listens() -> None:
    board = StubBoard()
    accepted = board.network.tcp_accept(40_000)
    board.network.on_out(0, link.NET_CONNECT, struct.pack("<IIH", 5, HOST_IP, 40_000))
    board.network.on_out(0, link.NET_CONNECT, struct.pack("<IIH", 6, HOST_IP, 40_001))
    board.network.on_out(0, link.NET_CONNECT, struct.pack("<IIH", 7, 0x08080808, 40_000))
    kinds = [(kind, struct.unpack("<I", body)[0]) for _, kind, body in board.sent]
    assert kinds == [(link.NET_CONNECTED, 5), (link.NET_REFUSED, 6), (link.NET_REFUSED, 7)]
    board.network.on_out(0, link.NET_SEND, struct.pack("<I", 5) + b"OK")
    board.now_ns = 10_000_000
    assert accepted[0].recv(10) == b"OK"


def test_datagrams_find_their_way_back() -> None:
    board = StubBoard()
    board.network.up_from(0)
    one, two = board.network.udp_socket(), board.network.udp_socket()
    one.send(3232, b"lost: nobody has bound the port")
    assert board.sent == []
    board.network.on_out(0, link.NET_BIND_UDP, struct.pack("<IH", 2, 3232))
    two.send(3232, b"0 1 2 3\n")
    ((_, kind, body),) = board.sent
    assert kind == link.NET_DATAGRAM
    handle, ip, port = struct.unpack_from("<IIH", body)
    assert (handle, ip, port, body[10:]) == (2, HOST_IP, 50_002, b"0 1 2 3\n")
    board.network.on_out(0, link.NET_SENDTO, struct.pack("<IIH", 2, ip, port) + b"OK")
    assert two.recv() is None
    board.now_ns = 2_000_000
    assert two.recv() == b"OK" and one.recv() is None


@pytest.mark.parametrize("kind", [link.NET_LISTEN, link.NET_SEND, link.NET_CONNECT, link.NET_SENDTO, 99])
def test_malformed_frames_are_reported(kind: int) -> None:
    with pytest.raises(struct.error):
        StubBoard().network.on_out(0, kind, b"\x01")


def test_addresses() -> None:
    assert ip_text(board_ip(bytes.fromhex("7cdfa1010203"))) == "10.71.2.3"
    assert board_ip(bytes.fromhex("7cdfa1010001")) != HOST_IP
