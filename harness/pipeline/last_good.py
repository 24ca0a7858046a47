"""The firmware to return to, in hand before the first byte of a new one is sent."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import BadRequest, K1HilError
from harness.instruments.flasher import Flasher
from harness.pipeline.artifacts import Artifact
from harness.pipeline.firmware_store import FirmwareStore
from harness.rig import FirmwareBundle, Rig
from harness.wire.image import parse_image
from harness.wire.otadata import active_entry, initial_otadata, parse_otadata
from harness.wire.partitions import TYPE_APP, Partition, parse_table
from harness.wire.telemetry import Identity

HEAD_BYTES = 0x10000
TABLE = slice(0x8000, 0x8C00)
_OTA_0, _OTA_LAST = 0x10, 0x1F
_OTADATA_SUBTYPE = 0x00

Source = Literal["store", "device", "blank", "none"]


@dataclass(frozen=True)
class LastGood:
    """What a device returns to, and where it was found: in the store, on the device, or nowhere (blank board, or
    nobody wanted it)."""

    source: Source
    artifact: Artifact | None = None
    bundle: FirmwareBundle | None = None


def hold_last_good(rig: Rig, store: FirmwareStore, running: Identity | None, wanted: str, folder: Path) -> LastGood:
    """As :func:`find_last_good`, also for a deploy that is tried again after its image (``wanted``) has landed.

    Then the device runs what is to be proven yet, and what it returns to is what the first attempt wrote down before
    it sent anything. An image that proved itself on this device before needs none: it is no update.
    """
    if running is None or running.sha256 != wanted:
        return find_last_good(rig, store, running, folder)
    record = store.deployed(running.mac)
    if record is None or record["image_sha256"] == wanted or store.bad(str(record["image_sha256"])) is not None:
        return LastGood("none")
    found = store.find(str(record["image_sha256"]))
    return _from_store(store, found, folder) if found is not None else LastGood("none")


def find_last_good(rig: Rig, store: FirmwareStore, running: Identity | None, folder: Path) -> LastGood:
    """Looks in the store for what the device runs, then reads it from the device; a blank board needs none.

    Args:
        rig: with the device; after a look into its flash it has been reset.
        store: what is read from the device is put there too; it remembers what was found as the device's own.
        running: who the device says it is; None when it does not answer.
        folder: empty or new; gets the files.

    Raises:
        BadRequest: there is none, so that nothing must be risked.
        RigFault: the flash cannot be read.
    """
    if running is not None and store.bad(running.sha256) is None:
        found = store.find(running.sha256)
        if found is None:
            return _from_device(rig, store, running, running.mac, folder)
        store.note_deployed(running.mac, found)  # however it got there: whoever comes later must know it too
        return _from_store(store, found, folder)
    mac = rig.mac or rig.in_loader(lambda flasher, url: flasher.read_mac(url))
    record = store.deployed(mac)
    if record is not None and store.bad(str(record["image_sha256"])) is None:
        found = store.find(str(record["image_sha256"]))
        if found is not None:
            return _from_store(store, found, folder)
    return _from_device(rig, store, running, mac, folder)


def _from_store(store: FirmwareStore, artifact: Artifact, folder: Path) -> LastGood:
    return LastGood("store", artifact, store.load(artifact, folder))


def _from_device(rig: Rig, store: FirmwareStore, running: Identity | None, mac: str, folder: Path) -> LastGood:
    head = _read(rig, mac, 0, HEAD_BYTES)
    if not head.strip(b"\xff"):
        return LastGood("blank")
    try:
        slot, index = _active_slot(head, running)
        image = _read(rig, mac, slot.offset, slot.size)
        parsed = parse_image(image)
    except K1HilError as error:
        if error.blame == "rig":
            raise
        raise _none("its flash holds no sound image", error.message) from error
    if running is not None:
        back = rig.reset("hard")
        if back.sha256 != parsed.sha256.hex():
            raise _none(f"slot {index} does not hold the running image", parsed.sha256.hex())
    if store.bad(parsed.sha256.hex()) is not None:
        raise _none("the image on it failed its health check before", parsed.sha256.hex())
    folder.mkdir(parents=True, exist_ok=True)
    parts = {
        "firmware.bin": image[: parsed.length], "bootloader.bin": _bootloader(head), "partitions.bin": head[TABLE],
        "boot_app0.bin": initial_otadata(),
    }  # fmt: skip
    for name, data in parts.items():
        (folder / name).write_bytes(data)
    bundle = FirmwareBundle.load(folder)
    artifact = store.put(bundle, details={"origin": f"read from slot {index} of {mac}"})
    store.note_deployed(mac, artifact)
    return LastGood("device", artifact, bundle)


def _active_slot(head: bytes, running: Identity | None) -> tuple[Partition, int]:
    """The slot that runs, as the device says, else the one its boot loader would choose."""
    table = parse_table(head[TABLE])
    apps = [p for p in table if p.type == TYPE_APP and _OTA_0 <= p.subtype <= _OTA_LAST]
    slots = sorted(apps, key=lambda p: p.subtype)
    select = next((p for p in table if p.type != TYPE_APP and p.subtype == _OTADATA_SUBTYPE), None)
    if not slots or select is None or select.end > HEAD_BYTES:
        raise BadRequest("no partition table with update slots")
    if running is not None and running.slot < len(slots):
        return slots[running.slot], running.slot
    entries = parse_otadata(head[select.offset : select.end])
    active = active_entry(entries)
    index = 0 if active is None else entries[active].slot(len(slots))
    return slots[index], index


def _bootloader(head: bytes) -> bytes:
    """The boot loader is an image of its own; what follows it is erased flash."""
    return head[: TABLE.start].rstrip(b"\xff") or b"\xff"


def _read(rig: Rig, mac: str, offset: int, size: int) -> bytes:
    def act(flasher: Flasher, url: str) -> bytes:
        return flasher.read(url, offset, size, expected_mac=mac)

    return rig.in_loader(act)


def _none(why: str, got: str) -> BadRequest:
    return BadRequest(
        "there is no firmware to return to, so nothing is sent", expected="the running firmware in the store, or sound "
        "on the device, or a blank board", got=f"{why} ({got})",
        remedy="insist with --no-rollback, or flash a known firmware over serial: k1hil flash",
    )  # fmt: skip
