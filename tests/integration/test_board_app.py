"""The virtual board running the firmware built from source: console, telemetry, HTTP, light, sound, update."""

from __future__ import annotations

import hashlib
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import serial

from harness.bench.board import Board
from harness.bench.config import BoardConfig
from harness.bench.http_backend import virtual_transport
from harness.bench.live import preload
from harness.pipeline.build import build
from harness.wire.image import SimPayload, build_image, pack_payload, parse_image, payload_of

SEED = 4_711
BoardMaker = Callable[..., Board]


@pytest.fixture(scope="session")
def firmware() -> Path:
    """``firmware.bin`` of this source tree, its siblings beside it."""
    return build().path


@pytest.fixture
def make_board(firmware: Path) -> Iterator[BoardMaker]:
    """Makes flashed boards and closes them."""
    made: list[Board] = []

    def make(seed: int = SEED, **config: object) -> Board:
        board = Board(None, seed=seed, config=BoardConfig(**config))
        made.append(board)
        preload(board, firmware)
        return board

    yield make
    for board in made:
        board.close()


def expect(board: Board, pattern: str, timeout_s: float = 5.0) -> re.Match[str]:
    """Reads lines of the console until one matches."""
    board.serial.timeout = 1.0
    end = board.now_ns + round(timeout_s * 1e9)
    seen = []
    while board.now_ns < end:
        line = board.serial.readline().decode("ascii", "replace")
        seen.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"no {pattern!r} in:\n{''.join(seen[-40:])}")


def command(board: Board, line: str) -> str:
    board.serial.write(line.encode() + b"\n")
    return expect(board, r"\$K1(ACK|NAK|SYN|ID),(.*)\*")[2]


def get(board: Board, path: str) -> httpx.Response:
    with httpx.Client(base_url=board.http_base_url, transport=virtual_transport(board), timeout=5.0) as http:
        return http.get(path)


def tone(hz: float, seconds: float, amplitude: float = 0.3) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * 48_000)) / 48_000)).astype(np.float32)


def test_boot_identity_and_manifest(make_board: BoardMaker, firmware: Path) -> None:
    board = make_board()
    expect(board, r"ESP-ROM:esp32s3")
    expect(board, r"=== K1.reinvented Starting ===")
    fields = expect(board, r"\$K1ID,(.*)\*")[1].split(",")
    image = parse_image(firmware.read_bytes())
    manifest = json.loads(firmware.with_name("firmware.manifest.json").read_text())
    assert fields[1] == "k1-sim" and fields[5] == image.sha256.hex() == manifest["sha256"]
    assert fields[6:8] == ["power_on", "1"] and fields[9] == board.mac.hex(":")
    expect(board, r"Ready!")
    assert expect(board, r"\$K1ID,(.*)\*")[1].split(",")[10].startswith("10.71.")  # again, with its address
    assert board.cost_model == manifest["cost_model"]


def test_http_in_virtual_time(make_board: BoardMaker) -> None:
    board = make_board()
    began = board.now_ns
    reply = get(board, "/api/device/info")
    assert reply.status_code == 200 and reply.json()["mac"] == board.mac.hex(":")
    assert get(board, "/api/no-such-thing").status_code == 404
    assert (board.now_ns - began) / 1e9 < 2.0


def test_telemetry_and_light_agree(make_board: BoardMaker) -> None:
    board = make_board()
    expect(board, "Ready!")
    assert command(board, "telemetry on") == "telemetry,on"
    board.take_light()
    board.run_to(board.now_ns + 3_000_000_000)
    light = board.take_light()
    frames = [
        [int(v) for v in found[1].split(",")]
        for _, data in board.serial.read_stamped()
        if (found := re.match(r"\$K1FRM,(.*)\*", data.decode("ascii", "replace")))
    ]
    assert len(frames) > 400 and [b[0] - a[0] for a, b in zip(frames, frames[1:], strict=False)] == [1] * (
        len(frames) - 1
    )
    sent_ns = [board.chip.clock.to_host(f[1] * 1_000) for f in frames]
    taken = np.array([f.start_ns for f in light])
    nearest = [int(np.abs(taken - t).min()) for t in sent_ns[5:-5]]
    assert max(nearest) < 100_000


def fps(board: Board, seconds: float = 4.0) -> float:
    board.take_light()
    board.run_to(board.now_ns + round(seconds * 1e9))
    times = [f.start_ns for f in board.take_light()]
    return (len(times) - 1) / ((times[-1] - times[0]) / 1e9)


def test_frame_rate_does_not_depend_on_who_reads(make_board: BoardMaker) -> None:
    board = make_board()
    expect(board, "Ready!")
    off = fps(board)
    command(board, "telemetry on")
    read = fps(board)
    board.faults.stop_reading()
    unread = fps(board)
    board.faults.stop_reading(False)
    assert read == pytest.approx(off, rel=0.01) and unread == pytest.approx(off, rel=0.01)
    expect(board, r"\$K1FRM,")


def run_record(board: Board) -> bytes:
    expect(board, "Web server started")
    command(board, "telemetry on")
    board.play(tone(440.0, 1.0), 48_000)
    tempo = get(board, "/api/audio/tempo").content
    board.run_to(board.now_ns + 1_500_000_000)
    light = b"".join(repr(f).encode() for f in board.take_light())
    return tempo + repr((board.serial.read_stamped(), board.now_ns, board.counts)).encode() + light


def test_same_seed_same_bytes(make_board: BoardMaker) -> None:
    first, second, other = (run_record(make_board(seed)) for seed in (SEED, SEED, SEED + 1))
    assert first == second
    assert first != other


