"""The chip's key-value store: an append log in the NVS partition of the flash file.

Being in flash it lives and dies with it: a new application keeps the settings, erasing the partition (or the chip) with
esptool clears them. Not the chip's own page format; the firmware only sees keys and values.

The partition is two banks of whole sectors. A bank is ``header | record*``; the header is written last, so a power
cut while records move to the other bank leaves the old bank in force. A torn record ends the log; it is left behind by
the next write, which then moves to the other bank.
"""

from __future__ import annotations

import struct
import zlib
from typing import Protocol

SECTOR = 4_096
_MAGIC = b"K1KV"
_HEADER = struct.Struct("<4sII")  # magic, sequence, CRC-32 of both
_RECORD = struct.Struct("<BBHI")  # mark, kind, body length, CRC-32 of kind and body
_MARK = 0x5A
_SET, _ERASE = 1, 2
MAX_NAME = 15
MAX_VALUE = 1_024


class FlashLike(Protocol):
    """NOR flash: program clears bits, erase sets whole sectors to FF."""

    def read(self, off: int, n: int) -> bytes: ...
    def program(self, off: int, data: bytes) -> None: ...
    def erase(self, off: int, n: int) -> None: ...


class NvsStore:
    """Opens (never formats before the first write) the store at ``offset``; ``size`` bytes, at least two sectors.

    The flash is read once; create a new store after the flash has been written behind its back (each boot does).
    """

    def __init__(self, flash: FlashLike, offset: int, size: int) -> None:
        if size < 2 * SECTOR:
            raise ValueError(f"an NVS partition needs {2 * SECTOR} bytes, got {size}")
        self._flash = flash
        self._bank_size = size // SECTOR // 2 * SECTOR
        self._banks = (offset, offset + self._bank_size)
        self._values: dict[tuple[str, str], bytes] = {}
        self._active = -1
        self._sequence = 0
        self._end = 0
        self._torn = False
        self._load()

    def get(self, space: str, key: str) -> bytes | None:
        return self._values.get((space, key))

    def set(self, space: str, key: str, value: bytes) -> bool:
        """False: a name or value too long, or no room left even after tidying up."""
        if not self._names_ok(space, key) or len(value) > MAX_VALUE:
            return False
        if self._values.get((space, key)) == value:
            return True
        return self._change((space, key), value)

    def erase(self, space: str, key: str) -> bool:
        """False when the key was absent."""
        if (space, key) not in self._values:
            return False
        return self._change((space, key), None)

    @staticmethod
    def _names_ok(space: str, key: str) -> bool:
        return all(1 <= len(s.encode()) <= MAX_NAME for s in (space, key))

    def _change(self, name: tuple[str, str], value: bytes | None) -> bool:
        record = _pack(name, value)
        after = dict(self._values)
        if value is None:
            del after[name]
        else:
            after[name] = value
        if self._active < 0 or self._torn or self._end + len(record) > self._bank_size:
            if not self._move(after):
                return False
        else:
            self._flash.program(self._banks[self._active] + self._end, record)
            self._end += len(record)
        self._values = after
        return True

    def _move(self, values: dict[tuple[str, str], bytes]) -> bool:
        body = b"".join(_pack(name, value) for name, value in values.items())
        if _HEADER.size + len(body) > self._bank_size:
            return False
        bank = 1 if self._active == 0 else 0
        base = self._banks[bank]
        self._flash.erase(base, self._bank_size)
        self._flash.program(base + _HEADER.size, body)
        self._sequence += 1
        head = struct.pack("<4sI", _MAGIC, self._sequence)
        self._flash.program(base, head + struct.pack("<I", zlib.crc32(head)))
        self._active, self._end, self._torn = bank, _HEADER.size + len(body), False
        return True

    def _load(self) -> None:
        for bank, base in enumerate(self._banks):
            raw = self._flash.read(base, _HEADER.size)
            magic, sequence, crc = _HEADER.unpack(raw)
            if magic == _MAGIC and crc == zlib.crc32(raw[:8]) and sequence > self._sequence:
                self._active, self._sequence = bank, sequence
        if self._active < 0:
            return
        data = self._flash.read(self._banks[self._active], self._bank_size)
        at = _HEADER.size
        while at + _RECORD.size <= len(data):
            got = _unpack(data, at)
            if got is None:
                self._torn = data[at : at + _RECORD.size] != b"\xff" * _RECORD.size
                break
            name, value, at = got
            if value is None:
                self._values.pop(name, None)
            else:
                self._values[name] = value
        self._end = at


def _pack(name: tuple[str, str], value: bytes | None) -> bytes:
    space, key = (s.encode() for s in name)
    body = bytes([len(space)]) + space + bytes([len(key)]) + key + (value or b"")
    kind = _ERASE if value is None else _SET
    return _RECORD.pack(_MARK, kind, len(body), zlib.crc32(bytes([kind]) + body)) + body


def _unpack(data: bytes, at: int) -> tuple[tuple[str, str], bytes | None, int] | None:
    mark, kind, n, crc = _RECORD.unpack_from(data, at)
    body = data[at + _RECORD.size : at + _RECORD.size + n]
    if mark != _MARK or kind not in (_SET, _ERASE) or len(body) != n or crc != zlib.crc32(bytes([kind]) + body):
        return None
    parsed = parse_names(body)
    if parsed is None:
        return None
    space, key, value = parsed
    return (space, key), (value if kind == _SET else None), at + _RECORD.size + n


def parse_names(body: bytes) -> tuple[str, str, bytes] | None:
    """``u8 n, space, u8 n, key, rest`` of the link's KV calls and of the log; None when it is cut or not UTF-8."""
    try:
        n = body[0]
        space = body[1 : 1 + n].decode()
        m = body[1 + n]
        end = 2 + n + m
        key = body[2 + n : end].decode()
    except (IndexError, UnicodeDecodeError):
        return None
    if len(body) < end:
        return None
    return space, key, body[end:]
