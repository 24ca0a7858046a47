"""Which application boots: ROM and second-stage boot loader of ESP-IDF 4.4 with roll-back enabled, on modelled flash.

Order of events: the ROM checks the boot loader at 0, that reads the partition table and otadata. An image that was
started once and never confirmed is given up (``PENDING_VERIFY`` becomes ``ABORTED``); the newest usable entry names the
slot; an entry that is ``NEW`` becomes ``PENDING_VERIFY``. An image that does not verify is passed over: lower slots are
tried first, then higher ones. Layouts with a factory application are not modelled.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.bench import bootlog
from harness.bench.bootlog import ErrorLog
from harness.bench.flash import NorFlash
from harness.bench.slots import SLOT_STATES, Layout, SlotWriter, layout_of, read_entries, slot_state, write_entry
from harness.wire.image import CHIP_ID_ESP32S3, IMAGE_MAGIC, EspImage, ImageError, SimPayload, parse_image, payload_of
from harness.wire.otadata import OtaSelectEntry, OtaState, active_entry
from harness.wire.partitions import TABLE_BYTES, TABLE_OFFSET, Partition, PartitionError, parse_table

__all__ = ["AppToRun", "BootDecision", "SlotWriter", "decide"]

BOOT_LOADER_BYTES: Final = TABLE_OFFSET
_HASH_FLAG_AT: Final = 23


@dataclass(frozen=True)
class AppToRun:
    """The application a reset ends in.

    Attributes:
        slot: 0 = app0, 1 = app1.
        slot_state: ``hal::SlotState`` after the boot loader has marked it.
        slot_size: bytes of the slot.
        image: as parsed from flash.
        sha256: the image's trailer, 32 bytes.
        payload: the host program in it.
    """

    slot: int
    slot_state: int
    slot_size: int
    image: EspImage
    sha256: bytes
    payload: SimPayload


@dataclass(frozen=True)
class BootDecision:
    """What comes of one reset: console text up to the application, and the application, if any."""

    text: str
    app: AppToRun | None


def decide(flash: NorFlash, reset_reason: int) -> BootDecision:
    """Boots once: reads flash, marks otadata as the boot loader does, and says what runs.

    Args:
        flash: of the board; only its otadata is written.
        reset_reason: number of ``hal::ResetReason``, for the ROM's text.
    """
    raw = bytearray(flash.read(0, BOOT_LOADER_BYTES))
    if raw[0] != IMAGE_MAGIC:
        return BootDecision(bootlog.no_boot_loader(reset_reason, int.from_bytes(raw[:4], "little")), None)
    raw[_HASH_FLAG_AT] = 0  # the ROM trusts the checksum; only secure boot looks at the hash
    try:
        boot_loader = parse_image(bytes(raw))
    except ImageError as error:
        return BootDecision(bootlog.bad_boot_loader(reset_reason, error), None)
    log = ErrorLog()
    app = _second_stage(flash, log)
    return BootDecision(bootlog.rom(reset_reason) + bootlog.loading(boot_loader) + log.text, app)


def _second_stage(flash: NorFlash, log: ErrorLog) -> AppToRun | None:
    layout = _read_layout(flash, log)
    if layout is None:
        return None
    start, blank = _choose(flash, layout)
    count = len(layout.slots)
    for index in (*range(min(start, count - 1), -1, -1), *range(start + 1, count)):
        image = _load(flash, layout.slots[index], log)
        if image is None:
            log.add("boot", f"OTA app partition slot {index} is not bootable")
            continue
        if blank and layout.otadata is not None:
            write_entry(flash, layout.otadata, 0, OtaSelectEntry(index + 1, OtaState.VALID))
        return _app(flash, layout, index, image, log)
    log.add("boot", "No bootable app partitions in the partition table")
    return None


def _read_layout(flash: NorFlash, log: ErrorLog) -> Layout | None:
    raw = flash.read(TABLE_OFFSET, TABLE_BYTES)
    try:
        table = parse_table(raw)
    except PartitionError as error:
        log.add("flash_parts", error.message)
        table = []
    else:
        if not table:
            log.add("flash_parts", "No MD5 found in partition table")
    if not table or any(p.end > flash.size for p in table):
        if table:
            log.add("flash_parts", f"partition {table[-1].label} exceeds flash size 0x{flash.size:x}")
        log.add("boot", "Failed to verify partition table")
        log.add("boot", "load partition table error!")
        return None
    return layout_of(table)


def _choose(flash: NorFlash, layout: Layout) -> tuple[int, bool]:
    """(slot to try first, whether otadata is blank and wants a first entry). Marks entries on the way."""
    if layout.otadata is None or not layout.slots:
        return 0, False
    entries = list(read_entries(flash, layout.otadata))
    for i, entry in enumerate(entries):
        if entry.state == OtaState.PENDING_VERIFY:
            entries[i] = entry.with_state(OtaState.ABORTED)
            write_entry(flash, layout.otadata, i, entries[i])
    active = active_entry(entries)
    if active is None:
        return 0, not any(entry.written for entry in entries)
    if entries[active].state == OtaState.NEW:
        write_entry(flash, layout.otadata, active, entries[active].with_state(OtaState.PENDING_VERIFY))
    return entries[active].slot(len(layout.slots)), False


def _load(flash: NorFlash, slot: Partition, log: ErrorLog) -> EspImage | None:
    """The image in a slot if the boot loader would start it."""
    try:
        image = parse_image(flash.read(slot.offset, slot.size))
    except ImageError as error:
        log.bad_image(slot.offset, error)
        return None
    if image.chip_id != CHIP_ID_ESP32S3:
        log.add("boot_comm", f"mismatch chip ID, expected {CHIP_ID_ESP32S3}, found {image.chip_id}")
        return None
    return image


def _app(flash: NorFlash, layout: Layout, index: int, image: EspImage, log: ErrorLog) -> AppToRun | None:
    try:
        payload = payload_of(image)
    except ImageError as error:
        log.add("k1-bench", f"slot {index}: {error.message}")
        return None
    if payload is None:
        log.add(
            "k1-bench",
            f"slot {index} holds a program for the chip itself (Xtensa), which a virtual board cannot run; "
            "flash the build of environment 'sim'",
        )
        return None
    slot = layout.slots[index]
    state = slot_state(flash, layout, index)
    return AppToRun(index, SLOT_STATES[state], slot.size, image, image.sha256, payload)
