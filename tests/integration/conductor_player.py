"""Plays the workers of a workflow: takes each task where it waits and answers with what the test wrote down for it.

For tests of the definitions alone, the way the real server reads them: which step follows which, and where tasks wait.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from harness.conductor.rest import CLOSED, Conductor

WORKER = "player"
LOOK_EVERY_S = 0.1


class Player:
    """Answers tasks until a workflow is over.

    Args:
        conductor: the server.
        answers: reference name -> output of that task; what is not named gets ``{}``. The key ``!status`` is taken out
            of an output and becomes the task's status.
    """

    def __init__(self, conductor: Conductor, answers: Mapping[str, Mapping[str, Any]]) -> None:
        self.conductor = conductor
        self.answers = answers
        self.played: list[str] = []
        self.inputs: dict[str, dict[str, Any]] = {}
        self.domains: dict[str, str] = {}
        self._own: set[str] = set()

    def play(self, workflow_id: str, timeout_s: float = 150.0, until: str = "", attempts: int = 1) -> dict[str, Any]:
        """Plays a workflow and those that it starts to the end (or until so many attempts at a task are there)."""
        deadline = time.monotonic() + timeout_s
        while True:
            workflow = self.conductor.workflow(workflow_id)
            if workflow["status"] in CLOSED:
                return workflow
            if until and sum(t["referenceTaskName"] == until for t in workflow["tasks"]) >= attempts:
                return workflow
            assert time.monotonic() < deadline, f"not over in time: {self.played}, {self._open(workflow)}"
            if not self._step(workflow):
                time.sleep(LOOK_EVERY_S)

    def _step(self, workflow: dict[str, Any]) -> bool:
        moved = False
        self._own.add(workflow["workflowId"])
        for task in workflow["tasks"]:
            if task["taskType"] == "SUB_WORKFLOW" and task["status"] == "IN_PROGRESS" and task.get("subWorkflowId"):
                moved |= self._step(self.conductor.workflow(task["subWorkflowId"]))
            elif task["status"] == "SCHEDULED" and task["taskType"].startswith("k1_"):
                moved |= self._answer(task["taskType"], task.get("domain"))
        return moved

    def _answer(self, task_type: str, domain: str | None) -> bool:
        taken = self.conductor.poll(task_type, WORKER, domain, 100)
        for task in taken:
            ref = task["referenceTaskName"]
            output = dict(self.answers.get(ref, {}))
            status = output.pop("!status", "COMPLETED")
            if task["workflowInstanceId"] in self._own:  # others are left over from a test that wanted no answer
                self.played.append(ref)
                self.inputs[ref] = task["inputData"]
                self.domains[ref] = domain or ""
            self.conductor.update(
                {
                    "taskId": task["taskId"],
                    "workflowInstanceId": task["workflowInstanceId"],
                    "workerId": WORKER,
                    "status": status,
                    "outputData": output,
                }
            )
        return bool(taken)

    def _open(self, workflow: dict[str, Any]) -> list[tuple[str, str]]:
        return [(t["referenceTaskName"], t["status"]) for t in workflow["tasks"] if t["status"] != "COMPLETED"]
