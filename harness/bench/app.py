"""The application while it runs: grants of time in, light, console, network and calls out.

One :class:`RunningApp` is one boot of the firmware process. It knows device time only; the board maps it.
"""

from __future__ import annotations

import heapq
import itertools
import time
from dataclasses import dataclass
from typing import Protocol

from harness.bench import link
from harness.bench.link import StartInfo
from harness.bench.mic import Microphone
from harness.bench.payload import Child
from harness.errors import HarnessFault

READY_DEADLINE_S = 5.0
_MOST_SILENCES = 30
_MOST_OUTPUT = 256 * 1024 * 1024  # bytes one grant may produce; more is a child that never comes back


@dataclass(frozen=True)
class Counts:
    """The newest COUNTS of the firmware process: what the modelled chip has done since boot."""

    now_ns: int = 0
    core0_busy_ns: int = 0
    core1_busy_ns: int = 0
    mic_overruns: int = 0
    heap_free: int = 0
    heap_least: int = 0


@dataclass(frozen=True)
class ResetNotice:
    """The firmware has ended itself: device time and ``hal::ResetReason``."""

    at_ns: int
    reason: int


class AppSinks(Protocol):
    """Where the outputs of the app go. Times are device nanoseconds, in order within each kind."""

    def on_light(self, at_ns: int, latch_us: int, rgb_a: bytes, rgb_b: bytes) -> None: ...
    def on_console(self, at_ns: int, data: bytes) -> None: ...
    def on_net(self, at_ns: int, kind: int, body: bytes) -> None: ...
    def on_call(self, op: int, body: bytes) -> tuple[bool, bytes]: ...


