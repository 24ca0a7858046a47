"""The virtual camera on a real board: virtual time with the firmware built from source, and the stream in wall time."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from harness.bench.board import Board
from harness.bench.camera_port import VirtualCameraPort
from harness.bench.config import BoardConfig
from harness.bench.live import preload
from harness.errors import BadRequest
from harness.pipeline.build import build

SEED = 8_151
SMALL = {"width": 320, "height": 180, "psf_px": 0.9}


@pytest.fixture(scope="session")
def firmware() -> Path:
    """``firmware.bin`` of this source tree."""
    return build().path


@pytest.fixture
def blank() -> Iterator[Board]:
    """A served board without firmware: dark, but its camera looks at it."""
    board = Board(None, seed=SEED, config=BoardConfig(camera={**SMALL, "ambient": 0.2, "fps": 30.0}))
    yield board
    board.close()


def flashed(firmware: Path, **camera: object) -> Board:
    board = Board(None, seed=SEED, config=BoardConfig(clock_skew_ppm=0.0, audio_delay_ms=2.0, camera=camera))
    preload(board, firmware)
    return board


def say(board: Board, line: str) -> None:
    board.serial.write(line.encode() + b"\n")
    board.run_to(board.now_ns + 100_000_000)


def bright(frames: list[tuple[int, np.ndarray]], place: np.ndarray) -> np.ndarray:
    x, y = np.rint(place).astype(int)
    return np.array([image[y - 3 : y + 4, x - 3 : x + 4].astype(float).mean() for _, image in frames])


def test_sound_becomes_light_and_the_reference_led_shows_when(firmware: Path) -> None:
    """Both lights follow one burst: the reference at its sample, the strip after the device's latency."""
    board = flashed(firmware, fps=120.0, exposure_ms=2.0, readout_ms=0.0, timestamp_offset_ms=0.0, ambient=0.0)
    try:
        board.run_to(board.now_ns + 1_500_000_000)
        say(board, "select hil_flash")
        port = VirtualCameraPort(board)
        t = np.arange(48_000) / 48_000
        on = (t > 0.3) & (t < 0.6)
        left = (0.5 * np.sin(2 * np.pi * 1_000 * t) * on).astype(np.float32)
        right = (0.9 * np.sin(2 * np.pi * 4_000 * t) * on).astype(np.float32)
        start = board.play(np.stack([left, right], axis=1), 48_000)
        board.run_to(start + 1_200_000_000)
        frames = []
        while (frame := port.read(0)) is not None:
            frames.append(frame)
        assert board.camera is not None
        times = (np.array([ns for ns, _ in frames]) - start) / 1e9
        assert np.diff(times).mean() == pytest.approx(1 / 120, rel=1e-3)
        for place, latest in ((board.camera.scene.reference, 0.012), (board.camera.scene.leds[0, 0], 0.06)):
            light = bright(frames, place)
            lit = light > 0.5 * light.max()
            assert light.max() > 40.0 and not lit[times < 0.29].any()
            assert 0.29 < times[lit][0] < 0.3 + latest
            assert 0.59 < times[lit][-1] < 0.6 + latest
        (sound,) = board.events.events("sound")
        assert sound["at_microphone_ns"] - sound["at_reference_ns"] == 2_000_000
    finally:
        board.close()


def test_the_port_moves_virtual_time_frame_by_frame(firmware: Path) -> None:
    board = flashed(firmware, fps=60.0, **SMALL)
    try:
        port = VirtualCameraPort(board)
        assert port.read(0) is None
        before = board.now_ns
        got = [port.read(0.1) for _ in range(30)]
        assert all(frame is not None and frame[1].shape == (180, 320, 3) for frame in got)
        assert (board.now_ns - before) / 1e9 == pytest.approx(30 / 60 + 0.03, abs=0.03)
        assert port.set("exposure_ms", 4.0) and port.get("exposure_ms") == 4.0 and port.get("zoom") is None
        assert port.read(0.001) is None  # the next frame takes longer
        board.run_to(board.now_ns + 1_000_000_000)
        port.flush()
        assert port.read(0) is None and port.read(0.2) is not None
        port.close()
        assert port.read(0.1) is None
    finally:
        board.close()


def test_a_board_without_a_camera_says_so() -> None:
    board = Board(None, seed=SEED)
    try:
        assert board.camera is None and json.loads(board.serve().to_json())["camera"] == ""
        with pytest.raises(BadRequest, match="no camera"):
            VirtualCameraPort(board)
    finally:
        board.close()


def test_the_stream_by_plain_http(blank: Board) -> None:
    url = blank.serve().camera
    host, port = url.split("/")[2].split(":")
    with socket.create_connection((host, int(port)), timeout=10.0) as sock:
        sock.sendall(b"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n")
        data = sock.makefile("rb")
        head = b"".join(iter(data.readline, b"\r\n")).lower()
        assert b"200" in head.split(b"\r\n")[0] and b"multipart/x-mixed-replace; boundary=frame" in head
        arrivals = []
        for _ in range(20):
            assert data.readline() == b"--frame\r\n"
            fields = dict(line.split(b": ") for line in iter(data.readline, b"\r\n"))
            jpeg = data.read(int(fields[b"Content-Length"]))
            assert data.readline() == b"\r\n"
            arrivals.append(time.monotonic())
            image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert image.shape == (180, 320, 3) and image.mean() > 30.0
        assert np.median(np.diff(arrivals)) == pytest.approx(1 / 30, rel=0.3)
    for path, code in (("/else", b"404"),):
        with socket.create_connection((host, int(port)), timeout=10.0) as sock:
            sock.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            assert code in sock.recv(100)


def test_the_stream_by_opencv_and_a_clean_stop(blank: Board) -> None:
    url = blank.serve().camera
    capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG)
    try:
        assert capture.isOpened()
        frames = [capture.read() for _ in range(15)]
        assert all(ok and image.shape == (180, 320, 3) for ok, image in frames)
        began = time.monotonic()
        blank.unserve()
        assert time.monotonic() - began < 8.0
    finally:
        capture.release()
    assert blank.camera is not None and not blank.camera.streaming
    assert blank.serve().camera != "" and not blank.harness_faults


def test_too_many_watchers_are_turned_away(blank: Board) -> None:
    host, port = blank.serve().camera.split("/")[2].split(":")
    socks = []
    try:
        for _ in range(5):
            sock = socket.create_connection((host, int(port)), timeout=10.0)
            socks.append(sock)
            sock.sendall(b"GET /stream HTTP/1.0\r\n\r\n")
            answer = sock.recv(12)
            assert answer.endswith(b"200" if len(socks) < 5 else b"503")
    finally:
        for sock in socks:
            sock.close()
