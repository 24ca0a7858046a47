"""A static site on disk that changes from one release to another in one step, and back.

    SITE/releases/NAME/…    every release kept, complete or not there
    SITE/current            symbolic link to one of them: what the web server serves
    SITE/site.json          the order in which releases came; the link alone says which one is live

A release is written beside the others and renamed; then the link is replaced by a rename, which readers see as
before or after, never between.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.errors import BadRequest, HarnessFault, RigFault
from harness.pipeline.artifacts import ArtifactStore, check_name, now
from harness.pipeline.webapp import INDEX, site_files

KEEP = 5
LOCK_TIMEOUT_S = 60.0
MAX_LOG = 200
CURRENT, RELEASES, STATE = "current", "releases", "site.json"
_SCHEMA = 1


@dataclass(frozen=True)
class Switch:
    """What a deploy or a rollback did.

    Attributes:
        live: release that is served now; previous: before, "" when none was.
        changed: False when it was live already.
        removed: releases that were too old to keep.
    """

    site: Path
    live: str
    previous: str
    changed: bool
    removed: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"site": str(self.site), "live": self.live, "previous": self.previous, "changed": self.changed,
                "removed": list(self.removed)}  # fmt: skip


def deploy(store: ArtifactStore, name: str, site: Path, keep: int = KEEP) -> Switch:
    """Makes a stored build the live release of a site.

    Args:
        name: or tag of the build in the store.
        site: folder; made when it is not there.
        keep: releases kept to return to, the live one among them, at least 2.

    Raises:
        BadRequest: no such build, or a folder that holds something else.
        HarnessFault: the stored build is damaged, or what is on disk differs from it.
        RigFault: the site is being changed by somebody else, or cannot be written.
    """
    if not 2 <= keep <= 1000:
        raise BadRequest("unusable number of releases to keep", expected="2 to 1000", got=str(keep))
    artifact, files = site_files(store, name)
    with _changing(site) as state:
        before = live(site)
        _write_release(site, artifact.name, files)
        if before != artifact.name:
            order = [*(n for n in state["order"] if n != artifact.name), artifact.name]
            _switch(site, state, "deploy", artifact.name, order)
        removed = _prune(site, state, keep)
        _save(site, state)
    return Switch(site, artifact.name, before, before != artifact.name, removed)


def rollback(site: Path) -> Switch:
    """Returns to the release before the live one. The one that is left is not returned to by a second rollback.

    Raises:
        BadRequest: not a site, or nothing to return to.
        RigFault: as of :func:`deploy`.
    """
    if not (site / STATE).is_file():
        raise BadRequest(f"{site} is no site", expected=f"{STATE} in it", remedy="k1hil webapp deploy NAME --site …")
    with _changing(site) as state:
        before = live(site)
        earlier = [n for n in state["order"] if n != before and (site / RELEASES / n / INDEX).is_file()]
        if not before or not earlier:
            raise BadRequest(f"{site} has no earlier release to return to", got=f"live: {before or 'nothing'}")
        target = earlier[-1]
        _switch(site, state, "rollback", target, [n for n in state["order"] if n != before])
    return Switch(site, target, before, True)


def live(site: Path) -> str:
    """The release that is served now; "" when none is.

    Raises:
        HarnessFault: the link leads elsewhere.
    """
    link = site / CURRENT
    if not link.is_symlink():
        return ""
    target = Path(os.readlink(link))
    if target.parts[:-1] != (RELEASES,):
        raise HarnessFault(f"{link} was changed by somebody else", expected=f"{RELEASES}/NAME", got=str(target))
    return target.name


@contextmanager
def _changing(site: Path) -> Iterator[dict[str, Any]]:
    """The state of a site, for one who changes it alone. What a crash left between link and state is mended first."""
    others = [p.name for p in site.iterdir() if not p.name.startswith(".")] if site.is_dir() else []
    if STATE not in others and set(others) - {RELEASES, CURRENT}:
        raise BadRequest(
            f"{site} holds something else", expected="an empty folder or a site", got=", ".join(sorted(others)[:5]),
            remedy="name a folder of its own; the web server's root is its 'current'",
        )  # fmt: skip
    try:
        (site / RELEASES).mkdir(parents=True, exist_ok=True)
        with FileLock(site / ".lock", timeout=LOCK_TIMEOUT_S):
            state = _load(site)
            intended = state.pop("intended", None)
            if intended and intended["to"] == live(site):
                state["order"] = intended["order"]
            if live(site) and live(site) not in state["order"]:
                state["order"].append(live(site))
            yield state
    except Timeout as error:
        raise RigFault(f"{site} is being changed by somebody else", evidence=str(site / ".lock")) from error
    except OSError as error:
        raise RigFault(f"{site} cannot be written", got=str(error)) from error


def _write_release(site: Path, name: str, files: dict[str, bytes]) -> None:
    """The release's folder, complete. One that is there and differs was tampered with and is replaced, unless live."""
    target = site / RELEASES / name
    if target.is_dir():
        if _holds(target, files):
            return
        if live(site) == name:
            raise HarnessFault(
                f"the live release '{name}' differs from what was deployed", evidence=str(target),
                remedy="roll back, and deploy it again",
            )  # fmt: skip
        shutil.rmtree(target)
    aside = site / RELEASES / f".{secrets.token_hex(8)}"
    try:
        for path, content in files.items():
            file = aside / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
        if not _holds(aside, files):
            raise HarnessFault("a release on disk differs from the stored build", evidence=str(aside))
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _point(site: Path, name: str) -> None:
    """Replaces the link in one step."""
    aside = site / f".{secrets.token_hex(8)}"
    os.symlink(f"{RELEASES}/{name}", aside, target_is_directory=True)
    try:
        os.replace(aside, site / CURRENT)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    folder = os.open(site, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _holds(folder: Path, files: dict[str, bytes]) -> bool:
    there = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if not p.is_dir()}
    return set(there) == set(files) and all(
        p.is_file() and not p.is_symlink() and _digest(p.read_bytes()) == _digest(files[name])
        for name, p in there.items()
    )


