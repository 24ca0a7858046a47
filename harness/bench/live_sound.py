"""The seam between a board in wall time and the sound server it hears: host time here, monotonic time there."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.bench.handle import BoardHandle
from harness.bench.pulse_mic import PulseMicrophone, source_of
from harness.errors import HarnessFault


class LiveSound:
    """A board's microphone and reference LED at a PulseAudio sink, as its ``[bench] microphone`` says.

    Only in wall mode. All but the constructor is called with the board's lock held.

    Raises:
        BadRequest, HarnessFault: see :class:`harness.bench.pulse_mic.PulseMicrophone`.
    """

    def __init__(self, board: BoardHandle) -> None:
        self._board = board
        config = board.config
        delay_ms = config.output_delay_ms + config.audio_delay_ms
        self._output_ns = round(config.output_delay_ms * 1e6)
        self._microphone = PulseMicrophone(source_of(config.microphone), delay_ms)

    def at(self, first_host_ns: float, step_ns: float, n: int) -> NDArray[np.float64]:
        """See :class:`harness.bench.mic.Air`."""
        return self._microphone.at(self._board.host.monotonic_of(first_host_ns), step_ns, n)

    def heard_until(self, host_ns: int) -> int:
        """See :meth:`harness.bench.handle.BoardHandle.heard_until`."""
        self._microphone.report(self)
        host = self._board.host
        return host.of_monotonic(self._microphone.heard_until(round(host.monotonic_of(host_ns))))

    def truth(self, mono_ns: int, kind: str, **fields: Any) -> None:
        """See :class:`harness.bench.pulse_mic.TruthLog`."""
        self._board.events.add(self._board.host.of_monotonic(mono_ns), kind, **fields)

    def reference(self, samples: NDArray[np.float32], rate_hz: int, mono_ns: int) -> None:
        """See :class:`harness.bench.pulse_mic.TruthLog`."""
        if self._board.camera is not None:
            at_ns = self._board.host.of_monotonic(mono_ns) + self._output_ns
            self._board.camera.reference.add(samples, rate_hz, at_ns)

    def fault(self, fault: HarnessFault) -> None:
        """See :class:`harness.bench.pulse_mic.TruthLog`."""
        self._board.report(fault)

    def close(self) -> None:
        """Ends the capture."""
        self._microphone.close()
