"""What builds say: sizes, warnings, the first error, and sizes from ELF files.

``tests/data/esp32s3_build.txt`` has the form in which PlatformIO 6 tells of an ESP32-S3 build; the sizes in it are
those that K1's own builds are on record with.
"""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from harness.errors import BadRequest
from harness.pipeline.compiler_output import first_error, printed_sizes, warnings
from harness.pipeline.elf_sizes import read_elf
from harness.pipeline.sizes import measure
from harness.wire.partitions import build_table, parse_csv

ROOT = Path(__file__).resolve().parents[2]
LOG = (ROOT / "tests" / "data" / "esp32s3_build.txt").read_text().splitlines()


def test_sizes_of_a_chip_build() -> None:
    sizes = printed_sizes(LOG)
    assert (sizes["RAM"].used, sizes["RAM"].total, round(sizes["RAM"].percent, 1)) == (217_604, 327_680, 66.4)
    assert (sizes["Flash"].used, sizes["Flash"].total, round(sizes["Flash"].percent, 1)) == (1_311_401, 1_966_080, 66.7)


@pytest.mark.parametrize(
    ("line", "percent"),
    [
        ("RAM:   [=====     ]  48.4% (used 158456 bytes from 327680 bytes)", 48.357),
        ("Flash: [======    ]  61.2% (used 1203637 bytes from 1966080 bytes)", 61.220),
        ("RAM:   [          ]   0.0% (used 0 bytes from 327680 bytes)", 0.0),
        ("Flash: [==========]  104.2% (used 2048000 bytes from 1966080 bytes)", 104.167),
        ("RAM:   [=====     ]  12.0% (used 158456 bytes from 327680 bytes)", None),  # does not add up
        ("RAM:   [          ]   0.0% (used 0 bytes from 0 bytes)", None),
        ("log: RAM:   [=====     ]  48.4% (used 158456 bytes from 327680 bytes)", None),
    ],
)
def test_lines_with_sizes(line: str, percent: float | None) -> None:
    found = list(printed_sizes([line]).values())
    assert [round(u.percent, 3) for u in found] == ([] if percent is None else [percent])


def test_warnings_are_counted_once_and_only_the_projects_own() -> None:
    assert warnings(LOG) == []
    own = "src/audio/vu.cpp:12:9: warning: unused variable 'x' [-Wunused-variable]"
    said = [
        own, own, "src/core/frame.h:3:1: warning: missing initializer [-Wmissing-field-initializers]",
        "cc1plus: warning: command line option is not valid for C++",
        "/opt/pio/packages/framework-arduinoespressif32/cores/a.c:1:1: warning: old style",
        'LogLine(Severity::warn).s("warning ahead")', "Compiling src/warning.cpp.o",
    ]  # fmt: skip
    assert [w.partition(":")[0] for w in warnings([*LOG, *said])] == ["src/audio/vu.cpp", "src/core/frame.h", "cc1plus"]


@pytest.mark.parametrize(
    ("said", "first"),
    [
        (["a.cpp:1:2: warning: w", "src/a.cpp:3:5: error: 'x' was not declared", "src/b.cpp:1:1: error: y"], 1),
        (["In file included from a.h:1,", "a.cpp:1:10: fatal error: none.h: No such file", "terminated."], 1),
        (["/usr/bin/ld: a.o: in `f':", "a.cpp:(.text+0x5): undefined reference to `g()'", "collect2: error: ld"], 1),
        (["Linking", "*** [firmware.elf] Error 1"], 1),
        (["Error: Could not find the platform"], 0),
        (["only", "words", ""], 1),
    ],
)
def test_the_first_error(said: list[str], first: int) -> None:
    assert first_error(said) == said[first]


def elf(machine: int, wide: bool, sections: list[tuple[str, int, int, int]]) -> bytes:
    """A section table with (name, type, flags, size) after the empty first one, as the ELF specification has it."""
    names = b"\0" + b"".join(s[0].encode() + b"\0" for s in sections) + b".shstrtab\0"
    head = 64 if wide else 52
    row = "<IIQQQQIIQQ" if wide else "<IIIIIIIIII"
    rows = [struct.pack(row, *[0] * 10)]
    at = 1
    for name, kind, flags, size in sections:
        rows.append(struct.pack(row, at, kind, flags, 0, 0, size, 0, 0, 0, 0))
        at += len(name) + 1
    rows.append(struct.pack(row, at, 3, 0, 0, head, len(names), 0, 0, 0, 0))
    table_at = head + len(names)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    tail = (0, 0, 0, struct.calcsize(row), len(rows), len(rows) - 1)
    rest = struct.pack("<HHI" + ("QQQ" if wide else "III") + "IHHHHHH", 2, machine, 1, 0, 0, table_at, 0, *tail)
    return ident + rest + names + b"".join(rows)


PROGBITS, NOBITS, ALLOC, WRITE = 1, 8, 2, 1
CHIP = [
    (".iram0.vectors", PROGBITS, ALLOC, 1_027), (".iram0.text", PROGBITS, ALLOC, 60_000),
    (".dram0.data", PROGBITS, ALLOC | WRITE, 20_604), (".dram0.bss", NOBITS, ALLOC | WRITE, 197_000),
    (".flash.text", PROGBITS, ALLOC, 900_000), (".flash.rodata", PROGBITS, ALLOC | WRITE, 329_770),
    (".debug_info", PROGBITS, 0, 5_000_000),
]  # fmt: skip


def test_sizes_from_a_chips_elf(tmp_path: Path) -> None:
    (tmp_path / "firmware.elf").write_bytes(elf(94, False, CHIP))
    program = read_elf(tmp_path / "firmware.elf")
    assert (program.ram, program.flash) == (217_604, 1_311_401)
    sizes = measure([], tmp_path)
    assert set(sizes) == {"RAM"} and round(sizes["RAM"].percent, 1) == 66.4


def test_sizes_from_image_table_and_objects(tmp_path: Path) -> None:
    table = parse_csv((ROOT / "firmware" / "partitions.csv").read_text())
    (tmp_path / "partitions.bin").write_bytes(build_table(table))
    (tmp_path / "firmware.bin").write_bytes(bytes(983_040))
    (tmp_path / "firmware.elf").write_bytes(elf(62, True, [(".bss", NOBITS, ALLOC | WRITE, 1 << 24)]))
    (tmp_path / "obj" / "core").mkdir(parents=True)
    for i in range(2):
        part = [(".text", PROGBITS, ALLOC, 999), (".bss", NOBITS, ALLOC | WRITE, 8_192)]
        (tmp_path / "obj" / "core" / f"{i}.o").write_bytes(elf(62, True, part))
    sizes = measure([], tmp_path)
    assert {k: u.percent for k, u in sizes.items()} == {"Flash": 50.0, "RAM": 5.0}
    assert measure(LOG, tmp_path)["Flash"].used == 1_311_401, "PlatformIO's own word counts first"


@pytest.mark.parametrize("damage", [b"", b"\x7fELF", b"\x7fELF\x02\x02" + bytes(60), elf(94, False, CHIP)[:-200]])
def test_a_damaged_elf_is_told(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "x.elf").write_bytes(damage)
    with pytest.raises(BadRequest, match="no sound ELF"):
        read_elf(tmp_path / "x.elf")
