"""How long the whole suite takes on the virtual bench when everything is built, and how much device time it lives."""

from __future__ import annotations

import os
import re
import subprocess
import sys
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
    walls, devices = [], []
    for _ in range(runs):
        wall_s, device_s = _run()
        walls.append(wall_s)
        devices.append(device_s)
    return [Figure(Spread("make hil, warm", walls), "s", Spread("device time lived in these runs", devices), GOAL_S)]


def _run() -> tuple[float, float]:
    with tempfile.TemporaryDirectory(prefix="k1hil-perf-") as reports:
        environment = {**os.environ, "K1HIL_REPORTS": reports}
        begun = time.perf_counter()
        done = subprocess.run(
            ["make", "-s", "hil"], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=LIMIT_S, check=False,
        )  # fmt: skip
        wall_s = time.perf_counter() - begun
        if done.returncode != 0:
            print(f"make hil ended with {done.returncode}:\n{done.stdout[-1500:]}", file=sys.stderr)
        logs = sorted(Path(reports).glob("*/console*.log"))
        return wall_s, sum(device_seconds(log.read_text(encoding="utf-8", errors="replace")) for log in logs)


def device_seconds(log: str) -> float:
    """Device time between the stamped lines of a console log, over all boots."""
    total, before = 0.0, 0.0
    for hours, minutes, seconds in _STAMP.findall(log):
        now = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        if 0 <= now - before <= LONGEST_STEP_S:
            total += now - before
        before = now
    return total
