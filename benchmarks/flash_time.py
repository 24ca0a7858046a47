"""How long 400 kB take over the virtual RFC 2217 link, with the harness's client and with pyserial's own."""

from __future__ import annotations

import random
import sys
import tempfile
from pathlib import Path

from benchmarks.figure import Figure, Spread
from harness.bench.board import Board
from harness.instruments.esptool_child import run_child
from harness.instruments.esptool_output import Watcher
from harness.instruments.flasher import CHIP, Flasher

SIZE = 400_000
OFFSET = 0x10000
GOAL_S = 0.6
STOCK_LIMIT_S = 180.0


def flash_time(runs: int, stock_runs: int, seed: int) -> list[Figure]:
    """Transfer time, first byte written to hash verified, of bytes that do not compress; the same esptool in both."""
    with tempfile.TemporaryDirectory(prefix="k1hil-perf-") as text:
        folder = Path(text)
        image = folder / "image.bin"
        image.write_bytes(random.Random(seed).randbytes(SIZE))
        ours, whole = zip(*(_ours(image, folder, seed + i) for i in range(runs)), strict=True)
        stock = [_stock(image, folder, seed + i) for i in range(stock_runs)]
    transfer = Spread("flash 400 kB over RFC 2217, transfer", ours)
    return [
        Figure(transfer, "s", Spread("pyserial's own rfc2217 client", stock), GOAL_S, note="incompressible"),
        Figure(Spread("the same, from start of esptool to its end", whole), "s", transfer),
    ]


def _ours(image: Path, folder: Path, seed: int) -> tuple[float, float]:
    board = Board(None, seed=seed)
    try:
        url = board.serve().serial
        report = Flasher(folder / "flash.log").flash(url, [(OFFSET, image)], expected_mac=board.mac.hex(":"))
        _check(board, image)
        return report.transfer_s, report.seconds
    finally:
        board.close()


def _stock(image: Path, folder: Path, seed: int) -> float:
    board = Board(None, seed=seed)
    watcher = Watcher([(OFFSET, SIZE)], None)
    try:
        url = board.serve().serial
        command = [sys.executable, "-m", "esptool", "--chip", CHIP, "--port", url, "--baud", "921600"]
        command += ["--after", "no-reset-stub", "write-flash", f"0x{OFFSET:x}", str(image)]
        with (folder / "stock.log").open("a", encoding="utf-8") as log:
            code = run_child(command, watcher, log, STOCK_LIMIT_S)
        if code != 0 or watcher.verified != 1:
            raise RuntimeError(f"esptool ended with {code}:{watcher.tail()}")
        _check(board, image)
        return watcher.transfer_s
    finally:
        board.close()


def _check(board: Board, image: Path) -> None:
    if board.chip.flash.read(OFFSET, SIZE) != image.read_bytes():
        raise RuntimeError("what is in flash is not what was written")
