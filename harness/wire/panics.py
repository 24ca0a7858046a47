"""Crash text of an ESP32-S3 on its console: where it begins, what it says, and the addresses of its backtrace."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# ESP-IDF 4.4's words (esp_system/port/panic_handler.c, panic.c, task_wdt.c; FreeRTOS; heap poisoning; brownout.c).
_BEGINS = re.compile(
    r"Guru Meditation Error|abort\(\) was called|assert failed|Stack canary watchpoint|A stack overflow in task"
    r"|Task watchdog got triggered|Interrupt wdt timeout|CORRUPT HEAP|Brownout detector was triggered"
)
_ENDS = re.compile(r"Rebooting\.\.\.|ESP-ROM:")
_CORE = re.compile(r"(?:Core +|on core |on CPU)(\d)")
_FRAME = re.compile(r"(0x[0-9a-fA-F]{8}):0x[0-9a-fA-F]{8}")
_ABORT = re.compile(r"abort\(\) was called at PC (0x[0-9a-fA-F]{8})")
_ELF = re.compile(r"ELF file SHA256: +([0-9a-fA-F]{8,64})")
MOST_LINES = 200
MOST_FRAMES = 64


@dataclass(frozen=True)
class Panic:
    """One crash.

    Attributes:
        words: the line that tells it.
        core: that crashed; None when not told.
        backtrace: code addresses, innermost first.
        elf_sha256: the first digits of the ELF's SHA-256, "" when not told.
        lines: the whole text.
    """

    words: str
    core: int | None
    backtrace: tuple[int, ...]
    elf_sha256: str
    lines: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "words": self.words, "core": self.core, "backtrace": [f"0x{a:08x}" for a in self.backtrace],
            "elf_sha256": self.elf_sha256, "lines": list(self.lines),
        }  # fmt: skip


class PanicReader:
    """Finds crashes in console lines as they come.

    Attributes:
        panics: those whose text has ended.
    """

    def __init__(self) -> None:
        self.panics: list[Panic] = []
        self._open: list[str] = []

    @property
    def inside(self) -> bool:
        """Whether a crash is being told right now."""
        return bool(self._open)

    @property
    def seen(self) -> bool:
        """Whether anything has crashed so far, told to the end or not."""
        return bool(self._open or self.panics)

    def feed(self, lines: Iterable[str]) -> None:
        """The next lines."""
        for line in lines:
            if not self._open and not _BEGINS.search(line):
                continue
            ends = bool(_ENDS.search(line))
            if not ends:
                self._open.append(line[:500])
            if ends or len(self._open) >= MOST_LINES:
                self.finish()

    def finish(self) -> list[Panic]:
        """Closes an unfinished text; all panics."""
        if self._open:
            self.panics.append(_panic(self._open))
            self._open = []
        return self.panics


def _panic(lines: list[str]) -> Panic:
    text = "\n".join(lines)
    trace = text.partition("Backtrace:")[2]
    # A long backtrace is one line; what other core dumps follow has its own heading.
    frames = [int(a, 16) for a in _FRAME.findall(trace.splitlines()[0] if trace else "")][:MOST_FRAMES]
    if not frames and (aborted := _ABORT.search(text)):
        frames = [int(aborted[1], 16)]
    core, elf = _CORE.search(text), _ELF.search(text)
    return Panic(lines[0].strip(), int(core[1]) if core else None, tuple(frames), elf[1].lower() if elf else "",
                 tuple(lines))  # fmt: skip
