"""The otadata partition of ESP-IDF 4.4: which application slot boots, and whether it has proven itself.

Two 4 KiB sectors, each with one entry at its start: ``u32 seq | u8 label[20] | u32 state | u32 crc``. The CRC covers
``seq`` only. The valid entry with the larger ``seq`` counts; it names slot ``(seq - 1) % slots``.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Final

SECTOR_BYTES: Final = 0x1000
OTADATA_BYTES: Final = 2 * SECTOR_BYTES
ENTRY_BYTES: Final = 32
EMPTY_SEQ: Final = 0xFFFFFFFF
_ENTRY = struct.Struct("<I20sII")


class OtaState(IntEnum):
    """``esp_ota_img_states_t``."""

    NEW = 0
    PENDING_VERIFY = 1
    VALID = 2
    INVALID = 3
    ABORTED = 4
    UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True)
class OtaSelectEntry:
    """One entry.

    Attributes:
        seq: counts updates; ``0xFFFFFFFF`` in an erased entry.
        state: a number of :class:`OtaState`, or whatever else stands in flash.
        crc_ok: whether the stored CRC fits ``seq``.
    """

    seq: int
    state: int
    crc_ok: bool = True

    @property
    def written(self) -> bool:
        """Whether it names a slot at all: not erased, and intact."""
        return self.seq not in (0, EMPTY_SEQ) and self.crc_ok

    @property
    def usable(self) -> bool:
        """Whether the boot loader may choose it: written and not given up."""
        return self.written and self.state not in (OtaState.INVALID, OtaState.ABORTED)

    def slot(self, slots: int) -> int:
        """Index of the slot it names, out of ``slots``."""
        return (self.seq - 1) % slots

    def with_state(self, state: OtaState) -> OtaSelectEntry:
        return replace(self, state=int(state))

    def pack(self) -> bytes:
        """The 32 bytes, with a correct CRC."""
        return _ENTRY.pack(self.seq, b"\xff" * 20, self.state, entry_crc(self.seq))


def entry_crc(seq: int) -> int:
    """CRC-32 of the little-endian ``seq``, as the chip's ROM computes it with start value FFFFFFFF."""
    return zlib.crc32(struct.pack("<I", seq), 0xFFFFFFFF)


def parse_entry(data: bytes) -> OtaSelectEntry:
    """Reads the entry at the start of a sector of at least 32 bytes."""
    seq, _, state, crc = _ENTRY.unpack_from(data)
    return OtaSelectEntry(seq, state, crc == entry_crc(seq))


def parse_otadata(data: bytes) -> tuple[OtaSelectEntry, OtaSelectEntry]:
    """Reads both entries of a whole partition (8 KiB)."""
    return parse_entry(data), parse_entry(data[SECTOR_BYTES:])


def build_otadata(entries: Sequence[OtaSelectEntry | None]) -> bytes:
    """The 8 KiB of the partition; None leaves a sector erased."""
    return b"".join((e.pack() if e else b"").ljust(SECTOR_BYTES, b"\xff") for e in entries).ljust(
        OTADATA_BYTES, b"\xff"
    )


def initial_otadata() -> bytes:
    """What a serial flash of a fresh build writes (Arduino's ``boot_app0.bin``): slot 0, no roll-back pending."""
    return build_otadata([OtaSelectEntry(1, OtaState.UNDEFINED), None])


def active_entry(entries: Sequence[OtaSelectEntry]) -> int | None:
    """Index of the entry that counts: the usable one with the larger ``seq``, the first on a tie."""
    usable = [i for i, entry in enumerate(entries) if entry.usable]
    return max(usable, key=lambda i: entries[i].seq) if usable else None


def next_entry(entries: Sequence[OtaSelectEntry], slot: int, slots: int, state: OtaState) -> tuple[int, OtaSelectEntry]:
    """Where and what to write so that ``slot`` boots next: (index of the sector, entry). The other sector stays."""
    active = active_entry(entries)
    if active is None:
        return 0, OtaSelectEntry(slot + 1, int(state))
    seq = slot + 1
    while seq < entries[active].seq:
        seq += slots
    return 1 - active, OtaSelectEntry(seq, int(state))
