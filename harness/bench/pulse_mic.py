"""A live board's microphone at a PulseAudio sink: what is played there is what the chip hears.

The sink's left channel reaches the microphone ``AIR_MS`` (and the configured delay) after it was played; the right one
drives the reference LED when it is played. The port times that result are truth and go to the event log. Sound is never
invented: while it is late, the board waits for it (:meth:`PulseMicrophone.heard_until`); when it does not come, the
silence the chip gets instead is logged and is a fault of the bench.

How well port times are known: the line from sample to time is drawn by the earliest of many blocks, which the sink
hands over when their first sample is due (:mod:`harness.bench.sample_clock`). What is left is the shortest way from the
sink's thread to ours, about 0.1 ms, by which all port times of a run are late against the sink's own clock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from harness.bench.live_air import LiveAir
from harness.bench.pulse_capture import INSTALL, RATE_HZ, PulseCapture
from harness.bench.sample_clock import SampleClock
from harness.errors import BadRequest, HarnessFault

PREFIX = "pulse:"
# From the sink to the microphone: time for hand-over, filter and interpolation; 3.4 m of air would take as long.
AIR_MS = 10.0
_START_S = 10.0
# Sound that is late holds the board back; nearly as long as the board may be behind wall time.
_STALL_NS = 450_000_000
_LINE_EVERY_NS = 10_000_000_000
_LOUD, _QUIET_S = 10.0 ** (-40.0 / 20.0), 0.05


def source_of(microphone: str) -> str:
    """Name of the PulseAudio source in a ``microphone`` setting.

    Raises:
        BadRequest: another kind of microphone.
    """
    if not microphone.startswith(PREFIX) or len(microphone) == len(PREFIX):
        raise BadRequest(
            "unusable microphone", expected="pulse:SINK.monitor", got=microphone, remedy="[bench] microphone"
        )
    return microphone.removeprefix(PREFIX)


class TruthLog(Protocol):
    """Where truth and faults go; called with the board's lock held."""

    def truth(self, mono_ns: int, kind: str, **fields: Any) -> None:
        """One event at a monotonic time."""

    def reference(self, samples: NDArray[np.float32], rate_hz: int, mono_ns: int) -> None:
        """What drives the reference LED, from a monotonic time on."""

    def fault(self, fault: HarnessFault) -> None:
        """The bench's own fault."""


