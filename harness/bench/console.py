"""The host side of the serial line: bytes of the chip on their way to whoever reads them.

USB delivers at the end of its 1 ms frames, the host adds a little; both stamp what the reader sees. The instant a byte
really left the chip is truth, and stays in here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_MOST_HELD = 16 * 1024 * 1024  # an unread UART loses its oldest bytes after so many


class ConsoleLine:
    """Bytes in flight and bytes arrived, each chunk with the host time of its arrival.

    Args:
        frame_ns: the line delivers at whole multiples of this (0: at once).
        jitter: draws the extra delay in ns.
    """

    def __init__(self, frame_ns: int, jitter: Callable[[], float]) -> None:
        self._frame_ns = frame_ns
        self._jitter = jitter
        self._coming: deque[tuple[int, bytes]] = deque()
        self._here: deque[tuple[int, bytes]] = deque()
        self._here_bytes = 0
        self._coming_bytes = 0
        self._last_ns = 0
        self.lost_bytes = 0

    def emit(self, host_ns: int, data: bytes) -> None:
        """The chip has put ``data`` on the line, done at ``host_ns``."""
        at = host_ns
        if self._frame_ns:
            at = -(-at // self._frame_ns) * self._frame_ns
        at = max(self._last_ns, at + int(self._jitter()))
        self._last_ns = at
        self._coming.append((at, data))
        self._coming_bytes += len(data)
        while self._here_bytes + self._coming_bytes > _MOST_HELD:
            self._drop_oldest()

    def emit_now(self, host_ns: int, data: bytes) -> None:
        """As :meth:`emit`, but already arrived, after all that was on its way: the ROM loader serves real tools."""
        self.settle(max(self._last_ns, host_ns))
        self._here.append((host_ns, data))
        self._here_bytes += len(data)

    def _drop_oldest(self) -> None:
        if self._here:
            n = len(self._here.popleft()[1])
            self._here_bytes -= n
        else:
            n = len(self._coming.popleft()[1])
            self._coming_bytes -= n
        self.lost_bytes += n

    def settle(self, now_ns: int) -> int:
        """Moves what has arrived by now; bytes waiting to be read."""
        coming = self._coming
        while coming and coming[0][0] <= now_ns:
            chunk = coming.popleft()
            self._here.append(chunk)
            n = len(chunk[1])
            self._coming_bytes -= n
            self._here_bytes += n
        return self._here_bytes

    def next_arrival(self, now_ns: int) -> int | None:
        """Host time of the next chunk still on its way."""
        self.settle(now_ns)
        return self._coming[0][0] if self._coming else None

    def find(self, what: bytes) -> int:
        """Bytes up to and including the first ``what`` among the arrived ones; 0 when it is not there."""
        at = b"".join(data for _, data in self._here).find(what)
        return at + len(what) if at >= 0 else 0

    def take(self, n: int) -> bytes:
        """Up to ``n`` arrived bytes."""
        out = bytearray()
        here = self._here
        while here and len(out) < n:
            at, data = here.popleft()
            want = n - len(out)
            if len(data) > want:
                here.appendleft((at, data[want:]))
                data = data[:want]
            out += data
        self._here_bytes -= len(out)
        return bytes(out)

    def take_stamped(self) -> list[tuple[int, bytes]]:
        """All arrived chunks as (host ns, bytes)."""
        out = list(self._here)
        self._here.clear()
        self._here_bytes = 0
        return out

    def clear_arrived(self) -> None:
        self._here.clear()
        self._here_bytes = 0

    def clear(self) -> None:
        """Unplugged: what is on the way is lost too."""
        self.clear_arrived()
        self._coming.clear()
        self._coming_bytes = 0
