"""What a build says: its first error, its warnings, and how much of flash and RAM the program takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_ERRORS = (
    re.compile(r"^[^\s:][^:]*:\d+(?::\d+)?: (?:fatal )?error: .+"),
    re.compile(r"undefined reference to|multiple definition of|cannot find -l|will not fit in region|overflowed by"),
    re.compile(r"\b(?:fatal )?error: .+", re.IGNORECASE),
    re.compile(r"^\*\*\* .+|Error: .+"),
)
_WARNING = re.compile(r"^(?:(?P<file>[^\s:][^:]*):(?:\d+:)*\s)?(?:.*\s)?warning: ", re.IGNORECASE)
# Not the project's own: libraries it pulls in, and the framework.
_FOREIGN = re.compile(r"(?:^|/)(?:\.pio/libdeps|\.platformio/|\.pio-core/|packages/framework-)")
_SIZE = re.compile(
    r"^(?P<what>RAM|Flash):\s+\[[= ]*\]\s+(?P<percent>\d+(?:\.\d+)?)% "
    r"\(used (?P<used>\d+) bytes from (?P<total>\d+) bytes\)"
)


def first_error(lines: Sequence[str]) -> str:
    """The compiler's first error; else the linker's, the build tool's, or the last words."""
    for pattern in _ERRORS:
        found = next((line for line in lines if pattern.search(line)), None)
        if found is not None:
            return found.strip()[:500]
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")[:500]


def warnings(lines: Iterable[str]) -> list[str]:
    """Warnings about the project's own files, each once (a header warns in every file that includes it)."""
    found: dict[str, None] = {}
    for line in lines:
        match = _WARNING.match(line)
        if match and not _FOREIGN.search(match["file"] or ""):
            found.setdefault(line.strip()[:500])
    return list(found)


@dataclass(frozen=True)
class Usage:
    """So many bytes of so many; ``source`` says who counted."""

    used: int
    total: int
    source: str

    @property
    def percent(self) -> float:
        """0 to 100, more when it does not fit."""
        return 100.0 * self.used / self.total

    def __str__(self) -> str:
        return f"{self.percent:.1f} % ({self.used} of {self.total} bytes, {self.source})"


def printed_sizes(lines: Iterable[str]) -> dict[str, Usage]:
    """``RAM`` and ``Flash`` as PlatformIO prints them after linking; what it does not print is left out."""
    found = {}
    for line in lines:
        match = _SIZE.match(line.strip())
        if match and int(match["total"]) > 0:
            usage = Usage(int(match["used"]), int(match["total"]), "PlatformIO")
            # The two ways it tells the same must agree, else this is another program's line.
            if abs(usage.percent - float(match["percent"])) <= 0.06:
                found[match["what"]] = usage
    return found
