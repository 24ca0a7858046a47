"""The work of one task, in the process its keeper gave it."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from types import FrameType
from typing import Any

from harness.conductor.job_files import JOB, OUTCOME, PROGRESS
from harness.conductor.outcome import Outcome, of_error
from harness.conductor.tasks.spec import Context
from harness.pipeline.process import Cancelled

MAX_LINE = 300


def run_job(folder: Path) -> int:
    """Does what ``job.json`` says and leaves ``outcome.json``; 0 when it did."""
    from harness.conductor.tasks import TASKS

    signal.signal(signal.SIGTERM, _called_off)
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    progress = Progress(folder / PROGRESS)
    try:
        outcome = TASKS[job["name"]].function(job["inputs"], context_of(job, folder, progress))
    except (Cancelled, KeyboardInterrupt):
        return 1  # whoever called it off knows; the keeper makes the rig safe
    except Exception as error:
        if not hasattr(error, "exit_code"):
            import traceback

            traceback.print_exc()
        outcome = of_error(error)
    leave(folder, outcome)
    return 0


class Progress:
    """Lines for the task's log: one a line, plain ASCII, which is what the server's log can hold."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, line: str) -> None:
        """One more line."""
        with self._path.open("a", encoding="ascii") as file:
            file.write(plain(line) + "\n")
        print(line, flush=True)


def plain(text: str) -> str:
    """One line of printable ASCII."""
    line = " ".join(text.split())[:MAX_LINE]
    return "".join(c if 32 <= ord(c) < 127 else "?" for c in line)


def context_of(job: dict[str, Any], folder: Path, tell: Any) -> Context:
    """The context a job describes."""
    return Context(
        rig=job["rig"], rig_dir=Path(job["rig_dir"]), store_url=job["store"], folder=folder, workflow=job["workflow"],
        root=job["root"], key=job["key"], task_id=job["task_id"], scheduled=float(job["scheduled"]), tell=tell,
    )  # fmt: skip


def leave(folder: Path, outcome: Outcome) -> None:
    """Puts the outcome where the worker looks for it, whole or not at all."""
    work = folder / f"{OUTCOME}.new"
    work.write_text(json.dumps(outcome.to_json()), encoding="utf-8")
    work.replace(folder / OUTCOME)


def _called_off(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)  # once is enough: what is being closed must not be interrupted
    raise Cancelled("the task was called off")
