"""The camera: grabbing that never blocks the other streams, honest time stamps, settings that are read back.

A camera port hands out frames in the order they came with the host time of each: of a real camera through OpenCV
(:mod:`harness.instruments.opencv_port`), of the virtual board with the board's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from harness.errors import RigFault
from harness.instruments.clock import HostClock

Frame = npt.NDArray[np.uint8]
Stamped = tuple[int, Frame]

PROPS = (
    "width", "height", "fps", "exposure_ms", "gain", "white_balance_k", "focus",
    "auto_exposure", "auto_white_balance", "auto_focus",
)  # fmt: skip
# How far a value read back may be from the one set: cameras round to their own steps.
TOLERANCE = {"fps": 0.02, "exposure_ms": 0.1, "gain": 0.1, "white_balance_k": 0.05, "focus": 0.1}


class CameraPort(Protocol):
    """What is needed of a camera driver."""

    def read(self, timeout_s: float) -> Stamped | None:
        """The next frame: host time in ns and uint8[height, width, 3], blue first; None when none comes in time."""
        ...

    def drop_waiting(self) -> None:
        """Forgets frames that have come and were not read, however many those are."""
        ...

    def get(self, prop: str) -> float | None:
        """A setting (:data:`PROPS`) as the camera reports it; None when it has none."""
        ...

    def set(self, prop: str, value: float) -> bool:
        """Asks for a setting; only reading it back shows whether it took."""
        ...

    def close(self) -> None:
        """Ends the stream."""
        ...


@dataclass(frozen=True)
class Settings:
    """What the camera shall be locked to; None leaves a value as it is. Automatics are always switched off.

    Attributes:
        width, height: pixels. fps: frames per second.
        exposure_ms: of one row. gain, focus: in the camera's own units. white_balance_k: colour temperature.
    """

    width: int | None = None
    height: int | None = None
    fps: float | None = None
    exposure_ms: float | None = None
    gain: float | None = None
    white_balance_k: float | None = None
    focus: float | None = None


class Camera:
    """A camera on the host clock.

    Attributes:
        warnings: what did not take when the camera was locked, one sentence each.
        frames: frames handed out so far.
    """

    def __init__(self, port: CameraPort, clock: HostClock) -> None:
        self.port = port
        self.clock = clock
        self.warnings: list[str] = []
        self.frames = 0

    def lock(self, settings: Settings) -> list[str]:
        """Switches automatics off, sets what is given, reads all back; returns (and keeps) what did not take."""
        self.warnings = []
        for name in ("width", "height", "fps"):
            self._set(name, getattr(settings, name))
        for name in ("auto_exposure", "auto_white_balance", "auto_focus"):
            self._switch_off(name)
        for name in ("exposure_ms", "gain", "white_balance_k", "focus"):
            self._set(name, getattr(settings, name))
        return self.warnings

    def _switch_off(self, name: str) -> None:
        before = self.port.get(name)
        if before is None:
            return  # a camera without this automatic; what depends on it is checked by value
        self.port.set(name, 0.0)
        after = self.port.get(name)
        if after is None or after > 0:
            self.warnings.append(f"{name} could not be switched off: brightness or colour may wander")

    def _set(self, name: str, value: float | None) -> None:
        if value is None:
            return
        accepted = self.port.set(name, float(value))
        got = self.port.get(name)
        if got is None:
            if accepted:
                self.warnings.append(f"{name} = {value:g} was set but cannot be read back")
            else:
                self.warnings.append(f"the camera has no setting {name}; it stays as it is")
        elif abs(got - value) > TOLERANCE.get(name, 0.0) * max(abs(value), 1e-9) + 1e-6:
            self.warnings.append(f"{name} = {value:g} did not take: the camera says {got:g}")

    def settings(self) -> dict[str, float]:
        """All settings the camera reports."""
        return {name: value for name in PROPS if (value := self.port.get(name)) is not None}

    def drop_waiting(self) -> None:
        """Forgets frames that have come already."""
        self.port.drop_waiting()

    def waiting(self) -> Iterator[Stamped]:
        """Frames that have come, without waiting for more."""
        while (frame := self.port.read(0.0)) is not None:
            self.frames += 1
            yield frame

    def watch(self, seconds: float) -> Iterator[Stamped]:
        """Frames that come within ``seconds`` of host time from now.

        Raises:
            RigFault: none comes for two seconds.
        """
        end_ns = self.clock.now_ns() + round(seconds * 1e9)
        last_ns = self.clock.now_ns()
        while (left_ns := end_ns - self.clock.now_ns()) > 0:
            frame = self.port.read(min(left_ns / 1e9, 0.5))
            if frame is not None:
                self.frames += 1
                last_ns = self.clock.now_ns()
                yield frame
            elif self.clock.now_ns() - last_ns > 2_000_000_000:
                raise RigFault("the camera sends no frames", expected="a frame within 2 s", remedy="check its cable")

    def close(self) -> None:
        """Ends the stream."""
        self.port.close()


# ---- OpenCV ----------------------------------------------------------------------------------------
