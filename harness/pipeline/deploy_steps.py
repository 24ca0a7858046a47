"""A deploy in steps, for workflows that decide between them: the transfer, then the look at the device's health.

:func:`harness.pipeline.deploy.deploy` does both and goes back by itself; here the caller does, with what the transfer
found to return to.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadRequest, DutFailure
from harness.pipeline.artifacts import Artifact
from harness.pipeline.deploy import Options, Progress, Tell, choose_way, refuse_bad, silent
from harness.pipeline.firmware_store import FirmwareStore, image_sha256
from harness.pipeline.health import Health, Limits, check_health
from harness.pipeline.last_good import LastGood, hold_last_good
from harness.rig import Rig, ota


@dataclass
class Transfer:
    """How a firmware got onto a device.

    Attributes:
        firmware, sha256: what was sent.
        before: SHA-256 of what ran before, "" when nothing answered.
        running: of what runs now, "" when nothing answers.
        last_good: name in the store of what to return to, "" when there is nothing.
        way: ``ota``, ``serial``, or ``none`` when it ran already.
        rolled_back: ``device`` when it went back to the old image by itself.
        why: what went wrong, "" when it runs.
        began: Unix time just before the first byte; 0 when nothing was sent.
        boot_id: of the boot in which the new image was seen; "" when it ran already, or does not run.
    """

    firmware: str
    sha256: str
    before: str = ""
    running: str = ""
    last_good: str = ""
    way: str = "none"
    rolled_back: str = ""
    why: str = ""
    seconds: float = 0.0
    began: float = 0.0
    boot_id: str = ""

    @property
    def deployed(self) -> bool:
        """The wanted image runs."""
        return self.running == self.sha256

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**self.__dict__, "deployed": self.deployed, "seconds": round(self.seconds, 1)}


def transfer(
    rig: Rig, artifact: Artifact, store: FirmwareStore, folder: Path, options: Options | None = None, *,
    tell: Tell = silent, progress: Progress | None = None,
) -> Transfer:  # fmt: skip
    """Brings a stored firmware onto a device, with the one to return to in hand before the first byte.

    Args:
        rig, artifact, store: where to, what, from where.
        folder: empty or new; gets the files.
        options: how; its health limits are not used.
        tell, progress: get a line for every step, and the part that is transferred.

    Raises:
        BadRequest: a known bad image, an image for another kind of device, or nothing to return to.
        RigFault: the way to the device broke.
    """
    options = options or Options()
    began = time.monotonic()
    bundle = store.load(artifact, folder / "new")
    rig.refuse_foreign(bundle)
    refuse_bad(store, bundle, options.again)
    before = rig.probe()
    result = Transfer(artifact.name, bundle.sha256, before.sha256 if before is not None else "")
    good = LastGood("none")
    if options.rollback:
        good = hold_last_good(rig, store, before, bundle.sha256, folder / "old")
    result.last_good = good.artifact.name if good.artifact else ""
    tell(f"to return to: {result.last_good or good.source}")
    before = rig.probe() if before is not None else None
    way = choose_way(rig, options.way, before)
    tell(f"update {'over the air' if way == 'ota' else 'over serial'}")
    done = progress or (lambda part: None)
    sent_at = time.time()
    try:
        if way == "ota":
            report = ota.update(rig, bundle, force=options.force, progress=lambda n, size: done(n / size))
        else:
            report = rig.flash(bundle, force=options.force, progress=lambda part, _: done(part))
        result.way = "none" if report.skipped else way
    except DutFailure as error:
        result.way, result.why = way, str(error).replace("\n", "; ")
        result.rolled_back = "device" if isinstance(error, ota.RolledBack) else ""
        tell(f"failed: {error.message}")
    now = rig.probe()
    result.running = now.sha256 if now is not None else ""
    if result.way != "none":
        result.began = sent_at
        result.boot_id = now.boot_id if now is not None and result.deployed else ""
    if not result.deployed and not result.why:
        result.why = "the device runs another image" if result.running else "the device does not answer"
    result.seconds = time.monotonic() - began
    return result


def confirm(
    rig: Rig, artifact: Artifact, store: FirmwareStore, folder: Path, limits: Limits, *, began: float = 0.0,
    boot_id: str = "",
) -> Health:  # fmt: skip
    """Watches a device that got a firmware; well: remembered as deployed, ill: the image is refused from now on.

    Args:
        rig, artifact, store, folder, limits: what, on what, by what.
        began, boot_id: as the transfer told them: the device must have started since, and not once more after it. What
            it said on its console between the two steps nobody has heard.

    Raises:
        RigFault: the console's port is gone.
    """
    bundle = store.load(artifact, folder)
    since_ns = rig.clock.now_ns() - round((time.time() - began) * 1e9) if began else None
    health = check_health(rig, bundle, limits, since_ns=since_ns, boot_id=boot_id)
    now = rig.probe()
    if health.healthy and now is not None:
        store.note_deployed(now.mac, artifact)
        store.forgive(bundle.sha256)
    elif now is not None and now.sha256 == bundle.sha256:
        store.note_bad(bundle.sha256, health.why, now.mac)
    return health


def prove_image(rig: Rig, expected: str, also: tuple[str, ...] = ()) -> str:
    """Refuses to judge a firmware that does not run; the SHA-256 of the image that runs.

    Args:
        rig: with the device.
        expected: the image that was put there; ``also``: others that may have come back by rightful ways.

    Raises:
        BadRequest: the device runs something else. DutFailure: it does not answer.
    """
    identity = rig.probe()
    if identity is None:
        raise DutFailure("the device does not answer", got=rig.console.tail(lines=2) or "nothing",
                         evidence=str(rig.console.log_path))  # fmt: skip
    if identity.sha256 not in (expected, *also):
        raise BadRequest(
            "the device runs another image than this task is about", expected=expected,
            got=f"{identity.sha256} ({identity.project} {identity.version})",
            remedy="somebody flashed it meanwhile: reserve the rig, deploy, then test",
        )  # fmt: skip
    return identity.sha256


def stored(store: FirmwareStore, name: str, expected: str) -> Artifact:
    """A stored firmware by name or tag, which must hold the expected image.

    Raises:
        BadRequest: there is none, or it is another image.
    """
    artifact = store.store.get("firmware", name)
    if expected and image_sha256(artifact) != expected:
        raise BadRequest(f"firmware '{name}' is another image", expected=expected, got=image_sha256(artifact))
    return artifact