class RunningApp:
    """Drives one firmware process. Not thread-safe: one thread at a time.

    Args:
        child: the started process.
        start: body of START.
        microphone: its words are sent ahead of each grant.
        sinks: receive what comes out.
        wall_deadline_s: longest wall time without a word of the process; a grant takes 30 times that at most. A hung
            process is silent; one that talks may only be on a busy machine.
        evidence: where to look when it goes wrong, for fault messages.
    """

    def __init__(
        self,
        child: Child,
        start: StartInfo,
        microphone: Microphone,
        sinks: AppSinks,
        *,
        wall_deadline_s: float = 10.0,
        evidence: str = "",
    ) -> None:
        self._child = child
        self._sock = child.sock
        self._sock.settimeout(wall_deadline_s)
        self._mic = microphone
        self._sinks = sinks
        self._deadline_s = wall_deadline_s
        self._evidence = evidence
        self._reader = link.FrameReader()
        self._events: list[tuple[int, int, int, bytes]] = []
        self._order = itertools.count()
        self._counts_raw = bytes(link.COUNTS_BODY.size)
        self.now_ns = 0
        self.cost_model = ""
        self.reset: ResetNotice | None = None
        self._send(start.frame())
        self._pump(READY_DEADLINE_S, until=link.READY)

    @property
    def counts(self) -> Counts:
        return Counts(*link.COUNTS_BODY.unpack(self._counts_raw))

    def schedule(self, at_ns: int, kind: int, body: bytes) -> None:
        """Sends a frame of type ``kind`` ahead of the grant its instant falls into.

        ``body`` is what follows ``at_ns`` in the frame.
        """
        heapq.heappush(self._events, (at_ns, next(self._order), kind, body))

    def advance(self, until_ns: int, stop_mask: int = 0) -> int:
        """Lets the firmware run to ``until_ns`` of device time, or until it stops early as asked.

        Returns the device time reached; then look at :attr:`reset`.

        Raises:
            HarnessFault: the process died, broke the protocol or did not end its grant in time.
        """
        out = list(self._mic.take(until_ns))
        while self._events and self._events[0][0] <= until_ns:
            at_ns, _, kind, body = heapq.heappop(self._events)
            out.append(link.timed(kind, max(at_ns, self.now_ns), body))
        out.append(link.grant(until_ns, stop_mask))
        self._send(b"".join(out))
        self._pump(self._deadline_s, until=link.REACHED)
        return self.now_ns

    def stop(self) -> None:
        """Power off: the process ends now."""
        self._child.kill()

    def _send(self, data: bytes) -> None:
        try:
            self._sock.sendall(data)
        except TimeoutError as e:
            raise self._stuck(self._deadline_s) from e
        except OSError as e:
            # The process may have ended with a RESET that is still in our receive buffer.
            if not isinstance(e, (BrokenPipeError, ConnectionResetError)):
                raise self._died() from e

    def _pump(self, deadline_s: float, until: int) -> None:
        """Handles frames until one of type ``until`` or a RESET."""
        end_s = time.monotonic() + _MOST_SILENCES * deadline_s
        self._sock.settimeout(deadline_s)
        budget = _MOST_OUTPUT
        while True:
            if self._handle(until):
                return
            try:
                got = self._reader.fill(self._sock)
            except TimeoutError as e:
                raise self._stuck(deadline_s) from e
            except OSError:
                got = 0
            if got == 0:
                raise self._died()
            budget -= got
            if budget < 0 or time.monotonic() > end_s:
                raise self._stuck(_MOST_SILENCES * deadline_s)

    def _handle(self, until: int) -> bool:
        """Works off whole frames in the buffer; True when the awaited one or a RESET was among them."""
        reader, sinks = self._reader, self._sinks
        while (got := reader.next()) is not None:
            kind, lo, hi = got
            buf = reader.buf
            if kind == link.LIGHT:
                at_ns, latch_us, leds = link.LIGHT_HEAD.unpack_from(buf, lo)
                a = lo + link.LIGHT_HEAD.size
                b = a + 3 * leds
                if hi != b + 3 * leds:
                    raise self._broken(kind, hi - lo)
                sinks.on_light(at_ns, latch_us, bytes(buf[a:b]), bytes(buf[b:hi]))
            elif kind == link.CONSOLE_TX:
                (at_ns,) = link.U64.unpack_from(buf, lo)
                sinks.on_console(at_ns, bytes(buf[lo + 8 : hi]))
            elif kind == link.COUNTS:
                self._counts_raw = self._exact(kind, buf[lo:hi], link.COUNTS_BODY.size)
            elif kind == link.REACHED:
                (self.now_ns,) = link.U64.unpack(self._exact(kind, buf[lo:hi], 8))
                if until == kind:
                    return True
            elif kind == link.NET_OUT and hi - lo >= link.NET_HEAD.size:
                at_ns, net_kind = link.NET_HEAD.unpack_from(buf, lo)
                sinks.on_net(at_ns, net_kind, bytes(buf[lo + link.NET_HEAD.size : hi]))
            elif kind == link.CALL and hi - lo >= link.CALL_HEAD.size:
                call_id, op = link.CALL_HEAD.unpack_from(buf, lo)
                ok, data = sinks.on_call(op, bytes(buf[lo + link.CALL_HEAD.size : hi]))
                self._send(link.reply(call_id, ok, data))
            elif kind == link.RESET:
                self.reset = ResetNotice(*link.RESET_BODY.unpack(self._exact(kind, buf[lo:hi], link.RESET_BODY.size)))
                self.now_ns = max(self.now_ns, self.reset.at_ns)
                return True
            elif kind == link.READY and until == link.READY:
                self._on_ready(bytes(buf[lo:hi]))
                return True
            else:
                raise self._broken(kind, hi - lo)
        return False

    def _on_ready(self, body: bytes) -> None:
        version = int.from_bytes(body[:2], "little")
        if len(body) < 2 or version != link.VERSION:
            raise HarnessFault(
                "the firmware was built for another board link",
                expected=f"version {link.VERSION}", got=f"version {version}", evidence=self._evidence,
                remedy="build the firmware again: pio run -e sim",
            )  # fmt: skip
        self.cost_model = body[2:].decode("utf-8", "replace")

    def _exact(self, kind: int, body: bytearray, size: int) -> bytes:
        if len(body) != size:
            raise self._broken(kind, len(body))
        return bytes(body)

    def _broken(self, kind: int, size: int) -> HarnessFault:
        return HarnessFault(
            "the firmware process broke the board link", expected="frames as in docs/board-link.md",
            got=f"type 0x{kind:02x} with {size} bytes", evidence=self._evidence,
        )  # fmt: skip

    def _stuck(self, deadline_s: float) -> HarnessFault:
        return HarnessFault(
            "child stuck outside the model",
            expected=f"an answer within {deadline_s:g} s of wall time",
            got=f"not the one awaited; device time stands at {self.now_ns} ns",
            evidence=self._evidence,
            remedy="a loop without a basic-block hook, or a machine far too busy; attach a debugger to the process",
        )

    def _died(self) -> HarnessFault:
        return HarnessFault(
            "child died without a reset",
            expected="RESET before its end",
            got=f"{self._child.describe_end()}; device time stands at {self.now_ns} ns",
            evidence=self._evidence,
            remedy="run the payload under a debugger; a firmware crash should have been caught and printed by it",
        )
