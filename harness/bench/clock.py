"""Time on the virtual board: one host clock, and the board's own crystal seen from it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

ClockMode = Literal["halted", "virtual", "wall"]

# Leaving wall time jumps to the next multiple of this: what follows must not depend on how long real tools took.
EPOCH_NS = 1_000_000_000_000


@dataclass(frozen=True)
class DeviceClock:
    """Device time of one boot: 0 at ``boot_ns`` (host), then ``1 + skew_ppm / 1e6`` device seconds per host second.

    Integer nanoseconds in and out; only the small correction is computed in floating point: hours stay exact to 1 ns.
    """

    boot_ns: int
    skew_ppm: float

    def to_device(self, host_ns: int) -> int:
        """Device time of a host instant, at least 0."""
        since = host_ns - self.boot_ns
        return max(0, since + round(since * self.skew_ppm * 1e-6))

    def to_host(self, device_ns: int) -> int:
        """Host time of a device instant."""
        skew = self.skew_ppm * 1e-6
        return self.boot_ns + device_ns - round(device_ns * skew / (1.0 + skew))


class HostClock:
    """The host's time in ns, as seen by the board.

    Virtual: stands still until :meth:`advance_to`. Wall: :meth:`wall_now` runs along the monotonic clock, and the board
    follows it with :meth:`advance_to`.
    """

    def __init__(self, start_ns: int = EPOCH_NS) -> None:
        self.now_ns = start_ns
        self.epoch = 0  # how often wall time was left; part of the key of every random stream
        self._wall_base_ns: int | None = None

    @property
    def is_wall(self) -> bool:
        return self._wall_base_ns is not None

    def advance_to(self, host_ns: int) -> None:
        """Never goes backwards."""
        if host_ns > self.now_ns:
            self.now_ns = host_ns

    def wall_now(self) -> int:
        """Where wall time stands on the board's host clock. Only in wall mode."""
        assert self._wall_base_ns is not None
        return time.monotonic_ns() - self._wall_base_ns

    @property
    def outside_ns(self) -> int:
        """When something that comes from outside now reaches the board: never before it was sent.

        In wall mode the board stands a little behind wall time. What arrived there and then was processed at once would
        be answered with a stamp from before the question.
        """
        return max(self.now_ns, self.wall_now()) if self.is_wall else self.now_ns

    def monotonic_of(self, host_ns: float) -> float:
        """The monotonic clock at a host time. Only in wall mode."""
        assert self._wall_base_ns is not None
        return host_ns + self._wall_base_ns

    def of_monotonic(self, mono_ns: int) -> int:
        """Host time at a monotonic time. Only in wall mode."""
        assert self._wall_base_ns is not None
        return mono_ns - self._wall_base_ns

    def enter_wall(self) -> None:
        """From here on time follows the monotonic clock, continuing at ``now_ns``."""
        if self._wall_base_ns is None:
            self._wall_base_ns = time.monotonic_ns() - self.now_ns

    def forgive(self) -> None:
        """Wall time was lost (and has been reported): continue from ``now_ns`` instead of catching up."""
        if self._wall_base_ns is not None:
            self._wall_base_ns = time.monotonic_ns() - self.now_ns

    def leave_wall(self) -> None:
        """Back to virtual time, at the next whole epoch."""
        if self._wall_base_ns is not None:
            self._wall_base_ns = None
            self.now_ns = (self.now_ns // EPOCH_NS + 1) * EPOCH_NS
            self.epoch += 1
