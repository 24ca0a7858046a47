"""Deploys to the virtual board: a good firmware stays, one that is ill goes, and the one before runs again."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from patched_firmware import PatchedFirmware

from harness.errors import BadRequest, RigFault
from harness.pipeline.artifacts import ArtifactStore
from harness.pipeline.build import build
from harness.pipeline.deploy import Options, RollbackFailed, deploy, roll_back
from harness.pipeline.deploy_steps import confirm, transfer
from harness.pipeline.firmware_store import FirmwareStore
from harness.pipeline.health import Limits, check_health
from harness.pipeline.last_good import hold_last_good
from harness.rig import FirmwareBundle, Rig, open_rig

SUPERVISOR = "core/supervisor.cpp"
LIMITS = Limits(watch_s=3.0)
QUICK = Options(limits=LIMITS)


def dies_at(seconds: float) -> list[tuple[str, str, str]]:
    """Edits after which the firmware gives up so long after its start."""
    us = round(seconds * 1e6)
    return [
        (SUPERVISOR, '#include "hal/net.h"\n', '#include "hal/net.h"\n#include "hal/system.h"\n'),
        (SUPERVISOR, "    ++looks_;\n", f'    ++looks_;\n    if (now_us > {us}u) hal::fail("worn out");\n'),
    ]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> FirmwareBundle:
    """The firmware as it is, copied out of its build folder: others build there."""
    store = FirmwareStore(ArtifactStore(tmp_path_factory.mktemp("base")))
    return store.load(store.put(build("sim")), tmp_path_factory.mktemp("base-files"))


@pytest.fixture(scope="module")
def slow(patched: PatchedFirmware) -> FirmwareBundle:
    """Confirms itself, but shows 50 frames a second."""
    pace = "pace(p.frame_min_period_ms);"
    return patched.variant("slow", ("core/frame.cpp", pace, pace.replace("_ms", "_ms * 0 + 20")))


@pytest.fixture
def store(tmp_path: Path) -> FirmwareStore:
    return FirmwareStore(ArtifactStore(tmp_path / "store"))


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with open_rig("sim", folder=tmp_path / "logs") as opened:
        print(f"seed {opened.seed}")
        yield opened


@pytest.fixture
def ready(rig: Rig, base: FirmwareBundle, store: FirmwareStore) -> Rig:
    """A rig whose device got the base firmware by a deploy."""
    done = deploy(rig, base, store, QUICK)
    assert (done.healthy, done.way, done.last_good) == (True, "serial", "blank"), done.to_json()
    return rig


def must_run(rig: Rig, bundle: FirmwareBundle) -> None:
    """The device itself says so, on its console and over HTTP."""
    assert rig.reset("hard").sha256 == bundle.sha256
    assert rig.api.info()["image_sha256"] == bundle.sha256


def is_refused(rig: Rig, bundle: FirmwareBundle, store: FirmwareStore) -> None:
    boot = rig.identity.boot_id
    with pytest.raises(BadRequest, match="failed its health check before"):
        deploy(rig, bundle, store, QUICK)
    identity = rig.probe()
    assert identity is not None and identity.boot_id == boot, "refused before anything was done to the device"


def test_a_good_firmware_stays_and_the_one_before_can_come_back(
    ready: Rig, base: FirmwareBundle, extended: FirmwareBundle, store: FirmwareStore
) -> None:
    steps: list[float] = []
    done = deploy(ready, extended, store, QUICK, progress=steps.append)
    assert (done.healthy, done.way, done.last_good, done.rolled_back) == (True, "ota", "store", ""), done.to_json()
    assert steps[-1] == 1.0 and steps == sorted(steps)
    must_run(ready, extended)
    record = store.deployed(ready.mac)
    assert record is not None and record["image_sha256"] == extended.sha256
    assert record["previous"]["image_sha256"] == base.sha256
    again = deploy(ready, extended, store, QUICK)
    assert (again.healthy, again.way) == (True, "none")
    back = roll_back(ready, store, limits=LIMITS)
    assert (back.healthy, back.way, back.sha256) == (True, "ota", base.sha256)
    must_run(ready, base)


def test_firmware_that_fails_health_is_taken_back_and_refused_next_time(
    ready: Rig, base: FirmwareBundle, slow: FirmwareBundle, store: FirmwareStore
) -> None:
    told: list[str] = []
    done = deploy(ready, slow, store, QUICK, tell=told.append)
    assert not done.healthy and (done.way, done.rolled_back, done.running) == ("ota", "harness", base.sha256)
    assert done.health is not None and [c.name for c in done.health.checks if not c.ok] == ["frames"]
    assert "frames: expected at least 100 a second, got 50" in done.why and any("back: ota" in t for t in told)
    must_run(ready, base)
    is_refused(ready, slow, store)
    insisted = deploy(ready, slow, store, Options(again=True, limits=Limits(watch_s=3.0, fps=40.0)))
    assert insisted.healthy and store.bad(slow.sha256) is None


def test_a_deploy_that_is_repeated_after_the_image_landed_still_knows_the_way_back(
    rig: Rig, base: FirmwareBundle, slow: FirmwareBundle, store: FirmwareStore, tmp_path: Path
) -> None:
    """The first attempt died between the transfer and its result; the base firmware came by cable."""
    rig.flash(base)
    old, new = store.put(base), store.put(slow)
    first = transfer(rig, new, store, tmp_path / "first")
    assert (first.deployed, first.way, first.last_good) == (True, "ota", old.name)
    again = transfer(rig, new, store, tmp_path / "again")
    assert (again.deployed, again.way, again.last_good) == (True, "none", old.name), again.to_json()
    by_hand = hold_last_good(rig, store, rig.probe(), slow.sha256, tmp_path / "hand")
    assert by_hand.bundle is not None and by_hand.bundle.sha256 == base.sha256
    assert not confirm(rig, new, store, tmp_path / "look", LIMITS).healthy
    back = roll_back(rig, store, again.last_good, LIMITS)
    assert (back.sha256, back.healthy) == (base.sha256, True)
    must_run(rig, base)
    proven = transfer(rig, old, store, tmp_path / "proven")
    assert (proven.deployed, proven.last_good) == (True, ""), "it is no update: nothing to return to"


def test_a_restart_between_deploy_and_health_is_no_health(
    ready: Rig, extended: FirmwareBundle, store: FirmwareStore, tmp_path: Path
) -> None:
    """Two processes, and nobody listened between them."""
    done = transfer(ready, store.put(extended), store, tmp_path / "t")
    assert done.deployed and done.boot_id == ready.identity.boot_id and 0 < done.began <= time.time()
    again = transfer(ready, store.put(extended), store, tmp_path / "again")
    assert (again.way, again.boot_id, again.began) == ("none", "", 0.0), "what ran already need not be young"
    assert check_health(ready, extended, LIMITS, boot_id=done.boot_id).healthy
    ready.reset("soft")
    ill = check_health(ready, extended, LIMITS, boot_id=done.boot_id)
    assert [c.name for c in ill.checks if not c.ok] == ["no restart since"], ill.why
    old = confirm(ready, store.put(extended), store, tmp_path / "c", LIMITS, began=time.time())
    assert [c.name for c in old.checks if not c.ok] == ["uptime"], "it runs for longer than since this update"


def test_a_device_that_went_back_by_itself_is_recognised(
    ready: Rig, base: FirmwareBundle, patched: PatchedFirmware, store: FirmwareStore
) -> None:
    stillborn = patched.variant("stillborn", *dies_at(0.4))
    done = deploy(ready, stillborn, store, QUICK)
    assert not done.healthy and (done.rolled_back, done.running) == ("device", base.sha256), done.to_json()
    assert done.health is not None and "abort() was called" in done.health.panics[0]["words"]
    must_run(ready, base)
    is_refused(ready, stillborn, store)


def test_a_panic_is_seen_at_once_and_decoded(
    ready: Rig, base: FirmwareBundle, patched: PatchedFirmware, store: FirmwareStore
) -> None:
    worn = patched.variant("worn", *dies_at(20.0))
    began_ns = ready.clock.now_ns()
    done = deploy(ready, worn, store, Options(way="ota", limits=Limits(watch_s=100.0)))
    # The watch of the good firmware lasts 100 s; that of the bad one ended with its panic after some 20 s.
    assert (ready.clock.now_ns() - began_ns) / 1e9 < 180.0
    assert (done.rolled_back, done.running) == ("harness", base.sha256) and done.health is not None
    (panic, *_) = done.health.panics
    assert panic["elf_sha256"] and any("k1::Supervisor::look" in frame for frame in panic["decoded"]), panic
    assert "restart" in done.why


def test_a_transfer_that_breaks_leaves_the_old_image(
    ready: Rig, base: FirmwareBundle, extended: FirmwareBundle, store: FirmwareStore
) -> None:
    boot = ready.identity.boot_id

    def cut(part: float) -> None:
        if part > 0.4:
            ready.board.faults.network(False)

    with pytest.raises(RigFault, match="broke off"):
        deploy(ready, extended, store, QUICK, progress=cut)
    identity = ready.probe()
    assert identity is not None and (identity.boot_id, identity.sha256) == (boot, base.sha256)
    assert store.bad(extended.sha256) is None, "the wire was bad, not the firmware"
    ready.board.faults.network(True)
    must_run(ready, base)
    done = deploy(ready, extended, store, QUICK)
    assert done.healthy


def test_what_runs_is_read_from_the_device_when_the_store_does_not_have_it(
    rig: Rig, base: FirmwareBundle, slow: FirmwareBundle, store: FirmwareStore
) -> None:
    rig.flash(base)
    done = deploy(rig, slow, store, QUICK)
    assert (done.last_good, done.rolled_back, done.running) == ("device", "harness", base.sha256)
    must_run(rig, base)
    kept = store.find(base.sha256)
    assert kept is not None and kept.details["origin"].startswith("read from slot 0")
    assert store.store.content(kept) == base.path.read_bytes()


def test_without_a_firmware_to_return_to_nothing_is_sent(
    rig: Rig, base: FirmwareBundle, slow: FirmwareBundle, store: FirmwareStore
) -> None:
    rig.flash(slow)
    store.note_bad(slow.sha256, "slow", rig.mac)
    with pytest.raises(BadRequest, match="no firmware to return to"):
        deploy(rig, base, store, QUICK)
    assert rig.reset("hard").sha256 == slow.sha256
    done = deploy(rig, base, store, Options(rollback=False, limits=LIMITS))
    assert done.healthy and done.last_good == "none"


def test_an_ill_device_without_a_way_back_is_told(
    rig: Rig, base: FirmwareBundle, slow: FirmwareBundle, store: FirmwareStore
) -> None:
    on_blank = deploy(rig, slow, store, QUICK)
    assert (on_blank.healthy, on_blank.rolled_back, on_blank.running) == (False, "", slow.sha256)
    store.put(base)
    with pytest.raises(RollbackFailed, match="does not come back"):
        roll_back(rig, store, store.find(base.sha256).name, Limits(watch_s=1.0, fps=500.0))  # type: ignore[union-attr]
    with pytest.raises(BadRequest, match="does not know what this device ran"):
        roll_back(rig, store, limits=LIMITS)


def test_a_silent_device_is_ill(ready: Rig, base: FirmwareBundle) -> None:
    ready.board.faults.network(False)
    ready.reset("hard")
    sick = check_health(ready, base, LIMITS)
    assert not sick.healthy and [c.name for c in sick.checks if not c.ok] == ["HTTP"]
    assert check_health(ready, base, Limits(watch_s=1.0, network=False)).healthy
    ready.board.faults.stop_reading()
    mute = check_health(ready, base, Limits(watch_s=1.0))
    assert [c.name for c in mute.checks if not c.ok] == ["answers"]


def test_a_build_that_changes_meanwhile_is_not_stored(
    base: FirmwareBundle, slow: FirmwareBundle, store: FirmwareStore, tmp_path: Path
) -> None:
    shutil.copytree(base.path.parent, tmp_path / "build")
    loaded = FirmwareBundle.load(tmp_path / "build")
    shutil.copyfile(slow.path, loaded.path)
    with pytest.raises(BadRequest, match="has changed meanwhile"):
        store.put(loaded)
    assert store.store.all("firmware") == []


def k1hil(*arguments: str, cwd: Path, **environment: str) -> tuple[int, dict]:
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments, "--json"], cwd=cwd, capture_output=True, text=True,
        env={**os.environ, **environment}, timeout=120,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def test_a_board_keeps_its_firmware_between_commands(
    base: FirmwareBundle, slow: FirmwareBundle, tmp_path: Path
) -> None:
    root = Path(__file__).resolve().parents[2]
    folders = {"K1HIL_STORE": str(tmp_path / "store"), "K1HIL_BOARDS": str(tmp_path / "boards")}
    code, first = k1hil("deploy", str(base.path), "--watch", "2", cwd=root, **folders)
    assert (code, first["healthy"], first["last_good"]) == (0, True, "blank")
    code, second = k1hil("deploy", str(slow.path), "--watch", "2", cwd=root, **folders)
    assert (code, second["healthy"], second["rolled_back"], second["running"]) == (1, False, "harness", base.sha256)
    code, well = k1hil("health", "--watch", "2", cwd=root, **folders)
    assert code == 0 and well["healthy"]
    code, listed = k1hil("artifacts", "list", "firmware", cwd=root, **folders)
    assert {(a["build"]["image_sha256"], a["deployed"]) for a in listed} == {(base.sha256, True), (slow.sha256, False)}


def test_build_and_deploy_by_their_defaults(tmp_path: Path) -> None:
    """``k1hil build && k1hil deploy --rig sim``: all else is left out."""
    root = Path(__file__).resolve().parents[2]
    folders = {"K1HIL_STORE": str(tmp_path / "store"), "K1HIL_BOARDS": str(tmp_path / "boards")}
    code, built = k1hil("build", cwd=root, **folders)
    assert code == 0
    code, done = k1hil("deploy", "--rig", "sim", cwd=root, **folders)
    assert (code, done["healthy"], done["running"]) == (0, True, built["sha256"]), done
    code, again = k1hil("deploy", "--rig", "sim", cwd=root, **folders)
    assert (code, again["way"]) == (0, "none"), "the board has kept its flash"
