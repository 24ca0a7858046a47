"""One write of a region of flash through the loader, block by block, plain or compressed."""

from __future__ import annotations

import zlib

from harness.bench.flash import SECTOR, FlashRangeError, NorFlash


class WriteError(Exception):
    """The region cannot be written so. Never leaves the loader: it becomes a status of the protocol."""


class InflateError(WriteError):
    """The compressed stream is damaged."""


class SurplusError(WriteError):
    """More data than announced."""


class FlashError(WriteError):
    """Outside the flash."""


class RegionWriter:
    """Writes ``total`` bytes from ``offset``.

    Args:
        flash: target.
        offset: first byte.
        total: bytes to be written, uncompressed. More is refused when compressed; plain blocks may be padded with FF.
        block_size: bytes of a plain block; block ``n`` lies at ``offset + n * block_size``.
        compressed: blocks are pieces of one zlib stream.
        erase_first: erase the whole region now (ROM) instead of sector by sector ahead of the data (stub).

    Raises:
        FlashError: the region lies outside the flash.
    """

    def __init__(
        self, flash: NorFlash, offset: int, total: int, block_size: int, *, compressed: bool, erase_first: bool
    ) -> None:
        self._flash = flash
        self._offset = offset
        self._total = total
        self._block_size = block_size
        self._inflate = zlib.decompressobj() if compressed else None
        self._erased_to = offset // SECTOR * SECTOR
        self._end = -(-(offset + total) // SECTOR) * SECTOR
        self._done = 0
        if self._end > flash.size:
            raise FlashError
        if erase_first and total:
            self._erase_to(self._end)

    @property
    def complete(self) -> bool:
        """Whether everything announced has come."""
        return self._done >= self._total

    def write(self, sequence: int, data: bytes) -> None:
        """One block. A plain block may come again.

        Raises:
            WriteError: nothing of this block was written.
        """
        if self._inflate is None:
            self._store(self._offset + sequence * self._block_size, data)
            self._done = max(self._done, sequence * self._block_size + len(data))
            return
        try:
            plain = self._inflate.decompress(data, max(1, self._total - self._done + 1))
        except zlib.error:
            raise InflateError from None
        if self._done + len(plain) > self._total:
            raise SurplusError
        self._store(self._offset + self._done, plain)
        self._done += len(plain)

    def _store(self, at: int, data: bytes) -> None:
        room = max(0, self._end - at)
        if data[room:].strip(b"\xff"):
            raise SurplusError
        data = data[:room]  # the last block of a plain write is padded
        try:
            self._erase_to(min(at + len(data), self._end))
            self._flash.program(at, data)
        except FlashRangeError:
            raise FlashError from None

    def _erase_to(self, end: int) -> None:
        end = -(-end // SECTOR) * SECTOR
        if end > self._erased_to:
            self._flash.erase(self._erased_to, end - self._erased_to)
            self._erased_to = end
