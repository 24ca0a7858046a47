"""What unmodified esptool says and does when the chip, its flash or the link are at fault."""

from __future__ import annotations

import os
import random
import re
from pathlib import Path

import pytest
from esptool_runs import NEWEST, Esptool
from loader_board import LoaderBoard

from harness.bench.efuse import Efuse
from harness.bench.flash import MIB
from harness.bench.rom import LoaderFaults

SEED = int(os.environ.get("K1HIL_TEST_SEED", random.SystemRandom().randrange(2**32)))
MAC = bytes.fromhex("348518aabbcc")
IMAGE_BYTES = 100_000


@pytest.fixture
def tool(tmp_path: Path) -> Esptool:
    print(f"seed {SEED}")
    (tmp_path / "image.bin").write_bytes(random.Random(SEED).randbytes(IMAGE_BYTES // 2) + bytes(IMAGE_BYTES // 2))
    return Esptool(NEWEST, tmp_path)


def image(tool: Esptool) -> bytes:
    return (tool.folder / "image.bin").read_bytes()


def test_corrupt_block_is_sent_again(tool: Esptool) -> None:
    faults = LoaderFaults(bad_block=2)
    with LoaderBoard(faults=faults) as board:
        tool.must(board.url("rfc2217"), "write-flash", "0x10000", "image.bin")
        assert faults.bad_block_times == 0, "the fault has struck"
        assert board.flash.read(0x10000, IMAGE_BYTES) == image(tool)


def test_block_that_never_arrives_well(tool: Esptool) -> None:
    with LoaderBoard(faults=LoaderFaults(bad_block=2, bad_block_times=100)) as board:
        run = tool.run(board.url("rfc2217"), "write-flash", "0x10000", "image.bin")
    assert run.code != 0
    assert re.search(r"Failed to write compressed data to flash after seq 2 .*C100", run.text, re.S | re.I)


def test_worn_flash_is_noticed_by_its_hash(tool: Esptool) -> None:
    at = next(i for i, byte in enumerate(image(tool)) if byte & 0x10)
    with LoaderBoard() as board:
        board.flash.stuck_low = {0x10000 + at: 0x10}
        run = tool.run(board.url("rfc2217"), "write-flash", "0x10000", "image.bin")
    assert run.code != 0
    assert "MD5 of file does not match data in flash" in run.text


def test_worn_flash_is_noticed_by_verify(tool: Esptool) -> None:
    at = next(i for i, byte in enumerate(image(tool)) if byte & 0x10)
    with LoaderBoard() as board:
        tool.must(board.url("rfc2217"), "write-flash", "0x10000", "image.bin")
        board.flash.stuck_low = {0x10000 + at: 0x10}
        run = tool.run(board.url("rfc2217"), "verify-flash", "0x10000", "image.bin")
    assert run.code != 0
    assert re.search(r"Verification failed", run.text, re.I)


def test_mute_chip(tool: Esptool) -> None:
    with LoaderBoard(faults=LoaderFaults(mute=True)) as board:
        run = tool.run(board.url("rfc2217"), "--connect-attempts", "1", "chip-id")
    assert run.code != 0
    assert "Download mode successfully detected, but getting no sync reply" in run.text


def test_strap_without_effect(tool: Esptool) -> None:
    with LoaderBoard() as board:
        board.strap_stuck = True
        run = tool.run(board.url("rfc2217"), "--connect-attempts", "1", "chip-id")
    assert run.code != 0
    assert "Wrong boot mode detected (0x8)" in run.text


def test_another_chip(tool: Esptool) -> None:
    with LoaderBoard(efuse=Efuse(MAC, chip_id=5)) as board:
        run = tool.run(board.url("rfc2217"), "write-flash", "0x10000", "image.bin")
        assert board.flash.read(0, 4 * MIB) == b"\xff" * 4 * MIB
    assert run.code != 0
    assert re.search(r"This chip is ESP32-C3,? not ESP32-S3", run.text)


def test_flash_too_small(tool: Esptool) -> None:
    with LoaderBoard(flash_bytes=2 * MIB) as board:
        run = tool.run(board.url("rfc2217"), "write-flash", "0x1F0000", "image.bin")
        assert board.flash.read(0x1F0000, 0x1000) == b"\xff" * 0x1000
    assert run.code != 0
    assert re.search(r"will not fit in 2097152 bytes of flash", run.text)


@pytest.mark.parametrize("transport", ["rfc2217", "socket"])
def test_connection_broken_once(tool: Esptool, transport: str) -> None:
    """esptool comes back by itself and writes again."""
    with LoaderBoard() as board:
        board.drop_after = 50_000
        text = tool.must(board.url(transport), "write-flash", "0x10000", "image.bin")
        assert "Lost connection, retrying" in text
        assert board.flash.read(0x10000, IMAGE_BYTES) == image(tool)


def test_unplugged_while_writing(tool: Esptool) -> None:
    """What the lost run left behind is half written; the next run finds a board that works, and repairs it."""
    with LoaderBoard() as board:
        board.flash.program(0x10000, bytes(IMAGE_BYTES))
        board.drop_after, board.unplug_on_drop = 50_000, True
        run = tool.run(board.url("rfc2217"), "--connect-attempts", "1", "write-flash", "0x10000", "image.bin")
        assert run.code != 0
        assert board.unplugged
        found = board.flash.read(0x10000, IMAGE_BYTES)
        assert found[:16_000] == image(tool)[:16_000]
        assert found != image(tool)
        board.unplugged = False
        tool.must(board.url("rfc2217"), "write-flash", "0x10000", "image.bin")
        assert board.flash.read(0x10000, IMAGE_BYTES) == image(tool)


def test_secure_download_mode(tool: Esptool) -> None:
    """Reading is fused off, writing still works, without stub."""
    with LoaderBoard(efuse=Efuse(MAC, secure_download=True)) as board:
        (tool.folder / "small.bin").write_bytes(image(tool)[:4096])
        text = tool.must(board.url("rfc2217"), "--no-stub", "write-flash", "0x10000", "small.bin")
        assert "Secure Download Mode" in text
        assert board.flash.read(0x10000, 4096) == image(tool)[:4096]
        run = tool.run(board.url("rfc2217"), "--no-stub", "read-flash", "0", "16", "back.bin")
        assert run.code != 0
