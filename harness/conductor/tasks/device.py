"""Firmware onto the rig's device, a look at its health, and the way back."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from harness.conductor.outcome import Outcome, completed
from harness.conductor.tasks.spec import Context, either, flag, name, number, sha256, text
from harness.errors import BadRequest, DutFailure, RigFault


def deploy(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_deploy``: over the air where the device answers there, else over serial. No health watch, no way back here.

    ``outcome``: ``deployed``; ``pending`` (the device is away and gets it later); ``refused`` (it keeps its old
    image); ``ill`` (it took the image and does not run it: a case for health and rollback); ``superseded`` (it is the
    delivery of an update that waited, and that does not wait any more).
    """
    from harness.pipeline.deploy import Options
    from harness.pipeline.deploy_steps import stored, transfer
    from harness.pipeline.pending import PendingUpdates

    store, began = context.firmware, time.monotonic()
    expected, updates = sha256(inputs, "expected_sha256"), PendingUpdates(store)
    superseded = flag(inputs, "waiting", False) and not _waits(context, updates, expected)
    artifact = stored(store, name(either(inputs, "firmware", "name"), "firmware"), expected)
    way = text(inputs, "way", "auto", 10)
    if way not in ("auto", "ota", "serial"):
        raise BadRequest(f"unknown way '{way}'", expected="auto, ota or serial")
    options = Options(way, flag(inputs, "rollback", True), flag(inputs, "again", False))  # type: ignore[arg-type]
    gone = why_away(context)
    if gone and superseded:
        return _superseded()
    if gone and flag(inputs, "queue_offline", True):
        return _keep_for_later(context, artifact, gone)
    with context.open_rig() as rig, context.scratch() as work:
        before = rig.probe()
        if superseded and (before is None or before.sha256 != expected):
            return _superseded()  # where it has landed in an attempt before this one, its health is still to be seen
        waited = updates.get(rig.mac) if rig.mac else None
        done = transfer(rig, artifact, store, work, options, tell=context.tell)
        kept_old = done.running == done.before != "" and not done.rolled_back
        if not done.deployed and not kept_old and rig.mac:
            store.note_bad(done.sha256, done.why, rig.mac)
        # What the device got is newer than what waited for it; what it refused it would refuse again. An update that
        # arrived waits until its health is known: an attempt that is repeated must find it.
        refused = kept_old and not done.deployed
        if waited is not None and not superseded and refused == (waited["image_sha256"] == expected):
            updates.drop(rig.mac, str(waited["image_sha256"]))
    output = {
        "deployed": done.deployed, "pending": False, "name": artifact.name, "firmware": artifact.name,
        "sha256": done.running, "running": done.running, "wanted_sha256": done.sha256, "before_sha256": done.before,
        "previous_sha256": done.before, "last_good": done.last_good, "way": done.way,
        "rolled_back": done.rolled_back, "seconds": round(time.monotonic() - began, 1),
        "deployed_at": done.began, "boot_id": done.boot_id,
    }  # fmt: skip
    if done.deployed:
        return completed({**output, "outcome": "deployed"})
    return completed({**output, "outcome": "refused" if kept_old else "ill"}, "fail", done.why)


def why_away(context: Context) -> str:
    """Why the device cannot be reached: its console does not open. "" when it does."""
    from harness.instruments.ports import open_serial
    from harness.rig.config import load_config
    from harness.rig.physical import locate

    console = load_config(context.rig, context.rig_dir).console
    try:
        open_serial(locate(console), console.baud).close()
    except RigFault as fault:
        return fault.message
    return ""


def _keep_for_later(context: Context, artifact: Any, why: str) -> Outcome:
    """A device that is away gets the firmware at its next check-in.

    Raises:
        RigFault: it was never seen, so nothing can be kept under its name.
    """
    from harness.pipeline.pending import PendingUpdates

    updates = PendingUpdates(context.firmware)
    mac = _known_mac(context, updates)
    if not mac:
        raise RigFault(why, got="the rig's device was never seen", remedy="plug it in, or give [dut] mac in its file")
    replaced = updates.put(mac, artifact, f"workflow {context.workflow}")
    context.tell(f"{mac} is away; {artifact.name} waits for it")
    output = {
        "deployed": False, "pending": True, "outcome": "pending", "name": artifact.name, "firmware": artifact.name,
        "mac": mac, "way": "none", "sha256": "", "running": "", "before_sha256": "",
        "superseded": str((replaced or {}).get("name", "")),
    }  # fmt: skip
    return completed(output, "pending", why)


def _known_mac(context: Context, updates: Any) -> str:
    """The board of this rig, without a look at it: by its file, else the one it had last; "" when nobody knows."""
    from harness.rig.config import load_config

    config = load_config(context.rig, context.rig_dir)
    return str(config.dut.mac or config.console.mac or updates.mac_of(context.rig))


def _superseded() -> Outcome:
    return completed({"deployed": False, "outcome": "superseded"}, "skipped", "it does not wait any more")


def _waits(context: Context, updates: Any, expected: str) -> bool:
    mac = _known_mac(context, updates)
    return bool(mac) and (updates.get(mac) or {}).get("image_sha256") == expected


