"""NOR rules, the file behind the flash, worn cells; fuses."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench.efuse import Efuse
from harness.bench.flash import MIB, SECTOR, FlashRangeError, NorFlash
from harness.errors import BadRequest


def test_programming_only_clears_bits() -> None:
    flash = NorFlash()
    flash.program(10, b"\xf0\x0f")
    flash.program(10, b"\x3c\x3c")
    assert flash.read(9, 4) == b"\xff\x30\x0c\xff"
    flash.erase(0, SECTOR)
    assert flash.read(10, 2) == b"\xff\xff"


steps = st.lists(
    st.one_of(
        st.tuples(st.just("program"), st.integers(0, 3 * SECTOR - 50), st.binary(min_size=1, max_size=50)),
        st.tuples(st.just("erase"), st.integers(0, 2), st.just(b"")),
    ),
    max_size=20,
)


@settings(max_examples=40)
@given(steps)
def test_against_a_plain_model(todo: list[tuple[str, int, bytes]]) -> None:
    flash, model = NorFlash(size=2 * MIB), bytearray(b"\xff" * 3 * SECTOR)
    for what, at, data in todo:
        if what == "program":
            flash.program(at, data)
            for i, byte in enumerate(data):
                model[at + i] &= byte
        else:
            flash.erase(at * SECTOR, SECTOR)
            model[at * SECTOR : (at + 1) * SECTOR] = b"\xff" * SECTOR
    assert flash.read(0, 3 * SECTOR) == bytes(model)
    assert flash.md5(0, 3 * SECTOR) == hashlib.md5(model).digest()


@pytest.mark.parametrize(("offset", "n"), [(-1, 1), (4 * MIB, 1), (4 * MIB - 1, 2), (0, -1)])
def test_outside_is_refused(offset: int, n: int) -> None:
    flash = NorFlash()
    for call in (lambda: flash.read(offset, n), lambda: flash.erase(offset, n), lambda: flash.md5(offset, n)):
        with pytest.raises(FlashRangeError):
            call()


def test_partial_sectors_cannot_be_erased() -> None:
    with pytest.raises(FlashRangeError, match="whole sectors"):
        NorFlash().erase(0x800, SECTOR)


def test_file_keeps_the_contents(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    flash = NorFlash(path)
    assert path.stat().st_size == 4 * MIB
    flash.program(0x1234, b"kept")
    flash.close()
    flash.close()
    again = NorFlash(path)
    assert again.read(0x1233, 6) == b"\xffkept\xff"
    again.close()
    assert list(tmp_path.iterdir()) == [path], "no scratch file left"


def test_file_of_another_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(b"\xff" * 100)
    with pytest.raises(BadRequest, match="another size"):
        NorFlash(path)
    with pytest.raises(BadRequest, match="unusable flash size"):
        NorFlash(size=12345)


def test_worn_cells_lose_ones() -> None:
    flash = NorFlash()
    flash.stuck_low = {0x1000: 0x81}
    assert flash.read(0xFFF, 3) == b"\xff\x7e\xff"
    assert flash.md5(0xFFF, 3) == hashlib.md5(b"\xff\x7e\xff").digest()


def test_400_kb_are_written_quickly(tmp_path: Path) -> None:
    flash = NorFlash(tmp_path / "flash.bin")
    data = bytes(range(256)) * 1600
    start = time.perf_counter()
    flash.erase(0, -(-len(data) // SECTOR) * SECTOR)
    for at in range(0, len(data), 0x4000):
        flash.program(at, data[at : at + 0x4000])
    assert flash.md5(0, len(data)) == hashlib.md5(data).digest()
    assert time.perf_counter() - start < 0.3
    flash.close()


def test_mac_in_the_fuses() -> None:
    registers = Efuse(bytes.fromhex("348518aabbcc")).registers()
    assert registers[0x60007044] == 0x18AABBCC
    assert registers[0x60007048] == 0x00003485
    with pytest.raises(BadRequest, match="MAC"):
        Efuse(b"short")
