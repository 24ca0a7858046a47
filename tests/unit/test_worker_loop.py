"""The worker's turns on a server in memory, the reservation of its rig, and the guard beside a task."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from worker_server import MemoryServer

from harness.conductor import job, worker
from harness.conductor.guard import Guard, seconds_left
from harness.conductor.outcome import Outcome, completed, failed
from harness.conductor.reservation import ALIVE, Reservation, root_of
from harness.conductor.run_job import Progress
from harness.conductor.tasks import TASKS
from harness.conductor.tasks.spec import flag, name, names, number, sha256, text
from harness.conductor.worker import Worker
from harness.errors import BadRequest, RigFault

SHA = "ab" * 32


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


# ---- reservation


class Now:
    t = 1000.0

    def __call__(self) -> float:
        return self.t


@pytest.fixture
def now() -> Now:
    return Now()


@pytest.fixture
def held(server: MemoryServer, tmp_path: Path, now: Now) -> Reservation:
    return Reservation(tmp_path / "r.json", lambda w: server.workflow(w)["status"] in ALIVE, now)


def test_a_rig_has_one_workflow_at_a_time(server: MemoryServer, held: Reservation, now: Now) -> None:
    one, two = server.add_workflow(), server.add_workflow()
    assert held.take(one, 60) is not None and held.take(two, 60) is None
    held.check(one)
    with pytest.raises(BadRequest, match="does not hold the rig"):
        held.check(two)
    assert not held.release(two) and held.release(one) and not held.release(one)
    assert held.take(two, 60) is not None


def test_a_reservation_ends_with_its_time_or_its_workflow(server: MemoryServer, held: Reservation, now: Now) -> None:
    one, two = server.add_workflow(), server.add_workflow()
    held.take(one, 60)
    now.t += 59
    held.check(one)  # every task of the holder moves the end on
    now.t += 59
    assert held.take(two, 60) is None
    now.t += 2
    assert held.take(two, 60) is not None
    with pytest.raises(BadRequest, match="does not hold"):
        held.check(one)
    server.workflows[two]["status"] = "TERMINATED"
    assert held.holder() is None and held.take(one, 60) is not None


def test_nobody_wanted_it_meanwhile(server: MemoryServer, held: Reservation, now: Now) -> None:
    one = server.add_workflow()
    held.take(one, 60)
    now.t += 600
    assert held.check(one).expires == now.t + 60


def test_sub_workflows_share_what_their_top_reserved(server: MemoryServer) -> None:
    top = server.add_workflow()
    leaf = server.add_workflow(parent=server.add_workflow(parent=top))
    assert root_of(server, leaf) == root_of(server, top) == top
    server.workflows[top]["parentWorkflowId"] = leaf
    with pytest.raises(BadRequest, match="without end"):
        root_of(server, leaf)


def test_without_an_answer_a_holder_is_not_over(server: MemoryServer, held: Reservation) -> None:
    one = server.add_workflow()
    held.take(one, 60)
    server.away = True
    with pytest.raises(RigFault):
        held.take("other", 60)


# ---- guard


def test_the_guard_tells_that_work_goes_on_and_what_it_does(server: MemoryServer, tmp_path: Path) -> None:
    task = server.add_task("k1_suite", server.add_workflow())
    task["status"] = "IN_PROGRESS"
    progress = Progress(tmp_path / "progress")
    with Guard(server, task, "w", tmp_path / "progress", 0.01) as guard:
        progress("first\nline with ünicode \x1b[31m")
        wait_for(lambda: len(server.updates) >= 3)
        server.away = True
        wait_for(lambda: server.calls[-3:] == ["task"] * 3)
        server.away = False
        progress("last")
        assert not guard.lost.is_set()
    assert server.log[task["taskId"]] == ["first line with ?nicode ?[31m", "last"]
    assert all(u["extendLease"] and u["status"] == "IN_PROGRESS" for u in server.updates)
    n = len(server.updates)
    time.sleep(0.05)
    assert len(server.updates) == n, "no heartbeat after the end"


@pytest.mark.parametrize("over", ["task", "workflow"])
def test_the_guard_sees_that_a_task_is_not_wanted(server: MemoryServer, tmp_path: Path, over: str) -> None:
    task = server.add_task("k1_suite", server.add_workflow())
    if over == "task":
        task["status"] = "CANCELED"
    else:
        task["status"] = "IN_PROGRESS"  # a heartbeat that crossed the cancellation has revived the task
        server.workflows[task["workflowInstanceId"]]["status"] = "TERMINATED"
    with Guard(server, task, "w", tmp_path / "none", 0.01) as guard:
        assert guard.lost.wait(5)
    assert over in guard.why and server.updates == [], "a task that is over gets no heartbeat"


def test_a_cancellation_is_seen_in_time() -> None:
    for response_s in (1, 30, 120, 3600, None):
        guard = Guard(MemoryServer(), {"taskId": "t", "workflowInstanceId": "w", "responseTimeoutSeconds": response_s},
                      "w", Path("none"))  # fmt: skip
        assert 2.0 <= guard._period_s <= 10.0


def test_an_attempt_ends_before_the_server_gives_it_up() -> None:
    task = {"workflowTask": {"taskDefinition": {"timeoutSeconds": 100}}, "startTime": 1000.0 * 500}
    assert seconds_left(task, 3600.0, now=520.0) == pytest.approx(40.0)
    for limit_s, usable_s in ((7200, 6840), (900, 840), (120, 72)):
        assert seconds_left({"taskDefinition": {"timeoutSeconds": limit_s}}, 1e6) == pytest.approx(usable_s)
    assert seconds_left(task, 30.0, now=520.0) == 30.0
    assert seconds_left(task, 30.0, now=5000.0) == 1.0
    assert seconds_left({"startTime": 1.0}, 60.0) == 60.0


# ---- worker


@pytest.fixture
def place(tmp_path: Path) -> job.Place:
    return job.Place("bench", tmp_path, str(tmp_path / "store"), tmp_path / "home")


class Work:
    """What the keeper process would do: gives an outcome and remembers what it was asked."""

    def __init__(self) -> None:
        self.jobs: list[dict[str, Any]] = []
        self.outcomes: list[Outcome] = []

    def __call__(
        self, task: Mapping[str, Any], spec: Any, described: dict[str, Any], folder: Path, server: Any, worker_id: str,
        stop: threading.Event,
    ) -> Outcome:  # fmt: skip
        self.jobs.append(described)
        return self.outcomes.pop(0) if self.outcomes else completed({"did": spec.name})


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    made = Work()
    monkeypatch.setattr(worker.job, "run_kept", made)
    return made


@pytest.fixture
def one(server: MemoryServer, place: job.Place, work: Work) -> Worker:
    return Worker(server, "rig", place, tell=lambda line: None, worker_id="w")


def turn(one: Worker, times: int = 1) -> None:
    for _ in range(times):
        one._next_full = time.monotonic() + 60
        one._turn()


def reserve(server: MemoryServer, workflow: str) -> dict[str, Any]:
    return server.add_task("k1_reserve", workflow, domain="bench", inputs={"wait_s": 60})


def test_a_rig_task_without_a_reservation_is_refused(server: MemoryServer, one: Worker, work: Work) -> None:
    task = server.add_task("k1_suite", server.add_workflow(), domain="bench", inputs={"expected_sha256": SHA})
    turn(one)
    assert task["status"] == "FAILED_WITH_TERMINAL_ERROR" and work.jobs == []


def test_a_rig_task_without_an_expected_image_is_refused(server: MemoryServer, one: Worker, work: Work) -> None:
    workflow = server.add_workflow()
    reserve(server, workflow)
    turn(one)
    for kind in ("k1_deploy", "k1_health", "k1_suite"):
        task = server.add_task(kind, workflow, domain="bench")
        turn(one)
        assert task["status"] == "FAILED_WITH_TERMINAL_ERROR", kind
    assert work.jobs == []
    back = server.add_task("k1_rollback", workflow, domain="bench", inputs={"expected_sha256": ""})
    turn(one)
    assert back["status"] == "COMPLETED", "a person takes back whatever runs"


def test_two_workflows_take_turns(server: MemoryServer, one: Worker, work: Work) -> None:
    first, second = server.add_workflow(), server.add_workflow()
    sub = server.add_workflow(parent=first)
    a, b = reserve(server, first), reserve(server, second)
    turn(one, 3)
    assert (a["status"], b["status"]) == ("COMPLETED", "SCHEDULED"), "the other waits, and burns no retry"
    assert server.updates[-1]["callbackAfterSeconds"] >= 1
    inside = server.add_task("k1_health", sub, domain="bench", inputs={"expected_sha256": SHA})
    turn(one)
    assert inside["status"] == "COMPLETED" and work.jobs[0]["root"] == first
    server.add_task("k1_release_rig", first, domain="bench")
    turn(one, 3)
    assert b["status"] == "COMPLETED"


def test_a_check_in_leaves_a_reserved_rig_alone(server: MemoryServer, one: Worker, work: Work) -> None:
    holder = server.add_workflow()
    reserve(server, holder)
    turn(one)
    look = server.add_task("k1_device_health", server.add_workflow(), domain="bench")
    night = server.add_task("k1_nightly", server.add_workflow(), domain="bench")
    turn(one, 3)
    assert look["status"] == "COMPLETED" and look["outputData"]["skipped"] is True
    assert night["status"] == "SCHEDULED" and work.jobs == []
    server.workflows[holder]["status"] = "FAILED"
    turn(one, 2)
    assert night["status"] == "COMPLETED"


def test_it_asks_for_sizes_and_polls_only_what_waits(server: MemoryServer, one: Worker) -> None:
    turn(one, 20)
    assert server.times("sizes") == 20 and not any(c.startswith("poll") for c in server.calls)
    server.add_task("k1_health", server.add_workflow(), domain="elsewhere")
    turn(one)
    assert not any(c.startswith("poll") for c in server.calls), "another rig's tasks are not ours"
    one._next_full = 0.0
    one._turn()
    assert sum(c.startswith("poll") for c in server.calls) == len(one.specs), "now and then all of them"


def test_while_a_result_waits_no_task_is_taken(server: MemoryServer, one: Worker, work: Work) -> None:
    workflow = server.add_workflow()
    reserve(server, workflow)
    turn(one)
    task = server.add_task("k1_health", workflow, domain="bench", inputs={"expected_sha256": SHA})

    def leave(*args: Any) -> Outcome:
        server.away = True
        return completed({})

    worker.job.run_kept, keep = leave, worker.job.run_kept
    turn(one)
    worker.job.run_kept = keep
    assert len(one.spool.waiting()) == 1
    turn(one, 3)
    server.away = False
    one._delivery._not_before = 0.0
    turn(one)
    assert task["status"] == "COMPLETED" and one.spool.waiting() == []


def test_what_a_dead_worker_had_begun_fails_at_once_and_its_finished_work_counts(
    server: MemoryServer, place: job.Place, work: Work, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(worker, "lease_dir", lambda: tmp_path)
    dead = Worker(server, "rig", place, tell=lambda line: None)
    cut, done = (server.add_task("k1_health", server.add_workflow(), domain="bench") for _ in range(2))
    for task, left in ((cut, None), (done, completed({"n": 1}))):
        task["status"] = "IN_PROGRESS"
        dead.spool.begin(task)
        folder = place.folder / task["taskId"]
        folder.mkdir(parents=True)
        dead.spool.place(task, folder)
        if left is not None:
            from harness.conductor.keeper import note
            from harness.conductor.run_job import leave

            leave(folder, left)
            note(folder, {"ended": True, "safe": None})
    again = Worker(server, "rig", place, tell=lambda line: None)
    again.drain()
    assert again.run() == 0
    assert (cut["status"], done["status"]) == ("FAILED", "COMPLETED") and done["outputData"]["n"] == 1


def test_a_lost_task_is_not_reported(server: MemoryServer, one: Worker, work: Work) -> None:
    workflow = server.add_workflow()
    reserve(server, workflow)
    turn(one)
    server.add_task("k1_health", workflow, domain="bench", inputs={"expected_sha256": SHA})
    n = len(server.updates)
    work.outcomes = [Outcome("FAILED", {}, "task CANCELED", lost=True)]
    turn(one)
    assert len(server.updates) == n and one.spool.waiting() == [] and one.spool.interrupted() == []


def test_a_failed_attempt_is_done_anew(server: MemoryServer, one: Worker, work: Work) -> None:
    workflow = server.add_workflow()
    reserve(server, workflow)
    turn(one)
    first = server.add_task("k1_health", workflow, "h", domain="bench", inputs={"expected_sha256": SHA})
    work.outcomes = [failed("port gone")]
    turn(one)
    retry = server.add_task("k1_health", workflow, "h", domain="bench", inputs={"expected_sha256": SHA},
                            retried=first["taskId"])  # fmt: skip
    turn(one)
    assert (first["status"], retry["status"], len(work.jobs)) == ("FAILED", "COMPLETED", 2)


def test_one_worker_for_a_rig(
    server: MemoryServer, place: job.Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(worker, "lease_dir", lambda: tmp_path)
    first, second = (Worker(server, "rig", place, tell=lambda line: None) for _ in range(2))
    with first._only_one(), pytest.raises(RigFault, match="has a worker already") as refused:
        second.run()
    assert "process" in refused.value.got
    with second._only_one():
        pass


def test_a_build_worker_has_no_rig_and_no_domain(server: MemoryServer, place: job.Place, work: Work) -> None:
    from dataclasses import replace

    builder = Worker(server, "build", replace(place, rig=""), tell=lambda line: None)
    task = server.add_task("k1_alert", server.add_workflow())
    turn(builder)
    assert task["status"] == "COMPLETED" and work.jobs[0]["rig"] == ""
    assert not set(builder.specs) & {n for n, s in TASKS.items() if s.role == "rig"}


# ---- inputs


def test_inputs_are_bounded() -> None:
    for bad in ("../x", "-k", "a b", "a/../b", "x" * 300, 7):
        with pytest.raises(BadRequest):
            name({"n": bad}, "n")
    assert name({"n": "v1.0.0-737e3d8+ab"}, "n") == "v1.0.0-737e3d8+ab" and name({"n": None}, "n", "d") == "d"
    for bad in ("nan", "inf", True, "x", 11, -1, [1]):
        with pytest.raises(BadRequest):
            number({"n": bad}, "n", 5, 0, 10)
    assert number({"n": "7.5"}, "n", 5, 0, 10) == 7.5 and number({"n": ""}, "n", 5, 0, 10) == 5
    for bad in ("AB" * 32, "ab" * 31, "zz" * 32):
        with pytest.raises(BadRequest):
            sha256({"s": bad}, "s")
    assert flag({"f": "false"}, "f", True) is False and flag({}, "f", True) is True
    with pytest.raises(BadRequest):
        flag({"f": "perhaps"}, "f", True)
    with pytest.raises(BadRequest):
        text({"t": "a\0b"}, "t")
    assert names({"n": "a, b"}, "n") == names({"n": ["a", "b"]}, "n") == ["a", "b"]
    with pytest.raises(BadRequest):
        names({"n": ["a"] * 30}, "n")
