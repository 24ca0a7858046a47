"""What is left when a keeper is killed itself (by hand, or because memory ran out): the worker is next in line.

A keeper's work dies with it, but not what the work had started in sessions of its own: a suite, PlatformIO, compilers.
While a task runs the worker inherits such orphans (Linux: as a subreaper), and ends them as the keeper would have.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from harness.conductor.keeper import become_subreaper, lease_of, make_safe, note
from harness.errors import K1HilError

PATIENCE_S = 10.0


class Orphans:
    """The children that this process got since a task began, and all below them; what it had before is not touched."""

    def __init__(self) -> None:
        self._before = set(_children())

    def end(self) -> int:
        """Ends all of them; how many there were. Those that die leave children of their own: until none is left."""
        ended: set[psutil.Process] = set()
        deadline = time.monotonic() + PATIENCE_S
        while (left := self._left()) and time.monotonic() < deadline:
            for process in left:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            ended.update(left)
            psutil.wait_procs(left, 1.0)
        return len(ended)

    def _left(self) -> list[psutil.Process]:
        found = []
        for child in _children():
            if child not in self._before:
                found.append(child)
                with contextlib.suppress(psutil.Error):
                    found += child.children(recursive=True)
        return found


@contextmanager
def inherited() -> Iterator[Orphans]:
    """Inherits what a keeper that is started inside may leave behind."""
    become_subreaper(True)
    try:
        yield Orphans()
    finally:
        become_subreaper(False)


def take_over(job: dict[str, Any], folder: Path, orphans: Orphans) -> None:
    """In place of a keeper that was killed: ends its family, makes the rig safe, and leaves a note of it."""
    count, safe = orphans.end(), None
    if job["rig"]:
        try:
            lease = lease_of(job)
            try:
                safe = make_safe(job, folder, lease.environment())
            finally:
                lease.release()
        except K1HilError as error:
            safe = str(error).replace("\n", "; ")
    note(folder, {"ended": False, "why": f"the keeper was killed; {count} processes ended", "safe": safe})


def _children() -> list[psutil.Process]:
    try:
        return list(psutil.Process().children())
    except psutil.Error:
        return []
