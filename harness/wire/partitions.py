"""The partition table of an ESP32-S3: bytes at 0x8000, and the CSV it is made from (ESP-IDF 4.4).

Rows of 32 bytes: ``AA 50 type subtype u32 offset u32 size label[16] u32 flags``; then a row ``EB EB FF*14`` with the
MD5 of the rows before it; then FF up to 0xC00 bytes.
"""

from __future__ import annotations

import hashlib
import re
import struct
from dataclasses import dataclass

from harness.errors import BadRequest

TABLE_OFFSET = 0x8000
TABLE_BYTES = 0xC00
TYPE_APP = 0
TYPE_DATA = 1
MAX_ROWS = TABLE_BYTES // 32 - 1

_ROW = struct.Struct("<2sBBII16sI")
_ROW_MAGIC = b"\xaa\x50"
_MD5_MAGIC = b"\xeb\xeb" + b"\xff" * 14
_TYPES = {"app": TYPE_APP, "data": TYPE_DATA}
_SUBTYPES = {
    TYPE_APP: {"factory": 0x00, "test": 0x20, **{f"ota_{i}": 0x10 + i for i in range(16)}},
    TYPE_DATA: {
        "ota": 0x00, "phy": 0x01, "nvs": 0x02, "coredump": 0x03, "nvs_keys": 0x04, "efuse": 0x05,
        "undefined": 0x06, "esphttpd": 0x80, "fat": 0x81, "spiffs": 0x82,
    },
}  # fmt: skip
_APP_ALIGN = 0x10000
_DATA_ALIGN = 0x1000
_NUMBER = re.compile(r"(0x[0-9a-fA-F]+|\d+)([KkMm]?)")


class PartitionError(BadRequest):
    """The table or its CSV is not valid; the message names the row."""


@dataclass(frozen=True)
class Partition:
    """One row: ``offset`` and ``size`` in bytes of flash, ``type`` 0 app or 1 data, ``subtype`` as in ESP-IDF."""

    label: str
    type: int
    subtype: int
    offset: int
    size: int
    flags: int = 0

    @property
    def end(self) -> int:
        """First byte after the partition."""
        return self.offset + self.size


def parse_table(data: bytes) -> list[Partition]:
    """Reads a binary table. FF where the table should be gives an empty list, as the boot loader sees it.

    Raises:
        PartitionError: a row with a wrong magic, or an MD5 that does not match.
    """
    rows: list[Partition] = []
    for position in range(0, min(len(data), TABLE_BYTES) - 31, 32):
        row = data[position : position + 32]
        if row == b"\xff" * 32:
            return rows
        if row[:16] == _MD5_MAGIC:
            digest = hashlib.md5(data[:position]).digest()
            if digest != row[16:]:
                raise PartitionError("partition table MD5 does not match", expected=row[16:].hex(), got=digest.hex())
            return rows
        magic, kind, subtype, offset, size, label, flags = _ROW.unpack(row)
        if magic != _ROW_MAGIC:
            raise PartitionError(
                f"partition table row {position // 32} has a wrong magic", expected=_ROW_MAGIC.hex(), got=magic.hex()
            )
        name = label.split(b"\0", 1)[0].decode("utf-8", "replace")
        rows.append(Partition(name, kind, subtype, offset, size, flags))
    return rows


def build_table(rows: list[Partition]) -> bytes:
    """The 3072 bytes for flash offset 0x8000, with the MD5 row.

    Raises:
        PartitionError: too many rows, or a label that does not fit 16 bytes.
    """
    if len(rows) > MAX_ROWS:
        raise PartitionError("too many partitions", expected=f"at most {MAX_ROWS}", got=str(len(rows)))
    out = b""
    for row in rows:
        label = row.label.encode("utf-8")
        if len(label) > 16:
            raise PartitionError(f"partition label '{row.label}' is too long", expected="at most 16 bytes")
        out += _ROW.pack(_ROW_MAGIC, row.type, row.subtype, row.offset, row.size, label.ljust(16, b"\0"), row.flags)
    out += _MD5_MAGIC + hashlib.md5(out).digest()
    return out.ljust(TABLE_BYTES, b"\xff")


def parse_csv(text: str) -> list[Partition]:
    """Reads ``partitions.csv``. Empty offsets follow the row before, aligned (app 64 KiB, data 4 KiB), from 0x9000.

    Raises:
        PartitionError: a malformed row, an unknown type or overlapping partitions; the message names the line.
    """
    rows: list[Partition] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].strip()
        if line:
            rows.append(_csv_row(line, number, rows[-1].end if rows else TABLE_OFFSET + 0x1000))
    by_offset = sorted(rows, key=lambda row: row.offset)
    for low, high in zip(by_offset, by_offset[1:], strict=False):
        if low.end > high.offset:
            raise PartitionError(
                f"partitions '{low.label}' and '{high.label}' overlap", got=f"0x{low.end:x} > 0x{high.offset:x}"
            )
    return rows


def _csv_row(line: str, number: int, next_free: int) -> Partition:
    fields = [field.strip() for field in line.split(",")]
    if len(fields) < 5:
        raise PartitionError(
            f"line {number} of the partition CSV is short", expected="name,type,subtype,offset,size", got=line
        )
    label, type_text, subtype_text, offset_text, size_text = fields[:5]
    kind = _TYPES[type_text] if type_text in _TYPES else _number(type_text, number)
    known = _SUBTYPES.get(kind, {})
    subtype = known[subtype_text] if subtype_text in known else _number(subtype_text or "0", number)
    align = _APP_ALIGN if kind == TYPE_APP else _DATA_ALIGN
    offset = _number(offset_text, number) if offset_text else -(-next_free // align) * align
    if offset % align:
        raise PartitionError(
            f"line {number}: '{label}' is not aligned", expected=f"a multiple of 0x{align:x}", got=f"0x{offset:x}"
        )
    return Partition(label, kind, subtype, offset, _number(size_text, number))


def _number(text: str, line: int) -> int:
    match = _NUMBER.fullmatch(text)
    if match is None:
        raise PartitionError(f"line {line} of the partition CSV: '{text}' is neither a number nor a known name")
    return int(match[1], 0) * {"": 1, "k": 1 << 10, "m": 1 << 20}[match[2].lower()]
