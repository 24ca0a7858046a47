"""The virtual camera as an instrument's driver sees a camera: read, get, set, close."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.bench.board import Board
from harness.errors import BadRequest


class VirtualCameraPort:
    """Opens the camera of a board and starts its stream.

    In virtual time :meth:`read` moves the board until a frame has arrived; with a timeout of 0 it hands out what has
    arrived already, so a recorder lets the board run and then reads until None.

    Raises:
        BadRequest: the board has no camera.
    """

    def __init__(self, board: Board) -> None:
        if board.camera is None:
            raise BadRequest(
                "this board has no camera", expected="a [bench.camera] table", got="none", remedy="add one to the rig"
            )
        self._board = board
        self._camera = board.camera
        board.power_on()
        with board.lock:
            self._camera.start(board.now_ns, board.host.epoch)

    def read(self, timeout_s: float) -> tuple[int, NDArray[np.uint8]] | None:
        """The next frame: host time stamp in ns and the picture, uint8 [height, width, 3], blue first.

        None when none arrives within ``timeout_s`` of host time.
        """
        end_ns = self._board.now_ns + round(timeout_s * 1e9)
        while self._camera.streaming:
            frame = self._camera.take(self._board.now_ns)
            if frame is not None:
                return frame.host_ns, frame.image
            if self._board.now_ns >= end_ns:
                return None
            self._board.run_to(min(end_ns, max(self._camera.upcoming().delivery_ns, self._board.now_ns + 1)))
        return None

    def drop_waiting(self) -> None:
        """Takes and forgets what has arrived, so that the next frame is a new one."""
        while self.read(0.0) is not None:
            pass

    def flush(self) -> None:
        """Forgets frames that have arrived and were not read."""
        self._camera.skip_to(self._board.now_ns)

    def get(self, prop: str) -> float | None:
        """A setting as the camera reports it; None for one it does not have."""
        return self._camera.controls.get(prop)

    def set(self, prop: str, value: float) -> bool:
        """Asks for a setting; only reading it back shows whether it took. False: no such setting."""
        return self._camera.set(prop, value, self._board.now_ns)

    def close(self) -> None:
        """Ends the stream."""
        self._camera.stop()
