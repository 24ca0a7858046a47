"""Packets of the ESP32-S3 serial loader, both directions (Espressif's "Serial Protocol" documentation).

Request: ``u8 0 | u8 op | u16 size | u32 checksum | body``. Reply: ``u8 1 | u8 op | u16 size | u32 value | data``.
Little endian; ``size`` counts what follows the eight header bytes. The data of a reply ends with status bytes: four
from the ROM, two from the flasher stub.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

HEADER = struct.Struct("<BBHI")
BLOCK_HEADER = struct.Struct("<4I")
CHECKSUM_SEED: Final = 0xEF
CHIP_ID_ESP32S3: Final = 9
ROM_STATUS_BYTES: Final = 4
STUB_STATUS_BYTES: Final = 2
ROM_SYNC_VALUE: Final = 0x20120707
SYNC_BODY: Final = bytes.fromhex("07071220") + b"\x55" * 32
SYNC_REPLIES: Final = 8
READ_SLOW_BYTES: Final = 64


class Op(IntEnum):
    """Commands."""

    FLASH_BEGIN = 0x02
    FLASH_DATA = 0x03
    FLASH_END = 0x04
    MEM_BEGIN = 0x05
    MEM_END = 0x06
    MEM_DATA = 0x07
    SYNC = 0x08
    WRITE_REG = 0x09
    READ_REG = 0x0A
    SPI_SET_PARAMS = 0x0B
    SPI_ATTACH = 0x0D
    READ_FLASH_SLOW = 0x0E
    CHANGE_BAUDRATE = 0x0F
    FLASH_DEFL_BEGIN = 0x10
    FLASH_DEFL_DATA = 0x11
    FLASH_DEFL_END = 0x12
    SPI_FLASH_MD5 = 0x13
    GET_SECURITY_INFO = 0x14
    ERASE_FLASH = 0xD0
    ERASE_REGION = 0xD1
    READ_FLASH = 0xD2
    RUN_USER_CODE = 0xD3


class RomError(IntEnum):
    """Second status byte of the ROM (the first is 1)."""

    BAD_PARAMETER = 0x01
    INVALID_MESSAGE = 0x05
    CHECKSUM = 0x07
    FLASH_WRITE = 0x08
    FLASH_READ = 0x09
    FLASH_READ_LENGTH = 0x0A
    DEFLATE = 0x0B


class StubError(IntEnum):
    """The two status bytes of the stub, as one big-endian word."""

    BAD_LENGTH = 0xC000
    BAD_CHECKSUM = 0xC100
    BAD_BLOCK_SIZE = 0xC200
    INVALID_COMMAND = 0xC300
    SPI_FAILED = 0xC400
    NOT_IN_FLASH_MODE = 0xC600
    INFLATE = 0xC700
    NOT_ENOUGH_DATA = 0xC800
    TOO_MUCH_DATA = 0xC900


@dataclass(frozen=True)
class Request:
    """One command of the host; ``checksum`` covers data blocks only and is 0 elsewhere."""

    op: int
    body: bytes
    checksum: int = 0

    def pack(self) -> bytes:
        """The packet, not yet framed."""
        return HEADER.pack(0, self.op, len(self.body), self.checksum) + self.body

    def words(self, count: int) -> tuple[int, ...] | None:
        """The first ``count`` 32-bit words of the body; None when it is shorter."""
        if len(self.body) < 4 * count:
            return None
        return struct.unpack_from(f"<{count}I", self.body)

    def block(self) -> Block | None:
        """The body as a data block; None when its length word does not fit it."""
        words = self.words(4)
        if words is None or words[0] != len(self.body) - BLOCK_HEADER.size:
            return None
        return Block(words[1], self.body[BLOCK_HEADER.size :])


@dataclass(frozen=True)
class Block:
    """Body of MEM_DATA, FLASH_DATA and FLASH_DEFL_DATA: ``u32 length | u32 sequence | 8 zero bytes | data``."""

    sequence: int
    data: bytes

    def pack(self) -> bytes:
        return BLOCK_HEADER.pack(len(self.data), self.sequence, 0, 0) + self.data


@dataclass(frozen=True)
class Reply:
    """One answer of the chip. ``data`` includes the status bytes."""

    op: int
    value: int
    data: bytes

    def pack(self) -> bytes:
        """The packet, not yet framed."""
        return HEADER.pack(1, self.op, len(self.data), self.value) + self.data


def parse_request(packet: bytes) -> Request | None:
    """Reads a command; None when it is not one (short, wrong direction, size does not fit)."""
    if len(packet) < HEADER.size:
        return None
    direction, op, size, checksum = HEADER.unpack_from(packet)
    body = packet[HEADER.size :]
    return Request(op, body, checksum) if direction == 0 and size == len(body) else None


def parse_reply(packet: bytes) -> Reply | None:
    """Reads an answer; None when it is not one."""
    if len(packet) < HEADER.size:
        return None
    direction, op, size, value = HEADER.unpack_from(packet)
    data = packet[HEADER.size :]
    return Reply(op, value, data) if direction == 1 and size == len(data) else None


def checksum(data: bytes) -> int:
    """XOR of all bytes, seed EF. By halving a big integer: fast without NumPy."""
    value, width = int.from_bytes(data, "little"), len(data)
    while width > 1:
        half = (width + 1) // 2
        value = (value >> (8 * half)) ^ (value & ((1 << (8 * half)) - 1))
        width = half
    return value ^ CHECKSUM_SEED


def data_request(op: Op, sequence: int, data: bytes) -> Request:
    """A data block with its checksum, as the host sends it."""
    return Request(op, Block(sequence, data).pack(), checksum(data))


def rom_status(error: RomError | None = None) -> bytes:
    """Status bytes of the ROM; all zero for success."""
    return bytes(4) if error is None else bytes((1, error, 0, 0))


def stub_status(error: StubError | None = None) -> bytes:
    """Status bytes of the stub; all zero for success."""
    return bytes(2) if error is None else struct.pack(">H", error)


def security_info(flags: int, chip_id: int, api_version: int = 2, crypt_count: int = 0) -> bytes:
    """Data of GET_SECURITY_INFO, 20 bytes: flags, flash encryption count, seven key purposes, chip id, revision."""
    return struct.pack("<IB7sII", flags, crypt_count, bytes(7), chip_id, api_version)
