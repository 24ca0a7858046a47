"""What a task type is, and what its function gets."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from harness.conductor.outcome import Outcome
from harness.errors import BadRequest

if TYPE_CHECKING:
    from harness.conductor.reservation import Reservation
    from harness.pipeline.firmware_store import FirmwareStore
    from harness.rig import Rig

Role = Literal["build", "rig"]
# own: only for the workflow that holds the rig. wait, skip: when nobody else does, else later, or not at all.
Claim = Literal["none", "own", "wait", "skip"]
MAX_TEXT = 4000
MAX_DOCUMENT = 1 << 18
SHA256 = re.compile(r"[0-9a-f]{64}")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]{0,199}")


@dataclass(frozen=True)
class Context:
    """What a task function works with.

    Attributes:
        rig: name of the rig; "" without one. rig_dir: folder of its file.
        store_url: of the artifact store.
        folder: of this attempt, for logs and files; removed some time later.
        workflow, root: the workflow and the one at the top of its chain.
        key: same over all attempts, unlike ``task_id``.
        scheduled: Unix time at which the server made the task.
        tell: a line into the task's log.
        reservation: of the rig, for tasks that run inside the worker.
    """

    rig: str
    rig_dir: Path
    store_url: str
    folder: Path
    workflow: str
    root: str
    key: str
    task_id: str
    scheduled: float
    tell: Callable[[str], None]
    reservation: Reservation | None = None

    @property
    def firmware(self) -> FirmwareStore:
        """Firmware in the artifact store."""
        from harness.pipeline.artifacts import ArtifactStore
        from harness.pipeline.firmware_store import FirmwareStore

        return FirmwareStore(ArtifactStore(self.store_url))

    @property
    def build_folder(self) -> Path:
        """What the build steps of this workflow share on this worker."""
        digest = hashlib.sha256(self.workflow.encode()).hexdigest()[:16]
        return self.folder.parents[1] / "builds" / digest

    @property
    def short_key(self) -> str:
        """Digits for names in the store: the same over all attempts at this task."""
        return hashlib.sha256(self.key.encode()).hexdigest()[:12]

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder that is gone afterwards."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="work-", dir=self.folder) as work:
            yield Path(work)

    @contextmanager
    def open_rig(self) -> Iterator[Rig]:
        """The worker's rig, on the lease its keeper holds; what is learnt of its board stays known."""
        from harness.pipeline.pending import PendingUpdates
        from harness.rig import open_rig

        with open_rig(self.rig, self.rig_dir, folder=self.folder / "rig", owner=f"workflow {self.workflow}") as rig:
            yield rig
            if rig.mac:
                PendingUpdates(self.firmware).note_rig(self.rig, rig.mac)


Function = Callable[[Mapping[str, Any], Context], Outcome]


@dataclass(frozen=True)
class TaskSpec:
    """One task type.

    Attributes:
        name: as the server knows it.
        role: which workers take it.
        function: does it.
        limit_s: the worker ends it after that time, whatever the server's definition says.
        claim: how it stands to the rig's reservation.
        inline: runs inside the worker: it is short and touches no device.
        needs: inputs without which it is refused.
    """

    name: str
    role: Role
    function: Function
    limit_s: float
    claim: Claim = "none"
    inline: bool = False
    needs: tuple[str, ...] = ()


# ---- inputs: they come from whoever may start a workflow, and are bounded before anything is done with them


def text(inputs: Mapping[str, Any], key: str, default: str | None = None, limit: int = MAX_TEXT) -> str:
    """A text.

    Raises:
        BadRequest: absent without default, no text, or too long.
    """
    value = inputs.get(key)
    if value in (None, ""):
        if default is None:
            raise BadRequest(f"the input '{key}' is missing")
        return default
    if not isinstance(value, str) or len(value) > limit or "\0" in value:
        raise BadRequest(f"the input '{key}' is unusable", expected=f"a text of at most {limit} characters",
                         got=repr(value)[:80])  # fmt: skip
    return value


def name(inputs: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A name of something in the store, or of an environment: no path, no option."""
    value = text(inputs, key, default, 200)
    if value and (not NAME.fullmatch(value) or ".." in value):
        raise BadRequest(f"the input '{key}' is no name", expected=NAME.pattern, got=repr(value[:80]))
    return value


def either(inputs: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    """The inputs with the first of several keys that has a value under the first of them."""
    found = [inputs[k] for k in keys if inputs.get(k) not in (None, "")]
    return {**inputs, keys[0]: found[0]} if found else dict(inputs)


def number(inputs: Mapping[str, Any], key: str, default: float, low: float, high: float) -> float:
    """A number between two bounds.

    Raises:
        BadRequest: it is none, or outside.
    """
    value = inputs.get(key)
    value = default if value in (None, "") else value
    try:
        got = float(value)
    except (TypeError, ValueError):
        got = float("nan")
    if isinstance(value, bool) or not low <= got <= high:
        raise BadRequest(f"the input '{key}' is unusable", expected=f"{low:g} to {high:g}", got=repr(value)[:80])
    return got


def flag(inputs: Mapping[str, Any], key: str, default: bool) -> bool:
    """Yes or no; JSON's own, or as the words the server makes of them.

    Raises:
        BadRequest: something else.
    """
    value = inputs.get(key)
    if value in (None, ""):
        return default
    known = {"true": True, "false": False}
    if isinstance(value, str):
        value = known.get(value.lower(), value)
    if not isinstance(value, bool):
        raise BadRequest(f"the input '{key}' is unusable", expected="true or false", got=repr(value)[:80])
    return value


def names(inputs: Mapping[str, Any], key: str, most: int = 20) -> list[str]:
    """A list of names, or one text of them parted by commas."""
    value = inputs.get(key) or []
    parts = [p.strip() for p in value.split(",") if p.strip()] if isinstance(value, str) else value
    if not isinstance(parts, list) or len(parts) > most:
        raise BadRequest(f"the input '{key}' is unusable", expected=f"at most {most} names", got=repr(value)[:80])
    return [name({key: p}, key) for p in parts]


def sha256(inputs: Mapping[str, Any], key: str, default: str | None = None) -> str:
    """A SHA-256 in lower-case hex.

    Raises:
        BadRequest: it is none.
    """
    value = text(inputs, key, default, 64)
    if value and not SHA256.fullmatch(value):
        raise BadRequest(f"the input '{key}' is no SHA-256", expected="64 hex digits", got=repr(value[:80]))
    return value
