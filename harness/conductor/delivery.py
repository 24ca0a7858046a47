"""Tells results to the server until it has provably taken them.

The server answers 200 to results it ignores (of tasks that were cancelled or given up), so each is read back. What it
does not take for good is closed; while it does not answer, the result stays in the spool.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from harness.conductor.guard import OPEN_TASKS
from harness.conductor.outcome import Outcome, refused
from harness.conductor.spool import Entry, Spool
from harness.errors import BadRequest, K1HilError

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 20.0
# An answer that is no proof may be a heartbeat of ours that crossed the result: then it is told again.
TRIES = 3


class Server(Protocol):
    """What a delivery asks of the server."""

    def task(self, task_id: str) -> dict[str, Any]: ...
    def update(self, result: Mapping[str, Any]) -> None: ...


class Delivery:
    """Empties a spool.

    Args:
        server, spool, worker_id: from where, to whom, by whom.
        tell: gets a line for what a person should know.
        clock: monotonic seconds.
    """

    def __init__(
        self, server: Server, spool: Spool, worker_id: str, tell: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._server = server
        self._spool = spool
        self._worker_id = worker_id
        self._tell = tell
        self._clock = clock
        self._wait_s = FIRST_WAIT_S
        self._not_before = 0.0

    @property
    def due_s(self) -> float:
        """Seconds until the next try; 0 when now."""
        return max(0.0, self._not_before - self._clock())

    def empty(self) -> bool:
        """Tells all that waits, the oldest first; False while something still waits, longer each time."""
        waiting = self._spool.waiting()
        if not waiting:
            return True
        if self.due_s > 0:
            return False
        try:
            for entry in waiting:
                self._deliver(entry)
        except K1HilError as error:
            if self._wait_s == FIRST_WAIT_S:
                self._tell(f"{len(waiting)} results wait: {error.message}")
            self._not_before = self._clock() + self._wait_s
            self._wait_s = min(2 * self._wait_s, LONGEST_WAIT_S)
            return False
        self._wait_s, self._not_before = FIRST_WAIT_S, 0.0
        return True

    def _deliver(self, entry: Entry) -> None:
        assert entry.outcome is not None
        for _ in range(TRIES):
            try:
                self._server.update(result(entry, entry.outcome, self._worker_id))
                status = str(self._server.task(entry.task_id).get("status"))
            except BadRequest as error:
                status = self._refused(entry, error)
            if status not in OPEN_TASKS:
                taken = status == entry.outcome.status
                note = "told" if taken else f"not wanted any more: the task is {status}"
                self._spool.close(entry, note)
                if not taken:
                    self._tell(f"{entry.key}: {note}")
                return
        raise BadRequest("the server does not take a result", got=f"the task stays {status}", evidence=entry.key)

    def _refused(self, entry: Entry, error: BadRequest) -> str:
        """The server does not like the result itself, or the task is gone. Its status, after a result it can take."""
        if " 404 " in f" {error.got} " or error.got.startswith("404"):
            return "gone"
        if error.got[:3] in ("401", "403"):
            raise error
        self._tell(f"{entry.key}: the server refuses the result: {error.got}")
        small = refused(f"the server refused the result: {error.got}")
        self._server.update(result(entry, small, self._worker_id))
        return str(self._server.task(entry.task_id).get("status"))


def result(entry: Entry, outcome: Outcome, worker_id: str) -> dict[str, Any]:
    """What the server is told."""
    told: dict[str, Any] = {
        "workflowInstanceId": entry.workflow_id, "taskId": entry.task_id, "workerId": worker_id,
        "status": outcome.status, "outputData": outcome.output,
    }  # fmt: skip
    if outcome.reason:
        told["reasonForIncompletion"] = outcome.reason
    if not outcome.final:
        told["callbackAfterSeconds"] = max(1, round(outcome.callback_after_s))
    return told
