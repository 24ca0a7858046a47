"""What a running application does to its slots: receive an update, confirm itself, give itself up.

The rules are those of ``esp_ota_ops`` in ESP-IDF 4.4 with roll-back enabled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.bench.flash import SECTOR, NorFlash
from harness.wire.image import CHIP_ID_ESP32S3, ImageError, parse_image
from harness.wire.otadata import (
    OTADATA_BYTES,
    SECTOR_BYTES,
    OtaSelectEntry,
    OtaState,
    active_entry,
    next_entry,
    parse_otadata,
)
from harness.wire.partitions import TABLE_BYTES, TABLE_OFFSET, Partition, PartitionError, parse_table

# otadata state -> hal::SlotState
SLOT_STATES: Final = {
    OtaState.UNDEFINED: 0,
    OtaState.NEW: 1,
    OtaState.PENDING_VERIFY: 2,
    OtaState.VALID: 3,
    OtaState.INVALID: 4,
    OtaState.ABORTED: 5,
}


def read_entries(flash: NorFlash, otadata: Partition) -> tuple[OtaSelectEntry, OtaSelectEntry]:
    """Both entries of the otadata partition."""
    return parse_otadata(flash.read(otadata.offset, OTADATA_BYTES))


def write_entry(flash: NorFlash, otadata: Partition, index: int, entry: OtaSelectEntry) -> None:
    """Erases one sector of otadata and writes its entry; the other sector stays as it is."""
    at = otadata.offset + index * SECTOR_BYTES
    flash.erase(at, SECTOR_BYTES)
    flash.program(at, entry.pack())


@dataclass(frozen=True)
class Layout:
    """What boot loader and updates need of a partition table: otadata and the application slots in order."""

    otadata: Partition | None = None
    slots: tuple[Partition, ...] = ()


def layout_of(table: list[Partition]) -> Layout:
    """Picks otadata and ``ota_0``, ``ota_1``, … out of a table; rows that do not fit whole sectors are passed over."""
    whole = [p for p in table if p.size > 0 and p.offset % SECTOR == 0 and p.size % SECTOR == 0]
    otadata = next((p for p in whole if (p.type, p.subtype) == (1, 0) and p.size >= OTADATA_BYTES), None)
    slots = sorted((p for p in whole if p.type == 0 and 0x10 <= p.subtype <= 0x1F), key=lambda p: p.subtype)
    return Layout(otadata, tuple(slots))


def slot_state(flash: NorFlash, layout: Layout, slot: int) -> OtaState:
    """State of the newest intact entry that names ``slot``, given up or not; UNDEFINED without one."""
    if layout.otadata is None:
        return OtaState.UNDEFINED
    named = [e for e in read_entries(flash, layout.otadata) if e.written and e.slot(len(layout.slots)) == slot]
    if not named:
        return OtaState.UNDEFINED
    newest = max(named, key=lambda e: e.seq).state
    return OtaState(newest) if newest in SLOT_STATES else OtaState.UNDEFINED


class SlotWriter:
    """Slot operations of one boot of the application.

    Args:
        flash: of the board.
        running_slot: index of the slot the application runs from.
    """

    def __init__(self, flash: NorFlash, running_slot: int = 0) -> None:
        self._flash = flash
        self._running = running_slot
        self._target: Partition | None = None
        self._erased_to = 0
        try:
            self._layout = layout_of(parse_table(flash.read(TABLE_OFFSET, TABLE_BYTES)))
        except PartitionError:
            self._layout = Layout()

    def begin(self, n: int) -> bool:
        """Opens the other slot for an image of ``n`` bytes. False: no such slot, too big, or the running image is
        still unconfirmed (``ESP_ERR_OTA_ROLLBACK_INVALID_STATE``)."""
        self.abort()
        slots = self._layout.slots
        if len(slots) < 2 or self._layout.otadata is None:
            return False
        if slot_state(self._flash, self._layout, self._running) == OtaState.PENDING_VERIFY:
            return False
        target = slots[(self._running + 1) % len(slots)]
        if n > target.size:
            return False
        self._target, self._erased_to = target, 0
        return True

    def write(self, offset: int, data: bytes) -> bool:
        """Bytes of the image at ``offset`` in the slot; sectors are erased as the data reaches them."""
        target, end = self._target, offset + len(data)
        if target is None or end > target.size:
            return False
        while self._erased_to < end:
            self._flash.erase(target.offset + self._erased_to, SECTOR)
            self._erased_to += SECTOR
        self._flash.program(target.offset + offset, data)
        return True

    def finish(self) -> bool:
        """Checks the image and makes it the one to boot, to be confirmed by itself. False: the old one stays."""
        target, self._target = self._target, None
        if target is None or self._layout.otadata is None or not self._verifies(target):
            return False
        slot = self._layout.slots.index(target)
        index, entry = next_entry(
            read_entries(self._flash, self._layout.otadata), slot, len(self._layout.slots), OtaState.NEW
        )
        write_entry(self._flash, self._layout.otadata, index, entry)
        return True

    def abort(self) -> None:
        """Forgets a begun update; what was written stays in flash, unused."""
        self._target = None

    def confirm(self, running_slot: int | None = None) -> bool:
        """The running image has proven itself."""
        return self._mark(self._running if running_slot is None else running_slot, OtaState.VALID)

    def invalidate(self, running_slot: int | None = None) -> bool:
        """Gives the running image up. False when no other image could take over: then nothing changes."""
        slot = self._running if running_slot is None else running_slot
        return self._can_roll_back() and self._mark(slot, OtaState.INVALID)

    def _mark(self, slot: int, state: OtaState) -> bool:
        """Marks the active entry, which must be the one of ``slot``: after a fall-back it is not."""
        if self._layout.otadata is None or not self._layout.slots:
            return False
        entries = read_entries(self._flash, self._layout.otadata)
        active = active_entry(entries)
        if active is None or entries[active].slot(len(self._layout.slots)) != slot:
            return False
        if entries[active].state != state:
            write_entry(self._flash, self._layout.otadata, active, entries[active].with_state(state))
        return True

    def _can_roll_back(self) -> bool:
        """As ``esp_ota_check_rollback_is_possible``: the other entry is usable and its image verifies."""
        if self._layout.otadata is None or not self._layout.slots:
            return False
        entries = read_entries(self._flash, self._layout.otadata)
        active = active_entry(entries)
        if active is None or not entries[1 - active].usable:
            return False
        return self._verifies(self._layout.slots[entries[1 - active].slot(len(self._layout.slots))])

    def _verifies(self, slot: Partition) -> bool:
        try:
            return parse_image(self._flash.read(slot.offset, slot.size)).chip_id == CHIP_ID_ESP32S3
        except ImageError:
            return False
