"""Sound into the device's microphone."""

from __future__ import annotations

from typing import Protocol

from harness.signals import Stimulus


class AudioIn(Protocol):
    """Plays stimuli to the device under test.

    Attributes:
        exact_start: the returned start time is the true one. Otherwise it is the driver's estimate, and absolute
            latency
            needs a reference.
        glitches: gaps in the sound so far, as far as the driver tells.
    """

    exact_start: bool
    glitches: int

    def play(self, stimulus: Stimulus, at_ns: int | None = None) -> int:
        """Starts playing (now, or at a host time) and returns at once with the host time of the first sample, ns.

        Raises:
            RigFault: the output device is gone.
        """
        ...

    def stop(self) -> None:
        """Silence from now on."""
        ...
