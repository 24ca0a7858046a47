"""The workflows from start to end: real server, real workers, served boards, firmware built from commits.

First the demonstration, step by step; then every step of ``firmware-ci-cd`` that can stop it, each by its own cause.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from harness.conductor.register import register
from harness.conductor.rest import Conductor
from tools.conductor_demo import RIG, STEPS, WATCH_S, Demo
from tools.conductor_lab import REPO, SLOW, Lab, output, tasks, told

needs_sound = pytest.mark.skipif(
    shutil.which("pulseaudio") is None, reason="needs pulseaudio: the served board hears what its worker plays"
)
pytestmark = [pytest.mark.timeout(1500), needs_sound]  # compilers: minutes on a busy machine
APP, RENDER, _ = SLOW
BUILDING = ["validate", "clean", "compile", "metrics", "store"]


@pytest.fixture(scope="module")
def lab(conductor: Conductor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A served board with its worker, and one that builds; the release brings a second board."""
    register(conductor, time_scale=0.05)
    made = Lab(conductor, tmp_path_factory.mktemp("workflows") / "lab")
    with ExitStack() as stack:
        stack.enter_context(made.served(RIG, sound=True))
        stack.enter_context(made.worker(RIG))
        stack.enter_context(made.worker())
        yield made


@pytest.fixture(scope="module")
def demo(lab: Lab) -> Demo:
    """What was shown so far is the ground for the next step."""
    return Demo(lab)


@pytest.mark.parametrize("step", STEPS)
def test_demonstration(demo: Demo, step: str) -> None:
    getattr(demo, step)()


# ---- each step of firmware-ci-cd alone stops it


def ci_cd(lab: Lab, commit: str, **more: Any) -> dict[str, Any]:
    """A commit through ``firmware-ci-cd``; the workflow at its end."""
    inputs = {"repo": REPO, "commit_sha": commit, "author": "test", "watch_s": WATCH_S, **more}
    done = lab.finished(lab.start("firmware-ci-cd", RIG, **inputs))
    print(told(done))
    return done


def only_failed(lab: Lab, done: dict[str, Any], step: str, before: str) -> None:
    """All steps up to this one went well, none came after it, and the device runs what it ran."""
    assert done["status"] == "FAILED", told(done)
    ran = [t["referenceTaskName"] for t in done["tasks"] if t["taskType"].startswith("k1_")]
    steps = [*BUILDING, "reserve", "deploy", "health"]
    assert list(dict.fromkeys(ran)) == steps[: steps.index(step) + 1], told(done)
    for good in steps[: steps.index(step)]:
        assert output(done, good)["verdict"] == "pass", told(done)
    assert lab.running(RIG) == before


def commit_with(lab: Lab, file: str, data: bytes) -> str:
    """A commit with one more file."""
    lab.repository.changed(APP, RENDER, RENDER)
    path = lab.repository.folder / file
    path.write_bytes(data)
    return lab.repository.commit(f"adds {file}")


def test_untidy_commit_stops_at_validate(lab: Lab) -> None:
    before = lab.running(RIG)
    done = ci_cd(lab, commit_with(lab, "firmware/src/core/untidy.h", b"#pragma once  \n"))
    only_failed(lab, done, "validate", before)
    assert "untidy.h: line 1 ends with blanks" in output(done, "validate")["why"]


def test_build_products_in_a_commit_stop_at_clean(lab: Lab) -> None:
    before = lab.running(RIG)
    done = ci_cd(lab, commit_with(lab, "firmware/src/core/left.o", b"\x7fELF"))
    only_failed(lab, done, "clean", before)
    assert "left.o" in output(done, "clean")["why"]


def test_compiler_error_stops_at_compile(lab: Lab) -> None:
    before = lab.running(RIG)
    done = ci_cd(lab, lab.repository.changed(APP, RENDER, "for (;;) frame_loop().halt_now();"))
    only_failed(lab, done, "compile", before)
    assert "halt_now" in output(done, "compile")["why"]


def test_too_much_memory_stops_at_metrics(lab: Lab) -> None:
    before = lab.running(RIG)
    big = f"static volatile uint8_t big[260 * 1024];\n    big[0] = big[1];\n    {RENDER}"
    done = ci_cd(lab, lab.repository.changed(APP, RENDER, big))
    only_failed(lab, done, "metrics", before)
    assert "ram" in output(done, "metrics")["why"]


def test_store_that_is_gone_stops_at_store(lab: Lab) -> None:
    before = lab.running(RIG)
    shelf = lab.store / "firmware"
    shelf.mkdir(parents=True, exist_ok=True)
    away = shelf.rename(lab.folder / "away")
    shelf.write_text("a disk that is not mounted looks much like this")
    try:
        done = ci_cd(lab, lab.repository.changed(APP, RENDER, f"{RENDER}  // for ever"))
    finally:
        shelf.unlink()
        away.rename(shelf)
    only_failed(lab, done, "store", before)
    assert len(tasks(done, "store")) == 4, "once, and three times more after a pause"


def test_known_bad_image_stops_at_deploy(lab: Lab) -> None:
    """The image that the demonstration found ill is not sent a second time."""
    before = lab.running(RIG)
    ill = lab.client.search("workflowType IN (firmware-ci-cd) AND status IN (FAILED)", size=100)
    flows = [lab.client.workflow(s["workflowId"]) for s in ill]
    first = next(w for w in flows if tasks(w, "health") and w["taskToDomain"]["k1_deploy"] == RIG)
    done = ci_cd(lab, first["input"]["commit_sha"])
    only_failed(lab, done, "deploy", before)
    assert "failed its health check before" in done["reasonForIncompletion"]


def test_lost_firmware_stops_at_rollback(lab: Lab) -> None:
    """Health fails, and the firmware to return to is not in the store any more."""
    slower = RENDER.replace("step();", "step(), hal::sleep_ms(25);")
    started = lab.start("firmware-ci-cd", RIG, repo=REPO, commit_sha=lab.repository.changed(APP, RENDER, slower),
                        watch_s=30)  # fmt: skip
    at_health = lab.finished(started, until="health")
    name = output(at_health, "deploy")["last_good"]
    (kept,) = [p for p in (lab.store / "firmware").iterdir() if p.name == f"{name}.metadata.json"]
    away = kept.rename(lab.folder / kept.name)
    try:
        done = lab.finished(started)
        print(told(done))
        assert done["status"] == "FAILED" and output(done, "health")["healthy"] is False, told(done)
        back = lab.client.workflow(tasks(done, "rollback")[0]["subWorkflowId"])
        assert back["status"] == "FAILED" and tasks(back, "rollback")[-1]["status"].startswith("FAILED"), told(back)
        assert lab.running(RIG) == output(done, "store")["sha256"], "nothing came back, and nobody says it did"
    finally:
        away.rename(kept)
    # A person repairs the store and rolls back by hand.
    rescue = lab.finished(lab.start("firmware-rollback", RIG, to=name, watch_s=WATCH_S,
                                    expected_sha256=lab.running(RIG)))  # fmt: skip
    assert rescue["status"] == "COMPLETED" and lab.running(RIG) == output(rescue, "rollback")["sha256"], told(rescue)
