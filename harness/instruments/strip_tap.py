"""What both LED strip wires carried, frame by frame.

On a bench: a logic analyser or, on the virtual board, the wires themselves.
"""

from __future__ import annotations

from typing import Protocol

from harness.recording import Columns


class StripTap(Protocol):
    """A tap on the two strip wires.

    Attributes:
        lost: frames that were seen but dropped because nobody took them in time, since the tap exists.
    """

    @property
    def lost(self) -> int: ...

    def take(self) -> Columns:
        """Frames since the last call: ``host_ns`` int64[n] (start of transmission), ``rgb`` uint8[n, 2, 160, 3]."""
        ...
