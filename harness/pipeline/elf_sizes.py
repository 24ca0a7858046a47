"""Sizes from ELF files: what a program takes of flash, and of RAM before it has started."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from harness.errors import BadRequest

MAX_ELF_BYTES = 256 << 20
XTENSA = 94
# SHF_ of the ELF specification, and SHT_NOBITS.
_WRITE, _ALLOC, _NOBITS = 1, 2, 8
# What PlatformIO counts for the ESP32 family (platform espressif32 6.x, builder/main.py).
_FLASH = (".iram0.text", ".iram0.vectors", ".dram0.data", ".flash.text", ".flash.rodata")
_RAM = (".dram0.data", ".dram0.bss", ".noinit")


@dataclass(frozen=True)
class Section:
    """One section: bytes in memory, whether it is loaded, written, and without content in the file."""

    name: str
    size: int
    alloc: bool
    write: bool
    nobits: bool


@dataclass(frozen=True)
class Elf:
    """``machine``: e_machine, 94 for Xtensa."""

    machine: int
    sections: tuple[Section, ...]

    @property
    def flash(self) -> int:
        """Bytes of flash."""
        if self.machine == XTENSA:
            return sum(s.size for s in self.sections if s.name in _FLASH)
        return sum(s.size for s in self.sections if s.alloc and not s.nobits)

    @property
    def ram(self) -> int:
        """Bytes of RAM taken before the program starts."""
        if self.machine == XTENSA:
            return sum(s.size for s in self.sections if s.name in _RAM)
        return sum(s.size for s in self.sections if s.alloc and s.write)


def read_elf(path: Path) -> Elf:
    """The section table of a little-endian ELF, program or object.

    Raises:
        BadRequest: it is none, or damaged.
    """
    if path.stat().st_size > MAX_ELF_BYTES:
        raise BadRequest(f"{path} is too big for a firmware ELF")
    data = path.read_bytes()
    try:
        if data[:4] != b"\x7fELF" or data[5] != 1:
            raise ValueError("not a little-endian ELF")
        wide = data[4] == 2
        machine = struct.unpack_from("<H", data, 18)[0]
        (at,) = struct.unpack_from("<Q", data, 40) if wide else struct.unpack_from("<I", data, 32)
        size, count, names = struct.unpack_from("<HHH", data, 58 if wide else 46)
        rows = [_row(data, at + i * size, wide) for i in range(count)]
        strings = data[rows[names][4] : rows[names][4] + rows[names][5]]
        sections = tuple(
            Section(_name(strings, name), length, bool(flags & _ALLOC), bool(flags & _WRITE), kind == _NOBITS)
            for name, kind, flags, _, _, length in rows
        )
    except (ValueError, IndexError, struct.error) as error:
        raise BadRequest(f"{path} is no sound ELF", got=str(error)) from error
    return Elf(machine, sections)


def _row(data: bytes, at: int, wide: bool) -> tuple[int, int, int, int, int, int]:
    """name, type, flags, address, offset, size."""
    return struct.unpack_from("<IIQQQQ" if wide else "<IIIIII", data, at)


def _name(strings: bytes, at: int) -> str:
    return strings[at : strings.index(b"\0", at)].decode("ascii", "replace")
