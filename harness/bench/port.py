"""A pyserial-compatible port on the board's console, in the board's time."""

from __future__ import annotations

from types import TracebackType
from typing import Any

import serial

from harness.bench.handle import BoardHandle

_FOREVER_S = 3_600.0


class VirtualPort:
    """What pyserial's ``Serial`` offers, as far as consoles use it; waiting lets the board run.

    Opening and closing never touch the reset lines; setting :attr:`dtr` or :attr:`rts` does, wired as on a dev kit.
    ``timeout`` is in seconds of the board's time (None: wait without end, bounded at an hour).
    """

    def __init__(self, board: BoardHandle, timeout: float | None = 1.0) -> None:
        self._board = board
        self.timeout = timeout
        self.write_timeout: float | None = None
        self.port = self.name = f"virtual:{board.mac.hex(':')}"
        self._baudrate = 115_200
        self.is_open = False
        self.open()

    # ---- life

    def open(self) -> None:
        if not self.is_open:
            self._board.console_opened()
            self.is_open = True

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._board.console_closed()

    def __enter__(self) -> VirtualPort:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def isOpen(self) -> bool:  # noqa: N802  (pyserial's name)
        return self.is_open

    def _check(self) -> None:
        if not self.is_open:
            raise serial.PortNotOpenError()
        if not self._board.plugged:
            raise serial.SerialException(
                f"{self.port}: device reports readiness to read but returned no data (unplugged)"
            )

    # ---- reading

    @property
    def in_waiting(self) -> int:
        self._check()
        with self._board.lock:
            return self._board.console.settle(self._board.now_ns)

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes; fewer when ``timeout`` passes first."""
        self._wait(lambda: self.in_waiting >= size)
        with self._board.lock:
            return self._board.console.take(size)

    def read_until(self, expected: bytes = b"\n", size: int | None = None) -> bytes:
        """Up to and including ``expected``, ``size`` bytes at most; what there is when ``timeout`` passes first."""
        line = self._board.console
        self._wait(
            lambda: bool(self.in_waiting and line.find(expected)) or (size is not None and self.in_waiting >= size)
        )
        with self._board.lock:
            n = line.find(expected) or line.settle(self._board.now_ns)
            return line.take(n if size is None else min(n, size))

    def readline(self, size: int = -1) -> bytes:
        return self.read_until(b"\n", None if size < 0 else size)

    def read_all(self) -> bytes:
        return self.read(self.in_waiting)

    def read_stamped(self) -> list[tuple[int, bytes]]:
        """All chunks that have arrived, as (host ns of arrival, bytes); never waits."""
        self._check()
        with self._board.lock:
            self._board.console.settle(self._board.now_ns)
            return self._board.console.take_stamped()

    def _wait(self, condition: Any) -> None:
        self._check()
        limit_s = _FOREVER_S if self.timeout is None else self.timeout
        self._board.run_until(condition, limit_s, stop="console")
        self._check()

    # ---- writing

    def write(self, data: bytes) -> int:
        self._check()
        self._board.console_write(bytes(data))
        return len(data)

    def flush(self) -> None:
        self._check()

    @property
    def out_waiting(self) -> int:
        return 0

    def reset_input_buffer(self) -> None:
        self._check()
        with self._board.lock:
            self._board.console.settle(self._board.now_ns)
            self._board.console.clear_arrived()

    def reset_output_buffer(self) -> None:
        self._check()

    # ---- lines and rate

    @property
    def baudrate(self) -> int:
        return self._baudrate

    @baudrate.setter
    def baudrate(self, baud: int) -> None:
        self._baudrate = baud
        self._board.set_baud(baud)

    @property
    def dtr(self) -> bool:
        return self._board.lines[0]

    @dtr.setter
    def dtr(self, asserted: bool) -> None:
        self._check()
        self._board.set_lines(bool(asserted), None)

    @property
    def rts(self) -> bool:
        return self._board.lines[1]

    @rts.setter
    def rts(self, asserted: bool) -> None:
        self._check()
        self._board.set_lines(None, bool(asserted))

    cts = dsr = cd = True
    ri = False
