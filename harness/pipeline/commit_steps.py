"""A commit on its way to the store, in steps that share a folder: checked, checked out afresh, compiled, measured,
stored.

``k1hil validate`` holds a working copy against all gates at once; here each step stands alone and leaves for the next
one what it needs: ``tree/`` is the commit, ``build/ENV/`` what was built of it, ``compile.json`` what the build said.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness.errors import BadRequest, HarnessFault
from harness.pipeline.artifacts import Artifact
from harness.pipeline.checkout import check_out, checked_out, drop_checkout, drop_folder, on_branch
from harness.pipeline.firmware_store import FirmwareStore
from harness.pipeline.validate import Gate, Limits, build_gates, environments_of, style_gates
from harness.rig import FirmwareBundle

Tell = Callable[[str], None]
RECORD = "compile.json"
STALE_S = 7 * 86400.0
# Nothing that a compiler or PlatformIO makes belongs into a commit: it would be taken for a fresh build.
PRODUCTS = re.compile(r"(^|/)(\.pio/|__pycache__/)|\.(o|a|elf|pyc)$|(^|/)firmware\.bin$")
# While compiling every gate but the build itself only notes its number; the step after it judges.
_NOTED = Limits(flash_percent=1e9, ram_percent=1e9, warnings=1 << 30, clean_tree=False)
JUDGED = ("warnings", "flash", "ram", "identity")


def validate_commit(repo: str, commit: str, branch: str = "", project: str = "firmware") -> list[Gate]:
    """Is it a commit of an allow-listed repository and of the branch it is said to be on, tidy, and a project?

    Raises:
        BadRequest: unknown repository or commit. RigFault: git does not do it.
    """
    gates = []
    if branch:
        there = on_branch(repo, commit, branch)
        gates.append(Gate("branch", "passed" if there else "failed", f"on {branch}", "yes" if there else "no"))
    with checked_out(repo, commit) as tree:
        folder = _project(tree, project)
        if not (folder / "platformio.ini").is_file():
            return [*gates, Gate("project", "failed", "platformio.ini", f"none in {project}")]
        return [*gates, Gate("project", "passed", "platformio.ini", project), *style_gates(folder)]


def clean(repo: str, commit: str, work: Path, project: str = "firmware") -> list[Gate]:
    """An empty work folder with the commit in it; nothing built is among its files.

    Raises:
        BadRequest: unknown repository or commit.
        RigFault: git cannot check it out here (no space, no right to write).
    """
    sweep(work.parent)
    drop_checkout(repo, work)
    try:
        work.mkdir(parents=True)
    except OSError as error:
        return [Gate("folder", "failed", "a fresh folder", str(error))]
    tree = check_out(repo, commit, work / "tree")
    files = (p.relative_to(tree).as_posix() for p in _project(tree, project).rglob("*") if not p.is_dir())
    products = sorted(f for f in files if PRODUCTS.search(f))
    got = f"{len(products)}; the first: {products[0]}" if products else "none"
    return [Gate("products", "failed" if products else "passed", "no build products in the commit", got)]


def compile_commit(
    work: Path, environments: Sequence[str], project: str = "firmware", *, jobs: int = 2, tell: Tell | None = None,
    cancel: threading.Event | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Builds what :func:`clean` left, afresh; the record for the next steps.

    Args:
        work: folder. project: in the commit.
        environments: to build; empty: all of the project. One whose platform is absent here is ``unavailable``.
        jobs: compiler processes. tell, cancel: get each line; ends the build.

    Returns:
        ``environments``: by name ``status`` (passed, failed, unavailable), ``why``, ``sha256``, ``version``,
        ``commit``, ``warnings``, ``gates``; and ``seconds``.

    Raises:
        BadRequest: no such work folder, project or environment. Cancelled: ``cancel`` was set.
    """
    folder = _project(_tree(work), project)
    if not (folder / "platformio.ini").is_file():
        raise BadRequest("no PlatformIO project", evidence=str(folder))
    shutil.rmtree(work / "build", ignore_errors=True)
    record: dict[str, Any] = {"environments": {}}
    began = time.monotonic()
    for env in environments or environments_of(folder):
        since = time.monotonic()
        found = build_gates(folder, [env], work / "build", _NOTED, jobs=jobs, tell=tell, cancel=cancel)
        by_name = {g.name: g for g in found.gates}
        build, warned = by_name["build"], by_name.get("warnings")
        record["environments"][env] = {
            "status": build.status, "why": "" if build.status == "passed" else build.got,
            "seconds": round(time.monotonic() - since, 1), "warnings": int(warned.value or 0) if warned else None,
            **found.builds.get(env, {}), "gates": [asdict(g) for g in found.gates if g.name in JUDGED],
        }  # fmt: skip
    record["seconds"] = round(time.monotonic() - began, 1)
    write_record(work, record)
    return record


