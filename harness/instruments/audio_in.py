"""Sound into the device's microphone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from harness.errors import RigFault
from harness.signals import Stimulus


class SoundSpoiled(RigFault):
    """The sound had gaps or slid while it was played: the run says nothing and is discarded."""


@dataclass(frozen=True)
class PlayReport:
    """How a stimulus was played.

    Attributes:
        start_ns: host time of the first sample at the microphone, as well as it is known now.
        interval_ns: half width of what the driver's two stamps of the same sound leave open; 0 when it is exact.
        certain_ns: half width without trust in any stamp: it was played after we handed it out and before it came back.
        source: ``exact``, ``loopback``, ``calibrated`` or ``driver``: what the start is known by: the driver's
            word agrees with a loopback, was corrected by a calibration, or stands alone.
        lags_ms: output to loopback, before and after the stimulus; empty when there is no loopback, or no mark in it.
        slip_ms: their difference; None without them.
        flags: what the driver complained about, by name and number.
    """

    start_ns: int
    interval_ns: int
    certain_ns: int
    source: str
    lags_ms: tuple[float, ...] = ()
    slip_ms: float | None = None
    flags: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


class AudioIn(Protocol):
    """Plays stimuli to the device under test.

    Attributes:
        exact_start: the returned start time is the true one. Otherwise it is an estimate, and absolute latency needs a
            reference.
    """

    exact_start: bool

    def play(self, stimulus: Stimulus, at_ns: int | None = None) -> int:
        """Starts playing (now, or at a host time) and returns at once with the host time of the first sample, ns.

        Raises:
            RigFault: the output device is gone.
        """
        ...

    def finish(self) -> PlayReport:
        """Ends what is played and says how it went.

        Raises:
            SoundSpoiled: gaps, or a slide.
            RigFault: the output device is gone.
        """
        ...

    def stop(self) -> None:
        """Silence from now on."""
        ...
