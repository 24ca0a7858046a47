"""An update over the air, proven: checked before the first byte, and by identity after the reboot."""

from __future__ import annotations

from harness.errors import BadRequest, DutFailure
from harness.instruments.flasher import FlashReport
from harness.instruments.ota import STILL_OLD, OtaClient, OtaReport, Progress
from harness.rig.bundle import FirmwareBundle
from harness.rig.rig import Rig
from harness.rig.secrets import ota_password
from harness.wire.telemetry import Identity

SLOT_BYTES = 0x1E0000
REBOOT_TIMEOUT_S = 30.0
# The self-check of a new image waits up to 30 s for the network before it decides without.
CONFIRM_TIMEOUT_S = 40.0
_UNDECIDED = {"pending", "fresh"}


class RolledBack(DutFailure):
    """The new image failed by itself, and the device went back to its old one, which runs now."""


def update(rig: Rig, bundle: FirmwareBundle, *, force: bool = False, progress: Progress | None = None) -> FlashReport:
    """Updates the device over the air and proves that it runs, and keeps, the new image.

    Skipped when it already runs this image and ``force`` is not given. The password, if the device has one, comes from
    the environment (K1HIL_OTA_PASSWORD).

    Raises:
        BadRequest: an image for another kind of device, too big for a slot, or a wrong password.
        RigFault: no answer, a broken transfer; the old image runs on.
        RolledBack: the device went back to the old image by itself.
        DutFailure: the device refused the image, did not come back, or runs another one.
    """
    rig.refuse_foreign(bundle)
    image = bundle.path.read_bytes()
    if len(image) > SLOT_BYTES:
        raise BadRequest(
            f"{bundle.path} is too big to update",
            expected=f"at most {SLOT_BYTES} bytes",
            got=f"{len(image)} bytes",
            remedy="make it smaller, or change the partition table over serial",
        )
    before = rig.identity
    if before.sha256 == bundle.sha256 and not force:
        rig.adopt(bundle)
        return FlashReport(skipped=True, mac=before.mac)
    client = OtaClient(rig.ota_network(), rig.clock, ota_password())
    reports: list[OtaReport] = []
    identity = rig.through_boot(
        lambda: reports.append(client.upload(image, name=bundle.path.name, progress=progress)), REBOOT_TIMEOUT_S
    )
    _prove(rig, bundle, before, identity)
    _await_confirmation(rig, bundle, before)
    rig.adopt(bundle)
    return FlashReport(skipped=False, mac=identity.mac, bytes_written=len(image), transfer_s=reports[0].transfer_s)


def _prove(rig: Rig, bundle: FirmwareBundle, before: Identity, now: Identity) -> None:
    if now.sha256 == bundle.sha256:
        return
    old = now.sha256 == before.sha256
    raise (RolledBack if old else DutFailure)(
        "the device fell back to the old image" if old else "the device runs another image than the one sent",
        expected=bundle.sha256,
        got=f"{now.sha256}, slot {now.slot}, reset reason {now.reset_reason}",
        evidence=str(rig.console.log_path),
        remedy="read the boot text: the boot loader says why it refused a slot",
    )


def _await_confirmation(rig: Rig, bundle: FirmwareBundle, before: Identity) -> None:
    """Waits for the image's own self-check; a roll-back the device does by itself is recognised as one."""
    deadline_ns = rig.clock.now_ns() + round(CONFIRM_TIMEOUT_S * 1e9)
    while rig.clock.now_ns() < deadline_ns:
        rig.clock.wait(lambda: bool(rig.follow_boots()), 1.0, stop="console")
        state = rig.telemetry.identity(2.0)
        if state.sha256 != bundle.sha256:
            raise RolledBack(
                "the new image failed its self-check and the device rolled back by itself",
                expected=f"image {bundle.sha256[:16]} confirmed",
                got=f"image {state.sha256[:16]} after a reset ({state.reset_reason}); {STILL_OLD}",
                evidence=str(rig.console.log_path),
                remedy="the log between the two boots says which check failed",
            )
        if state.slot_state not in _UNDECIDED:
            return
    raise DutFailure(
        "the new image was neither confirmed nor rolled back",
        expected=f"a decision within {CONFIRM_TIMEOUT_S:g} s",
        got=f"slot {rig.identity.slot} still {rig.identity.slot_state}",
        evidence=str(rig.console.log_path),
    )