def _prune(site: Path, state: dict[str, Any], keep: int) -> tuple[str, ...]:
    kept = set(state["order"][-keep:])
    state["order"] = state["order"][-keep:]
    removed = []
    for folder in sorted((site / RELEASES).iterdir()):
        # Hidden ones were left by a writer that died: there is one writer, and this is it.
        if folder.name not in kept:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder.name)
    return tuple(n for n in removed if not n.startswith("."))


def _switch(site: Path, state: dict[str, Any], what: str, name: str, order: list[str]) -> None:
    """Makes a release live. What is intended is noted first: the link then tells after a crash whether it was done."""
    entry = {"what": what, "release": name, "before": live(site), "at": now()}
    _save(site, state | {"intended": {"to": name, "order": order}})
    _point(site, name)
    state["order"], state["log"] = order, [*state["log"], entry][-MAX_LOG:]
    _save(site, state)


def _load(site: Path) -> dict[str, Any]:
    path = site / STATE
    if not path.is_file():
        return {"schema": _SCHEMA, "order": [], "log": []}
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
        state: dict[str, Any] = {"schema": _SCHEMA, "order": list(told["order"]), "log": list(told["log"])}
        if (intended := told.get("intended")) is not None:
            state["intended"] = {"to": intended["to"], "order": list(intended["order"])}
        for name in (*state["order"], *state.get("intended", {}).get("order", [])):
            check_name(name)
    except (OSError, ValueError, KeyError, TypeError, BadRequest) as error:
        raise HarnessFault(
            f"{path} makes no sense", got=str(error)[:200], remedy="remove it; the live release stays"
        ) from error
    return state


def _save(site: Path, state: dict[str, Any]) -> None:
    aside = site / f".{STATE}.new"
    aside.write_text(json.dumps(state, indent=1), encoding="utf-8")
    os.replace(aside, site / STATE)


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
