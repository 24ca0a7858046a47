"""A rig belongs to one workflow from its first to its last rig task, so that none judges another's firmware.

The holder is the *root* workflow: sub-workflows share what their parent reserved. A reservation has an expiry, which
every rig task of the holder moves on, and it ends when the server says that its holder is over: a failed or terminated
workflow blocks nobody. What the device really runs is proven in every task besides (``expected_sha256``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.errors import BadRequest, RigFault

MOST_PARENTS = 20
ALIVE = frozenset({"RUNNING", "PAUSED"})
MAX_BYTES = 4096


class Workflows(Protocol):
    """What is asked of the server."""

    def workflow(self, workflow_id: str, *, tasks: bool = True) -> dict[str, Any]:
        """A workflow with ``status`` and ``parentWorkflowId``."""


@dataclass(frozen=True)
class Held:
    """Who holds a rig: ``workflow`` (root), ``since`` and ``expires`` (Unix time), ``lasts_s``."""

    workflow: str
    since: float
    expires: float
    lasts_s: float


def root_of(workflows: Workflows, workflow_id: str) -> str:
    """The workflow at the top of a chain of sub-workflows.

    Raises:
        RigFault: the server does not answer. BadRequest: a chain without end.
    """
    for _ in range(MOST_PARENTS):
        parent = str(workflows.workflow(workflow_id, tasks=False).get("parentWorkflowId") or "")
        if not parent:
            return workflow_id
        workflow_id = parent
    raise BadRequest("sub-workflows without end", got=f"{MOST_PARENTS} levels", evidence=workflow_id)


class Reservation:
    """The reservation of one rig, in a file of its worker.

    Args:
        path: of the file.
        alive: whether a workflow still runs; asked before another gets the rig.
        now: Unix time.
    """

    def __init__(self, path: Path, alive: Callable[[str], bool], now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._alive = alive
        self._now = now

    def holder(self) -> Held | None:
        """Who holds the rig now; None when nobody does."""
        held = self._read()
        if held is None or held.expires < self._now() or not self._alive(held.workflow):
            return None
        return held

    def take(self, workflow: str, lasts_s: float) -> Held | None:
        """Gives the rig to a workflow, or renews what it has; None while another has it."""
        held = self.holder()
        if held is not None and held.workflow != workflow:
            return None
        now = self._now()
        taken = Held(workflow, held.since if held else now, now + lasts_s, lasts_s)
        self._write(taken)
        return taken

    def check(self, workflow: str) -> Held:
        """A rig task of a workflow begins: it must hold the rig, and holds it for longer now.

        Raises:
            BadRequest: it never had it, or another got it after its time was over.
        """
        held = self._read()
        if held is None or held.workflow != workflow:
            got = f"held by workflow {held.workflow}" if held else "not reserved"
            raise BadRequest(
                "this workflow does not hold the rig", expected=f"reserved by {workflow}", got=got,
                remedy="begin with k1_reserve; a longer time: expires_s",
            )  # fmt: skip
        # Its time may be over, but nobody else wanted the rig meanwhile.
        renewed = Held(workflow, held.since, self._now() + held.lasts_s, held.lasts_s)
        self._write(renewed)
        return renewed

    def release(self, workflow: str) -> bool:
        """Gives the rig back; False when the workflow does not hold it."""
        held = self._read()
        if held is None or held.workflow != workflow:
            return False
        self._path.unlink(missing_ok=True)
        return True

    def _read(self) -> Held | None:
        try:
            if self._path.stat().st_size > MAX_BYTES:
                return None
            value = json.loads(self._path.read_text(encoding="utf-8"))
            return Held(str(value["workflow"]), *(float(value[k]) for k in ("since", "expires", "lasts_s")))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write(self, held: Held) -> None:
        work = self._path.with_suffix(".new")
        try:
            work.write_text(json.dumps(asdict(held)), encoding="utf-8")
            work.replace(self._path)
        except OSError as error:
            raise RigFault("the reservation cannot be written", got=str(error), evidence=str(self._path)) from error
