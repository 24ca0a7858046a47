"""The worker on a real Conductor server and a served board: results arrive, whatever dies or goes away meanwhile."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import psutil
import pytest
from conductor_lab import Lab, lab_rig, served_board, task, until

from harness.conductor.rest import Conductor
from harness.conductor.server import ConductorServer
from harness.pipeline.build import build
from harness.rig import FirmwareBundle, open_rig

pytestmark = pytest.mark.timeout(900)  # a board in wall time: on a busy machine everything takes its time
ONE = "test_console_and_api_tell_the_same_identity"
# Long enough to be caught in the middle: a recording per pattern.
MANY = "pattern_lit and (lava or pulse or twilight)"
# Minutes: it never gets to its end.
ENDLESS = "pattern_lit or pattern_in_silence or pattern_obeys"


@pytest.fixture(scope="module")
def lab(conductor: Conductor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    lab_rig(folder)
    made = Lab(conductor, folder)
    kept = made.store.put(build("sim"), "base")
    bundle = made.store.load(kept, folder / "base")
    with served_board(folder, bundle.path):
        try:
            yield made
        finally:
            made.kill_all()


@pytest.fixture(scope="module")
def sha256(lab: Lab) -> str:
    """The image on the board: the one it was served with."""
    with open_rig(lab.rig, lab.folder) as rig:
        return rig.identity.sha256


def suite_flow(lab: Lab, sha256: str, select: str, **more: int) -> str:
    suite = task("k1_suite", expected_sha256=sha256, select=select, baseline=False, **more)
    return lab.define(task("k1_reserve"), suite, task("k1_release_rig"))


def must_be_safe(lab: Lab, sha256: str) -> None:
    """Nobody holds the rig, the device answers, nothing of the suite is left."""
    with open_rig(lab.rig, lab.folder) as rig:
        assert rig.identity.sha256 == sha256
    left = [p for p in psutil.process_iter(["cmdline"]) if lab.rig in (p.info["cmdline"] or [])
            and "tests_hil" in p.info["cmdline"]]  # fmt: skip
    assert not left


def must_be_gone(family: list[psutil.Process], timeout_s: float) -> None:
    until(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in family), timeout_s,
          f"the end of {family}")  # fmt: skip


def test_a_suite_runs_and_its_result_is_on_the_server(lab: Lab, sha256: str) -> None:
    flow = suite_flow(lab, sha256, ONE)
    with lab.worker():
        workflow = lab.start(flow)
        done = lab.finished(workflow)
    assert done["status"] == "COMPLETED", (lab.tasks(workflow), lab.log())
    told = lab.task(workflow, "suite")["outputData"]
    assert (told["verdict"], told["exit_code"], told["sha256"], told["counts"]["passed"]) == ("pass", 0, sha256, 1)
    assert lab.store.store.find("reports", told["report"]) is not None
    lines = lab.client.logs(lab.task(workflow, "suite")["taskId"])
    assert any(ONE in line or "1 passed" in line for line in lines) and all(line.isascii() for line in lines)
    assert lab.task(workflow, "release_rig")["outputData"]["released"] is True
    must_be_safe(lab, sha256)


def test_a_worker_killed_in_mid_suite_leaves_nothing_and_the_next_one_finishes(lab: Lab, sha256: str) -> None:
    workflow = lab.start(suite_flow(lab, sha256, MANY))
    before, first = lab.jobs(), lab.start_worker()
    family = lab.await_suite(first, before)
    assert any("tests_hil" in p.cmdline() for p in family)
    first.kill()
    first.wait(10)
    must_be_gone(family, 60)
    must_be_safe(lab, sha256)
    with lab.worker():
        done = lab.finished(workflow, 240)
    assert done["status"] == "COMPLETED", (lab.tasks(workflow), lab.log())
    suites = [(status, attempt) for ref, status, attempt in lab.tasks(workflow) if ref == "suite"]
    assert suites == [("FAILED", 0), ("COMPLETED", 1)]


def test_a_result_waits_for_a_server_that_was_killed(
    lab: Lab, sha256: str, conductor_server: ConductorServer
) -> None:
    workflow, before = lab.start(suite_flow(lab, sha256, MANY)), lab.jobs()
    with lab.worker() as worker:
        lab.await_suite(worker, before)
        conductor_server.kill()
        until(lambda: "results wait" in lab.log(), 240, "a result in the spool")
        conductor_server.up(timeout_s=180.0)
        done = lab.finished(workflow)
    assert done["status"] == "COMPLETED", (lab.tasks(workflow), lab.log())
    suites = [(status, attempt) for ref, status, attempt in lab.tasks(workflow) if ref == "suite"]
    assert suites == [("COMPLETED", 0)], "the work was done once"


def test_a_terminated_workflow_ends_the_suite_within_20_s(lab: Lab, sha256: str) -> None:
    workflow, before = lab.start(suite_flow(lab, sha256, MANY)), lab.jobs()
    with lab.worker() as worker:
        family = [p for p in lab.await_suite(worker, before) if "tests_hil" in p.cmdline()]
        assert family
        lab.client.terminate(workflow, "somebody changed their mind")
        must_be_gone(family, 20)
        until(lambda: not lab.family(worker), 60, "the keeper")
        must_be_safe(lab, sha256)
        # The rig is not held by what was terminated.
        again = lab.start(suite_flow(lab, sha256, ONE))
        assert lab.finished(again)["status"] == "COMPLETED", (lab.tasks(again), lab.log())
    assert lab.status(workflow) == "TERMINATED"


def test_a_suite_that_takes_too_long_is_ended_by_the_worker(lab: Lab, sha256: str) -> None:
    workflow = lab.start(suite_flow(lab, sha256, ENDLESS, timeout_s=40, retries=0))
    with lab.worker():
        done = lab.finished(workflow)
    assert done["status"] == "FAILED"
    late = lab.task(workflow, "suite")
    assert late["status"] == "FAILED" and "not done within" in late["reasonForIncompletion"]
    assert "the rig is safe" in late["reasonForIncompletion"]
    must_be_safe(lab, sha256)


def test_a_rig_has_one_worker(lab: Lab) -> None:
    before = lab.log().count(f"serves {lab.rig}:") if (lab.folder / "worker.log").exists() else 0
    with lab.worker():
        until(lambda: lab.log().count(f"serves {lab.rig}:") > before, 60, "the first worker")
        second = lab.start_worker()
        assert second.wait(60) == 10
        assert "has a worker already" in lab.log()


def test_sigterm_finishes_the_task_at_hand(lab: Lab, sha256: str) -> None:
    workflow, before = lab.start(suite_flow(lab, sha256, MANY)), lab.jobs()
    worker = lab.start_worker()
    lab.await_suite(worker, before)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(240) == 0, lab.log()
    assert lab.task(workflow, "suite")["status"] == "COMPLETED"
    assert lab.tasks(workflow)[-1][:2] == ("release_rig", "SCHEDULED"), "no further task was taken"
    lab.client.terminate(workflow, "done with it")


def test_two_workflows_on_one_rig_judge_their_own_firmware(lab: Lab, sha256: str, extended: FirmwareBundle) -> None:
    lab.store.put(extended, "extended")
    flows = []
    for name, image in (("extended", extended.sha256), ("base", sha256)):
        flows.append(lab.define(
            task("k1_reserve"), task("k1_deploy", firmware=name, expected_sha256=image),
            task("k1_health", expected_sha256=image, watch_s=1), task("k1_release_rig"),
        ))  # fmt: skip
    alone = lab.define(task("k1_health", expected_sha256=sha256, watch_s=1))
    with lab.worker():
        first, second = lab.start(flows[0]), lab.start(flows[1])
        until(lambda: lab.tasks(first)[0][1] == "COMPLETED", 60, "the first reservation")
        intruder = lab.start(alone)
        done = [lab.finished(w, 240) for w in (first, second)]
        refused = lab.finished(intruder)
    assert [d["status"] for d in done] == ["COMPLETED", "COMPLETED"], (lab.tasks(first), lab.tasks(second), lab.log())
    for workflow, image in ((first, extended.sha256), (second, sha256)):
        health = lab.task(workflow, "health")["outputData"]
        assert (health["healthy"], health["sha256"]) == (True, image)
    spans = sorted((lab.task(w, "deploy")["startTime"], lab.task(w, "release_rig")["endTime"]) for w in (first, second))
    assert spans[0][1] <= spans[1][0], "one had the rig until its end, then the other"
    assert refused["status"] == "FAILED"
    assert lab.task(intruder, "health")["status"] == "FAILED_WITH_TERMINAL_ERROR"
    assert "does not hold the rig" in lab.task(intruder, "health")["reasonForIncompletion"]
