"""OpenCV's side of the camera on what needs no camera: an HTTP MJPEG stream and a video file, both made here."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from harness.errors import HarnessFault, RigFault
from harness.instruments.camera import Camera, Settings
from harness.instruments.opencv_port import MAX_WAITING, OPEN_TIMEOUT_S, OpenCvPort
from harness.rig.camera_open import open_locked
from harness.rig.config import CameraTable

WIDTH, HEIGHT, FPS = 160, 120, 25.0


def picture(number: int) -> Any:
    """Its number as twelve blocks, black or white."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bit in range(12):
        frame[:, bit * 12 : bit * 12 + 12] = 255 * ((number >> bit) & 1)
    return frame


def number_of(frame: Any) -> int:
    return sum(int(frame[60, bit * 12 + 6].mean() > 128) << bit for bit in range(12))


class Streamer:
    """An MJPEG stream that counts; ``pause_s`` between frames, ``end`` ends it, ``stall`` keeps it open and silent."""

    def __init__(self) -> None:
        self.pause_s, self.sent = 0.01, 0
        self.end, self.stall = threading.Event(), threading.Event()
        streamer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # noqa: N802
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
                self.end_headers()
                try:
                    while not streamer.end.wait(streamer.pause_s):
                        if streamer.stall.is_set():
                            continue
                        jpeg = cv2.imencode(".jpg", picture(streamer.sent))[1].tobytes()
                        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                        self.wfile.write(head.encode() + jpeg + b"\r\n")
                        streamer.sent += 1
                except OSError:
                    pass

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/stream"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.end.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def streamer() -> Iterator[Streamer]:
    made = Streamer()
    yield made
    made.close()


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), FPS, (WIDTH, HEIGHT))
    for number in range(2 * MAX_WAITING):
        writer.write(picture(number))
    writer.release()
    return path


def clock() -> Any:
    return SimpleNamespace(now_ns=time.monotonic_ns)


def test_a_file_gives_all_its_frames_in_order_however_slowly_it_is_read(film: Path) -> None:
    port = OpenCvPort(str(film))
    numbers, stamps = [], []
    while (frame := port.read(5.0)) is not None:
        stamps.append(frame[0])
        numbers.append(number_of(frame[1]))
        if len(numbers) == 3:
            time.sleep(0.2)
    assert numbers == list(range(2 * MAX_WAITING)) and port.ended and not port.lost
    assert np.diff(stamps) == pytest.approx(1e9 / FPS, rel=1e-6)
    port.close()


def test_a_setting_that_did_not_take_is_named(film: Path) -> None:
    table = CameraTable(device=str(film), width=WIDTH, fps=60.0, gain=3.0)
    mount: Any = SimpleNamespace(open_camera=lambda: OpenCvPort(str(film)))
    camera = open_locked(mount, table, clock())
    assert camera is not None
    assert camera.warnings == ["fps = 60 did not take: the camera says 25",
                               "the camera has no setting gain; it stays as it is"]  # fmt: skip
    assert camera.settings() == {"width": WIDTH, "height": HEIGHT, "fps": FPS}
    camera.close()


def test_a_camera_is_locked_before_it_streams(film: Path) -> None:
    port = OpenCvPort(str(film))
    Camera(port, clock()).lock(Settings(width=WIDTH))
    assert port._thread is None
    assert port.read(5.0) is not None and port._thread is not None
    port.close()


class Jealous:
    """A capture that tells when two threads are in it at once."""

    def __init__(self, capture: Any) -> None:
        self._capture, self._inside = capture, threading.Lock()
        self.clashes, self.settings = 0, 0

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            if not self._inside.acquire(blocking=False):
                self.clashes += 1
                return getattr(self._capture, name)(*arguments)
            try:
                if name == "grab":
                    time.sleep(0.005)
                return getattr(self._capture, name)(*arguments)
            finally:
                self._inside.release()

        return call


def test_settings_and_grabbing_take_turns(streamer: Streamer) -> None:
    streamer.pause_s = 0.002
    port = OpenCvPort(streamer.url)
    jealous = port._capture = Jealous(port._capture)
    assert port.read(5.0) is not None
    began = time.monotonic()
    for _ in range(40):
        port.set("fps", 30.0)
        port.get("width")
        port.drop_waiting()
    assert jealous.clashes == 0
    assert time.monotonic() - began < 4.0, "whoever asks waits for the thread that grabs"
    assert port.read(5.0) is not None, "grabbing goes on"
    port.close()


def test_a_stream_comes_in_order_with_stamps_that_rise(streamer: Streamer) -> None:
    camera = Camera(OpenCvPort(streamer.url), clock())
    frames = list(camera.watch(0.5))
    numbers = [number_of(frame) for _, frame in frames]
    assert len(numbers) > 10 and np.all(np.diff(numbers) == 1)
    assert np.all(np.diff([at for at, _ in frames]) > 0)
    camera.close()


def test_frames_nobody_takes_are_lost_loudly(streamer: Streamer) -> None:
    streamer.pause_s = 0.001
    port = OpenCvPort(streamer.url)
    assert port.read(5.0) is not None
    deadline = time.monotonic() + 20.0
    while not port.lost and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(HarnessFault, match="not taken in time"):
        port.read(1.0)
    port.drop_waiting()
    assert port.read(5.0) is not None
    port.close()


@pytest.mark.parametrize("how", ["ended", "silent"])
def test_a_stream_that_stops_is_a_fault_of_the_rig(streamer: Streamer, how: str) -> None:
    port = OpenCvPort(streamer.url, read_timeout_s=1.0)
    assert port.read(5.0) is not None
    (streamer.end if how == "ended" else streamer.stall).set()
    began = time.monotonic()
    with pytest.raises(RigFault, match="has gone"):
        while time.monotonic() - began < 15.0:
            port.read(0.5)
    assert time.monotonic() - began < 8.0
    port.close()


def test_a_dead_address_is_told_within_its_deadline(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        began = time.monotonic()
        with pytest.raises(RigFault, match="does not answer|cannot be opened"):
            OpenCvPort(f"http://127.0.0.1:{deaf.getsockname()[1]}/stream", open_timeout_s=1.0)
        assert time.monotonic() - began < 4.0
        port = deaf.getsockname()[1]
    with pytest.raises(RigFault, match="cannot be opened"):
        OpenCvPort(f"http://127.0.0.1:{port}/stream")
    with pytest.raises(RigFault, match="no video file"):
        OpenCvPort(str(tmp_path / "none.avi"))


def test_a_driver_that_hangs_while_opening_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(cv2, "VideoCapture", lambda *_: released.wait(30.0))
    began = time.monotonic()
    with pytest.raises(RigFault, match="does not answer"):
        OpenCvPort(0, open_timeout_s=0.2)
    assert time.monotonic() - began < 5.0
    released.set()
    assert OPEN_TIMEOUT_S <= 10.0
