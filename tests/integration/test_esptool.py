"""Unmodified esptool against the loader, flash and reset lines: every command, with and without stub, both transports.

``K1HIL_ESPTOOL=all`` (``make matrix``) adds every minor release and pyserial's own slow rfc2217 client to each.
"""

from __future__ import annotations

import os
import random
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from esptool_runs import NEWEST, VERSIONS, Esptool
from loader_board import LoaderBoard

from harness.bench.efuse import Efuse
from harness.bench.lines import Wiring

SEED = int(os.environ.get("K1HIL_TEST_SEED", random.SystemRandom().randrange(2**32)))
NO_STUB_BYTES = 16 * 1024
STUB_BYTES = 400_000
EVERYTHING = os.environ.get("K1HIL_ESPTOOL") == "all"


def image(n: int, seed: int = SEED) -> bytes:
    """Half noise, half structure, with every byte value that framing treats specially."""
    print(f"seed {seed}")
    noise = random.Random(seed)
    head = bytes([0xC0, 0xDB, 0xDC, 0xDD, 0xFF, 0xFF, 0x00, 0xDB])
    return (head + noise.randbytes(n // 2) + b"\xff\xc0\xdb" * n)[:n]


def combinations() -> list[tuple[str, str, bool]]:
    """(release, transport, stub): all four ways with the newest and by ``make matrix``, else two that cover both."""
    rows = []
    for release in VERSIONS:
        every = release == NEWEST or EVERYTHING
        ways = [("rfc2217", True), ("socket", False)] + ([("rfc2217", False), ("socket", True)] if every else [])
        rows += [(release, transport, stub) for transport, stub in ways]
    return rows


@pytest.mark.parametrize(("release", "transport", "stub"), combinations())
def test_every_command(release: str, transport: str, stub: bool, tmp_path: Path) -> None:
    tool = Esptool(release, tmp_path)
    mode = [] if stub else ["--no-stub"]
    data = image(STUB_BYTES if stub else NO_STUB_BYTES)
    (tmp_path / "image.bin").write_bytes(data)
    with LoaderBoard() as board:
        url = board.url(transport)
        assert board.mac in tool.must(url, *mode, "chip-id")
        assert board.mac in tool.must(url, *mode, "read-mac")
        assert re.search(r"Detected flash size: 4MB", tool.must(url, *mode, "flash-id"))
        assert "Hash of data verified" in tool.must(url, *mode, "write-flash", "0x10000", "image.bin")
        assert board.flash.read(0x10000, len(data)) == data
        tool.must(url, *mode, "verify-flash", "0x10000", "image.bin")
        tool.must(url, *mode, "read-flash", "0x10000", str(len(data)), "back.bin")
        assert (tmp_path / "back.bin").read_bytes() == data
        erase_region(tool, board, url, mode)
        assert board.flash.read(0x10000, 0x1000) == data[:0x1000]
        boots = board.boots
        tool.must(url, *mode, "run")
        # A stub is told to stay; then only the reset lines, which a socket lacks, start the application.
        assert (board.boots > boots) == (transport == "rfc2217" or not stub)


def erase_region(tool: Esptool, board: LoaderBoard, url: str, mode: list[str]) -> None:
    run = tool.run(url, *mode, "erase-region", "0x11000", "0x1000")
    if tool.release.startswith("4.8.") and mode:
        assert "not support" in run.text, "4.8 cannot do this without its stub, and says so"
        return
    assert run.code == 0, run.text
    assert board.flash.read(0x11000, 0x1000) == b"\xff" * 0x1000


def test_pyserials_own_client(tmp_path: Path) -> None:
    """Nothing of ours between esptool and the board. Slow (20 s a run), so all releases at once."""

    def write(release: str) -> tuple[bytes, bytes, int]:
        folder = tmp_path / release
        folder.mkdir()
        data = image(64_000)
        (folder / "image.bin").write_bytes(data)
        with LoaderBoard() as board:
            Esptool(release, folder, fast=False).must(board.url("rfc2217"), "write-flash", "0x1000", "image.bin")
            return data, board.flash.read(0x1000, len(data)), board.boots

    with ThreadPoolExecutor(len(VERSIONS)) as pool:
        for sent, found, boots in pool.map(write, VERSIONS):
            assert found == sent
            assert boots == 1


@pytest.mark.parametrize("wiring", ["cross", "direct", "usb-jtag"])
def test_wirings(wiring: Wiring, tmp_path: Path) -> None:
    with LoaderBoard(wiring=wiring) as board:
        text = Esptool(NEWEST, tmp_path).must(board.url("rfc2217"), "flash-id")
        assert "Detected flash size: 4MB" in text
        assert board.downloads == 1
        assert board.boots >= 1


def test_chip_is_detected(tmp_path: Path) -> None:
    with LoaderBoard() as board:
        text = Esptool(NEWEST, tmp_path).must(board.url("rfc2217"), "chip-id", chip="auto")
    assert "ESP32-S3 (QFN56) (revision v0.2)" in text


def test_faster_rate(tmp_path: Path) -> None:
    with LoaderBoard() as board:
        Esptool(NEWEST, tmp_path).must(board.url("rfc2217"), "--baud", "921600", "flash-id")
        assert board.bauds == [921_600]


def test_running_stub_is_found_again(tmp_path: Path) -> None:
    tool = Esptool(NEWEST, tmp_path)
    with LoaderBoard() as board:
        tool.must(board.url("rfc2217"), "--after", "no-reset-stub", "flash-id")
        assert board.loader.in_stub
        text = tool.must(board.url("rfc2217"), "--before", "no-reset", "--after", "no-reset", "flash-id")
        assert "already running" in text
        assert not board.loader.in_stub  # "no-reset" takes the stub back to the ROM loader
        assert "Uploading stub" in tool.must(board.url("rfc2217"), "--before", "no-reset", "flash-id")
        assert (board.downloads, board.boots) == (1, 0)


def test_other_commands(tmp_path: Path) -> None:
    tool = Esptool(NEWEST, tmp_path)
    data = image(NO_STUB_BYTES)
    (tmp_path / "image.bin").write_bytes(data)
    with LoaderBoard() as board:
        url = board.url("socket")
        tool.must(url, "--no-stub", "write-flash", "--compress", "0x2000", "image.bin")
        assert board.flash.read(0x2000, len(data)) == data
        assert "0x0000" in tool.must(url, "read-flash-status")
        assert "0x53 0x46 0x44 0x50" in tool.must(url, "read-flash-sfdp", "0", "4")
        assert "Chip ID: 9" in tool.must(url, "get-security-info")
        tool.must(url, "erase-flash")
        assert board.flash.read(0, board.flash.size) == b"\xff" * board.flash.size


def test_watchdog_reset(tmp_path: Path) -> None:
    with LoaderBoard() as board:
        Esptool(NEWEST, tmp_path).must(board.url("rfc2217"), "--after", "watchdog-reset", "chip-id")
        assert board.boots == 1


def test_two_boards_have_their_own_mac(tmp_path: Path) -> None:
    tool = Esptool(NEWEST, tmp_path)
    other = Efuse(bytes.fromhex("7cdfa1000001"))
    with LoaderBoard() as one, LoaderBoard(efuse=other) as two:
        assert one.mac in tool.must(one.url("socket"), "read-mac")
        assert two.mac in tool.must(two.url("socket"), "read-mac")
