"""What a loopback heard at the beginning and the end of a stimulus, block by block, with the times of each block."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

# What lies between is dropped: what was played is known, and both marks lie at the ends.
HEAD_S = TAIL_S = 4.0
_AROUND_S = 1.5


class Tape:
    """Blocks of one stream. Frames are counted from the start of the stream.

    Args:
        rate_hz: of the stream.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self.rewind()

    def rewind(self) -> None:
        """Forgets everything."""
        self._first: list[int] = []
        self._now_ns: list[int] = []
        self._captured_ns: list[int] = []
        self._played_ns: list[int] = []
        self._blocks: list[npt.NDArray[np.float32]] = []

    def add(self, first: int, block: npt.NDArray[np.float32], now_ns: int, captured_ns: int, played_ns: int) -> None:
        """A block [n, 2] whose first frame is ``first``, handed to us at ``now_ns``.

        Args:
            captured_ns, played_ns: when, as the driver says, it was captured, and what we hand out in return will play.
        """
        self._first.append(first)
        self._now_ns.append(now_ns)
        self._captured_ns.append(captured_ns)
        self._played_ns.append(played_ns)
        self._blocks.append(block.copy())
        head = int(np.searchsorted(self._first, self._first[0] + HEAD_S * self._rate_hz))
        while head < len(self._first) and self._first[head] < first - TAIL_S * self._rate_hz:
            for column in (self._first, self._now_ns, self._captured_ns, self._played_ns, self._blocks):
                del column[head]

    def cut(self) -> Tape:
        """What has been heard so far, as a tape of its own; this one starts anew."""
        done = Tape(self._rate_hz)
        done._first, done._now_ns, done._blocks = self._first, self._now_ns, self._blocks
        done._captured_ns, done._played_ns = self._captured_ns, self._played_ns
        self.rewind()
        return done

    def channel(self, channel: int, first: int, frames: int) -> npt.NDArray[np.float32]:
        """Frames ``first`` to ``first + frames - 1`` of one channel; fewer at the ends of the tape."""
        parts = []
        for start, block in zip(self._first, self._blocks, strict=True):
            lo, hi = max(0, first - start), min(len(block), first + frames - start)
            if lo < hi:
                parts.append(block[lo:hi, channel])
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    def captured_ns(self, frame: float) -> int:
        """Host time at which a frame was captured, as the driver says."""
        return self._told_ns(self._captured_ns, frame)

    def played_ns(self, frame: float) -> int:
        """Host time at which a frame of the output was played, as the driver says."""
        return self._told_ns(self._played_ns, frame)

    def _told_ns(self, stamps: list[int], frame: float) -> int:
        """The median of what the driver said of the blocks around a frame.

        Single stamps jump by milliseconds on some drivers; the frames themselves come evenly.
        """
        at = np.array(self._first)
        near = np.abs(at - frame) < _AROUND_S * self._rate_hz
        since = np.array(stamps)[near] - stamps[0] + (frame - at[near]) * (1e9 / self._rate_hz)
        return stamps[0] + round(float(np.median(since)))

    def received_ns(self, frame: float) -> int:
        """Host time at which the block with this frame came to us: it was captured before that."""
        return self._now_ns[max(0, int(np.searchsorted(self._first, frame, "right")) - 1)]

    def handed_ns(self, frame: float) -> int:
        """Host time at which the output's block with this frame was filled: it was played after that."""
        return self.received_ns(frame)
