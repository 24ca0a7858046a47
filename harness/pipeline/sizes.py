"""How much of flash and RAM a build takes: as PlatformIO prints it, else from its image, partition table and ELF."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.pipeline.compiler_output import Usage, printed_sizes
from harness.pipeline.elf_sizes import XTENSA, read_elf
from harness.wire.partitions import TYPE_APP, parse_table

# Internal RAM for data of an ESP32-S3, as its board definition has it.
RAM_BYTES = 327_680
_SLOT_0 = 0x10


def measure(lines: Iterable[str], folder: Path) -> dict[str, Usage]:
    """``Flash`` and ``RAM`` of one environment's build; what nothing tells is left out.

    Args:
        lines: PlatformIO's output.
        folder: with the built files.
    """
    found = printed_sizes(lines)
    image, table, elf = (folder / name for name in ("firmware.bin", "partitions.bin", "firmware.elf"))
    if "Flash" not in found and image.is_file() and table.is_file():
        slots = [p for p in parse_table(table.read_bytes()) if p.type == TYPE_APP and p.subtype == _SLOT_0]
        if slots:
            found["Flash"] = Usage(image.stat().st_size, slots[0].size, "image in its slot")
    if "RAM" not in found and elf.is_file():
        program = read_elf(elf)
        if program.machine == XTENSA:
            found["RAM"] = Usage(program.ram, RAM_BYTES, "ELF")
        elif (folder / "obj" / "core").is_dir():
            # The program for the virtual board also holds the model of the chip: what ships is the core.
            objects = sorted((folder / "obj" / "core").rglob("*.o"))
            found["RAM"] = Usage(sum(read_elf(o).ram for o in objects), RAM_BYTES, "objects of the core")
    return found
