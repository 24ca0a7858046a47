"""A Conductor server in memory, as a worker sees one: a late result gets a 200 and is ignored, as on the real one."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from typing import Any

from harness.errors import BadRequest, RigFault

OPEN = ("SCHEDULED", "IN_PROGRESS")


class MemoryServer:
    """Tasks and workflows in dictionaries. ``away`` makes every call fail; ``calls`` tells what was asked."""

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.workflows: dict[str, dict[str, Any]] = {}
        self.log: dict[str, list[str]] = {}
        self.updates: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.away = False
        self.refuse = ""
        self._ids = itertools.count(1)
        self._lock = threading.RLock()

    # ---- what a test sets up

    def add_workflow(self, status: str = "RUNNING", parent: str = "") -> str:
        name = f"wf{next(self._ids)}"
        self.workflows[name] = {"workflowId": name, "status": status, "parentWorkflowId": parent}
        return name

    def add_task(
        self, name: str, workflow: str, ref: str = "", *, domain: str = "", inputs: Mapping[str, Any] | None = None,
        retried: str = "", iteration: int = 0,
    ) -> dict[str, Any]:  # fmt: skip
        task_id = f"t{next(self._ids)}"
        self.tasks[task_id] = {
            "taskId": task_id, "taskDefName": name, "taskType": name, "workflowInstanceId": workflow, "domain": domain,
            "referenceTaskName": ref or name, "iteration": iteration, "status": "SCHEDULED", "retriedTaskId": retried,
            "inputData": dict(inputs or {}), "responseTimeoutSeconds": 120,
        }  # fmt: skip
        return self.tasks[task_id]

    def times(self, call: str) -> int:
        return self.calls.count(call)

    # ---- what a worker asks

    def _called(self, name: str) -> None:
        with self._lock:
            self.calls.append(name)
            if self.away:
                raise RigFault("the Conductor server does not answer")

    def poll(
        self, task_type: str, worker_id: str, domain: str | None = None, timeout_ms: int = 1000
    ) -> list[dict[str, Any]]:
        self._called(f"poll {task_type}")
        for task in self.tasks.values():
            if (task["taskDefName"], task["domain"] or None, task["status"]) == (task_type, domain, "SCHEDULED"):
                task["status"] = "IN_PROGRESS"
                return [dict(task)]
        return []

    def task(self, task_id: str) -> dict[str, Any]:
        self._called("task")
        if task_id not in self.tasks:
            raise BadRequest("the Conductor server refuses this", got="404 no such task")
        return dict(self.tasks[task_id])

    def workflow(self, workflow_id: str, *, tasks: bool = True) -> dict[str, Any]:
        self._called("workflow")
        if workflow_id not in self.workflows:
            raise BadRequest("the Conductor server refuses this", got="404 no such workflow")
        return dict(self.workflows[workflow_id])

    def update(self, result: Mapping[str, Any]) -> None:
        self._called("update")
        self.updates.append(dict(result))
        if self.refuse and result["status"] == "COMPLETED":
            raise BadRequest("the Conductor server refuses this", got=self.refuse)
        task = self.tasks.get(str(result["taskId"]))
        if task is None or task["status"] not in OPEN or result.get("extendLease"):
            return
        task["status"] = "SCHEDULED" if result["status"] == "IN_PROGRESS" else result["status"]
        task["outputData"] = result.get("outputData", {})

    def add_log(self, task_id: str, line: str) -> None:
        self._called("log")
        self.log.setdefault(task_id, []).append(line)

    def queue_sizes(self) -> dict[str, int]:
        self._called("sizes")
        sizes: dict[str, int] = {}
        for task in self.tasks.values():
            if task["status"] == "SCHEDULED":
                key = f"{task['domain']}:{task['taskDefName']}" if task["domain"] else task["taskDefName"]
                sizes[key] = sizes.get(key, 0) + 1
        return sizes
