"""The machine that is measured on: its load, one core to itself, and what to write beside the figures."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil

QUIET_BUSY_PERCENT = 15.0


def busy_percent(seconds: float = 1.0) -> float:
    """Share of all cores that other work took during the last ``seconds``, 0 to 100."""
    return float(psutil.cpu_percent(seconds))


def load() -> tuple[float, float, float]:
    """Load averages over 1, 5 and 15 minutes."""
    one, five, fifteen = psutil.getloadavg()
    return one, five, fifteen


def await_quiet(patience_s: float) -> float:
    """Waits until the machine has little else to do, at most ``patience_s``; the share that was busy at the end."""
    deadline = time.monotonic() + patience_s
    while (busy := busy_percent()) > QUIET_BUSY_PERCENT and time.monotonic() < deadline:
        continue  # looking takes a second
    return busy


def can_pin() -> bool:
    """Whether this system lets a process choose its cores."""
    return hasattr(os, "sched_setaffinity")


@contextmanager
def one_core() -> Iterator[str]:
    """This thread and every process it starts share one core. Gives a note for the figure."""
    if not can_pin():
        yield "not pinned: this system has no such call"
        return
    before = os.sched_getaffinity(0)
    core = max(before)
    os.sched_setaffinity(0, {core})
    try:
        yield f"all on core {core}"
    finally:
        os.sched_setaffinity(0, before)


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used so far, in ns steps where the kernel tells them, else in ticks of 10 ms."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[0]) / 1e9
    except OSError:
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system)


def describe() -> dict[str, Any]:
    """What a reader of old figures has to know about the machine."""
    return {
        "system": platform.platform(),
        "machine": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
