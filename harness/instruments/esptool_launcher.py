"""Runs esptool's own command line in a child process: ``python -m harness.instruments.esptool_launcher``.

    … esptool_launcher [--expect-mac MAC] -- COMMON-ARGS -- WRITE-ARGS

esptool is a program of its own (GPL); nothing of the harness imports it. What this process adds: a fast
``rfc2217://`` client, no hex dumps that nobody reads, and with ``--expect-mac`` a look at the chip's MAC before the
first byte is written. Exit codes are esptool's, or:
"""

from __future__ import annotations

import contextlib
import importlib
import io
import runpy
import sys
from collections.abc import Sequence
from typing import TextIO

from harness.instruments import serial_handlers

# The line the flasher looks for, and the exit code that goes with it.
WRONG_MAC = "k1hil: wrong board"
EXIT_WRONG_MAC = 97


class _Tee(io.TextIOBase):
    """Writes through to the real output and keeps a copy."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self.kept: list[str] = []

    def write(self, text: str) -> int:
        self.kept.append(text)
        return self._out.write(text)

    def flush(self) -> None:
        self._out.flush()

    def isatty(self) -> bool:
        return False


def without_hex_dumps() -> None:
    """Lets esptool's trace lines name the length of a packet instead of dumping it.

    It formats every packet for its trace although nobody asked for one: 25 ms a block, more than the block takes on
    the link. A release without that formatter is left as it is.
    """
    formatter = getattr(importlib.import_module("esptool.loader"), "HexFormatter", None)
    if formatter is not None:
        formatter.__str__ = lambda packet: f"({len(getattr(packet, '_s', b''))} bytes)"


def run_esptool(args: Sequence[str]) -> int:
    """Runs ``python -m esptool ARGS`` in this process; returns its exit code."""
    sys.argv = ["esptool", *args]
    try:
        runpy.run_module("esptool", run_name="__main__", alter_sys=False)
    except SystemExit as leave:
        if leave.code is None or isinstance(leave.code, int):
            return leave.code or 0
        print(leave.code, file=sys.stderr)
        return 1
    return 0


def _mac_of(output: str) -> str:
    for line in output.splitlines():
        label, _, value = line.partition(":")
        if label.strip() in ("MAC", "BASE MAC") and value.strip():
            return value.strip().lower()
    return ""


def _check_mac(common: Sequence[str], expected: str) -> int:
    # The chip stays at the rate it was switched to, and the next run begins at 115200: so this one does not switch.
    quiet = [*common, "--baud", "115200"]
    tee = _Tee(sys.stdout)
    with contextlib.redirect_stdout(tee):
        code = run_esptool([*quiet, "--before", "default-reset", "--after", "no-reset-stub", "read-mac"])
    if code:
        return code
    found = _mac_of("".join(tee.kept))
    if found != expected.lower():
        print(f"{WRONG_MAC}: expected {expected.lower()}, found {found or 'none'}", flush=True)
        return EXIT_WRONG_MAC
    return 0


def main(argv: Sequence[str]) -> int:
    """Entry point; see the module's text."""
    serial_handlers.use()
    without_hex_dumps()
    own, _, rest = _split(argv)
    common, _, command = _split(rest)
    before = "default-reset"
    if own[:1] == ["--expect-mac"]:
        code = _check_mac(common, own[1])
        if code:
            return code
        before = "no-reset"  # the chip is in its loader already, with the stub running
    return run_esptool([*common, "--before", before, *command])


def _split(args: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """What stands before and after the first ``--``."""
    at = list(args).index("--")
    return list(args[:at]), "--", list(args[at + 1 :])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
