"""The worker: takes tasks from the server, one at a time, has each done by a keeper process, and tells what came of it.

One process per rig, with a queue (task domain) of the rig's name; workers without a rig take builds and analyses. It
asks the server once a second how many tasks wait, and polls only where some do. SIGTERM drains: the task at hand is
finished and told, none is taken any more. SIGINT stops: the task is ended, the rig made safe, the failure told.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from filelock import FileLock, Timeout

from harness.conductor import job, metrics
from harness.conductor.delivery import Delivery, result
from harness.conductor.outcome import Outcome, again_later, completed, failed, of_error, refused
from harness.conductor.reservation import ALIVE, Reservation, root_of
from harness.conductor.run_job import context_of, plain
from harness.conductor.spool import Entry, Spool, key_of
from harness.conductor.tasks import TASKS
from harness.conductor.tasks.spec import Role, TaskSpec
from harness.errors import BadRequest, K1HilError, RigFault
from harness.rig.lease import lease_dir

ROUND_S = 1.0
# All queues are polled this often whatever their sizes say: so the server knows that somebody is here.
FULL_ROUND_S = 15.0
POLL_MS = 100
BUSY_AGAIN_S = 10.0
OUTAGE_WAIT_S = 2.0


class Server(Protocol):
    """What a worker asks of the server; see :class:`harness.conductor.rest.Conductor`."""

    def poll(
        self, task_type: str, worker_id: str, domain: str | None = None, timeout_ms: int = 1000
    ) -> list[dict[str, Any]]: ...
    def task(self, task_id: str) -> dict[str, Any]: ...
    def workflow(self, workflow_id: str, *, tasks: bool = True) -> dict[str, Any]: ...
    def update(self, result: Mapping[str, Any]) -> None: ...
    def add_log(self, task_id: str, line: str) -> None: ...
    def queue_sizes(self) -> dict[str, int]: ...


class Worker:
    """One worker.

    Args:
        server: where tasks come from.
        role: ``rig`` or ``build``.
        place: where it works; its rig is the queue it serves.
        tell: gets a line for what a person should know.
        worker_id: stable name; default host and rig.
    """

    def __init__(
        self, server: Server, role: Role, place: job.Place, *, tell: Callable[[str], None] = print, worker_id: str = ""
    ) -> None:
        self._server = server
        self._place = place
        self._tell = tell
        self.worker_id = worker_id or f"{socket.gethostname()}-{place.rig or role}"
        self.specs = {name: spec for name, spec in TASKS.items() if spec.role == role}
        self.spool = Spool(place.folder / "spool")
        self._delivery = Delivery(server, self.spool, self.worker_id, tell)
        self.reservation = Reservation(place.folder / "reservation.json", self._alive) if place.rig else None
        self._drain = threading.Event()
        self._stop = threading.Event()
        self._next_full = 0.0
        self._order = list(self.specs)

    # ---- life

    def drain(self) -> None:
        """No further task; the one at hand is finished."""
        self._drain.set()

    def stop(self) -> None:
        """Ends the task at hand too."""
        self._drain.set()
        self._stop.set()

    def run(self) -> int:
        """Works until it is drained or stopped; 0, or 2 when something could not be told.

        Raises:
            RigFault: the rig has a worker already, on this machine.
        """
        with self._only_one():
            rigs, environments = ([self._place.rig], ()) if self._place.rig else ([], metrics.OUR_ENVIRONMENTS)
            metrics.announce(rigs=rigs, environments=environments, task_types=self.specs)
            self._recover()
            self._tell(f"{self.worker_id} serves {self._place.rig or 'builds'}: {', '.join(sorted(self.specs))}")
            while not self._drain.is_set():
                self._drain.wait(self._turn())
            return self._farewell()

    def _only_one(self) -> FileLock:
        """One worker per rig (or state folder) on this machine; the lock goes with the process, however it ends."""
        path = lease_dir() / f"{self._place.rig}.worker" if self._place.rig else self._place.folder / "worker.lock"
        lock = FileLock(path, timeout=0)
        try:
            lock.acquire()
        except Timeout as error:
            raise RigFault(
                f"rig '{self._place.rig}' has a worker already" if self._place.rig else "a worker runs here already",
                got=_words(path.with_suffix(".who")), evidence=str(path), remedy="stop that one, or name another rig",
            ) from error  # fmt: skip
        path.with_suffix(".who").write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        return lock

    def _recover(self) -> None:
        """What a worker before this one had begun: its result if the work came to an end, else that it died.

        The keeper of that work has ended it and made the rig safe, or does so now and holds the rig until then.
        """
        for entry in self.spool.interrupted():
            left = job.left_behind(Path(entry.folder)) if entry.folder else None
            outcome = left or failed("the worker died during this task")
            self._tell(f"{entry.key} ({entry.task_type}): {'was done' if left else outcome.reason}")
            self.spool.settle(entry, outcome)

    def _farewell(self) -> int:
        """The last results are told, in a bounded time; else the next worker does it."""
        deadline = time.monotonic() + OUTAGE_WAIT_S
        while not self._delivery.empty():
            if time.monotonic() > deadline:
                self._tell("results are left in the spool; the next worker tells them")
                return 2
            time.sleep(min(0.2 + self._delivery.due_s, OUTAGE_WAIT_S))
        return 0

    # ---- turns

    def _turn(self) -> float:
        """Tells what waits, then looks for one task; seconds until the next turn."""
        try:
            told = self._delivery.empty()
            metrics.spooled(len(self.spool.waiting()))
            if not told:
                return max(0.2, self._delivery.due_s)
            task = self._next_task()
            metrics.polled()
        except K1HilError as error:
            self._tell(f"no answer: {error.message}")
            return OUTAGE_WAIT_S
        if task is None:
            return ROUND_S
        self.do(task)
        return 0.0

    def _next_task(self) -> dict[str, Any] | None:
        """One task, if any waits."""
        names = list(self._order)
        if time.monotonic() < self._next_full:
            sizes = self._server.queue_sizes()
            prefix = f"{self._place.rig}:" if self._place.rig else ""
            names = [n for n in names if sizes.get(prefix + n, 0) > 0]
        else:
            self._next_full = time.monotonic() + FULL_ROUND_S
        for name in names:
            if self._drain.is_set():
                return None
            tasks = self._server.poll(name, self.worker_id, self._place.rig or None, POLL_MS)
            for task in tasks[1:]:  # one was asked for; a server that gives more gets them back
                self._update(task, again_later(1.0, "one at a time"))
            if tasks:
                # The next turn begins with another queue: one that is never empty must not starve the others.
                self._order.remove(name)
                self._order.append(name)
                return tasks[0]
        return None

    def do(self, task: dict[str, Any]) -> None:
        """One task, from the poll to its result in the spool or at the server."""
        name = str(task.get("taskDefName") or task.get("taskType"))
        began = time.monotonic()
        known = self.spool.begin(task)
        if known is not None:
            self._log(task, "this work was finished before; its result is told again")
            self._delivery.empty()
            return
        outcome = self._outcome(task, name)
        metrics.task_done(name, "LOST" if outcome.lost else outcome.status, time.monotonic() - began)
        if outcome.final and not outcome.lost:
            self.spool.finish(task, outcome)
            self._delivery.empty()
            return
        entry = self.spool.find(key_of(task))
        assert entry is not None
        self.spool.close(entry, f"not wanted any more: {outcome.reason}" if outcome.lost else "waits")
        if outcome.lost:
            self._tell(f"{entry.key}: {outcome.reason}; ended")
        else:
            self._update(task, outcome)

    def _outcome(self, task: dict[str, Any], name: str) -> Outcome:
        """Has it done; every failure becomes an outcome."""
        try:
            spec = self.specs.get(name)
            if spec is None:
                return refused(f"this worker does not know '{name}'")
            inputs = task.get("inputData") or {}
            missing = [k for k in spec.needs if inputs.get(k) in (None, "")]
            if missing:
                return refused(f"the input '{missing[0]}' is missing")
            root = root_of(self._server, str(task["workflowInstanceId"])) if self._place.rig else ""
            busy = self._claim(spec, root)
            if busy is not None:
                return busy
            if spec.inline:
                return self._inline(task, spec, root)
            return self._kept(task, spec, root)
        except Exception as error:
            return of_error(error)

    def _claim(self, spec: TaskSpec, root: str) -> Outcome | None:
        """None when the rig may be used by this workflow now."""
        if self.reservation is None or spec.claim == "none":
            return None
        if spec.claim == "own":
            self.reservation.check(root)
            return None
        held = self.reservation.holder()
        if held is None or held.workflow == root:
            return None
        why = f"the rig is reserved by workflow {held.workflow}"
        if spec.claim == "skip":
            return completed({"skipped": True}, "skipped", why)
        return again_later(BUSY_AGAIN_S, why)

    def _inline(self, task: dict[str, Any], spec: TaskSpec, root: str) -> Outcome:
        described = job.describe(task, spec, self._place, root)
        context = context_of(described, self._place.job_folder(task), lambda line: self._log(task, line))
        return spec.function(described["inputs"], replace(context, reservation=self.reservation))

    def _kept(self, task: dict[str, Any], spec: TaskSpec, root: str) -> Outcome:
        folder, rig = self._place.job_folder(task), self._place.rig
        self.spool.place(task, folder)
        if rig:
            metrics.lease(rig, True)
        try:
            described = job.describe(task, spec, self._place, root)
            outcome = job.run_kept(task, spec, described, folder, self._server, self.worker_id, self._stop)
        finally:
            if rig:
                metrics.lease(rig, False)
        _count(spec.name, rig, outcome)
        return outcome

    # ---- server

    def _update(self, task: dict[str, Any], outcome: Outcome) -> None:
        """Hands a task back for a while. If the server does not hear it, its response timeout does the same."""
        entry = Entry(key_of(task), str(task["workflowInstanceId"]), "", (str(task["taskId"]),), "")
        try:
            self._server.update(result(entry, outcome, self.worker_id))
        except K1HilError as error:
            self._tell(f"{entry.key}: {error.message}")

    def _log(self, task: dict[str, Any], line: str) -> None:
        try:
            self._server.add_log(str(task["taskId"]), plain(line))
        except K1HilError as error:
            self._tell(f"no task log: {error.message}")

    def _alive(self, workflow_id: str) -> bool:
        """Whether a workflow goes on. One that the server does not know is over; without an answer nothing is."""
        try:
            return self._server.workflow(workflow_id, tasks=False).get("status") in ALIVE
        except BadRequest as error:
            return not error.got.startswith("404")


def _count(name: str, rig: str, outcome: Outcome) -> None:
    """What the outcome means for the metrics of builds, deploys and verdicts."""
    output, seconds = outcome.output, float(outcome.output.get("seconds") or 0.0)
    good = "success" if outcome.status == "COMPLETED" and output.get("verdict") == "pass" else "failure"
    if name == "k1_compile":
        for environment, told in dict(output.get("environments") or {}).items():
            word = {"passed": "success", "failed": "failure"}.get(told.get("status"), "unavailable")
            metrics.build(str(environment), word, float(told.get("seconds") or seconds))
    elif name == "k1_metrics":
        for environment, told in dict(output.get("environments") or {}).items():
            used = [None if told.get(k) is None else float(told[k]) / 100 for k in ("flash_percent", "ram_percent")]
            metrics.sizes(str(environment), *used)
    elif name == "k1_deploy" and output.get("outcome") not in ("pending", "superseded"):  # neither was tried
        metrics.deploy(rig, str(output.get("way") or "none"), good, seconds)
    elif name in ("k1_suite", "k1_nightly") and outcome.status == "COMPLETED":
        metrics.verdict(rig, str(output.get("verdict")))


def _words(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")[:200]
    except OSError:
        return ""
