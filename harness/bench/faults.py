"""Faults on demand: cable, microphone, strips and network of one board, each logged as injected truth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.bench.handle import BoardHandle
from harness.errors import BadRequest


class Faults:
    """Switches faults of a living board on and off."""

    def __init__(self, board: BoardHandle) -> None:
        self._board = board

    def unplug(self) -> None:
        """Pulls the data cable; the board keeps its power. What was on the way is lost, ports raise."""
        self._plug(False)

    def replug(self) -> None:
        """Puts the data cable back in."""
        self._plug(True)

    def _plug(self, plugged: bool) -> None:
        with self._board.changed:
            self._board.cable.plug(plugged)
            self._log("cable", plugged=plugged)
            self._board.changed.notify_all()
        if not plugged:
            self._board.hang_up()

    def stop_reading(self, stopped: bool = True) -> None:
        """The host keeps the port open but does not read: the chip's transmit buffer fills."""
        with self._board.lock:
            self._board.cable.stop_reading(stopped)
            self._log("host reading", stopped=stopped)

    def mute_mic(self, muted: bool = True) -> None:
        """All-zero words from now on, or no longer."""
        with self._board.lock:
            self._board.chip.mic_faults.muted = muted
            self._mic_changed()

    def unplug_mic(self, unplugged: bool = True) -> None:
        """No words at all from now on, or again."""
        with self._board.lock:
            self._board.chip.mic_faults.unplugged = unplugged
            self._mic_changed()

    def _mic_changed(self) -> None:
        chip = self._board.chip
        if chip.mic is not None:
            chip.mic.refresh()
        self._log("microphone", muted=chip.mic_faults.muted, unplugged=chip.mic_faults.unplugged)

    def dead_leds(self, leds: Iterable[int]) -> None:
        """These LED indices stay dark on both strips."""
        with self._board.lock:
            self._board.chip.light_faults.dead = frozenset(leds)
            self._log("dead leds", leds=sorted(self._board.chip.light_faults.dead))

    def drop_frames(self, probability: float) -> None:
        """So many of the frames sent never light."""
        if not 0.0 <= probability <= 1.0:
            raise BadRequest("not a probability", expected="0 to 1", got=str(probability))
        with self._board.lock:
            self._board.chip.light_faults.drop = probability
            self._log("drop frames", probability=probability)

    def network(self, up: bool) -> None:
        """Access point there, or gone."""
        with self._board.lock:
            self._board.chip.set_network(up)
            self._log("network", up=up)

    def _log(self, kind: str, **fields: Any) -> None:
        self._board.events.add(self._board.now_ns, kind, **fields)
