"""What a board hears: sounds played to it in virtual time, or a sound server's in wall time.

The second channel of what is played drives the reference LED in the camera's view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.bench.handle import BoardHandle
from harness.bench.live_sound import LiveSound
from harness.bench.mic import make_sound
from harness.errors import BadRequest

_PLAY_LEAD_NS = 100_000_000  # like a sound card: "now" means a little later


class Sounds:
    """The air around one board. :meth:`play` and :meth:`stop` are called with the board's lock held."""

    def __init__(self, board: BoardHandle) -> None:
        self._board = board
        self._live: LiveSound | None = None

    def play(self, samples: NDArray[np.float32], rate_hz: float, at_ns: int | None) -> int:
        """See :meth:`harness.bench.board.Board.play`."""
        board, chip = self._board, self._board.chip
        earliest = board.host.now_ns
        if chip.mic is not None:
            earliest = max(earliest, chip.mic.host_of(chip.mic.sent))
        start = max(earliest, board.host.now_ns + _PLAY_LEAD_NS) if at_ns is None else at_ns
        if start < earliest:
            raise BadRequest(
                "the sound would start in the past", expected=f"at or after {earliest} ns", got=f"{start} ns"
            )
        stereo = np.ndim(samples) == 2 and np.shape(samples)[1] == 2
        output = start + round(board.config.output_delay_ms * 1e6)
        delay = round(board.config.audio_delay_ms * 1e6)
        chip.add_sound(make_sound(samples[:, 0] if stereo else samples, rate_hz, output + delay))
        if stereo and board.camera is not None:
            board.camera.reference.add(samples[:, 1], rate_hz, output)
        board.events.add(
            start, "sound", at_microphone_ns=output + delay, at_reference_ns=output if stereo else None,
            seconds=len(samples) / rate_hz,
        )  # fmt: skip
        return start

    def stop(self) -> None:
        """Ends every sound, as far as the chip has not heard it."""
        self._board.chip.clear_sounds()
        if self._board.camera is not None:
            self._board.camera.reference.cut(self._board.host.now_ns)

    def listen(self) -> None:
        """The microphone is at a sound server from now on."""
        live = LiveSound(self._board)
        with self._board.lock:
            self._live = live
            self._attach(live)

    def listen_no_more(self) -> None:
        """The microphone hears what is played to it again."""
        live, self._live = self._live, None
        if live is not None:
            live.close()
        with self._board.lock:
            self._attach(None)

    def heard_until(self, host_ns: int) -> int:
        """How far time may go, at most ``host_ns``, without inventing sound that has not come yet."""
        return host_ns if self._live is None else self._live.heard_until(host_ns)

    def _attach(self, live: LiveSound | None) -> None:
        chip = self._board.chip
        chip.air = live
        if chip.mic is not None:
            chip.mic.air = live
