"""The virtual serial port behaves as pyserial's does, in the board's time."""

from __future__ import annotations

from typing import Any, cast

import pytest
import serial
from bench_stub import StubBoard

from harness.bench.console import ConsoleLine
from harness.bench.port import VirtualPort


def open_port(board: StubBoard, timeout: float | None = 1.0) -> VirtualPort:
    return VirtualPort(cast(Any, board), timeout)


def test_opening_and_closing_leaves_the_lines_alone() -> None:
    board = StubBoard()
    with open_port(board) as port:
        assert port.is_open and board.open_count == 1
    assert not port.is_open and board.open_count == 0 and board.line_calls == []
    port.close()
    assert board.open_count == 0
    with pytest.raises(serial.SerialException):
        port.read()


def test_read_honours_size_and_timeout() -> None:
    board = StubBoard()
    port = open_port(board, timeout=0.5)
    assert port.read(4) == b"" and board.now_ns == 500_000_000
    board.console.emit(board.now_ns + 20_000_000, b"abcdef")
    assert port.in_waiting == 0
    assert port.read(4) == b"abcd"
    assert port.in_waiting == 2
    before = board.now_ns
    assert port.read(4) == b"ef" and board.now_ns == before + 500_000_000
    port.timeout = 0
    before = board.now_ns
    assert port.read(1) == b"" and board.now_ns == before


def test_lines_and_stamps() -> None:
    board = StubBoard()
    port = open_port(board)
    board.console.emit(2_300_000, b"one\ntw")
    board.console.emit(2_400_000, b"o\nthree")
    assert port.readline() == b"one\n"
    assert port.read_until(b"\n") == b"two\n"
    assert port.readline() == b"three"  # after the time-out
    board.console.emit(5_000_000_000, b"x")
    board.now_ns = 6_000_000_000
    assert port.read_stamped() == [(5_000_100_000, b"x")]
    assert port.read_stamped() == []


def test_bytes_arrive_at_usb_frames_in_order() -> None:
    jitter = iter([900_000.0, 0.0, 300_000.0])
    line = ConsoleLine(1_000_000, lambda: next(jitter))
    for at in (1, 2, 1_000_001):
        line.emit(at, b"%d" % at)
    assert line.settle(1_899_999) == 0
    assert line.next_arrival(0) == 1_900_000
    line.settle(10_000_000)
    assert line.take_stamped() == [(1_900_000, b"1"), (1_900_000, b"2"), (2_300_000, b"1000001")]


def test_an_unread_line_loses_its_oldest_bytes() -> None:
    line = ConsoleLine(0, lambda: 0.0)
    for i in range(20):
        line.emit(i, bytes([i]) * (1 << 20))
    assert line.settle(100) == 16 << 20
    assert line.lost_bytes == 4 << 20
    assert line.take(1) == b"\x04"


def test_writing_lines_and_baud_reach_the_board() -> None:
    board = StubBoard()
    port = open_port(board)
    assert port.write(b"id\n") == 3 and board.written == b"id\n"
    port.dtr = False
    port.rts = True
    port.rts = False
    assert board.line_calls == [(False, None), (None, True), (None, False)]
    assert (port.dtr, port.rts) == (False, False)
    port.baudrate = 921_600
    assert board.baud == 921_600 == port.baudrate
    board.console.emit(0, b"old")
    board.now_ns = 5_000_000
    port.reset_input_buffer()
    assert port.in_waiting == 0


def test_unplugged_port_raises_like_pyserial() -> None:
    board = StubBoard()
    port = open_port(board)

    def pull() -> None:
        board.plugged = False

    board.react = pull
    with pytest.raises(serial.SerialException):
        port.read(1)
    with pytest.raises(serial.SerialException):
        port.write(b"x")
    board.plugged = True
    board.react = lambda: None
    port.timeout = 0
    assert port.read(1) == b""
