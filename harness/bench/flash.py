"""NOR flash in a file: programming only clears bits, erasing sets whole sectors to FF."""

from __future__ import annotations

import hashlib
import mmap
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadRequest

SECTOR: Final = 0x1000
MIB: Final = 1 << 20
# JEDEC capacity code (third RDID byte) by size.
CAPACITY_CODES: Final = {2 * MIB: 0x15, 4 * MIB: 0x16, 8 * MIB: 0x17, 16 * MIB: 0x18, 32 * MIB: 0x19}


class FlashRangeError(BadRequest):
    """An address outside the flash, or an erase that is not whole sectors."""


class NorFlash:
    """One flash chip. Not thread-safe: the caller holds a lock.

    Args:
        path: file that keeps the contents, created blank when absent; None: in memory only.
        size: bytes, one of :data:`CAPACITY_CODES`.

    Attributes:
        size: bytes.
        stuck_low: worn-out cells: offset -> bits that read 0 whatever was programmed. Empty in a good chip.

    Raises:
        BadRequest: an unusable size, or a file of another size.
    """

    def __init__(self, path: Path | None = None, size: int = 4 * MIB) -> None:
        if size not in CAPACITY_CODES:
            sizes = ", ".join(f"{n // MIB} MiB" for n in CAPACITY_CODES)
            raise BadRequest("unusable flash size", expected=sizes, got=f"{size} bytes")
        self.size = size
        self.stuck_low: Mapping[int, int] = {}
        self._map: mmap.mmap | None = None
        if path is None:
            self._cells: NDArray[np.uint8] = np.full(size, 0xFF, np.uint8)
        else:
            self._map = _open_file(path, size)
            self._cells = np.frombuffer(self._map, np.uint8)

    def read(self, offset: int, n: int) -> bytes:
        """``n`` bytes from ``offset``."""
        self._check(offset, n)
        data = self._cells[offset : offset + n].tobytes()
        return self._worn(offset, data) if self.stuck_low else data

    def program(self, offset: int, data: bytes) -> None:
        """Clears the bits that are 0 in ``data``; bits that are 0 already stay so until an erase."""
        self._check(offset, len(data))
        self._cells[offset : offset + len(data)] &= np.frombuffer(data, np.uint8)

    def erase(self, offset: int, n: int) -> None:
        """Sets whole sectors to FF; ``offset`` and ``n`` are multiples of 4 KiB."""
        self._check(offset, n)
        if offset % SECTOR or n % SECTOR:
            raise FlashRangeError(
                "flash erases whole sectors only", expected="multiples of 0x1000", got=f"0x{offset:x} + 0x{n:x}"
            )
        self._cells[offset : offset + n] = 0xFF

    def md5(self, offset: int, n: int) -> bytes:
        """MD5 of a range, 16 bytes."""
        return hashlib.md5(self.read(offset, n)).digest()

    def flush(self) -> None:
        """Hands everything to the file."""
        if self._map is not None:
            self._map.flush()

    def close(self) -> None:
        """Keeps the file; the object is unusable afterwards. Safe to call twice."""
        self._cells = np.empty(0, np.uint8)
        if self._map is not None:
            self._map.flush()
            self._map.close()
            self._map = None

    def _check(self, offset: int, n: int) -> None:
        if offset < 0 or n < 0 or offset + n > self._cells.size:
            raise FlashRangeError(
                "outside the flash", expected=f"within 0x{self._cells.size:x} bytes", got=f"0x{offset:x} + 0x{n:x}"
            )

    def _worn(self, offset: int, data: bytes) -> bytes:
        out = bytearray(data)
        for at, bits in self.stuck_low.items():
            if offset <= at < offset + len(out):
                out[at - offset] &= ~bits & 0xFF
        return bytes(out)


def _open_file(path: Path, size: int) -> mmap.mmap:
    """Maps the file, made blank first when it is not there: whole or not at all."""
    if not path.exists():
        scratch = path.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_bytes(b"\xff" * size)
        scratch.replace(path)
    found = path.stat().st_size
    if found != size:
        raise BadRequest(
            "flash file has another size", expected=f"{size} bytes", got=f"{found} bytes", evidence=str(path),
            remedy="remove it to start with a blank flash",
        )  # fmt: skip
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), size)
