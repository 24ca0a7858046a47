"""What a failure means for a task, and results that survive the worker and the server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from worker_server import MemoryServer

from harness.conductor.delivery import Delivery
from harness.conductor.outcome import MAX_OUTPUT_BYTES, Outcome, bounded, completed, failed, of_error, of_suite
from harness.conductor.spool import Spool, key_of
from harness.errors import BadRequest, DutFailure, HarnessFault, RigFault


@pytest.mark.parametrize(
    ("code", "status", "verdict"),
    [
        (0, "COMPLETED", "pass"), (1, "COMPLETED", "fail"), (11, "COMPLETED", "inconclusive"),
        (2, "FAILED", ""), (10, "FAILED", ""), (-9, "FAILED", ""), (-15, "FAILED", ""),
        (3, "FAILED_WITH_TERMINAL_ERROR", ""), (4, "FAILED_WITH_TERMINAL_ERROR", ""),
        (5, "FAILED_WITH_TERMINAL_ERROR", ""), (99, "FAILED_WITH_TERMINAL_ERROR", ""),
    ],
)  # fmt: skip
def test_only_what_may_pass_is_retried(code: int, status: str, verdict: str) -> None:
    assert of_suite(code) == (status, verdict)


def test_blame_decides() -> None:
    device = of_error(DutFailure("it crashed", got="Guru Meditation"))
    assert (device.status, device.output["verdict"]) == ("COMPLETED", "fail") and "Guru" in device.output["why"]
    assert of_error(RigFault("port gone")).status == "FAILED"
    for error in (BadRequest("no such rig"), HarnessFault("broken"), ValueError("oops")):
        assert of_error(error).status == "FAILED_WITH_TERMINAL_ERROR"


def test_outputs_are_small_and_plain() -> None:
    wild = {"nan": float("nan"), "many": ["x" * 5000] * 1000, "path": Path("/a"), "deep": {"a": {"b": [1, True, None]}}}
    out = bounded(wild)
    text = json.dumps(out, allow_nan=False)
    assert len(text) <= MAX_OUTPUT_BYTES
    assert out["nan"] is None and out["path"] == "/a" and out["deep"] == {"a": {"b": [1, True, None]}}
    huge = bounded({str(i): {"k": ["y" * 100] * 100} for i in range(300)} | {"verdict": "pass"})
    assert len(json.dumps(huge)) <= MAX_OUTPUT_BYTES


@pytest.fixture
def server() -> MemoryServer:
    return MemoryServer()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_finished_result_is_told_again_for_a_retry_but_a_failure_is_done_anew(
    server: MemoryServer, spool: Spool
) -> None:
    workflow = server.add_workflow()
    first = server.add_task("k1_suite", workflow, inputs={"a": 1})
    assert spool.begin(first) is None
    spool.finish(first, completed({"n": 1}))
    retry = server.add_task("k1_suite", workflow, inputs={"a": 1}, retried=first["taskId"])
    again = spool.begin(retry)
    assert again is not None and again.output["n"] == 1
    (entry,) = spool.waiting()
    assert entry.task_id == retry["taskId"], "told for the attempt that asks now"
    other = server.add_task("k1_suite", workflow, inputs={"a": 2}, retried=retry["taskId"])
    assert spool.begin(other) is None, "another request is not answered with this result"
    spool.finish(other, failed("port gone"))
    second = server.add_task("k1_suite", workflow, inputs={"a": 2}, retried=other["taskId"])
    assert spool.begin(second) is None, "it is asked again because it failed"


def test_a_restarted_workflow_is_done_anew(server: MemoryServer, spool: Spool) -> None:
    workflow = server.add_workflow()
    first = server.add_task("k1_suite", workflow)
    spool.begin(first)
    spool.finish(first, completed({}))
    restarted = server.add_task("k1_suite", workflow)
    assert key_of(restarted) == key_of(first) and spool.begin(restarted) is None


def test_iterations_are_tasks_of_their_own(server: MemoryServer, spool: Spool) -> None:
    workflow = server.add_workflow()
    one, two = (server.add_task("k1_suite", workflow, iteration=i) for i in (1, 2))
    spool.begin(one)
    spool.finish(one, completed({}))
    assert spool.begin(two) is None and len(spool.waiting()) == 1


def test_a_result_waits_until_the_server_is_back(server: MemoryServer, spool: Spool) -> None:
    told: list[str] = []
    clock = Clock()
    delivery = Delivery(server, spool, "w", told.append, clock)
    task = server.add_task("k1_suite", server.add_workflow())
    spool.begin(task)
    spool.finish(task, completed({"n": 7}))
    server.away = True
    for _ in range(200):
        assert not delivery.empty()
        clock.now += 0.5
    assert server.times("update") < 12, "it waits longer each time"
    assert len(told) == 1 and len(spool.waiting()) == 1
    server.away = False
    clock.now += 30
    assert delivery.empty() and spool.waiting() == []
    assert server.tasks[task["taskId"]]["outputData"]["n"] == 7
    assert Spool(spool.folder).waiting() == [], "closed on disk too"


def test_a_result_that_nobody_wants_is_closed_with_a_note(server: MemoryServer, spool: Spool) -> None:
    told: list[str] = []
    delivery = Delivery(server, spool, "w", told.append)
    task = server.add_task("k1_suite", server.add_workflow())
    spool.begin(task)
    spool.finish(task, completed({}))
    server.tasks[task["taskId"]]["status"] = "TIMED_OUT"
    assert delivery.empty(), "the server says 200 and ignores it"
    entry = spool.find(key_of(task))
    assert entry is not None and entry.state == "closed" and "TIMED_OUT" in entry.note and told
    retry = server.add_task("k1_suite", task["workflowInstanceId"], retried=task["taskId"])
    assert spool.begin(retry) is not None, "the retry gets the work that was done"


def test_a_result_the_server_refuses_becomes_one_it_takes(server: MemoryServer, spool: Spool) -> None:
    delivery = Delivery(server, spool, "w", lambda line: None)
    task = server.add_task("k1_suite", server.add_workflow())
    spool.begin(task)
    spool.finish(task, completed({}))
    server.refuse = "400 payload"
    assert delivery.empty() and spool.waiting() == []
    assert server.tasks[task["taskId"]]["status"] == "FAILED_WITH_TERMINAL_ERROR"
    gone = server.add_task("k1_suite", server.add_workflow())
    spool.begin(gone)
    spool.finish(gone, completed({}))
    server.refuse = ""
    del server.tasks[gone["taskId"]]
    assert delivery.empty() and spool.waiting() == []


def test_damaged_files_are_as_if_they_were_not_there(spool: Spool, server: MemoryServer) -> None:
    task = server.add_task("k1_suite", server.add_workflow())
    spool.begin(task)
    (path,) = spool.folder.glob("*.json")
    for junk in (b"", b"{", b"[]", b'{"key": 1}', b"\xff" * 10):
        path.write_bytes(junk)
        assert spool.waiting() == [] and spool.interrupted() == [] and spool.begin(task) is None
    with pytest.raises(ValueError, match="not an outcome"):
        Outcome.from_json({"status": "GREAT", "output": {}})
