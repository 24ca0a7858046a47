"""When each sample of a capture was played, from nothing but when its blocks arrived.

The monitor of a null sink that never rewinds hands a block over at the instant its first sample is due. A block can
arrive late (scheduling) but never early, so the earliest arrivals of each second draw the line. The sink runs on the
monotonic clock but counts whole microseconds per block, so its rate is up to 60 ppm off the nominal one and changes
with the blocks its clients ask for: the line follows, without steps. Samples that got lost on the way show as a
lateness that no later block makes good.
"""

from __future__ import annotations

ANCHOR_BLOCKS = 25
WINDOW_NS = 2_000_000_000
# A part of a block that follows its first part at once says nothing about time.
_CONTINUED_NS = 3_000_000
# Blocks handed over without delay arrive alike: so many of a window, so close together, are the early ones. Single
# earlier ones are second parts of blocks that came in two.
_ALIKE_SHARE, _ALIKE_LEAST, _ALIKE_NS = 0.1, 4, 300_000
# How far the sink's rate can be off, and how fast the line may turn to meet the blocks.
_MOST_DRIFT, _MOST_TURN = 100e-6, 100e-6
# Share of a window's error that is taken for lasting drift; a fifth settles within ten windows without ringing.
_GAIN = 0.2
# The same lateness (within this spread) in so many windows is lost sound; a busy machine is late by other amounts.
LOST_WINDOWS = 3
LOST_NS = 4_000_000
_SPREAD_NS = 500_000


def _earliest(lateness_ns: list[float]) -> float | None:
    """Lateness of the blocks that came without delay; None when no blocks came alike."""
    ordered = sorted(lateness_ns)
    n = max(_ALIKE_LEAST, round(_ALIKE_SHARE * len(ordered)))
    return next((a for a, b in zip(ordered, ordered[n - 1 :], strict=False) if b - a <= _ALIKE_NS), None)


class SampleClock:
    """The line from sample index to monotonic time.

    Args:
        rate_hz: nominal rate of the sink.

    Attributes:
        rate: seconds of the monotonic clock per nominal second of samples.
        lateness_ns: of the newest window's early blocks against the line.
    """

    def __init__(self, rate_hz: int) -> None:
        self._ns_per_sample = 1e9 / rate_hz
        self._index = 0.0
        self._time_ns = 0.0
        self.rate = 1.0
        self._drift = 0.0
        self.lateness_ns = 0
        self.known = False
        self._window: list[float] = []
        self._since_ns = 0
        self._last_ns = 0
        self._late: list[float] = []

    def time_ns(self, index: float) -> int:
        """Monotonic time at which sample ``index`` was played. Only when :attr:`known`."""
        return round(self._line(index))

    def index_at(self, mono_ns: float) -> float:
        """Sample played at a monotonic time; the inverse of :meth:`time_ns`."""
        return self._index + (mono_ns - self._time_ns) / (self._ns_per_sample * self.rate)

    def _line(self, index: float) -> float:
        return self._time_ns + (index - self._index) * self._ns_per_sample * self.rate

    def add(self, index: int, arrival_ns: int) -> int:
        """A block whose first sample has ``index`` came at ``arrival_ns``.

        Returns:
            How many samples have been lost before it: the caller counts them in, so that the line stays true.
        """
        follows = arrival_ns - self._last_ns < _CONTINUED_NS
        self._last_ns = arrival_ns
        if not follows:
            self._window.append(arrival_ns - self._line(index))
        if not self.known:
            self._anchor()
            self._since_ns = arrival_ns
            return 0
        if arrival_ns - self._since_ns < WINDOW_NS:
            return 0
        self._since_ns = arrival_ns
        return self._judge(index)

    def _anchor(self) -> None:
        if len(self._window) >= ANCHOR_BLOCKS and (late := _earliest(self._window)) is not None:
            self._time_ns = self._line(self._index) + late
            self._window.clear()
            self.known = True

    def _judge(self, index: int) -> int:
        """Ends a window: the line goes on from here so that it meets the early blocks two windows later."""
        late = _earliest(self._window)
        self._window.clear()
        if late is None:
            return 0
        self.lateness_ns = round(late)
        self._time_ns, self._index = self._line(index), float(index)
        # So much lateness is no drift: the line waits until it is clear what it is.
        turn = min(max(late / (2 * WINDOW_NS), -_MOST_TURN), _MOST_TURN) if late < LOST_NS else 0.0
        self._drift = min(max(self._drift + _GAIN * turn, -_MOST_DRIFT), _MOST_DRIFT)
        self.rate = 1.0 + self._drift + turn
        self._late = [*self._late, late][-LOST_WINDOWS:]
        steady = max(self._late) - min(self._late) < _SPREAD_NS
        if len(self._late) < LOST_WINDOWS or min(self._late) < LOST_NS or not steady:
            return 0
        least, self._late = min(self._late), []
        return round(least / self._ns_per_sample)
