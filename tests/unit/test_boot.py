"""Boot decision and slot operations on modelled flash: choice, marking, fall-back, roll-back, the chip's words."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench.boot import BootDecision, decide
from harness.bench.flash import NorFlash
from harness.bench.slots import SLOT_STATES, SlotWriter, read_entries
from harness.wire.image import (
    DROM_BASE,
    SIM_PROJECT,
    AppDescriptor,
    Segment,
    SimPayload,
    build_image,
    host_arch,
    pack_payload,
)
from harness.wire.otadata import OTADATA_BYTES, OtaSelectEntry, OtaState, build_otadata, initial_otadata
from harness.wire.partitions import Partition, build_table

POWER_ON, SOFTWARE, PANIC, INT_WATCHDOG, USB = 1, 3, 4, 5, 8
OTADATA = Partition("otadata", 1, 0, 0xE000, 0x2000)
SLOTS = (Partition("app0", 0, 0x10, 0x10000, 0x1E0000), Partition("app1", 0, 0x11, 0x1F0000, 0x1E0000))
TABLE = build_table([Partition("nvs", 1, 2, 0x9000, 0x5000), OTADATA, *SLOTS])
BOOT_LOADER = build_image([Segment(0x3FCE3808, bytes(0x44C)), Segment(0x403C9700, b"code" * 4)], 0x403C98D4)


def app(version: str, *, chip_id: int = 9, project: str = SIM_PROJECT, payload: bool = True) -> bytes:
    descriptor = AppDescriptor(version=version, project_name=project)
    program = pack_payload(SimPayload(host_arch(), version.encode(), b"costs")) if payload else b"xtensa code."
    return build_image([Segment(DROM_BASE, descriptor.pack() + program)], 0x40374000, chip_id=chip_id)


def board(*, app0: bytes = b"", app1: bytes = b"", otadata: bytes | None = None) -> NorFlash:
    flash = NorFlash()
    parts = {
        0: BOOT_LOADER,
        0x8000: TABLE,
        OTADATA.offset: initial_otadata() if otadata is None else otadata,
        SLOTS[0].offset: app0,
        SLOTS[1].offset: app1,
    }
    for offset, data in parts.items():
        flash.program(offset, data)
    return flash


def runs(decision: BootDecision) -> tuple[int, str, str]:
    """(slot, program, name of the slot state)"""
    assert decision.app is not None, decision.text
    names = {number: state.name for state, number in SLOT_STATES.items()}
    return decision.app.slot, decision.app.payload.elf.decode(), names[decision.app.slot_state]


def states(flash: NorFlash) -> list[tuple[int, int]]:
    return [(e.seq, e.state) for e in read_entries(flash, OTADATA)]


def update(flash: NorFlash, image: bytes, running: int) -> bool:
    """A whole update as the firmware does it, in pieces of odd size."""
    writer = SlotWriter(flash, running)
    assert writer.begin(len(image))
    for at in range(0, len(image), 1000):
        assert writer.write(at, image[at : at + 1000])
    return writer.finish()


# ---- what boots ------------------------------------------------------------------------------------


def test_fresh_serial_flash_boots_slot_0_unpending() -> None:
    flash = board(app0=app("one"))
    decision = decide(flash, POWER_ON)
    assert runs(decision) == (0, "one", "UNDEFINED")
    assert decision.app is not None
    assert decision.app.sha256 == app("one")[-32:]
    assert decision.app.slot_size == 0x1E0000
    assert runs(decide(flash, SOFTWARE)) == (0, "one", "UNDEFINED")


def test_text_of_a_good_boot() -> None:
    assert decide(board(app0=app("one")), POWER_ON).text == (
        "ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\n"
        "rst:0x1 (POWERON),boot:0x8 (SPI_FAST_FLASH_BOOT)\r\n"
        "SPIWP:0xee\r\nmode:DIO, clock div:1\r\n"
        "load:0x3fce3808,len:0x44c\r\nload:0x403c9700,len:0x10\r\nentry 0x403c98d4\r\n"
    )


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (POWER_ON, "0x1 (POWERON)"),
        (SOFTWARE, "0xc (RTC_SW_CPU_RST)"),
        (PANIC, "0xc (RTC_SW_CPU_RST)"),
        (INT_WATCHDOG, "0x8 (TG1WDT_SYS_RST)"),
        (USB, "0x15 (USB_UART_CHIP_RESET)"),
        (99, "0x1 (POWERON)"),
    ],
)
def test_reset_cause(reason: int, cause: str) -> None:
    assert f"rst:{cause},boot:0x8" in decide(board(app0=app("one")), reason).text


def test_blank_otadata_boots_slot_0_and_writes_its_first_entry() -> None:
    flash = board(app0=app("one"), otadata=b"\xff" * OTADATA_BYTES)
    assert runs(decide(flash, POWER_ON)) == (0, "one", "VALID")
    assert states(flash)[0] == (1, OtaState.VALID)


def test_blank_otadata_with_only_slot_1_filled() -> None:
    flash = board(app1=app("two"), otadata=b"\xff" * OTADATA_BYTES)
    assert runs(decide(flash, POWER_ON)) == (1, "two", "VALID")
    assert states(flash)[0] == (2, OtaState.VALID)


def test_no_boot_loader() -> None:
    decision = decide(NorFlash(), POWER_ON)
    assert decision.app is None
    assert "boot:0x8 (SPI_FAST_FLASH_BOOT)\r\ninvalid header: 0xffffffff\r\n" in decision.text
    assert "rst:0x7 (TG0WDT_SYS_RST)" in decide(NorFlash(), INT_WATCHDOG).text


def test_erased_boot_loader_stops_a_good_application() -> None:
    flash = board(app0=app("one"))
    flash.erase(0, 0x1000)
    assert decide(flash, POWER_ON).app is None


def test_damaged_boot_loader() -> None:
    flash = board(app0=app("one"))
    flash.program(BOOT_LOADER.index(b"code"), b"\0")
    assert "csum err" in decide(flash, POWER_ON).text


def test_rom_does_not_check_the_hash_of_the_boot_loader() -> None:
    """Tools patch flash mode and size into its header; the ROM does not mind."""
    flash = board(app0=app("one"))
    flash.program(len(BOOT_LOADER) - 32, bytes(32))
    assert decide(flash, POWER_ON).app is not None


def test_no_partition_table() -> None:
    flash = board(app0=app("one"))
    flash.erase(0x8000, 0x1000)
    decision = decide(flash, POWER_ON)
    assert decision.app is None
    for text in ("flash_parts: No MD5 found in partition table", "boot: Failed to verify partition table",
                 "boot: load partition table error!"):  # fmt: skip
        assert text in decision.text
    flash.program(0x8000, b"\0" * 32)
    assert "boot: load partition table error!" in decide(flash, POWER_ON).text


def test_table_beyond_the_flash() -> None:
    flash = NorFlash(size=2 << 20)
    flash.program(0, BOOT_LOADER)
    flash.program(0x8000, TABLE)
    assert "exceeds flash size" in decide(flash, POWER_ON).text


def test_no_application_at_all() -> None:
    decision = decide(board(), POWER_ON)
    assert decision.app is None
    assert "esp_image: image at 0x10000 has invalid magic byte" in decision.text
    assert "boot: OTA app partition slot 1 is not bootable" in decision.text
    assert decision.text.endswith("boot: No bootable app partitions in the partition table\r\n")


def test_table_without_application_slots() -> None:
    flash = NorFlash()
    flash.program(0, BOOT_LOADER)
    flash.program(0x8000, build_table([OTADATA]))
    assert "No bootable app partitions" in decide(flash, POWER_ON).text


def damaged(image: bytes, at: int) -> bytes:
    return image[:at] + bytes([image[at] ^ 1]) + image[at + 1 :]


@pytest.mark.parametrize(
    ("bad", "text"),
    [
        (damaged(app("bad"), -1), "Image hash failed - image is corrupt"),
        (damaged(app("bad"), 0x60), "Checksum failed. Calculated 0x"),
        (app("bad")[:200], "Checksum failed. Calculated 0x"),
        (app("bad")[:24] + b"\0" * 4, "esp_image: image at 0x1f0000: image is truncated"),
        (app("bad", chip_id=2), "mismatch chip ID, expected 9, found 2"),
        (b"", "image at 0x1f0000 has invalid magic byte"),
    ],
)
def test_bad_image_falls_back_to_the_other_slot(bad: bytes, text: str) -> None:
    otadata = build_otadata([OtaSelectEntry(1, OtaState.VALID), OtaSelectEntry(2, OtaState.VALID)])
    decision = decide(board(app0=app("one"), app1=bad, otadata=otadata), POWER_ON)
    assert runs(decision) == (0, "one", "VALID")
    assert text in decision.text
    assert "boot: OTA app partition slot 1 is not bootable" in decision.text


def test_bad_slot_0_falls_forward_to_slot_1() -> None:
    assert runs(decide(board(app1=app("two")), POWER_ON))[:2] == (1, "two")


def test_program_for_the_real_chip_is_refused() -> None:
    decision = decide(board(app0=app("real", payload=False)), POWER_ON)
    assert decision.app is None
    assert "Xtensa" in decision.text and "environment 'sim'" in decision.text
    assert decide(board(app0=app("real", project="other")), POWER_ON).app is None


# ---- updates and roll-back -------------------------------------------------------------------------


def test_update_confirmed() -> None:
    flash = board(app0=app("one"))
    assert update(flash, app("two"), 0)
    assert states(flash)[1] == (2, OtaState.NEW)
    assert runs(decide(flash, SOFTWARE)) == (1, "two", "PENDING_VERIFY")
    assert SlotWriter(flash, 1).confirm()
    for _ in range(2):
        assert runs(decide(flash, SOFTWARE)) == (1, "two", "VALID")


def test_unconfirmed_update_is_rolled_back_by_the_next_reset() -> None:
    flash = board(app0=app("one"))
    update(flash, app("two"), 0)
    assert runs(decide(flash, SOFTWARE))[1] == "two"
    assert runs(decide(flash, PANIC)) == (0, "one", "UNDEFINED")
    assert states(flash)[1] == (2, OtaState.ABORTED)
    assert runs(decide(flash, SOFTWARE))[1] == "one"
    assert update(flash, app("three"), 0), "the next update goes to the same slot again"
    assert runs(decide(flash, SOFTWARE)) == (1, "three", "PENDING_VERIFY")


def test_given_up_by_itself() -> None:
    flash = board(app0=app("one"))
    update(flash, app("two"), 0)
    decide(flash, SOFTWARE)
    assert SlotWriter(flash, 1).invalidate()
    assert states(flash)[1] == (2, OtaState.INVALID)
    assert runs(decide(flash, SOFTWARE))[1] == "one"


def test_nothing_to_roll_back_to() -> None:
    flash = board(app0=app("one"))
    assert not SlotWriter(flash, 0).invalidate()
    assert runs(decide(flash, SOFTWARE))[1] == "one"
    update(flash, app("two"), 0)
    decide(flash, SOFTWARE)
    flash.erase(SLOTS[0].offset, 0x1000)
    assert not SlotWriter(flash, 1).invalidate(), "the other image does not verify"
    assert runs(decide(flash, POWER_ON))[0:2] == (1, "two"), "aborted, but the only one that still boots"


def test_no_update_while_unconfirmed() -> None:
    flash = board(app0=app("one"))
    update(flash, app("two"), 0)
    decide(flash, SOFTWARE)
    assert not SlotWriter(flash, 1).begin(1000)
    SlotWriter(flash, 1).confirm()
    assert SlotWriter(flash, 1).begin(1000)


def test_serial_flash_after_an_update_ends_in_the_new_firmware() -> None:
    """The flashed otadata names slot 0 again and clears every state."""
    flash = board(app0=app("one"))
    update(flash, app("two"), 0)
    SlotWriter(flash, 1).confirm()
    flash.erase(OTADATA.offset, OTADATA_BYTES)
    flash.program(OTADATA.offset, initial_otadata())
    flash.erase(SLOTS[0].offset, 0x10000)
    flash.program(SLOTS[0].offset, app("three"))
    assert runs(decide(flash, POWER_ON)) == (0, "three", "UNDEFINED")


@pytest.mark.parametrize("bad", [damaged(app("bad"), -1), app("bad", chip_id=5), app("bad")[:100], b"garbage"])
def test_bad_update_is_refused_and_changes_nothing(bad: bytes) -> None:
    flash = board(app0=app("one"))
    before = states(flash)
    assert not update(flash, bad, 0)
    assert states(flash) == before
    assert runs(decide(flash, SOFTWARE))[1] == "one"


def test_writer_bounds() -> None:
    flash = board(app0=app("one"))
    writer = SlotWriter(flash, 0)
    assert not writer.write(0, b"before begin")
    assert not writer.finish()
    assert not writer.begin(0x1E0001)
    assert writer.begin(0x1E0000)
    assert not writer.write(0x1E0000 - 3, b"four")
    assert writer.write(0x1E0000 - 4, b"four")
    writer.abort()
    assert not writer.write(0, b"after abort")
    assert flash.read(SLOTS[0].offset, 16) == app("one")[:16], "the running slot is untouched"


def test_update_without_partition_table() -> None:
    writer = SlotWriter(NorFlash(), 0)
    assert not writer.begin(10)
    assert not writer.confirm()
    assert not writer.invalidate()


def test_confirm_after_a_fall_back_marks_nothing() -> None:
    """The active entry names the broken slot: confirming the running one must not bless it."""
    flash = board(app0=app("one"))
    update(flash, app("two"), 0)
    flash.erase(SLOTS[1].offset, 0x1000)
    assert runs(decide(flash, SOFTWARE))[1] == "one"
    assert not SlotWriter(flash, 0).confirm()
    assert states(flash)[1] == (2, OtaState.PENDING_VERIFY)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0x20, 0x8000, 0x8020, 0xE000, 0xF000, 0x10000, 0x10020]), st.binary(max_size=64)),
        max_size=6,
    ),
    st.integers(0, 12),
)
def test_any_flash_contents_give_a_decision(writes: list[tuple[int, bytes]], reason: int) -> None:
    flash = board(app0=app("one"), app1=app("two"))
    for at, data in writes:
        flash.program(at, data)
    decision = decide(flash, reason)
    assert decision.text.startswith("ESP-ROM:esp32s3-20210327\r\n")
    assert decision.text.endswith("\r\n")
    SlotWriter(flash, 0).confirm()
