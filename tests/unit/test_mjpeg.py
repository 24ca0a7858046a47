"""The served camera on a machine that is too slow: pictures come in time or not at all."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.bench.camera_config import CameraConfig
from harness.bench.mjpeg import MjpegServer

PERIOD_NS = round(1e9 / 30)


class Host:
    """Wall time that a test moves."""

    is_wall = True
    epoch = 0

    def __init__(self) -> None:
        self.now_ns = 0

    def wall_now(self) -> int:
        return self.now_ns


class Camera:
    """Frames of 30 a second; developing one takes ``work_ns`` of wall time."""

    def __init__(self, host: Host, work_ns: int) -> None:
        self.host, self.work_ns = host, work_ns
        self.config = CameraConfig(width=64, height=64)
        self.index = 0
        self.developed: list[int] = []

    def upcoming(self) -> Any:
        start = self.index * PERIOD_NS
        return SimpleNamespace(start_ns=start, end_ns=start + 20_000_000, delivery_ns=start + 30_000_000)

    def skip_to(self, now_ns: int) -> int:
        index = max(self.index, -(-now_ns // PERIOD_NS))
        skipped, self.index = index - self.index, index
        return skipped

    def develop(self, packed: bool) -> Any:
        self.developed.append(self.index)
        self.index += 1
        self.host.now_ns += self.work_ns
        return SimpleNamespace(image=np.zeros((64, 64, 3), np.uint8))


class Board:
    """As far as the server looks."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.faults: list[Any] = []

    @property
    def now_ns(self) -> int:
        return self.host.now_ns

    def report(self, fault: Any) -> None:
        self.faults.append(fault)


@pytest.fixture
def stage(request: pytest.FixtureRequest) -> Any:
    host = Host()
    board, camera = Board(host), Camera(host, request.param)
    server = MjpegServer(board, camera)  # type: ignore[arg-type]
    yield host, board, camera, server
    server._http.server_close()


def next_frame(stage: Any) -> bool:
    """Works at the next frame once it can be known; True when a picture went out."""
    host, _, camera, server = stage
    host.now_ns = max(host.now_ns, camera.upcoming().end_ns)
    before = server._count
    server._next()
    return bool(server._count > before)


@pytest.mark.parametrize("stage", [2_000_000], indirect=True)
def test_pictures_in_time_go_out(stage: Any) -> None:
    assert all(next_frame(stage) for _ in range(100))
    assert stage[2].developed == list(range(100)) and not stage[1].faults


@pytest.mark.parametrize("stage", [2_000_000], indirect=True)
def test_after_a_stall_only_pictures_still_in_time_are_sent(stage: Any) -> None:
    host, board, camera, _ = stage
    assert next_frame(stage)
    host.now_ns += 300_000_000
    assert not next_frame(stage)
    assert next_frame(stage)
    assert camera.developed[0] == 0 and host.now_ns - camera.developed[1] * PERIOD_NS < 30_000_000 + 0.4 * PERIOD_NS
    assert not board.faults, "a short stall is a gap in the film, not a fault"


@pytest.mark.parametrize("stage", [60_000_000], indirect=True)
def test_a_machine_that_is_always_too_slow_is_a_fault(stage: Any) -> None:
    sent = sum(next_frame(stage) for _ in range(300))
    assert sent == 0, "a picture worked out too late is not sent as if it were the next one"
    assert stage[1].faults and "fell_behind" in stage[1].faults[0].message
