"""A board without a chip for tests of what hangs on a board: real console line and network, time that jumps."""

from __future__ import annotations

import threading
from collections.abc import Callable

from harness.bench.console import ConsoleLine
from harness.bench.net import Network


class StubBoard:
    """Virtual time moves to the next arrival, or by 10 ms; ``react`` runs after every step."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.mac = bytes.fromhex("7cdfa1010203")
        self.ip = 0x0A470203
        self.now_ns = 0
        self.plugged = True
        self.console = ConsoleLine(1_000_000, lambda: 100_000.0)
        self.sent: list[tuple[int, int, bytes]] = []
        self.network = Network(lambda: self.now_ns, lambda *frame: self.sent.append(frame), lambda: 1_500_000)
        self.line_calls: list[tuple[bool | None, bool | None]] = []
        self.lines = (True, True)
        self.written = b""
        self.open_count = 0
        self.baud = 0
        self.react: Callable[[], None] = lambda: None

    def run_until(self, condition: Callable[[], bool], timeout_s: float, *, stop: str | None = None) -> bool:
        end = self.now_ns + round(timeout_s * 1e9)
        while not condition():
            if self.now_ns >= end:
                return False
            self.now_ns = min(end, self.now_ns + 10_000_000)
            self.react()
        return True

    def console_opened(self) -> None:
        self.open_count += 1

    def console_closed(self) -> None:
        self.open_count -= 1

    def console_write(self, data: bytes) -> None:
        self.written += data

    def set_lines(self, dtr: bool | None, rts: bool | None) -> None:
        self.line_calls.append((dtr, rts))
        self.lines = (self.lines[0] if dtr is None else dtr, self.lines[1] if rts is None else rts)

    def set_baud(self, baud: int) -> None:
        self.baud = baud
