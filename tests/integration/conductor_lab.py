"""A served board, a worker for it, and small workflows with definitions of their own, on the shared server."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from test_deploy_served import ROOT, rig_files

from harness.conductor.rest import CLOSED, Conductor
from harness.pipeline.artifacts import ArtifactStore
from harness.pipeline.firmware_store import FirmwareStore
from harness.pipeline.tied import tied

__all__ = ["Lab", "lab_rig", "served_board", "task", "until"]


def until(condition: Callable[[], Any], timeout_s: float, what: str, every_s: float = 0.25) -> Any:
    """Waits for something; its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {timeout_s:g} s: {what}"
        time.sleep(every_s)
    return value


def lab_rig(folder: Path) -> None:
    """The rig's file, without the page on which the bench says that the machine was too slow for it: what is tested
    here is the worker, and no verdict is drawn from time."""
    rig_files(folder)
    path = folder / f"{folder.name}.toml"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("bench_status")))


@contextmanager
def served_board(folder: Path, firmware: Path) -> Iterator[None]:
    """The board at the addresses of that file, with a firmware in its flash."""
    command = [sys.executable, "-m", "harness.cli", "bench", "--live", "--state", str(folder / "state"),
               "--for", folder.name, "--rig-dir", str(folder), "--firmware", str(firmware)]  # fmt: skip
    with (folder / "bench.log").open("wb") as log:
        process = subprocess.Popen(tied(command), stdout=subprocess.PIPE, stderr=log, cwd=ROOT)
    try:
        assert process.stdout is not None and process.stdout.readline().startswith(b"{")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


class Lab:
    """One rig's worker as a process of its own, and what is asked of the server about its workflows."""

    def __init__(self, client: Conductor, folder: Path) -> None:
        self.client = client
        self.folder = folder
        self.rig = folder.name
        self.state = folder / "worker"
        self.store = FirmwareStore(ArtifactStore(folder / "store"))
        self.workers: list[subprocess.Popen[bytes]] = []

    # ---- workers

    def start_worker(self, *more: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "harness.cli", "worker", "--rig", self.rig, "--rig-dir", str(self.folder),
                   "--server", self.client.api_url, "--state", str(self.state), "--store", self.store.store.url,
                   *more]  # fmt: skip
        environment = {k: v for k, v in os.environ.items() if not k.startswith("CONDUCTOR_")}
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen(tied(command), cwd=ROOT, env=environment, stdout=log, stderr=log)
        self.workers.append(worker)
        return worker

    @contextmanager
    def worker(self) -> Iterator[subprocess.Popen[bytes]]:
        """A worker that is drained at the end."""
        process = self.start_worker()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(60)

    def kill_all(self) -> None:
        for worker in self.workers:
            if worker.poll() is None:
                worker.kill()
                worker.wait(10)

    def log(self) -> str:
        return (self.folder / "worker.log").read_text(errors="replace")

    def family(self, worker: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """All processes below a worker."""
        return psutil.Process(worker.pid).children(recursive=True)

    def jobs(self) -> int:
        """How many the worker has begun."""
        return len(list((self.state / "jobs").iterdir())) if (self.state / "jobs").is_dir() else 0

    def await_suite(
        self, worker: subprocess.Popen[bytes], before: int, timeout_s: float = 180.0
    ) -> list[psutil.Process]:
        """Waits until the suite of a job after the first ``before`` ones talks to the device; the worker's family."""

        def running() -> list[psutil.Process] | None:
            assert worker.poll() is None, self.log()
            jobs = sorted((self.state / "jobs").iterdir()) if (self.state / "jobs").is_dir() else []
            logs = [p for p in jobs[-1].glob("reports/*/console.log") if p.stat().st_size] if len(jobs) > before else []
            return self.family(worker) if logs else None

        return list(until(running, timeout_s, "the suite talking to the device"))

    # ---- workflows

    def define(self, *tasks: dict[str, Any], **more: Any) -> str:
        """Registers a workflow with task definitions of its own; its name."""
        name = f"lab-{secrets.token_hex(4)}"
        self.client.register_workflow({
            "name": name, "version": 1, "schemaVersion": 2, "ownerEmail": "k1hil@localhost", "tasks": list(tasks),
            "timeoutPolicy": "TIME_OUT_WF", "timeoutSeconds": 600, "inputParameters": [], **more,
        })  # fmt: skip
        return name

    def start(self, name: str) -> str:
        return self.client.start(name, {}, domain=self.rig)

    def status(self, workflow: str) -> str:
        return self.client.workflow_status(workflow)

    def finished(self, workflow: str, timeout_s: float = 120.0) -> dict[str, Any]:
        """Waits for the end of a workflow; the workflow."""
        until(lambda: self.status(workflow) in CLOSED, timeout_s, f"the end of {self.tasks(workflow)}\n{self.log()}")
        return self.client.workflow(workflow)

    def tasks(self, workflow: str) -> list[tuple[str, str, int]]:
        """Reference, status and attempt of every task, in order."""
        found = self.client.workflow(workflow)["tasks"]
        return [(t["referenceTaskName"], t["status"], int(t.get("retryCount") or 0)) for t in found]

    def task(self, workflow: str, ref: str) -> dict[str, Any]:
        """The newest attempt at a task."""
        return [t for t in self.client.workflow(workflow)["tasks"] if t["referenceTaskName"] == ref][-1]


def task(name: str, ref: str = "", *, retries: int = 2, timeout_s: int = 300, **inputs: Any) -> dict[str, Any]:
    """A task of a workflow, with a definition of its own: quick retries, few of them."""
    return {
        "name": name, "taskReferenceName": ref or name.removeprefix("k1_"), "type": "SIMPLE", "inputParameters": inputs,
        "taskDefinition": {
            "name": name, "ownerEmail": "k1hil@localhost", "retryCount": retries, "retryLogic": "FIXED",
            "retryDelaySeconds": 1, "timeoutSeconds": timeout_s, "timeoutPolicy": "RETRY",
            "responseTimeoutSeconds": min(120, timeout_s), "totalTimeoutSeconds": 0,
        },
    }  # fmt: skip
