"""The host clock instruments wait on. On the virtual bench the rig hands in one that advances the board instead."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

# A condition that nothing notifies (a socket, a file) is looked at this often.
_LOOK_S = 0.05


class HostClock(Protocol):
    """Host time in integer nanoseconds, and the only way to wait."""

    def now_ns(self) -> int:
        """Host time."""
        ...

    def wait(self, condition: Callable[[], bool], timeout_s: float, *, stop: str | None = None) -> bool:
        """Lets time pass until ``condition()`` holds or ``timeout_s`` of host time is over; returns whether it holds.

        ``stop`` hints at what will make it true (``console`` or ``net``), so that a virtual board stops early there.
        """
        ...

    def sleep_until(self, host_ns: int) -> None:
        """Lets time pass until ``host_ns``."""
        ...


def never() -> bool:
    """A condition that does not come: waiting on it lets exactly the time-out pass."""
    return False


class WallClock:
    """The monotonic clock. Reader threads call :meth:`notify` when something came in."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    def now_ns(self) -> int:
        """Monotonic clock in ns."""
        return time.monotonic_ns()

    def notify(self) -> None:
        """Wakes a waiter. Any thread."""
        with self._changed:
            self._count += 1
            self._changed.notify_all()

    def wait(self, condition: Callable[[], bool], timeout_s: float, *, stop: str | None = None) -> bool:
        """Waits on the real clock; woken by :meth:`notify`, and looks by itself every 50 ms."""
        deadline = time.monotonic() + timeout_s
        while True:
            with self._changed:
                seen = self._count
            if condition():
                return True
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            with self._changed:
                if self._count == seen:
                    self._changed.wait(left if condition is never else min(left, _LOOK_S))

    def sleep_until(self, host_ns: int) -> None:
        """Sleeps until ``host_ns``."""
        while (left := host_ns - self.now_ns()) > 0:
            self.wait(never, left / 1e9)
