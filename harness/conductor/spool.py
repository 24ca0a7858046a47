"""Results on disk before they are told, until the server has provably taken them.

One file per task of a workflow: ``workflow / reference name / iteration`` stays the same over all attempts, while the
task id changes with each. So an attempt that the server gave up too early (it was restarted, the network was away) is
recognised when it comes again, and its finished result is told once more instead of flashing a device twice. A file
that says ``running`` at the start of a worker belongs to one that died.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from harness.conductor.outcome import Outcome

State = Literal["running", "finished", "closed"]
KEEP_CLOSED = 500
MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One task and what is known of it.

    Attributes:
        key: ``workflow/reference/iteration``.
        workflow_id, task_type: whose and what.
        task_ids: of all attempts seen here, the newest last.
        inputs_sha256: of the input, so that a result is never told for another request.
        state: ``running``, ``finished`` (to be told) or ``closed`` (told, or nobody wants it any more).
        outcome: None while running.
        note: how it was closed.
        folder: of the work, once it has one.
        changed: Unix time.
    """

    key: str
    workflow_id: str
    task_type: str
    task_ids: tuple[str, ...]
    inputs_sha256: str
    state: State = "running"
    outcome: Outcome | None = None
    note: str = ""
    folder: str = ""
    changed: float = field(default_factory=time.time)

    @property
    def task_id(self) -> str:
        """Of the newest attempt."""
        return self.task_ids[-1]


def key_of(task: Mapping[str, Any]) -> str:
    """What stays the same over all attempts at a task."""
    return f"{task['workflowInstanceId']}/{task['referenceTaskName']}/{int(task.get('iteration') or 0)}"


class Spool:
    """The spool of one worker.

    Args:
        folder: made when absent; the worker's own.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def begin(self, task: Mapping[str, Any]) -> Outcome | None:
        """Notes that an attempt begins; the outcome to tell instead when an earlier attempt has finished the work.

        A failed attempt is not told again for a later one: the server asks again because it failed. A workflow that a
        person restarted has the same key, but its task is no retry of the one known here: it is done anew.
        """
        task_id = str(task["taskId"])
        entry = self.find(key_of(task))
        digest = _digest(task.get("inputData"))
        known = entry is not None and entry.inputs_sha256 == digest and {task_id, task.get("retriedTaskId")} & set(
            entry.task_ids
        )
        if entry is not None and known:
            ids = entry.task_ids if task_id in entry.task_ids else (*entry.task_ids, task_id)
            outcome = entry.outcome
            if outcome is not None and (outcome.status == "COMPLETED" or task_id in entry.task_ids) and outcome.final:
                self._write(replace(entry, task_ids=ids, state="finished", note=""))
                return outcome
            self._write(replace(entry, task_ids=ids, state="running", outcome=None, note=""))
            return None
        workflow, kind = str(task["workflowInstanceId"]), str(task.get("taskDefName") or task.get("taskType"))
        self._write(Entry(key_of(task), workflow, kind, (task_id,), digest))
        return None

    def finish(self, task: Mapping[str, Any], outcome: Outcome) -> None:
        """Puts a result on disk; it is told from there."""
        entry = self.find(key_of(task))
        if entry is None:
            self.begin(task)
            entry = self.find(key_of(task))
            assert entry is not None
        self.settle(entry, outcome)

    def place(self, task: Mapping[str, Any], folder: Path) -> None:
        """Notes where the work of an attempt leaves its result."""
        entry = self.find(key_of(task))
        if entry is not None:
            self._write(replace(entry, folder=str(folder)))

    def settle(self, entry: Entry, outcome: Outcome) -> None:
        """A result for a task that was begun; it is told next."""
        self._write(replace(entry, state="finished", outcome=outcome))

    def close(self, entry: Entry, note: str) -> None:
        """Nothing is left to tell."""
        self._write(replace(entry, state="closed", note=note[:300]))
        self._prune()

    def find(self, key: str) -> Entry | None:
        """What is known of a task; None when nothing is."""
        return self._read(self._path(key))

    def waiting(self) -> list[Entry]:
        """Results to be told, the oldest first."""
        return self._all("finished")

    def interrupted(self) -> list[Entry]:
        """Tasks that a worker before this one had begun when it died."""
        return self._all("running")

    def _all(self, state: State) -> list[Entry]:
        entries = (self._read(path) for path in self.folder.glob("*.json"))
        return sorted((e for e in entries if e is not None and e.state == state), key=lambda e: e.changed)

    def _path(self, key: str) -> Path:
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"

    def _read(self, path: Path) -> Entry | None:
        """A file; None when there is none, or it makes no sense: then the work is simply done again."""
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                return None
            value = json.loads(path.read_text(encoding="utf-8"))
            told = value.pop("outcome")
            ids = tuple(str(i) for i in value.pop("task_ids"))
            return Entry(**value, task_ids=ids, outcome=None if told is None else Outcome.from_json(told))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _write(self, entry: Entry) -> None:
        entry = replace(entry, changed=time.time())
        outcome = entry.outcome.to_json() if entry.outcome is not None else None
        path = self._path(entry.key)
        work = path.with_suffix(".new")
        work.write_text(json.dumps({**asdict(entry), "outcome": outcome}), encoding="utf-8")
        work.replace(path)

    def _prune(self) -> None:
        closed = self._all("closed")
        for entry in closed[:-KEEP_CLOSED]:
            self._path(entry.key).unlink(missing_ok=True)


def _digest(inputs: Any) -> str:
    return hashlib.sha256(json.dumps(inputs or {}, sort_keys=True, default=str).encode()).hexdigest()