class PulseMicrophone:
    """Sound at the microphone port by monotonic time.

    Args:
        source: name of the PulseAudio source.
        delay_ms: from the sink to the port, beyond :data:`AIR_MS`.
        clock: monotonic time in ns.

    Raises:
        BadRequest: no ``parec``.
        HarnessFault: no sound from the source.
    """

    def __init__(self, source: str, delay_ms: float, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._clock = clock
        self._source = source
        self._delay_ns = round((AIR_MS + delay_ms) * 1e6)
        self._changed = threading.Condition()
        self._air = LiveAir(RATE_HZ)
        self._line = SampleClock(RATE_HZ)
        self._onsets = _Onsets()
        self._right: list[tuple[int, NDArray[np.float32]]] = []
        self._news: list[tuple[float, str, dict[str, Any]]] = []
        self._last_ns = clock()
        self._ended = ""
        self._stalled = False
        self._missing = 0
        self._lined_ns = 0
        self._capture = PulseCapture(source, self, clock)
        self._await_line()

    def _await_line(self) -> None:
        with self._changed:
            if self._changed.wait_for(lambda: self._line.known or bool(self._ended), _START_S) and not self._ended:
                return
        self.close()
        raise HarnessFault(
            f"no sound comes from the PulseAudio source '{self._source}'", expected=f"blocks within {_START_S:g} s",
            got=self._ended or "nothing", remedy=f"is the server running (PULSE_SERVER)? {INSTALL}",
        )  # fmt: skip

    # ---- capture thread

    def on_block(self, samples: NDArray[np.float32], arrival_ns: int) -> None:
        """See :class:`harness.bench.pulse_capture.Listener`."""
        with self._changed:
            fed = self._air.fed
            lost = self._line.add(fed, arrival_ns)
            if lost:
                self._news.append((float(fed), "sound lost", {"samples": lost}))
                self._air.feed(np.zeros(lost, np.float32))
                fed += lost
            self._air.feed(samples[:, 0])
            self._news += [(at, kind, {}) for at, kind in self._onsets.feed(samples[:, 0], fed)]
            self._right.append((fed, samples[:, 1].copy()))
            self._last_ns = arrival_ns
            self._changed.notify_all()

    def on_end(self, reason: str) -> None:
        """See :class:`harness.bench.pulse_capture.Listener`."""
        with self._changed:
            self._ended = reason
            self._changed.notify_all()

    # ---- board

    def heard_until(self, mono_ns: int) -> int:
        """How far the board may go, at most ``mono_ns``: where the sound is known, or on when none comes any more."""
        with self._changed:
            silent = self._clock() - self._last_ns > _STALL_NS
            if bool(self._ended) or silent:
                if not self._stalled:
                    self._news.append((float(self._air.fed), "underrun", {"why": self._ended or "no sound came"}))
                self._stalled = True
                return mono_ns
            if self._stalled:
                self._news.append((float(self._air.fed), "underrun over", {"samples_missed": self._missing}))
                self._stalled, self._missing = False, 0
            return min(mono_ns, self._port_ns(self._air.known))

    def _port_ns(self, position: float) -> int:
        return self._line.time_ns(position) + self._delay_ns

    def at(self, first_ns: float, step_ns: float, n: int) -> NDArray[np.float64]:
        """Sound at ``n`` port times ``first_ns + k step_ns`` (monotonic); silence where none came in time."""
        with self._changed:
            start = self._line.index_at(first_ns - self._delay_ns)
            position = start + np.arange(n, dtype=np.float64) * (step_ns * (RATE_HZ / 1e9) / self._line.rate)
            if n and position[-1] > self._air.known:
                self._missing += int((position > self._air.known).sum())
            return self._air.at(position)

    def report(self, log: TruthLog) -> None:
        """Hands over what has happened since the last call: truth, faults, the reference LED's signal."""
        with self._changed:
            news, self._news = self._news, []
            right, self._right = self._right, []
            now = self._clock()
            if now - self._lined_ns >= _LINE_EVERY_NS:
                self._lined_ns = now
                news.append((float(self._air.fed), "microphone line", self._line_fields()))
        for index, samples in right:
            log.reference(samples, RATE_HZ, self._line.time_ns(index))
        for position, kind, fields in news:
            log.truth(self._port_ns(position), kind, **fields)
            if kind in ("underrun", "sound lost"):
                log.fault(_fault(kind, fields))

    def _line_fields(self) -> dict[str, Any]:
        """How samples and time belong together now."""
        fed, line = self._air.fed, self._line
        return {
            "sample": fed, "monotonic_ns": self._port_ns(fed), "rate_hz": RATE_HZ, "rate": line.rate,
            "delay_ns": self._delay_ns, "lateness_ns": line.lateness_ns,
        }  # fmt: skip

    def close(self) -> None:
        """Ends the capture."""
        self._capture.close()


def _fault(kind: str, fields: dict[str, Any]) -> HarnessFault:
    return HarnessFault(
        f"the board's microphone ran dry ({kind.replace(' ', '_')})",
        expected="every sample the sink played",
        got=str(fields.get("why") or f"{fields.get('samples')} samples lost on the way from the sound server"),
        remedy="is this machine overloaded? give the sound server a core, or serve fewer boards",
    )


class _Onsets:
    """Where sound starts and stops: a sample above -40 dBFS, and 50 ms without one."""

    def __init__(self) -> None:
        self._last_loud: int | None = None

    def feed(self, samples: NDArray[np.float32], first: int) -> list[tuple[float, str]]:
        """Edges in the next samples: (index, kind)."""
        quiet = round(_QUIET_S * RATE_HZ)
        loud = np.flatnonzero(np.abs(samples) > _LOUD) + first
        edges: list[tuple[float, str]] = []
        for run in np.split(loud, np.flatnonzero(np.diff(loud) > quiet) + 1) if loud.size else ():
            if self._last_loud is not None and run[0] - self._last_loud > quiet:
                edges.append((float(self._last_loud + 1), "microphone offset"))
                self._last_loud = None
            if self._last_loud is None:
                edges.append((float(run[0]), "microphone onset"))
            self._last_loud = int(run[-1])
        if self._last_loud is not None and first + len(samples) - self._last_loud > quiet:
            edges.append((float(self._last_loud + 1), "microphone offset"))
            self._last_loud = None
        return edges
