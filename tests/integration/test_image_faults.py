"""Bad images written by the real tool: the boot loader refuses them and says why; the board can be flashed again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from loader_board import LoaderBoard

from harness.bench.rom import LoaderFaults
from harness.errors import BadRequest, DutFailure, RigFault
from harness.instruments.flasher import Flasher, FlashError
from harness.pipeline.build import build
from harness.rig import FirmwareBundle, Rig, open_rig, ota
from harness.wire.image import DROM_BASE, AppDescriptor, Segment, build_image

CHIP_ID_AT = 12
ESP32_C3 = 5
GIVEN_UP = r"(?s:.*)No bootable app partitions"


@pytest.fixture(scope="module")
def bundle() -> FirmwareBundle:
    return build("sim")


def bad_hash(image: bytes) -> bytes:
    return image[:-1] + bytes([image[-1] ^ 1])


def bad_checksum(image: bytes) -> bytes:
    return image[:5000] + bytes([image[5000] ^ 1]) + image[5001:]


def truncated(image: bytes) -> bytes:
    return image[: len(image) // 2]


def wrong_chip(image: bytes) -> bytes:
    """An image for another chip that is otherwise in order."""
    body = bytearray(image[:-32])
    body[CHIP_ID_AT] = ESP32_C3
    return bytes(body) + hashlib.sha256(body).digest()


def for_the_chip(_: bytes) -> bytes:
    """A sound image whose program is one for the chip itself."""
    descriptor = AppDescriptor(version="1.0.0", project_name="k1")
    return build_image([Segment(DROM_BASE, descriptor.pack() + bytes(range(256)) * 40)], 0x40374000)


def other_app(bundle: FirmwareBundle, folder: Path, change: Callable[[bytes], bytes]) -> list[tuple[int, Path]]:
    """The files of a build, its application changed."""
    app = folder / "firmware.bin"
    app.write_bytes(change(bundle.path.read_bytes()))
    return [(offset, app if path == bundle.path else path) for offset, path in bundle.flash_files()]


def flash(rig: Rig, files: list[tuple[int, Path]]) -> None:
    """Past the rig's own checks, straight through esptool."""
    assert rig.board is not None
    try:
        Flasher(rig.folder / "flash.log").flash(rig.board.serve().serial, files)
    finally:
        rig.board.unserve()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (bad_hash, rf"esp_image: Image hash failed - image is corrupt{GIVEN_UP}"),
        (bad_checksum, rf"esp_image: Checksum failed\. Calculated 0x\w+ read 0x\w+{GIVEN_UP}"),
        (truncated, rf"E \(\d+\) esp_image: {GIVEN_UP}"),
        (wrong_chip, rf"mismatch chip ID, expected 9, found 5{GIVEN_UP}"),
        (for_the_chip, r"slot 0 holds a program for the chip itself \(Xtensa\), which a virtual board cannot run"),
    ],
    ids=["hash", "checksum", "truncated", "chip", "program"],
)
def test_a_bad_application_is_refused_at_boot(
    bundle: FirmwareBundle, tmp_path: Path, change: Callable[[bytes], bytes], words: str
) -> None:
    with open_rig("sim", folder=tmp_path / "rig") as rig:
        flash(rig, other_app(bundle, tmp_path, change))
        with pytest.raises(DutFailure, match="did not boot") as caught:
            rig.reset(timeout_s=3.0)
        assert re.search(words, caught.value.got), caught.value.got
        rig.flash(bundle)
        assert rig.identity.sha256 == bundle.sha256


@pytest.mark.parametrize("change", [bad_hash, bad_checksum, truncated, wrong_chip])
def test_a_bad_image_is_refused_before_flashing(
    bundle: FirmwareBundle, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    for _, path in bundle.flash_files():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "firmware.bin").write_bytes(change(bundle.path.read_bytes()))
    with pytest.raises(Exception) as caught:
        FirmwareBundle.load(tmp_path / "firmware.bin")
    assert getattr(caught.value, "exit_code", None) == BadRequest.exit_code, caught.value


