"""The lock of ./setup: waited for while its owner is at work, taken over when nobody holds it any more."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = (Path(__file__).parents[2] / "setup").read_text(encoding="utf-8")
_FUNCTION = r"^(?:say|die)\(\) [^\n]*$|^(?:lock_is_dead|take_lock)\(\) \{.*?^\}$"
FUNCTIONS = "\n".join(re.findall(_FUNCTION, SETUP, re.M | re.S))


def take(lock: Path, wait_s: int) -> subprocess.CompletedProcess[str]:
    head = f"set -eu\nLOCK='{lock}'\nLOCK_WAIT_S={wait_s}\nsleep() {{ :; }}\n"
    script = f'{head}{FUNCTIONS}\ntake_lock\ncat "$LOCK/pid"\necho $$\n'
    return subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, timeout=30, check=False)


def held_by(lock: Path, pid: object) -> Path:
    lock.mkdir()
    if pid:
        (lock / "pid").write_text(f"{pid}\n")
    return lock


def taken(done: subprocess.CompletedProcess[str]) -> bool:
    owner, _, me = done.stdout.strip().partition("\n")
    return done.returncode == 0 and owner == me


@pytest.mark.parametrize("pid", [None, 0x7FFFFFF0, os.getpid()], ids=["no pid", "gone", "reused by another program"])
def test_what_nobody_holds_is_taken_over(tmp_path: Path, pid: int | None) -> None:
    assert taken(take(held_by(tmp_path / "lock", pid), 1800))


def test_free_is_taken(tmp_path: Path) -> None:
    assert taken(take(tmp_path / "lock", 0))


def test_another_setup_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", "./setup"]) as other:
        try:
            done = take(held_by(tmp_path / "lock", other.pid), 3)
        finally:
            other.kill()
    assert done.returncode == 1 and f"another setup (process {other.pid}) has held" in done.stderr
    assert (tmp_path / "lock" / "pid").exists()
