"""What a board lets its ports, servers and switches reach: they know this, the board knows them, nothing goes round.

:class:`harness.bench.board.Board` is the only implementation; tests use smaller ones.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, Protocol

from harness.bench.cable import Cable
from harness.bench.camera import VirtualCamera
from harness.bench.chip import Chip
from harness.bench.clock import HostClock
from harness.bench.config import BoardConfig
from harness.bench.console import ConsoleLine
from harness.bench.events import EventLog
from harness.bench.net import Network
from harness.errors import HarnessFault, K1HilError

Stop = Literal["net", "console"] | None


class BoardHandle(Protocol):
    """One virtual board from the inside. ``lock`` guards all of it; ``changed`` is a condition on that lock."""

    lock: threading.RLock
    changed: threading.Condition
    config: BoardConfig
    mac: bytes
    ip: int
    host: HostClock
    chip: Chip
    cable: Cable
    console: ConsoleLine
    network: Network
    events: EventLog
    camera: VirtualCamera | None

    @property
    def now_ns(self) -> int:
        """Host time in ns."""

    @property
    def plugged(self) -> bool:
        """Whether the data cable is in."""

    @property
    def lines(self) -> tuple[bool, bool]:
        """(DTR, RTS) as last set."""

    def run_until(self, condition: Callable[[], bool], timeout_s: float, *, stop: Stop = None) -> bool:
        """Lets the board run until the condition holds; False on time-out."""

    def step(self, target_ns: int, mask: int = 0) -> None:
        """One slice of time, for the pacing thread."""

    def heard_until(self, host_ns: int) -> int:
        """How far time may go, at most ``host_ns``, without inventing sound that has not come yet."""

    def reset(self, *, download: bool = False) -> None:
        """A finger on EN (and on BOOT)."""

    def set_lines(self, dtr: bool | None, rts: bool | None) -> None:
        """Moves the control lines; None leaves one as it is."""

    def set_baud(self, baud: int) -> None:
        """Rate of the console."""

    def console_write(self, data: bytes) -> None:
        """Bytes from the host."""

    def console_opened(self, who: str = "port") -> None:
        """A reader has come."""

    def console_closed(self, who: str = "port") -> None:
        """A reader has gone."""

    def hang_up(self) -> None:
        """Turns outside clients out: the cable was pulled."""

    def fail(self, fault: K1HilError) -> None:
        """The board cannot go on."""

    def report(self, fault: HarnessFault) -> None:
        """Something the owner must know, while the board goes on."""
