"""An update over the air, proven: checked before the first byte, and by identity after the reboot."""

from __future__ import annotations

import re

from harness.errors import BadRequest, DutFailure, K1HilError, RigFault
from harness.instruments.flasher import FlashReport
from harness.instruments.ota import STILL_OLD, OtaClient, OutcomeUnknown, Progress
from harness.rig.bundle import FirmwareBundle
from harness.rig.rig import Rig
from harness.rig.secrets import ota_password
from harness.wire.partitions import TYPE_APP, parse_table
from harness.wire.telemetry import Identity

# Where a build brings no partition table that can be read: that of this firmware.
SLOT_BYTES = 0x1E0000
_OTA_0, _OTA_LAST = 0x10, 0x1F
REBOOT_TIMEOUT_S = 30.0
# The self-check of a new image waits up to 30 s for the network before it decides without.
CONFIRM_TIMEOUT_S = 40.0
_UNDECIDED = {"pending", "fresh"}
_NO_ROOM = re.compile(r"no slot for .*")


class RolledBack(DutFailure):
    """The new image failed by itself, and the device went back to its old one, which runs now."""


def update(rig: Rig, bundle: FirmwareBundle, *, force: bool = False, progress: Progress | None = None) -> FlashReport:
    """Updates the device over the air and proves that it runs, and keeps, the new image.

    Skipped when it already runs this image and ``force`` is not given. The password, if the device has one, comes from
    the environment (K1HIL_OTA_PASSWORD).

    Raises:
        BadRequest: an image for another kind of device, too big for a slot, or a wrong password.
        RigFault: no answer, a broken transfer; the old image runs on, as the device says where it was in doubt.
        RolledBack: the device went back to the old image by itself.
        DutFailure: the device refused the image, did not come back, or runs another one.
    """
    rig.refuse_foreign(bundle)
    image = bundle.path.read_bytes()
    room = slot_bytes(bundle)
    if len(image) > room:
        raise BadRequest(
            f"{bundle.path} is too big to update",
            expected=f"at most {room} bytes",
            got=f"{len(image)} bytes",
            remedy="make it smaller, or change the partition table over serial",
        )
    before = rig.identity
    if before.sha256 == bundle.sha256 and not force:
        rig.adopt(bundle)
        return FlashReport(skipped=True, mac=before.mac)
    upload = _Upload(rig, image, bundle.path.name, progress)
    try:
        identity = rig.through_boot(upload, REBOOT_TIMEOUT_S)
    except DutFailure as silent:
        identity = upload.asked(bundle, before, silent)
    _prove(rig, bundle, before, identity)
    _await_confirmation(rig, bundle, before)
    rig.adopt(bundle)
    return FlashReport(skipped=False, mac=identity.mac, bytes_written=len(image), transfer_s=upload.seconds)


def slot_bytes(bundle: FirmwareBundle) -> int:
    """Room for an update, as the build's own partition table has it. The device's own may be another: it says so when
    it refuses."""
    try:
        table = parse_table(bundle.partitions.read_bytes())
    except (K1HilError, OSError):
        return SLOT_BYTES
    return min((p.size for p in table if p.type == TYPE_APP and _OTA_0 <= p.subtype <= _OTA_LAST), default=SLOT_BYTES)


class _Upload:
    """Sends the image; when the device's last word was lost, the device is asked instead."""

    def __init__(self, rig: Rig, image: bytes, name: str, progress: Progress | None) -> None:
        self._rig, self._image, self._name, self._progress = rig, image, name, progress
        self._unknown: OutcomeUnknown | None = None
        self.seconds = 0.0

    def __call__(self) -> None:
        client = OtaClient(self._rig.ota_network(), self._rig.clock, ota_password())
        line, began_ns = self._rig.console.n_lines, self._rig.clock.now_ns()
        try:
            self.seconds = client.upload(self._image, name=self._name, progress=self._progress).transfer_s
        except OutcomeUnknown as error:
            self._unknown = error  # if it starts anew, its identity tells
            self.seconds = (self._rig.clock.now_ns() - began_ns) / 1e9
        except DutFailure as refused:
            self._rig.console.pump()
            said = [m for one in self._rig.console.lines_since(line) if (m := _NO_ROOM.search(one.text))]
            if said:
                refused.got = f"{refused.got}; it says: {said[-1][0]}"
            raise

    def asked(self, bundle: FirmwareBundle, before: Identity, silent: DutFailure) -> Identity:
        """Who answers although no new boot was seen, where that may be.

        Raises:
            RigFault: the answer was lost, and the device runs on with its old image. DutFailure: ``silent``.
        """
        now = self._rig.probe() if self._unknown is not None else None
        if now is None or self._unknown is None:
            raise silent
        if now.sha256 == before.sha256 != bundle.sha256:
            raise RigFault(
                self._unknown.message, expected="OK", got=f"{self._unknown.got.partition(';')[0]}; asked since, it "
                f"runs its old image {now.sha256[:16]}", remedy="check power and Wi-Fi of the device, then try again",
            ) from self._unknown  # fmt: skip
        return now


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
