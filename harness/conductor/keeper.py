"""The keeper of one task: it starts the work in a process of its own, and whatever happens leaves nothing running and
the rig safe.

The worker holds the other end of a pipe. When that closes, because the task was cancelled or the worker was killed,
the keeper ends the work: it asks first, then it does not ask any more. As a subreaper it inherits what its children
leave behind (compilers, a suite in a session of its own), so nothing escapes it. It is the keeper that holds the rig's
lease: the rig is free again when the keeper is done with it, not when the worker dies.

Run as ``python -m harness.conductor.keeper JOB`` with a folder that holds ``job.json``.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from harness.conductor.job_files import JOB, NOTE, OUTCOME, OUTPUT

SAFE_TIMEOUT_S = 90.0
LOOK_EVERY_S = 0.5
# What is left behind after a normal end gets less patience than work that is called off.
REST_PATIENCE_S = 1.0
RIG_FAULT = 10
_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def die_with_parent() -> None:
    """This process is killed when its parent is (Linux; elsewhere the keeper's own end of the pipe has to do)."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def become_subreaper(yes: bool) -> None:
    """Whether this process inherits what its children leave behind (Linux)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, int(yes))


def main() -> int:
    """Keeps one job; 0 when its work came to an end by itself, 1 otherwise, 10 when the rig is in use."""
    folder = Path(sys.argv[1])
    job = json.loads((folder / JOB).read_text(encoding="utf-8"))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it obeys the pipe alone: a service manager may signal a whole group
    become_subreaper(True)
    from harness.rig.lease import Lease  # the slow import: once, for the work too

    go_read, go_write = os.pipe()
    child = os.fork()  # before the lease starts its thread
    if child == 0:
        os.close(go_write)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)  # the pipe of the worker is the keeper's alone
        _work(folder, go_read)
    os.close(go_read)
    lease: Lease | None = None
    try:
        lease = lease_of(job)
        with os.fdopen(go_write, "w") as go:
            go.write(json.dumps(lease.environment() if lease is not None else {}))
        ended = _watch(child)
        if not ended:
            _call_off(child, float(job["grace_s"]))
        _end_all(REST_PATIENCE_S)
        left = ended and (folder / OUTCOME).is_file()
        safe = None if left or lease is None else make_safe(job, folder, lease.environment())
        note(folder, {"ended": ended, "why": "" if ended else "called off", "safe": safe})
        return 0 if left else 1
    except Exception as error:
        note(folder, {"ended": False, "why": str(error), "safe": None})
        return int(getattr(error, "exit_code", 1))
    finally:
        _end_all(0.0)
        if lease is not None:
            lease.release()


def _work(folder: Path, go_read: int) -> None:
    """In the forked process; does not return."""
    code = 1
    try:
        die_with_parent()
        os.setpgid(0, 0)
        with os.fdopen(go_read) as go:
            word = go.read(4096)
        if not word:
            os._exit(1)  # the keeper got no lease
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.environ.update(json.loads(word))
        out = os.open(folder / OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        from harness.conductor.run_job import run_job

        code = run_job(folder)
    except BaseException as error:
        print(f"the work broke off: {error!r}", file=sys.stderr, flush=True)
    finally:
        sys.stdout.flush()
        os._exit(code)


def lease_of(job: dict[str, Any]) -> Any:
    """The rig's lease for as long as the keeper lives; None for work without a rig."""
    if not job["rig"]:
        return None
    from harness.pipeline.nightly import take_in_time
    from harness.rig.config import load_config
    from harness.rig.opening import lease_key

    key = lease_key(job["rig"], load_config(job["rig"], Path(job["rig_dir"])), None)
    return take_in_time(key, float(job["lease_wait_s"]), f"k1hil worker: {job['name']}", _silent, every_s=1.0)


def _watch(child: int) -> bool:
    """Waits for the work; False when the worker closed the pipe first."""
    while True:
        pid, _ = os.waitpid(child, os.WNOHANG)
        if pid == child:
            return True
        if _pipe_closed(LOOK_EVERY_S):
            return False


def _pipe_closed(wait_s: float) -> bool:
    ready, _, _ = select.select([0], [], [], wait_s)
    return bool(ready) and os.read(0, 64) == b""


def _call_off(child: int, patience_s: float) -> None:
    """Asks the work to end, which ends its own children in the way they need, and gives it time for that."""
    with contextlib.suppress(psutil.Error):
        work = psutil.Process(child)
        work.terminate()
        work.wait(patience_s)


def _end_all(patience_s: float) -> None:
    """Ends every process below this one; those in sessions of their own too."""
    with contextlib.suppress(psutil.Error):
        mine = psutil.Process().children(recursive=True)
        if patience_s > 0:
            for process in mine:
                with contextlib.suppress(psutil.Error):
                    process.terminate()
            psutil.wait_procs(mine, patience_s)
        deadline = time.monotonic() + 5.0
        # The dying leave children of their own to the subreaper: until none is left.
        while (rest := psutil.Process().children(recursive=True)) and time.monotonic() < deadline:
            for process in rest:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(rest, 1.0)
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def make_safe(job: dict[str, Any], folder: Path, lease: dict[str, str]) -> str:
    """Brings the rig into a safe state in a process of its own; "" when it is, else what stands in the way."""
    command = [sys.executable, "-m", "harness.cli", "safe", "--rig", job["rig"], "--rig-dir", job["rig_dir"], "--json"]
    try:
        done = subprocess.run(
            command, env={**os.environ, **lease}, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=SAFE_TIMEOUT_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"not within {SAFE_TIMEOUT_S:g} s"
    return "" if done.returncode == 0 else (done.stderr.strip() or f"exit code {done.returncode}")[-500:]


def note(folder: Path, note: dict[str, Any]) -> None:
    """How the work was ended, and what became of the rig, for the worker and its successor."""
    work = folder / f"{NOTE}.new"
    work.write_text(json.dumps(note), encoding="utf-8")
    work.replace(folder / NOTE)


def _silent(text: str) -> None:
    """Tells nobody: the error at the end names the holder."""


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main())
