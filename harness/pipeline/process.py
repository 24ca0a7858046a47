"""A command in a process group of its own: its output line by line, and no orphan when it is cancelled or too slow."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO

from harness.errors import HarnessFault, K1HilError

ASK_EVERY_S = 0.1
PATIENCE_S = 3.0


class Cancelled(K1HilError):
    """Somebody called it off; everything it had started is gone."""

    blame = "request"
    exit_code = 2


def run_group(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    tell: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
    timeout_s: float = 1800.0,
    ask: signal.Signals = signal.SIGTERM,
    patience_s: float = PATIENCE_S,
) -> tuple[int, list[str]]:
    """Runs a command to its end; its exit code and its lines (both outputs).

    Args:
        command: program and arguments.
        cwd, environment: of the child; default this process's.
        tell: gets each line as it comes.
        cancel: ends the whole group when set.
        timeout_s: for all of it.
        ask, patience_s: how it is asked to end, and how long that may take.

    Raises:
        Cancelled: ``cancel`` was set.
        HarnessFault: it did not end in time.
    """
    child = subprocess.Popen(
        list(command), cwd=cwd, env=None if environment is None else dict(environment), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding="utf-8", errors="replace",
        start_new_session=True,
    )  # fmt: skip
    assert child.stdout is not None
    arriving: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_read, args=(child.stdout, arriving), name="output of a child", daemon=True).start()
    deadline = time.monotonic() + timeout_s
    lines: list[str] = []
    try:
        while (line := _next(arriving, cancel, deadline, command)) is not None:
            lines.append(line)
            if tell is not None:
                tell(line)
        return child.wait(PATIENCE_S), lines
    finally:
        end_group(child, ask, patience_s)


def _read(stream: IO[str], arriving: queue.Queue[str | None]) -> None:
    try:
        for line in stream:
            arriving.put(line.rstrip("\n"))
    finally:
        arriving.put(None)


def _next(
    arriving: queue.Queue[str | None], cancel: threading.Event | None, deadline: float, command: Sequence[str]
) -> str | None:
    while True:
        if cancel is not None and cancel.is_set():
            raise Cancelled(f"{Path(command[0]).name} was cancelled", evidence=" ".join(command))
        if time.monotonic() > deadline:
            raise HarnessFault(f"{Path(command[0]).name} did not end in time", evidence=" ".join(command))
        try:
            return arriving.get(timeout=ASK_EVERY_S)
        except queue.Empty:
            continue


def end_group(
    child: subprocess.Popen[str], ask: signal.Signals = signal.SIGTERM, patience_s: float = PATIENCE_S
) -> None:
    """Ends a child and everything in its group: asks first, and then does not ask any more."""
    for sign, most_s in ((ask, patience_s), (signal.SIGKILL, PATIENCE_S)):
        try:
            os.killpg(child.pid, sign)
        except (ProcessLookupError, PermissionError):
            return
        deadline = time.monotonic() + most_s
        while time.monotonic() < deadline:
            child.poll()
            try:
                os.killpg(child.pid, 0)
            except (ProcessLookupError, PermissionError):
                return
            time.sleep(0.02)