def test_sound_is_heard_and_silence_is_not(make_board: BoardMaker) -> None:
    board = make_board()
    expect(board, "Ready!")
    command(board, "select spectrum")

    def brightness() -> float:
        board.take_light()
        board.run_to(board.now_ns + 1_000_000_000)
        return float(np.mean([np.frombuffer(f.rgb_a, np.uint8).mean() for f in board.take_light()[-50:]]))

    quiet = brightness()
    board.play(tone(440.0, 4.0), 48_000)
    brightness()
    loud = brightness()
    board.silence()
    board.faults.mute_mic()
    brightness()
    assert loud > quiet + 2.0 and brightness() < loud / 2
    assert board.counts.mic_overruns == 0


def test_reboot_command_keeps_settings(make_board: BoardMaker) -> None:
    board = make_board()
    expect(board, "Ready!")
    before = board.now_ns
    board.serial.write(b"reboot\n")
    fields = expect(board, r"\$K1ID,(.*)\*")[1].split(",")
    assert fields[6] == "software" and fields[7] == "2"
    assert board.now_ns - before < 1_000_000_000


@pytest.mark.parametrize("wall_ms", [(0, 400)])
def test_wall_time_before_leaves_no_trace(make_board: BoardMaker, wall_ms: tuple[int, int]) -> None:
    """Flashing takes as long as it takes; what is recorded afterwards must not depend on it."""
    records = []
    for pause_ms in wall_ms:
        board = make_board()
        board.reset(download=True)
        board.serve()
        time.sleep(pause_ms / 1e3)
        board.unserve()
        board.reset()
        records.append(run_record(board))
    assert records[0] == records[1]


def test_update_in_virtual_time(make_board: BoardMaker, firmware: Path) -> None:
    board = make_board()
    expect(board, "OTA ready")
    image = another_build(firmware)
    began, wall = board.now_ns, time.monotonic()
    udp, accepted = board.network.udp_socket(), board.network.tcp_accept(40_000)
    udp.send(3232, f"0 40000 {len(image)} {hashlib.md5(image).hexdigest()}\n".encode())
    assert board.run_until(udp.readable, 2.0, stop="net") and udp.recv() == b"OK"
    assert board.run_until(lambda: bool(accepted), 10.0, stop="net")
    stream, answers, sent = accepted[0], b"", 0
    while sent < len(image):
        stream.send(image[sent : sent + 1_024])
        sent += 1_024
        assert board.run_until(stream.readable, 5.0, stop="net")
        answers = stream.recv(10)
    while b"OK" not in answers:
        assert board.run_until(stream.readable, 5.0, stop="net")
        answers += stream.recv(32)
    board.chip.console.clear_arrived()
    fields = expect(board, r"\$K1ID,(.*)\*", 10.0)[1].split(",")
    assert fields[5] == image[-32:].hex() and fields[11:13] == ["1", "pending"]
    assert time.monotonic() - wall < (board.now_ns - began) / 1e9


# ---- served


def test_rfc2217_client_sees_console_and_resets_the_board(make_board: BoardMaker) -> None:
    board = make_board()
    addresses = board.serve()
    with serial.serial_for_url(addresses.serial, baudrate=115_200, timeout=8.0) as port:
        text = port.read_until(b"Ready!")
        assert b"$K1ID" in text
        port.write(b"sync abc\n")
        assert b"$K1SYN,abc," in port.read_until(b"$K1SYN,abc,")
        port.dtr = False
        port.rts = True
        time.sleep(0.1)  # as a person would: the wire has no answer to wait for
        port.rts = False
        assert b"Ready!" in port.read_until(b"Ready!")
    assert board.run_until(lambda: board.network.is_listening(80), 8.0)
    assert httpx.get(addresses.http + "/api/health", timeout=8.0).status_code == 200


def update(ota: str, image: bytes) -> bytes:
    """A stock update over the air, as short as it can be; the device's last words."""
    host, port = ota.split(":")
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        server.settimeout(10.0)
        udp.settimeout(2.0)
        invitation = f"0 {server.getsockname()[1]} {len(image)} {hashlib.md5(image).hexdigest()}\n".encode()
        for _ in range(10):
            udp.sendto(invitation, (host, int(port)))
            try:
                assert udp.recv(100) == b"OK"
                break
            except TimeoutError:
                continue
        stream = server.accept()[0]
        with stream:
            stream.settimeout(20.0)
            answers = b""
            for at in range(0, len(image), 1_024):
                stream.sendall(image[at : at + 1_024])
                answers = stream.recv(10)
            while b"OK" not in answers:
                more = stream.recv(32)
                if not more:
                    break
                answers += more
            return answers


def another_build(firmware: Path) -> bytes:
    """The same program with another image hash: one unused byte behind its cost table."""
    image = parse_image(firmware.read_bytes())
    payload = payload_of(image)
    assert payload is not None
    changed = pack_payload(SimPayload(payload.arch, payload.elf, payload.cost_table)) + b"\x01\0\0\0"
    first, *rest = image.segments
    head = type(first)(first.load_addr, first.data[:256] + changed)
    return build_image([head, *rest], image.entry)


def test_update_over_the_air_runs_the_other_slot(make_board: BoardMaker, firmware: Path) -> None:
    board = make_board()
    addresses = board.serve()
    board.run_until(lambda: board.network.up, 5.0)
    image = another_build(firmware)
    assert b"OK" in update(addresses.ota, image)
    deadline = time.monotonic() + 20.0
    info: dict[str, object] = {}
    while info.get("image_sha256") != image[-32:].hex() and time.monotonic() < deadline:
        try:
            info = httpx.get(addresses.http + "/api/device/info", timeout=5.0).json()
        except (httpx.TransportError, json.JSONDecodeError):
            time.sleep(0.2)
    assert (info.get("image_sha256"), info.get("slot")) == (image[-32:].hex(), 1)
