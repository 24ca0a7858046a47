"""Brings a firmware onto a device and keeps it there only if the device is well; else the one before comes back."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import BadRequest, DutFailure, K1HilError, RigFault
from harness.pipeline.artifacts import Artifact
from harness.pipeline.firmware_store import FirmwareStore
from harness.pipeline.health import Health, Limits, check_health, never_ran
from harness.pipeline.last_good import LastGood, hold_last_good
from harness.pipeline.pending import PendingUpdates
from harness.rig import FirmwareBundle, Rig, ota
from harness.wire.telemetry import Identity

Way = Literal["auto", "ota", "serial"]
Tell = Callable[[str], None]
Progress = Callable[[float], None]
NETWORK_WAIT_S = 10.0


def silent(text: str) -> None:
    """Tells nobody."""


class RollbackFailed(RigFault):
    """The device is ill and the firmware before does not come back: somebody has to look at it."""


@dataclass(frozen=True)
class Options:
    """How to deploy.

    Attributes:
        way: over the air, over serial, or over the air where the device answers there.
        rollback: demand a firmware to return to before anything is sent.
        again: also an image that failed its health check before.
        force: also when it runs already.
        limits: of health.
    """

    way: Way = "auto"
    rollback: bool = True
    again: bool = False
    force: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass
class Deployment:
    """How it went.

    Attributes:
        name, sha256: the firmware that was to run.
        running: SHA-256 of what runs now, "" when the device does not answer.
        way: how it got there: ``ota``, ``serial``, or ``none`` when it ran already.
        last_good: where the firmware to return to came from.
        rolled_back: ``harness`` or ``device``, whoever brought the old one back; "" when nobody did.
        why: what was wrong, "" when the device is well.
    """

    name: str
    sha256: str
    running: str = ""
    way: str = "none"
    last_good: str = "none"
    rolled_back: str = ""
    why: str = ""
    seconds: float = 0.0
    health: Health | None = None

    @property
    def healthy(self) -> bool:
        """The wanted firmware runs, and well."""
        return self.health is not None and self.health.healthy and self.running == self.sha256

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        told = self.health.to_json() if self.health is not None else None
        return {
            "name": self.name, "sha256": self.sha256, "running": self.running, "healthy": self.healthy, "way": self.way,
            "last_good": self.last_good, "rolled_back": self.rolled_back, "why": self.why,
            "seconds": round(self.seconds, 1), "health": told,
        }  # fmt: skip


def deploy(
    rig: Rig, bundle: FirmwareBundle, store: FirmwareStore, options: Options | None = None, *, tell: Tell = silent,
    progress: Progress | None = None,
) -> Deployment:  # fmt: skip
    """Stores a firmware, brings it onto the device, and keeps it only if the device is well with it.

    Args:
        rig, bundle, store: where to, what, and where it is kept.
        options: how.
        tell: gets a line for every step.
        progress: gets the part that is transferred, 0 to 1.

    Raises:
        BadRequest: refused before anything was sent: a known bad image, or nothing to return to.
        RigFault: the way to the device broke; over the air the old image runs on.
        DutFailure: the device refused the transfer; the old image runs on.
        RollbackFailed: it is ill, and the old firmware does not come back.
    """
    options = options or Options()
    began = time.monotonic()
    rig.refuse_foreign(bundle)
    refuse_bad(store, bundle, options.again)
    artifact = store.put(bundle)
    result = Deployment(artifact.name, bundle.sha256)
    with tempfile.TemporaryDirectory(prefix="k1hil-deploy-") as folder:
        # From here on it is the stored copy that counts: a build folder may change at any time.
        bundle = store.load(artifact, Path(folder) / "new")
        before = rig.probe()
        updates = PendingUpdates(store)
        waited = updates.get(before.mac) if before is not None else None
        good = LastGood("none")
        if options.rollback:
            good = hold_last_good(rig, store, before, bundle.sha256, Path(folder) / "old")
        result.last_good = good.source
        tell(f"to return to: {good.artifact.name if good.artifact else good.source}")
        before = rig.probe() if before is not None else None
        _attempt(rig, bundle, before, options, result, tell, progress or (lambda part: None))
        if result.healthy:
            store.note_deployed(rig.mac, artifact)
            store.forgive(bundle.sha256)
            if waited is not None:  # this is newer than what waited for the device
                updates.drop(rig.mac, str(waited["image_sha256"]))
        else:
            store.note_bad(bundle.sha256, result.why, rig.mac)
            _return(rig, good, result, options.limits, tell)
    result.seconds = time.monotonic() - began
    return result


def roll_back(
    rig: Rig, store: FirmwareStore, to: str = "", limits: Limits | None = None, *, tell: Tell = silent
) -> Deployment:
    """Brings an earlier firmware back: the one named, else the one the device ran before what it runs now.

    Raises:
        BadRequest: the store knows none.
        RollbackFailed: it does not run, or not well.
    """
    began = time.monotonic()
    running = rig.probe()
    artifact = store.store.get("firmware", to) if to else _earlier(rig, store, running)
    with tempfile.TemporaryDirectory(prefix="k1hil-rollback-") as folder:
        bundle = store.load(artifact, Path(folder) / "files")
        result = Deployment(artifact.name, bundle.sha256, last_good="store")
        result.health, result.way = _restore(rig, bundle, limits or Limits(), tell)
    result.running, result.rolled_back = bundle.sha256, "harness"
    store.note_deployed(rig.mac, artifact)
    result.seconds = time.monotonic() - began
    return result


def choose_way(rig: Rig, way: Way, running: Identity | None) -> Literal["ota", "serial"]:
    """Over the air where the device has an address, else over serial."""
    if way != "auto":
        return way
    if running is None:
        return "serial"
    try:
        rig.wait_network(NETWORK_WAIT_S)
    except RigFault:
        return "serial"
    return "ota"


def refuse_bad(store: FirmwareStore, bundle: FirmwareBundle, again: bool) -> None:
    """Raises BadRequest for an image that failed its health check before, unless somebody insists."""
    bad = None if again else store.bad(bundle.sha256)
    if bad is not None:
        raise BadRequest(
            f"firmware {bundle.version} {bundle.sha256[:12]} failed its health check before", got=str(bad.get("why")),
            evidence=f"{bad.get('at')} on {bad.get('mac')}", remedy="deploy a repaired one, or insist with --again",
        )  # fmt: skip


# ---- steps


def _attempt(
    rig: Rig, bundle: FirmwareBundle, before: Identity | None, options: Options, result: Deployment, tell: Tell,
    progress: Progress,
) -> None:  # fmt: skip
    """Update and health check; what the device does wrong ends in ``result``, not in an error."""
    since_ns, line = rig.clock.now_ns(), rig.console.n_lines
    way = choose_way(rig, options.way, before)
    tell(f"update {'over the air' if way == 'ota' else 'over serial'}")
    try:
        if way == "ota":
            report = ota.update(rig, bundle, force=options.force, progress=lambda n, size: progress(n / size))
        else:
            report = rig.flash(bundle, force=options.force, progress=lambda part, _: progress(part))
        result.way = "none" if report.skipped else way
    except DutFailure as error:
        result.way = way
        now = rig.probe()
        if before is not None and now is not None and now.boot_id == before.boot_id:
            raise  # it never left the old image: nothing is known about the new one
        result.why = str(error).replace("\n", "; ")
        result.running = now.sha256 if now is not None else ""
        if isinstance(error, ota.RolledBack):
            result.rolled_back = "device"
        tell(f"failed: {error.message}")
        result.health = never_ran(rig, bundle, line)
        return
    tell(f"watching its health for {options.limits.watch_s:g} s")
    started = None if report.skipped else since_ns
    result.health = check_health(rig, bundle, options.limits, since_ns=started, from_line=line)
    result.why = result.health.why
    now = rig.probe()
    result.running = now.sha256 if now is not None else ""


def _return(rig: Rig, good: LastGood, result: Deployment, limits: Limits, tell: Tell) -> None:
    """The last good firmware runs again afterwards, proven; where there is none, nothing happens."""
    if good.bundle is None:
        tell(f"ill: {result.why}; nothing to return to ({good.source})")
        return
    tell(f"ill: {result.why}")
    if result.running == good.bundle.sha256:
        result.rolled_back = result.rolled_back or "device"
        health = check_health(rig, good.bundle, limits)
        if health.healthy:
            tell("the device went back by itself, and is well")
            return
        tell(f"the device went back by itself, and is ill: {health.why}")
    _restore(rig, good.bundle, limits, tell)
    result.running, result.rolled_back = good.bundle.sha256, result.rolled_back or "harness"
    tell("the firmware before runs again")


def _restore(rig: Rig, bundle: FirmwareBundle, limits: Limits, tell: Tell) -> tuple[Health, str]:
    """Over the air, then over serial; proven by identity and health. Returns that, and the way it took."""
    tried: list[str] = []
    for way in ("ota", "serial"):
        since_ns = rig.clock.now_ns()
        try:
            running = rig.probe()
            if way == "ota" and choose_way(rig, "auto", running) != "ota":
                continue
            tell(f"bringing {bundle.version} {bundle.sha256[:12]} back: {way}")
            skipped = (ota.update(rig, bundle) if way == "ota" else rig.flash(bundle, force=bool(tried))).skipped
            health = check_health(rig, bundle, limits, since_ns=None if skipped else since_ns)
            if health.healthy:
                return health, "none" if skipped else way
            tried.append(f"{way}: {health.why}")
        except K1HilError as error:  # whatever stands in the way of one way: the other is tried
            tried.append(f"{way}: {str(error)}".replace("\n", "; "))
    raise RollbackFailed(
        f"rig '{rig.name}': the firmware before does not come back", expected=f"{bundle.version} {bundle.sha256[:16]}",
        got=" | ".join(tried), evidence=str(rig.console.log_path),
        remedy="docs/deploy.md, 'A rollback failed': power the board off and on, then k1hil rollback again",
    )  # fmt: skip


def _earlier(rig: Rig, store: FirmwareStore, running: Identity | None) -> Artifact:
    record = store.deployed(rig.mac) if rig.mac else None
    if record is None:
        raise BadRequest(
            "the store does not know what this device ran", evidence=store.store.url,
            remedy="say which: k1hil rollback --to NAME",
        )  # fmt: skip
    # What runs is not what was deployed last in health: then that is the one to return to.
    wanted = record if running is None or running.sha256 != record["image_sha256"] else record.get("previous")
    found = store.find(str(wanted["image_sha256"])) if wanted else None
    if found is None:
        raise BadRequest(
            "the store has no earlier firmware of this device", got=str(wanted), remedy="k1hil rollback --to NAME"
        )
    return found