def test_a_boot_loader_for_another_chip_is_refused_by_esptool(bundle: FirmwareBundle, tmp_path: Path) -> None:
    (tmp_path / "bootloader.bin").write_bytes(wrong_chip(bundle.bootloader.read_bytes()))
    with open_rig("sim", folder=tmp_path / "rig") as rig:
        assert rig.board is not None
        with pytest.raises(FlashError) as refused:
            flash(rig, [(0x0, tmp_path / "bootloader.bin")])
        assert refused.value.cause == "wrong_image", refused.value
        assert rig.board.chip.flash.read(0, 0x1000) == b"\xff" * 0x1000


def test_an_erased_boot_loader_does_not_boot(bundle: FirmwareBundle, tmp_path: Path) -> None:
    blank = tmp_path / "blank.bin"
    blank.write_bytes(b"\xff" * 0x8000)
    with open_rig("sim", folder=tmp_path / "rig") as rig:
        rig.flash(bundle)
        flash(rig, [(0x0, blank)])
        with pytest.raises(DutFailure, match="did not boot") as caught:
            rig.reset(timeout_s=3.0)
        assert "invalid header: 0xffffffff" in caught.value.got and "boot:0x8" in caught.value.got
        rig.flash(bundle)
        assert rig.identity.sha256 == bundle.sha256


def test_the_other_slot_steps_in(bundle: FirmwareBundle, extended: FirmwareBundle, tmp_path: Path) -> None:
    """A damaged image in the slot that otadata names, a sound one in the other."""
    with open_rig("sim", folder=tmp_path / "rig") as rig:
        rig.flash(bundle)
        ota.update(rig, extended)
        flash(rig, other_app(bundle, tmp_path, bad_hash))
        at = rig.console.size
        identity = rig.reset()
        assert (identity.slot, identity.sha256) == (1, extended.sha256)
        text = rig.console.text_from(at).decode("ascii", "replace")
        assert "Image hash failed" in text and "OTA app partition slot 0 is not bootable" in text


@pytest.mark.parametrize(("times", "cause"), [(1, ""), (100, "rejected_block")])
def test_blocks_that_arrive_damaged(tmp_path: Path, times: int, cause: str) -> None:
    """Sent again while that helps; else an error that says what it was."""
    data = bytes(range(256)) * 300
    (tmp_path / "data.bin").write_bytes(hashlib.shake_256(data).digest(100_000))
    with LoaderBoard(faults=LoaderFaults(bad_block=2, bad_block_times=times)) as board:
        flasher = Flasher(tmp_path / "flash.log")
        if not cause:
            flasher.flash(board.url("rfc2217"), [(0x10000, tmp_path / "data.bin")])
            assert board.flash.read(0x10000, 100_000) == (tmp_path / "data.bin").read_bytes()
            return
        with pytest.raises(FlashError) as caught:
            flasher.flash(board.url("rfc2217"), [(0x10000, tmp_path / "data.bin")])
        assert caught.value.cause == cause and caught.value.remedy, caught.value


def test_a_cable_pulled_while_writing_is_a_rig_fault(bundle: FirmwareBundle, tmp_path: Path) -> None:
    """And with the cable back in, the half-written board can be flashed as if nothing had been."""
    with open_rig("sim", folder=tmp_path / "rig") as rig:
        assert rig.board is not None
        rig.flash(bundle)
        pulled = []

        def pull(_: float, what: str) -> None:
            if "writing at 0x1" in what and not pulled:
                pulled.append(what)
                rig.board.faults.unplug()

        with pytest.raises(RigFault) as caught:
            rig.flash(bundle, force=True, progress=pull)
        assert pulled and isinstance(caught.value, FlashError), caught.value
        assert caught.value.cause in ("lost_connection", "timeout", "port_missing"), caught.value
        rig.board.faults.replug()
        rig.flash(bundle, force=True)
        assert rig.identity.sha256 == bundle.sha256
        assert rig.record(None, 0.5, streams=("frames",), pattern="lava").n_frames > 50
