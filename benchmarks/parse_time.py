"""What one telemetry line costs to parse, on lines a virtual board really sent."""

from __future__ import annotations

import time
from collections.abc import Callable

from benchmarks.figure import Figure, Spread
from harness.bench.board import Board
from harness.bench.live import preload
from harness.rig import FirmwareBundle
from harness.wire.telemetry import LineSplitter, parse_lines

PIECE = 4_000  # as it arrives from a port


def parse_time(bundle: FirmwareBundle, runs: int, seed: int) -> list[Figure]:
    """Microseconds per line of frame records and of pixels; the reference does the same work in plain Python."""
    figures = []
    for kind, switch in (("frame record", b""), ("pixels", b"pixels on\n")):
        data = _lines(bundle, seed, switch)
        n = data.count(b"\n")
        ours = Spread(f"telemetry, per {kind} line", [_timed(_ours, data) / n * 1e6 for _ in range(runs)])
        plain = [_timed(_plain, data) / n * 1e6 for _ in range(runs)]
        figures.append(Figure(ours, "us", Spread("plain Python: CRC table, split, int", plain), note=f"{n} lines"))
    return figures


def _lines(bundle: FirmwareBundle, seed: int, switch: bytes) -> bytes:
    """Ten seconds of a board's telemetry; with ``switch``, of the sentences it switches on alone."""
    board = Board(None, seed=seed)
    try:
        preload(board, bundle.path)
        board.run_to(board.now_ns + 2_000_000_000)
        board.console_write(b"telemetry on\n" + switch)
        board.run_to(board.now_ns + 200_000_000)
        board.serial.read_stamped()
        board.run_to(board.now_ns + 10_000_000_000)
        data = b"".join(part for _, part in board.serial.read_stamped())
    finally:
        board.close()
    head = b"$K1PIX," if switch else b"$K1FRM,"
    return b"".join(line for line in data.splitlines(keepends=True) if line.startswith(head))


def _timed(work: Callable[[bytes], int], data: bytes) -> float:
    begun = time.perf_counter()
    found = work(data)
    took = time.perf_counter() - begun
    sent = data.count(b"\n")
    if found != sent:
        raise RuntimeError(f"{found} of {sent} lines parsed")
    return took


def _ours(data: bytes) -> int:
    splitter, found = LineSplitter(), 0
    for at in range(0, len(data), PIECE):
        batch = parse_lines(splitter.feed(data[at : at + PIECE]), at)
        found += len(batch.frames) + len(batch.pixels)
    return found


def _table() -> list[int]:
    """CRC-16/CCITT-FALSE, a byte at a time."""
    table = []
    for byte in range(256):
        crc = byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021) & 0xFFFF if crc & 0x8000 else crc << 1
        table.append(crc)
    return table


_TABLE = _table()


def _plain(data: bytes) -> int:
    found = 0
    for line in data.decode("ascii").split("\n"):
        if not line.startswith("$K1"):
            continue
        body, _, told = line[1:].rstrip("\r").partition("*")
        crc = 0xFFFF
        for byte in body.encode():
            crc = crc << 8 & 0xFF00 ^ _TABLE[crc >> 8 ^ byte]
        kind, *fields = body.split(",")
        if told == f"{crc:04X}" and kind in ("K1FRM", "K1PIX"):
            values = [int(f) for f in fields if f.isdigit()]
            found += bool(values)
    return found
