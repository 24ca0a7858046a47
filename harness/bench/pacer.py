"""Wall mode: one thread that leads a board along wall time."""

from __future__ import annotations

import threading

from harness.bench.handle import BoardHandle
from harness.errors import HarnessFault, K1HilError

_LATE_NS = 500_000_000
# What came from outside is answered as fast as by a board on a desk: so long, time goes in slices of a USB frame.
_LIVELY_NS, _LIVELY_S = 12_000_000, 0.001
_SLICE_NS = 20_000_000  # the lock is given away at least this often while catching up


class Pacer:
    """Advances device time in slices of ``pace_ms`` and tells everyone who waits on the board.

    Falling more than half a second behind is a harness fault (``fell_behind``): it is reported to the board, then the
    lost time is written off. What starting a firmware process takes is written off too, but is no fault: it is only
    logged (``slow start``). A failing board (stuck or dead firmware process) ends the pacing with its fault kept.
    """

    def __init__(self, board: BoardHandle, pace_s: float) -> None:
        self._board = board
        self._pace_s = pace_s
        self._stop = False
        self._nudged = False
        self._lively_until_ns = 0
        self._app: object | None = None
        self._thread = threading.Thread(target=self._run, name="board pacing", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def nudge(self) -> None:
        """Run on now: something came in from outside."""
        with self._board.changed:
            self._nudged = True
            self._lively_until_ns = self._board.host.wall_now() + _LIVELY_NS
            self._board.changed.notify_all()

    def stop(self) -> None:
        with self._board.changed:
            self._stop = True
            self._board.changed.notify_all()
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=60.0)

    def _run(self) -> None:
        board = self._board
        while True:
            with board.changed:
                if self._stop:
                    return
                try:
                    caught_up = self._slice()
                except K1HilError as fault:
                    board.fail(fault)
                    return
                except Exception as error:  # whatever it is, nobody else would see it end this thread
                    board.fail(HarnessFault("the virtual board failed", got=f"{type(error).__name__}: {error}"))
                    raise
                board.changed.notify_all()
                if caught_up:
                    board.changed.wait_for(lambda: self._nudged or self._stop, self._pause_s())
                    self._nudged = False

    def _pause_s(self) -> float:
        lively = self._board.host.wall_now() < self._lively_until_ns
        return min(_LIVELY_S, self._pace_s) if lively else self._pace_s

    def _slice(self) -> bool:
        """One slice; True when the board stands where wall time stands, or where the sound it hears ends."""
        host = self._board.host
        target = host.wall_now()
        late = target - host.now_ns
        app, self._app = self._app, self._board.chip.app
        if late > _LATE_NS and app is not self._app:
            # A firmware process was started: what this machine took for that is not the device's time.
            self._board.events.add(host.now_ns, "slow start", lost_ns=late)
            host.forgive()
            return True
        if late > _LATE_NS:
            self._board.report(
                HarnessFault(
                    "the board fell behind wall time (fell_behind)",
                    expected="at most 0.5 s",
                    got=f"{late / 1e9:.2f} s at host time {host.now_ns / 1e9:.3f} s",
                    remedy="fewer boards on this machine, or virtual time",
                )
            )
            host.forgive()
            return True
        target = self._board.heard_until(target)
        self._board.step(min(target, host.now_ns + _SLICE_NS))
        return host.now_ns >= target