def health(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_health``: watches the device; well: remembered as deployed; ill: the image is refused from now on."""
    from harness.pipeline.deploy_steps import confirm, prove_image
    from harness.pipeline.pending import PendingUpdates

    expected, limits, store = sha256(inputs, "expected_sha256"), limits_of(inputs), context.firmware
    artifact = store.find(expected)
    if artifact is None:
        raise BadRequest("the store has no such firmware", got=expected, evidence=store.store.url)
    with context.open_rig() as rig, context.scratch() as work:
        rightful = store.deployed(rig.mac) if rig.probe() is not None else None
        try:
            # What the device ran before may have come back by the device's own doing: that is a finding.
            running = prove_image(rig, expected, (str(rightful["image_sha256"]),) if rightful else ())
        except DutFailure:
            running = ""
        context.tell(f"watching for {limits.watch_s:g} s")
        found = confirm(
            rig, artifact, store, work / "new", limits, boot_id=text(inputs, "boot_id", "", 64),
            began=number(inputs, "deployed_at", 0.0, 0.0, time.time()),
        )  # fmt: skip
        if rig.mac:
            PendingUpdates(store).drop(rig.mac, expected)
    well = found.healthy and running == expected
    if running and running != expected:
        store.note_bad(expected, found.why or "the device went back by itself", rig.mac)
    context.tell("healthy" if well else f"ill: {found.why}")
    output = {
        "healthy": well, "sha256": running, "running": running,
        "rolled_back": "device" if running not in ("", expected) else "",
        "checks": [f"{'well' if c.ok else 'ILL'} {c.name}: {c.got}" for c in found.checks],
        "panics": [" | ".join([p["words"], *p["decoded"]])[:600] for p in found.panics[:5]],
    }  # fmt: skip
    return completed(output, "pass" if well else "fail", "" if well else found.why)


def rollback(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_rollback``: the firmware before comes back and is proven; a device that did so itself is recognised."""
    from harness.pipeline.deploy import roll_back
    from harness.pipeline.pending import PendingUpdates

    ill, to, store = sha256(inputs, "expected_sha256", ""), name(inputs, "to", ""), context.firmware
    with context.open_rig() as rig:
        now = rig.probe()
        before = now.sha256 if now is not None else ""
        back = roll_back(rig, store, to, limits_of(inputs), tell=context.tell) if _rightful(
            before, ill, store, rig.mac, to
        ) else None
        if back is not None and rig.mac and ill:
            PendingUpdates(store).drop(rig.mac, ill)  # or the next check-in would bring it again
    if back is None:
        raise BadRequest("the device runs neither the ill image nor the one to return to", expected=ill, got=before)
    output = {
        "rolled_back": "device" if before == back.sha256 else "harness", "name": back.name, "firmware": back.name,
        "sha256": back.running, "running": back.running, "way": back.way, "seconds": round(back.seconds, 1),
    }  # fmt: skip
    return completed(output)


def _rightful(running: str, ill: str, store: Any, mac: str, to: str) -> bool:
    """A silent device, the ill image, and what the device had before: nothing else is rolled back over."""
    from harness.pipeline.firmware_store import image_sha256

    known = {"", ill} if ill else {running}
    record = store.deployed(mac) if mac else None
    known |= {str(record["image_sha256"])} if record else set()
    known |= {image_sha256(store.store.get("firmware", to))} if to else set()
    return running in known


def device_health(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_device_health``: a check-in. Is it there, is it well, and does an update wait for it? ``update`` is
    ``waiting`` then: the workflow delivers it, with a health check and a way back, which is no matter of one task."""
    from harness.pipeline.deploy_steps import prove_image
    from harness.pipeline.health import check_health
    from harness.pipeline.pending import PendingUpdates

    expected, store = sha256(inputs, "expected_sha256", ""), context.firmware
    updates = PendingUpdates(store)
    gone, identity, found = why_away(context), None, None
    if not gone:
        with context.open_rig() as rig:
            identity = rig.probe()
            if identity is not None and expected:
                prove_image(rig, expected)
            found = check_health(rig, None, limits_of(inputs)) if identity is not None else None
    mac = identity.mac if identity is not None else ""
    waiting = updates.get(mac) if mac else None
    if waiting is not None and identity is not None and (why := _useless(waiting, identity.sha256, store)):
        updates.drop(mac, str(waiting["image_sha256"]))
        context.tell(f"the update {waiting['name']} is dropped: {why}")
        waiting = None
    if identity is None or found is None:
        output = _checkin(None, "", None, "", updates.mac_of(context.rig))
        return completed(output, "offline", gone or "it does not answer")
    output = _checkin(found.healthy, identity.sha256, waiting, f"{identity.project} {identity.version}", mac)
    return completed(output, "pass" if found.healthy else "fail", found.why)


def _useless(waiting: Mapping[str, Any], running: str, store: Any) -> str:
    """Why an update that waits is not worth its delivery; "" when it is."""
    image = str(waiting["image_sha256"])
    if image == running:
        return "the device runs it already"
    if store.bad(image) is not None:
        return "it failed its health check meanwhile"
    return "" if store.find(image) is not None else "the store does not have it any more"


def _checkin(
    healthy: bool | None, running: str, waiting: Mapping[str, Any] | None, version: str, mac: str
) -> dict[str, Any]:
    return {
        "online": healthy is not None, "healthy": bool(healthy), "sha256": running, "running": running,
        "version": version, "mac": mac,
        "pending": str((waiting or {}).get("name", "")), "skipped": False,
        "pending_sha256": str((waiting or {}).get("image_sha256", "")), "update": "waiting" if waiting else "none",
    }  # fmt: skip


def limits_of(inputs: Mapping[str, Any]) -> Any:
    """Limits of health from the input; bounds as of the command line."""
    from harness.pipeline.health import Limits

    return Limits(
        number(inputs, "watch_s", 10.0, 1.0, 3600.0), number(inputs, "fps", 100.0, 0.0, 1000.0),
        number(inputs, "heap_kb", 32.0, 0.0, 8192.0), flag(inputs, "network", True),
    )  # fmt: skip
