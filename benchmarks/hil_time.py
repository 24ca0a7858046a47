"""How long the whole suite takes on the virtual bench when everything is built, and how much device time it lives."""

from __future__ import annotations

import re
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Figure, Spread

ROOT = Path(__file__).resolve().parents[1]
GOAL_S = 60.0
LIMIT_S = 600.0
# A longer step between two stamps of the device's log is a clock that was set, not time that passed.
LONGEST_STEP_S = 60.0
_STAMP = re.compile(r"^\[(\d+):(\d\d):(\d\d\.\d+)\]", re.M)


def hil_time(runs: int) -> list[Figure]:
    """Wall time of ``make hil``, warm. A board on the desk would need at least the device time of the same runs."""
    walls, used, devices = zip(*(_run() for _ in range(runs)), strict=True)
    lived, whole = Spread("device time lived in these runs", devices), Spread("make hil, warm", walls)
    return [
        Figure(whole, "s", lived, GOAL_S),
        Figure(Spread("make hil, processor time of all it started", used), "s", whole),
    ]


def _run() -> tuple[float, float, float]:
    """Wall, processor and device seconds of one run."""
    with tempfile.TemporaryDirectory(prefix="k1hil-perf-") as reports:
        begun, before = time.perf_counter(), _children_s()
        done = subprocess.run(
            ["make", "-s", "hil", f"ARGS=--reports {reports}"], cwd=ROOT, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        wall_s = time.perf_counter() - begun
        if done.returncode != 0:
            raise RuntimeError(f"make hil ended with {done.returncode}: no time to tell\n{done.stdout[-2000:]}")
        used_s = _children_s() - before
        logs = [log for log in Path(reports).glob("*/console*.log") if not log.parent.is_symlink()]
        return wall_s, used_s, sum(device_seconds(log.read_text(encoding="utf-8", errors="replace")) for log in logs)


def _children_s() -> float:
    """Processor time of all processes this one started and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def device_seconds(log: str) -> float:
    """Device time between the stamped lines of a console log, over all boots."""
    total, before = 0.0, 0.0
    for hours, minutes, seconds in _STAMP.findall(log):
        now = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        if 0 <= now - before <= LONGEST_STEP_S:
            total += now - before
        before = now
    return total
