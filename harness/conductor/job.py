"""One task from the poll to its outcome: a keeper process with the work in it, watched until it ends."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

from harness.conductor.guard import Guard, Server, seconds_left
from harness.conductor.job_files import JOB, NOTE, OUTCOME, OUTPUT, PROGRESS
from harness.conductor.keeper import RIG_FAULT, SAFE_TIMEOUT_S
from harness.conductor.orphans import inherited, take_over
from harness.conductor.outcome import Outcome, failed, refused
from harness.conductor.rest import KEY_ENV, SECRET_ENV
from harness.conductor.spool import key_of
from harness.conductor.tasks.spec import TaskSpec

LOOK_EVERY_S = 0.2
GRACE_S = 20.0
LEASE_WAIT_S = 60.0
KEEP_JOBS = 30
MAX_OUTCOME_BYTES = 1 << 20
_TAIL = 600


@dataclass(frozen=True)
class Place:
    """Where a worker works: its rig ("" for the build role), the folder of rig files, store and its own folder."""

    rig: str
    rig_dir: Path
    store: str
    folder: Path

    def job_folder(self, task: Mapping[str, Any]) -> Path:
        """Of one attempt."""
        digest = hashlib.sha256(f"{key_of(task)} {task['taskId']}".encode()).hexdigest()[:12]
        return self.folder / "jobs" / f"{time.strftime('%Y%m%d-%H%M%S')}-{digest}"


def describe(task: Mapping[str, Any], spec: TaskSpec, place: Place, root: str) -> dict[str, Any]:
    """The job as its processes get it."""
    return {
        "name": spec.name, "inputs": dict(task.get("inputData") or {}), "rig": place.rig,
        "rig_dir": str(place.rig_dir), "store": place.store, "workflow": str(task["workflowInstanceId"]),
        "root": root, "key": key_of(task), "task_id": str(task["taskId"]), "grace_s": GRACE_S,
        "lease_wait_s": LEASE_WAIT_S, "scheduled": float(task.get("scheduledTime") or 0.0) / 1000.0 or time.time(),
    }  # fmt: skip


def run_kept(
    task: Mapping[str, Any], spec: TaskSpec, described: Mapping[str, Any], folder: Path, server: Server,
    worker_id: str, stop: Event,
) -> Outcome:  # fmt: skip
    """Runs a task to its end, or ends it: when the server does not want it any more, at its time limit, or when
    ``stop`` is set. The rig is safe and nothing runs any more when this returns."""
    folder.mkdir(parents=True)
    (folder / JOB).write_text(json.dumps(dict(described)), encoding="utf-8")
    limit_s = seconds_left(task, spec.limit_s)
    with inherited() as orphans, Guard(server, task, worker_id, folder / PROGRESS) as guard:
        keeper = _start(folder)
        why = _await(keeper, guard.lost, stop, limit_s)
        if why:
            _end(keeper)
        if keeper.returncode is None or keeper.returncode < 0:
            take_over(dict(described), folder, orphans)
        outcome = _read(folder, keeper.returncode, why)
    _prune(folder.parent)
    if why == "lost":
        return Outcome("FAILED", {}, guard.why, lost=True)
    if why == "time":
        return failed(f"not done within {limit_s:.0f} s; ended, {_safe(folder)}")
    if why == "stop":
        return failed(f"the worker was stopped; {_safe(folder)}")
    return outcome


def left_behind(folder: Path) -> Outcome | None:
    """The result of work that came to its end although its worker had died; None when it did not."""
    if not _note(folder).get("ended"):
        return None
    outcome = _read(folder, 0, "")
    return outcome if outcome.final else None


def _start(folder: Path) -> subprocess.Popen[bytes]:
    environment = {k: v for k, v in os.environ.items() if k not in (KEY_ENV, SECRET_ENV)}
    with (folder / OUTPUT).open("ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "harness.conductor.keeper", str(folder)], stdin=subprocess.PIPE, stdout=output,
            stderr=output, env=environment, start_new_session=True,
        )  # fmt: skip


def _await(keeper: subprocess.Popen[bytes], lost: Event, stop: Event, limit_s: float) -> str:
    """Until the keeper ends: "", or why it has to be ended: lost, time or stop."""
    deadline = time.monotonic() + limit_s
    while keeper.poll() is None:
        if lost.is_set():
            return "lost"
        if stop.is_set():
            return "stop"
        if time.monotonic() > deadline:
            return "time"
        lost.wait(LOOK_EVERY_S)
    return ""


def _end(keeper: subprocess.Popen[bytes]) -> None:
    """Closes the pipe, which calls the work off, and waits until the rig is safe."""
    assert keeper.stdin is not None
    keeper.stdin.close()
    try:
        keeper.wait(GRACE_S + SAFE_TIMEOUT_S + 30.0)
    except subprocess.TimeoutExpired:
        keeper.kill()  # its work dies with it
        keeper.wait()


def _read(folder: Path, code: int | None, why: str) -> Outcome:
    """The outcome the work left; else what its absence means."""
    path = folder / OUTCOME
    try:
        if not why and path.stat().st_size <= MAX_OUTCOME_BYTES:
            return Outcome.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        pass
    except (OSError, ValueError) as error:
        return refused(f"the work left no sound outcome: {error}")
    if code == RIG_FAULT:
        return failed(str(_note(folder).get("why", "")))
    return failed(f"the work ended without a result ({_safe(folder)}): {_tail(folder / OUTPUT)}")


def _note(folder: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((folder / NOTE).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _safe(folder: Path) -> str:
    safe = _note(folder).get("safe")
    return {"": "the rig is safe", None: "no rig was touched"}.get(safe, f"THE RIG IS NOT SAFE: {safe}")


def _tail(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")[-_TAIL:].strip()
    except OSError:
        return ""


def _prune(jobs: Path) -> None:
    """Keeps the newest jobs to look into; their names sort by time."""
    for old in sorted(jobs.iterdir())[:-KEEP_JOBS]:
        shutil.rmtree(old, ignore_errors=True)
