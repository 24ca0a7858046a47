"""esptool in a child process of its own group: output read as it comes, ended on silence, time-out and signals."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from harness.instruments.esptool_output import FlashError, Watcher

# An esptool that says nothing for so long is stuck, whatever the whole time-out.
SILENCE_S = 30.0

# esptool's own settings, instead of a developer's. The default allows the chip 0.2 s of wall time to acknowledge the
# start of the stub and gives up the whole connection otherwise, which a busy machine between the two can cost.
SETTINGS = "[esptool]\nmem_end_rom_timeout = 3\n"


def run_child(arguments: list[str], watcher: Watcher, log: IO[str], timeout_s: float) -> int:
    """Runs esptool in its own process group and feeds its output to the watcher.

    Raises:
        FlashError: it went silent or ran out of time (and was killed).
    """
    with tempfile.TemporaryDirectory(prefix="k1hil-esptool-") as home:
        settings = Path(home) / "esptool.cfg"
        settings.write_text(SETTINGS)
        env = {k: v for k, v in os.environ.items() if not k.startswith("ESPTOOL_")}
        env |= {
            "ESPTOOL_CFGFILE": str(settings),
            "NO_COLOR": "1",
            "TERM": "dumb",
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "200",
        }
        child = subprocess.Popen(
            arguments,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            env=env,
            start_new_session=True,
        )
        reader = threading.Thread(target=_read_output, args=(child, watcher, log), name="esptool output", daemon=True)
        reader.start()
        try:
            with _terminate_on_signals(child):
                _await_child(child, watcher, timeout_s)
        finally:
            _kill_group(child)
            reader.join(5.0)
        return child.returncode


def _read_output(child: subprocess.Popen[str], watcher: Watcher, log: IO[str]) -> None:
    assert child.stdout is not None
    rest = ""
    # esptool redraws its progress with carriage returns: both ends of line count.
    while piece := child.stdout.read(1):
        if piece in "\r\n":
            if rest.strip():
                log.write(rest + "\n")
                watcher.line(rest)
            rest = ""
        else:
            rest += piece
    if rest.strip():
        log.write(rest + "\n")
        watcher.line(rest)


def _await_child(child: subprocess.Popen[str], watcher: Watcher, timeout_s: float) -> None:
    deadline = time.monotonic() + timeout_s
    while True:
        quiet_left = SILENCE_S - (time.monotonic() - watcher.last_line_s)
        left = min(deadline - time.monotonic(), quiet_left)
        try:
            child.wait(max(0.0, left))
            return
        except subprocess.TimeoutExpired:
            now = time.monotonic()
            if now < deadline and now - watcher.last_line_s < SILENCE_S:
                continue
            fault = FlashError(
                "esptool was stopped: " + ("it ran too long" if now >= deadline else "it went silent"),
                expected=f"to end within {timeout_s:g} s, with output at least every {SILENCE_S:g} s",
                got=watcher.tail(),
                remedy="check cable and supply; a slow link needs a larger [flash] timeout_s",
            )
            fault.cause = "timeout"
            raise fault from None


def _kill_group(child: subprocess.Popen[str]) -> None:
    """Ends the child and whatever it started; a no-op when it has ended."""
    if child.poll() is not None:
        return
    for sign, patience_s in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 5.0)):
        try:
            os.killpg(child.pid, sign)
        except (ProcessLookupError, PermissionError):
            child.kill()
        try:
            child.wait(patience_s)
            return
        except subprocess.TimeoutExpired:
            continue


@contextmanager
def _terminate_on_signals(child: subprocess.Popen[str]) -> Iterator[None]:
    """SIGTERM to this process also ends esptool: it sits in its own group and would go on writing.

    SIGINT needs no handler: it raises KeyboardInterrupt, and the caller's ``finally`` kills the group.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = signal.getsignal(signal.SIGTERM)

    def stop(number: int, frame: Any) -> None:
        _kill_group(child)
        signal.signal(signal.SIGTERM, previous if previous is not None else signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous if previous is not None else signal.SIG_DFL)
