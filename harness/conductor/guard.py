"""Watches over a running task: tells the server that it goes on, and learns when nobody wants it any more.

A worker is never told of a cancellation; it has to look. Looking comes before each heartbeat, because a heartbeat is a
read-modify-write of the whole task on the server: one that crosses a cancellation can undo it. For the same reason the
workflow is looked at too, and the heartbeat has ended before a result is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from harness.errors import K1HilError

MOST_S = 10.0
LEAST_S = 2.0
LEAST_RESPONSE_S = 8.0
MAX_LINES = 300
# An interrupted suite closes its fixtures in seconds, a device that has to be reset boots in some more.
SPARE_S, SPARE_SHARE, MOST_SPARE_SHARE = 60.0, 0.05, 0.4
ALIVE_WORKFLOWS = frozenset({"RUNNING", "PAUSED"})
OPEN_TASKS = frozenset({"IN_PROGRESS", "SCHEDULED"})


class Server(Protocol):
    """What a guard asks of the server."""

    def task(self, task_id: str) -> dict[str, Any]: ...
    def workflow(self, workflow_id: str, *, tasks: bool = True) -> dict[str, Any]: ...
    def update(self, result: Mapping[str, Any]) -> None: ...
    def add_log(self, task_id: str, line: str) -> None: ...


class Guard:
    """A thread beside one task; a context manager.

    Args:
        server: whose task it is.
        task: as it was polled.
        worker_id: of the worker.
        progress: file whose lines go into the task's log.
        period_s: between two looks; default a quarter of the task's response timeout, 2 to 10 s.

    Attributes:
        lost: set once the task or its workflow is over, with ``why``.
    """

    def __init__(
        self, server: Server, task: Mapping[str, Any], worker_id: str, progress: Path, period_s: float | None = None
    ) -> None:
        self._server = server
        self._task_id = str(task["taskId"])
        self._workflow_id = str(task["workflowInstanceId"])
        self._worker_id = worker_id
        self._progress = progress
        response_s = max(LEAST_RESPONSE_S, float(task.get("responseTimeoutSeconds") or 60.0))
        self._period_s = max(LEAST_S, min(MOST_S, response_s / 4)) if period_s is None else period_s
        self._told = self._lines = 0
        self._done = threading.Event()
        self.lost = threading.Event()
        self.why = ""
        self._thread = threading.Thread(target=self._watch, name=f"guard of {self._task_id}", daemon=True)

    def __enter__(self) -> Guard:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the heartbeats; none is under way afterwards. The rest of the progress is told."""
        self._done.set()
        if self._thread.is_alive():
            self._thread.join()
            self._tell_progress()

    def _watch(self) -> None:
        while not self._done.wait(self._period_s):
            try:
                if not self._wanted():
                    return
                self._tell_progress()
                self._server.update({
                    "workflowInstanceId": self._workflow_id, "taskId": self._task_id, "workerId": self._worker_id,
                    "status": "IN_PROGRESS", "extendLease": True,
                })  # fmt: skip
            except K1HilError:
                continue  # the server is away: it comes back, or it has given the task up and says so then

    def _wanted(self) -> bool:
        status = str(self._server.task(self._task_id).get("status"))
        workflow = str(self._server.workflow(self._workflow_id, tasks=False).get("status"))
        if status in OPEN_TASKS and workflow in ALIVE_WORKFLOWS:
            return True
        self.why = f"task {status}, workflow {workflow}"
        self.lost.set()
        return False

    def _tell_progress(self) -> None:
        """New lines of the progress file into the task's log; a torn last line waits."""
        try:
            with self._progress.open("rb") as file:
                file.seek(self._told)
                new = file.read(1 << 18)
        except OSError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        try:
            for line in whole.splitlines(keepends=True):
                if self._lines < MAX_LINES:
                    self._server.add_log(self._task_id, line.decode("ascii", "replace").rstrip())
                self._lines += 1
                self._told += len(line)
        except K1HilError:
            return  # the rest is told the next time


def seconds_left(task: Mapping[str, Any], limit_s: float, now: float | None = None) -> float:
    """How long a task may take from now, at most ``limit_s``: the server's own limit of an attempt, less the time to
    end the work, make the rig safe and tell the result. The server's clock starts with the attempt's first poll."""
    definition = task.get("taskDefinition") or (task.get("workflowTask") or {}).get("taskDefinition") or {}
    most_s = float(definition.get("timeoutSeconds") or 0.0)
    started = float(task.get("startTime") or 0.0) / 1000.0
    if most_s <= 0:
        return limit_s
    passed_s = max(0.0, (time.time() if now is None else now) - started) if started else 0.0
    spare_s = max(SPARE_SHARE * most_s, min(SPARE_S, MOST_SPARE_SHARE * most_s))
    return max(1.0, min(limit_s, most_s - spare_s - passed_s))
