"""Runs the host program of a ``k1-sim`` image as a child process that can touch nothing but its one socket.

The program comes out of the flashed image into a private folder, starts in a few milliseconds with an empty
environment, ``/dev/null`` on descriptors 0 to 2, the link on descriptor 3 and nothing else, in a process group of its
own and under resource limits. It ends when the board stops it, when its socket closes (the board's process is gone,
however it went), or at its processor-time limit.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import weakref
from pathlib import Path
from typing import Protocol

from harness.errors import BadRequest, HarnessFault
from harness.wire.image import SimPayload, host_arch

# The shell moves the socket to descriptor 3 and sets limits, each where the system knows it; then it becomes the child.
_LAUNCH = (
    "exec 3<&0 0</dev/null; ulimit -c 0 2>/dev/null; ulimit -f 0 2>/dev/null; ulimit -n 16 2>/dev/null; "
    'ulimit -v 2097152 2>/dev/null; ulimit -t 864000 2>/dev/null; exec "$0" --cost "$1"'
)
_SOCKET_BYTES = 1 << 20


class Child(Protocol):
    """What the app needs of a firmware process."""

    sock: socket.socket

    def kill(self) -> None:
        """Ends it at once and reaps it; harmless when it has ended."""

    def describe_end(self) -> str:
        """How it ended, for a fault message."""


class PayloadChild:
    """One running firmware process. It ends by :meth:`kill`, at interpreter exit, or when its socket closes."""

    def __init__(self, program: Path, cost_table: Path) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            for end in (ours, theirs):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BYTES)
            try:
                self._process = subprocess.Popen(
                    ["/bin/sh", "-c", _LAUNCH, str(program), str(cost_table)],
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env={},
                    cwd="/",
                    close_fds=True,
                    process_group=0,
                )
            except OSError as e:
                ours.close()
                raise HarnessFault("cannot start the firmware process", got=str(e), evidence=str(program)) from e
        self.sock = ours
        self.pid = self._process.pid
        _alive.add(self)

    def kill(self) -> None:
        if self._process.poll() is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)
        # SIGKILL cannot be refused, but a process held up in the kernel ends late: it is left to itself then.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_GONE_S)
        self.sock.close()
        _alive.discard(self)

    def describe_end(self) -> str:
        try:
            code = self._process.wait(timeout=1.0)
        except subprocess.TimeoutExpired:
            return f"process {self.pid} is still running"
        return f"process {self.pid} ended by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"


_GONE_S = 10.0
_alive: weakref.WeakSet[PayloadChild] = weakref.WeakSet()


@atexit.register
def _kill_all() -> None:
    for child in list(_alive):
        child.kill()


class PayloadStore:
    """A private folder of unpacked programs, one per distinct payload; removed by :meth:`close`."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="k1hil-app-"))
        self._finalizer = weakref.finalize(self, shutil.rmtree, self._folder, True)
        self._known: dict[bytes, Path] = {}

    def spawn(self, payload: SimPayload) -> PayloadChild:
        """Unpacks the payload if it is new and starts it.

        Raises:
            BadRequest: the program was built for another machine.
            HarnessFault: it cannot be started.
        """
        if payload.arch != host_arch():
            raise BadRequest(
                "the firmware image holds a program for another machine",
                expected=host_arch(),
                got=payload.arch,
                remedy="build it here: k1hil build, or pio run -e sim",
            )
        folder = self._unpack(payload)
        return PayloadChild(folder / "app", folder / "cost")

    def _unpack(self, payload: SimPayload) -> Path:
        digest = hashlib.sha256(payload.elf + payload.cost_table).digest()
        folder = self._known.get(digest)
        if folder is None:
            folder = self._folder / digest.hex()[:16]
            folder.mkdir()
            (folder / "cost").write_bytes(payload.cost_table)
            (folder / "app").write_bytes(payload.elf)
            (folder / "app").chmod(0o500)
            self._known[digest] = folder
        return folder

    def close(self) -> None:
        self._finalizer()
