"""One rig, one user at a time, across processes.

A lease is a record in a per-user folder: owner, process, expiry and a counter that grows with every new holder
(fencing). The record changes only under a file lock held for an instant, so a crash leaves a record, never a lock; a
record whose process is gone, or that nobody renewed, is free. Its heartbeat has its own thread, so a debugger at a
prompt keeps the rig. Children get the lease through ``K1HIL_LEASE``: they check it, and never take, renew or release
it.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
from filelock import FileLock, Timeout

from harness.errors import RigFault

ENV = "K1HIL_LEASE"
EXPIRY_S = 30.0
HEARTBEAT_S = 5.0
LOCK_TIMEOUT_S = 10.0
MAX_RECORD_BYTES = 16 << 10


def lease_dir() -> Path:
    """The folder of leases: private to this user, the same for all of their processes on this machine.

    Raises:
        RigFault: somebody else owns it.
    """
    base = os.environ.get("XDG_RUNTIME_DIR")
    user = str(os.getuid()) if hasattr(os, "getuid") else getpass.getuser()
    usable = base and Path(base).is_dir() and os.access(base, os.W_OK)
    folder = Path(str(base)) / "k1hil" if usable else Path(tempfile.gettempdir()) / f"k1hil-{user}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if hasattr(os, "getuid") and (folder.is_symlink() or folder.stat().st_uid != os.getuid()):
        raise RigFault(f"lease folder {folder} belongs to another user", remedy="remove it, or set XDG_RUNTIME_DIR")
    return folder


class Lease:
    """A held lease. Make one with :func:`take` or :func:`inherit`; use it as a context manager or call
    :meth:`release`.

    Attributes:
        rig: what is leased.
        fencing: grows by one with each holder: the younger holder has the larger number.
        inherited: held by the parent process; this one only checks it.
    """

    def __init__(
        self, path: Path, rig: str, token: str, fencing: int, *, inherited: bool, expiry_s: float, heartbeat_s: float
    ) -> None:
        self.path = path
        self.rig = rig
        self.token = token
        self.fencing = fencing
        self.inherited = inherited
        self._expiry_s = expiry_s
        self._heartbeat_s = heartbeat_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        if not inherited:
            self._thread = threading.Thread(target=self._beat, name=f"lease {rig}", daemon=True)
            self._thread.start()

    def environment(self) -> dict[str, str]:
        """What a child process needs in its environment to share the rig."""
        return {ENV: f"{self.path}|{self.token}"}

    def validate(self) -> None:
        """Checks that the lease still stands; to be called before anything that changes the device.

        Raises:
            RigFault: it expired or somebody else holds it.
        """
        record = _read(self.path)
        if record is None or record.get("token") != self.token:
            holder = _holder(record) if record else "nobody"
            raise RigFault(
                f"the lease on rig '{self.rig}' is lost",
                expected=f"holder number {self.fencing}",
                got=f"held by {holder}",
                evidence=str(self.path),
                remedy="this process was stopped for too long, or the lease file was removed; start again",
            )
        if float(record["expires"]) < time.time():
            raise RigFault(
                f"the lease on rig '{self.rig}' has expired",
                got=f"last renewed {time.time() - float(record['expires']) + self._expiry_s:.0f} s ago",
                evidence=str(self.path),
                remedy="the holder stands still; start again",
            )

    def release(self) -> None:
        """Gives the rig back. An inherited lease stays with its owner."""
        if self.inherited or self._stop.is_set():
            return
        self._stop.set()
        if self._thread is not None:
            self._thread.join(self._heartbeat_s + LOCK_TIMEOUT_S)
        with _locked(self.path):
            record = _read(self.path)
            if record is not None and record.get("token") == self.token:
                _write(self.path, {**record, "token": "", "expires": 0.0})

    def _beat(self) -> None:
        while not self._stop.wait(self._heartbeat_s):
            try:
                with _locked(self.path):
                    record = _read(self.path)
                    if record is None or record.get("token") != self.token:
                        return  # lost: validate() tells whoever asks
                    _write(self.path, {**record, "expires": time.time() + self._expiry_s})
            except (OSError, RigFault):
                continue  # a full disk or a busy lock may pass; else the lease expires and validate() says so

    def __enter__(self) -> Lease:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def take(
    rig: str,
    *,
    owner: str = "",
    folder: Path | None = None,
    expiry_s: float = EXPIRY_S,
    heartbeat_s: float = HEARTBEAT_S,
) -> Lease:
    """Takes the lease of a rig, or inherits it when ``K1HIL_LEASE`` names this rig.

    Args:
        rig: key of the lease (the rig's name).
        owner: shown to whoever finds the rig taken; default user and command.
        folder: where the record lives; default :func:`lease_dir`.
        expiry_s, heartbeat_s: how long a silent holder keeps it, and how often it is renewed.

    Raises:
        RigFault: somebody else holds it; names the owner.
    """
    path = (folder or lease_dir()) / f"{rig}.lease"
    inherited = inherit(rig, path)
    if inherited is not None:
        return inherited
    with _locked(path):
        record = _read(path)
        if record is not None and _stands(record):
            raise RigFault(
                f"rig '{rig}' is in use",
                got=f"held by {_holder(record)}",
                evidence=str(path),
                remedy="wait for it, end that process, or use another rig",
            )
        fencing = int(record.get("fencing", 0)) + 1 if record else 1
        token = secrets.token_hex(16)
        process = psutil.Process()
        _write(
            path,
            {
                "rig": rig,
                "token": token,
                "fencing": fencing,
                "owner": owner or f"{getpass.getuser()}: {' '.join(process.cmdline()[:6])[:120]}",
                "host": socket.gethostname(),
                "pid": process.pid,
                "process_started": process.create_time(),
                "since": time.time(),
                "expires": time.time() + expiry_s,
            },
        )
    return Lease(path, rig, token, fencing, inherited=False, expiry_s=expiry_s, heartbeat_s=heartbeat_s)


def holder(rig: str, folder: Path | None = None) -> str:
    """Who holds the lease of a rig just now; "" when nobody does. Only looks."""
    record = _read((folder or lease_dir()) / f"{rig}.lease")
    return _holder(record) if record is not None and _stands(record) else ""


def inherit(rig: str, path: Path) -> Lease | None:
    """The parent's lease on this rig from the environment; None when there is none, or it is for another rig.

    Raises:
        RigFault: the environment names a lease on this rig that no longer stands.
    """
    where, _, token = os.environ.get(ENV, "").rpartition("|")
    if not where or Path(where) != path:
        return None
    record = _read(path) or {}
    lease = Lease(
        path,
        rig,
        token,
        int(record.get("fencing", 0)),
        inherited=True,
        expiry_s=EXPIRY_S,
        heartbeat_s=HEARTBEAT_S,
    )
    lease.validate()
    return lease


def _stands(record: dict[str, Any]) -> bool:
    """Whether the record's holder is alive: not expired, and on this machine its process still the same one."""
    if not record.get("token") or float(record["expires"]) < time.time():
        return False
    if record.get("host") != socket.gethostname():
        return True
    try:
        started = psutil.Process(int(record["pid"])).create_time()
    except (psutil.Error, ValueError):
        return False
    return bool(abs(started - float(record["process_started"])) < 2.0)


def _holder(record: dict[str, Any]) -> str:
    since = time.strftime("%H:%M:%S", time.localtime(float(record.get("since", 0))))
    return f"{record.get('owner', '?')} (process {record.get('pid', '?')} on {record.get('host', '?')}, since {since})"


_NUMBERS: dict[str, Callable[[Any], Any]] = {"expires": float, "fencing": int, "pid": int, "process_started": float}


def _read(path: Path) -> dict[str, Any] | None:
    """The record; None when there is none or it makes no sense (then it protects nobody)."""
    try:
        if path.stat().st_size > MAX_RECORD_BYTES:
            return None
        record = json.loads(path.read_text(encoding="utf-8"))
        for key, number in _NUMBERS.items():
            number(record[key])
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
    return record if isinstance(record, dict) else None


def _write(path: Path, record: dict[str, Any]) -> None:
    work = path.with_suffix(f".{os.getpid()}-{threading.get_ident()}.new")
    work.write_text(json.dumps(record), encoding="utf-8")
    work.replace(path)


class _locked:
    """The instant of exclusive access to a record, as a context manager."""

    def __init__(self, path: Path) -> None:
        self._lock = FileLock(path.with_suffix(".lock"), timeout=LOCK_TIMEOUT_S, thread_local=False)

    def __enter__(self) -> None:
        try:
            self._lock.acquire(poll_interval=0.02)
        except Timeout as error:
            raise RigFault(
                "the lease lock stays busy", got=f"{LOCK_TIMEOUT_S:g} s", evidence=self._lock.lock_file
            ) from error

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()
