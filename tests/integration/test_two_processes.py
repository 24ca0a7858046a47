"""Two processes on one rig: the second is told who has it; a killed holder frees it; children share it."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

HOLDER = """
import sys, time
from pathlib import Path
from harness.rig import lease
held = lease.take("bench", owner="the first", folder=Path(sys.argv[1]), expiry_s=2.0, heartbeat_s=0.2)
print("held", held.fencing, flush=True)
sys.stdin.readline()
held.release()
print("released", flush=True)
"""
TAKER = """
import sys
from pathlib import Path
from harness.errors import RigFault
from harness.rig import lease
try:
    held = lease.take("bench", owner="the second", folder=Path(sys.argv[1]))
except RigFault as fault:
    print(fault)
    sys.exit(fault.exit_code)
held.validate()
print("took", held.fencing, "inherited" if held.inherited else "own")
held.release()
"""


@pytest.fixture
def holder(tmp_path, monkeypatch):
    monkeypatch.delenv("K1HIL_LEASE", raising=False)
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(HOLDER), str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline().startswith("held")
    yield process
    process.kill()
    process.wait(10)


def take(folder, env=None):
    environ = {**os.environ, **(env or {})}
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(TAKER), str(folder)],
        capture_output=True,
        text=True,
        timeout=30,
        env=environ,
    )


def test_the_second_is_told_who_has_it(holder, tmp_path):
    second = take(tmp_path)
    assert second.returncode == 10, second.stderr
    assert "the first" in second.stdout and str(holder.pid) in second.stdout
    holder.stdin.write("\n")
    holder.stdin.flush()
    assert holder.stdout.readline() == "released\n"
    assert take(tmp_path).stdout == "took 2 own\n"


def test_a_killed_holder_frees_it_at_once(holder, tmp_path):
    holder.kill()
    holder.wait(10)
    assert take(tmp_path).stdout == "took 2 own\n"


def test_a_stopped_holder_loses_it_after_the_expiry(holder, tmp_path):
    holder.send_signal(signal.SIGSTOP)
    deadline = time.monotonic() + 10
    while (second := take(tmp_path)).returncode != 0 and time.monotonic() < deadline:
        pass  # each try is a process of its own: slow enough
    holder.send_signal(signal.SIGCONT)
    assert second.stdout == "took 2 own\n"


def test_a_child_shares_it_and_does_not_release_it(tmp_path, monkeypatch):
    from harness.rig import lease

    monkeypatch.delenv("K1HIL_LEASE", raising=False)
    with lease.take("bench", owner="parent", folder=tmp_path) as held:
        child = take(tmp_path, held.environment())
        assert child.stdout == "took 1 inherited\n"
        held.validate()
        assert take(tmp_path).returncode == 10
