"""From the addresses of a crash to functions and lines, with binutils' ``addr2line`` and the firmware's ELF."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

from harness.wire.panics import Panic

_TIMEOUT_S = 20.0
# e_machine of the ELF header.
_XTENSA = 94
# The first that is installed reads the addresses; binutils for any Xtensa core read the DWARF of every other.
_XTENSA_TOOLS = ("xtensa-esp32s3-elf-addr2line", "xtensa-lx106-elf-addr2line")


def decode(panic: Panic, elf: Path) -> list[str]:
    """One text per frame of the backtrace, ``0x42001234: name at file:line``; why not, when it cannot be decoded."""
    addresses = ", ".join(f"0x{a:08x}" for a in panic.backtrace)
    if not panic.backtrace:
        return ["no backtrace"]
    if not elf.is_file():
        return [f"{addresses}: not decoded, no ELF of this build at hand"]
    data = elf.read_bytes()
    if panic.elf_sha256 and not hashlib.sha256(data).hexdigest().startswith(panic.elf_sha256):
        return [f"{addresses}: not decoded, {elf.name} is of another build (the crash names {panic.elf_sha256})"]
    tool = addr2line(data)
    if tool is None:
        return [f"{addresses}: not decoded, no addr2line for this ELF (apt-get install binutils-xtensa-lx106)"]
    # Frames after the first hold return addresses; on the host the call lies before them. ESP-IDF prints calls.
    back = 0 if _machine(data) == _XTENSA else 1
    asked = [a - (back if i else 0) for i, a in enumerate(panic.backtrace)]
    command = [tool, "-fCpe", str(elf), *(f"0x{a:x}" for a in asked)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return [f"{addresses}: not decoded, {Path(tool).name}: {error}"]
    lines = done.stdout.splitlines()
    return [f"0x{a:08x}: {text.removesuffix(' at ??:?')}" for a, text in zip(panic.backtrace, lines, strict=False)]


def addr2line(elf: bytes) -> str | None:
    """The tool that can read this ELF; None when it is not installed."""
    names = _XTENSA_TOOLS if _machine(elf) == _XTENSA else ("addr2line",)
    return next((found for name in names if (found := shutil.which(name))), None)


def _machine(elf: bytes) -> int:
    return int.from_bytes(elf[18:20], "little") if elf[:4] == b"\x7fELF" else 0
