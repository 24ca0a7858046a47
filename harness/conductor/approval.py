"""The gate of a release: a person says yes or no, by name, and it is proven that the server took it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from harness.conductor.rest import CLOSED, Conductor
from harness.errors import BadRequest, RigFault

MAX_NOTE = 500
TAKEN_WITHIN_S = 10.0
ASK_EVERY_S = 0.2
_NAME = re.compile(r"[^\W_][\w .,'@+-]{0,79}")


@dataclass(frozen=True)
class Decision:
    """What was decided, as the server keeps it."""

    workflow_id: str
    ref: str
    approved: bool
    by: str
    at: str
    note: str

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return dict(self.__dict__)


@dataclass(frozen=True)
class Gate:
    """A workflow that waits for a person.

    Attributes:
        ref: reference name of the waiting task.
        shows: what the task carries for that person (firmware name, SHA-256).
        since: when it began to wait, ISO 8601.
    """

    workflow_id: str
    workflow: str
    ref: str
    shows: dict[str, Any]
    since: str

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return dict(self.__dict__)


def waiting(server: Conductor) -> list[Gate]:
    """All workflows that wait for a person."""
    found = []
    for summary in server.search("status IN (RUNNING) AND workflowType IN (firmware-release)", size=100):
        workflow = server.workflow(str(summary["workflowId"]))
        task = _open_gate(workflow)
        if task is not None:
            since = datetime.fromtimestamp(task.get("startTime", 0) / 1000, UTC).isoformat(timespec="seconds")
            shows = {k: v for k, v in task.get("inputData", {}).items() if isinstance(v, str | int | float)}
            who = (str(workflow["workflowId"]), str(workflow["workflowName"]), str(task["referenceTaskName"]))
            found.append(Gate(*who, shows, since))
    return found


def decide(
    server: Conductor, workflow_id: str, *, approved: bool, by: str, note: str = "",
    clock: Callable[[], float] = time.monotonic,
) -> Decision:  # fmt: skip
    """Approves or rejects a release that waits, and proves it by reading the task back.

    Args:
        workflow_id: of the release.
        approved: yes or no.
        by: who decides; kept with the release. The server has no users of its own.
        note: why, one line.

    Raises:
        BadRequest: unusable name, no such workflow, or none that waits: over, expired, decided already.
        RigFault: the server took it, but does not show it.
    """
    if not _NAME.fullmatch(by):
        raise BadRequest("unusable name", expected="1 to 80 letters, digits, spaces or .,'@+-", got=repr(by[:100]))
    note = " ".join(note.split())[:MAX_NOTE]
    workflow = server.workflow(workflow_id)
    task = _open_gate(workflow)
    if task is None:
        raise BadRequest(
            "this workflow does not wait for anybody", expected="an open approval", got=_state(workflow),
            evidence=workflow_id, remedy="k1hil conductor status shows what waits",
        )  # fmt: skip
    at = datetime.now(UTC).isoformat(timespec="seconds")
    decision = Decision(workflow_id, str(task["referenceTaskName"]), approved, by, at, note)
    output = {"approved": approved, "by": by, "at": at, "note": note}
    server.complete(workflow_id, decision.ref, "COMPLETED", output)
    _prove(server, str(task["taskId"]), output, clock() + TAKEN_WITHIN_S, clock)
    return decision


def _prove(
    server: Conductor, task_id: str, output: dict[str, Any], deadline: float, clock: Callable[[], float]
) -> None:
    """The server answers 200 to decisions that come too late: only the task itself tells."""
    while True:
        task = server.task(task_id)
        kept = {k: task.get("outputData", {}).get(k) for k in output}
        if task["status"] == "COMPLETED":
            if kept == output:
                return
            raise BadRequest(
                "somebody or the clock was faster", expected=str(output), got=str(kept), evidence=task_id,
                remedy="k1hil conductor status",
            )  # fmt: skip
        if task["status"] != "IN_PROGRESS" or clock() > deadline:
            raise RigFault("the server did not take the decision", got=str(task["status"]), evidence=task_id)
        time.sleep(ASK_EVERY_S)


def _open_gate(workflow: dict[str, Any]) -> dict[str, Any] | None:
    if workflow["status"] in CLOSED:
        return None
    gates = [t for t in workflow.get("tasks", []) if t["taskType"] == "WAIT" and t["status"] == "IN_PROGRESS"]
    return dict(gates[0]) if gates else None


def _state(workflow: dict[str, Any]) -> str:
    decided = [t["outputData"] for t in workflow.get("tasks", []) if t["taskType"] == "WAIT"]
    told = f"; decided: {decided[0]}" if decided else ""
    return f"{workflow['workflowName']} is {workflow['status']}{told}"