def judge(work: Path, environment: str, limits: Limits | None = None) -> list[Gate]:
    """Holds the numbers of a build against limits.

    Raises:
        BadRequest: it was not built.
    """
    limits = limits or Limits()
    most = {"warnings": float(limits.warnings), "flash": limits.flash_percent, "ram": limits.ram_percent}
    gates = []
    for told in _built(work, environment)["gates"]:
        gate = Gate(**told)
        if gate.name in most and gate.value is not None:
            limit = most[gate.name]
            well = gate.value <= limit if gate.name == "warnings" else gate.value < limit
            words = f"at most {limit:g}" if gate.name == "warnings" else f"less than {limit:g} %"
            gate = Gate(gate.name, "passed" if well else "failed", words, gate.got, environment, gate.value)
        gates.append(gate)
    return gates


def built_environments(work: Path) -> list[str]:
    """The environments that were built."""
    return [env for env, told in record_of(work)["environments"].items() if told["status"] == "passed"]


def store_build(work: Path, environment: str, store: FirmwareStore, sha256: str = "", tag: str = "") -> Artifact:
    """Puts a build into the store.

    Args:
        sha256: image it must be, "" for any. tag: a further name for it.

    Raises:
        BadRequest: it was not built, is another image, or the tag means another one.
    """
    _built(work, environment)
    bundle = FirmwareBundle.load(work / "build" / environment)
    if sha256 and bundle.sha256 != sha256:
        raise BadRequest("the build is another image than was compiled", expected=sha256, got=bundle.sha256)
    artifact = store.put(bundle)
    if tag:
        store.store.tag("firmware", artifact.name, tag)
    return artifact


def write_record(work: Path, record: dict[str, Any]) -> None:
    """``compile.json``, whole or not at all."""
    aside = work / f"{RECORD}.new"
    aside.write_text(json.dumps(record), encoding="utf-8")
    aside.replace(work / RECORD)


def sweep(folder: Path, older_s: float = STALE_S) -> None:
    """Removes work folders that nobody came back for."""
    for old in folder.iterdir() if folder.is_dir() else ():
        if old.is_dir() and time.time() - old.stat().st_mtime > older_s:
            drop_folder(old)


def tree_of(work: Path) -> Path:
    """The checked-out commit of a work folder."""
    return _tree(work)


def _tree(work: Path) -> Path:
    tree = work / "tree"
    if not tree.is_dir():
        raise BadRequest("there is no checked-out commit", expected="the clean step before this", evidence=str(work))
    return tree


def _project(tree: Path, project: str) -> Path:
    folder = (tree / project).resolve()
    if not folder.is_relative_to(tree.resolve()) or not folder.is_dir():
        raise BadRequest("no such project in the commit", got=repr(project[:80]))
    return folder


def record_of(work: Path) -> dict[str, Any]:
    """What the compile step wrote down; without one no environments.

    Raises:
        HarnessFault: it is damaged.
    """
    try:
        return dict(json.loads((work / RECORD).read_text(encoding="utf-8")))
    except FileNotFoundError:
        return {"environments": {}}
    except (ValueError, TypeError) as error:
        raise HarnessFault("the record of a build is damaged", evidence=str(work / RECORD)) from error


def _built(work: Path, environment: str) -> dict[str, Any]:
    found = record_of(work)["environments"].get(environment)
    if found is None or found["status"] != "passed":
        raise BadRequest(f"'{environment}' was not built", expected="the compile step before this one")
    return dict(found)
