"""Proofs around flashing: the image is for this kind of chip before, and the device runs it after."""

from __future__ import annotations

from harness.errors import BadRequest, DutFailure, RigFault
from harness.instruments.flasher import FlashReport
from harness.rig.bundle import FirmwareBundle
from harness.wire.telemetry import Identity


def refuse_foreign(bundle: FirmwareBundle, rig: str, provenance: str) -> None:
    """Raises BadRequest for an image of the virtual board on a physical rig."""
    if bundle.is_sim and provenance == "hardware":
        raise BadRequest(
            f"{bundle.path} is built for the virtual board",
            expected=f"an image for the chip, for rig '{rig}'",
            got=f"project {bundle.project}",
            remedy="build it for the device: k1hil build --env esp32-s3-devkitc-1",
        )


def prove_runs(bundle: FirmwareBundle, report: FlashReport, identity: Identity) -> None:
    """The device that just booted is the flashed board and runs the flashed image.

    Raises:
        DutFailure: it runs another image.
        RigFault: console and flash port belong to two boards.
    """
    if identity.sha256 != bundle.sha256:
        raise DutFailure(
            "the device runs another image than the one just flashed",
            expected=bundle.sha256,
            got=f"{identity.sha256} ({identity.project} {identity.version}, slot {identity.slot})",
            evidence=str(report.log_path or ""),
            remedy="read the boot text in console.log; was the image refused by the boot loader?",
        )
    if report.mac and identity.mac != report.mac:
        raise RigFault(
            "the console belongs to another board than the flash port",
            expected=report.mac,
            got=identity.mac,
            remedy="give [console] and [flash] of the rig file the ports of one board",
        )
