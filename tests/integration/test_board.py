"""The whole board around a firmware that the test wrote: clocks, console, network, faults, outside clients."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
import serial

from harness.bench.board import Board
from harness.bench.chip import Power
from harness.bench.config import BoardConfig
from harness.bench.http_backend import virtual_transport
from harness.bench.live import LAYOUT, preload, serve_boards
from harness.errors import BadRequest, HarnessFault
from harness.wire.image import DROM_BASE, AppDescriptor, Segment, SimPayload, build_image, host_arch, pack_payload
from harness.wire.otadata import initial_otadata
from harness.wire.partitions import build_table, parse_csv

ROOT = Path(__file__).resolve().parents[2]
FAKE = Path(__file__).with_name("fake_firmware.py")
SEED = 20_240_607


@pytest.fixture(scope="session")
def firmware(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A firmware build whose host program is ``fake_firmware.py``."""
    folder = tmp_path_factory.mktemp("build")
    program = f"#!{sys.executable} -ISB\n".encode() + FAKE.read_bytes()
    payload = pack_payload(SimPayload(host_arch(), program, b"no costs"))
    descriptor = AppDescriptor(version="0.0.1", project_name="k1-sim")
    app = build_image([Segment(DROM_BASE, descriptor.pack() + payload)], 0x40374000)
    (folder / "firmware.bin").write_bytes(app)
    (folder / "bootloader.bin").write_bytes(build_image([Segment(0x403C9700, b"boot" * 64)], 0x403C9700))
    (folder / "partitions.bin").write_bytes(build_table(parse_csv((ROOT / "firmware/partitions.csv").read_text())))
    (folder / "boot_app0.bin").write_bytes(initial_otadata())
    return folder / "firmware.bin"


BoardMaker = Callable[..., Board]


@pytest.fixture
def make_board(firmware: Path) -> Iterator[BoardMaker]:
    """Makes flashed boards and closes them."""
    made: list[Board] = []

    def make(seed: int = SEED, state_dir: Path | None = None, **config: object) -> Board:
        board = Board(state_dir, seed=seed, config=BoardConfig(**config))
        made.append(board)
        preload(board, firmware)
        return board

    yield make
    for board in made:
        board.close()


def children() -> set[int]:
    return {p.pid for p in psutil.Process().children(recursive=True)}


def expect(board: Board, text: bytes, timeout_s: float = 5.0) -> bytes:
    port = board.serial
    port.timeout = timeout_s
    got = port.read_until(text)
    assert got.endswith(text), got[-400:]
    return got


def ask(board: Board, line: str) -> str:
    board.serial.write(line.encode() + b"\n")
    expect(board, b"echo ")
    return board.serial.readline().decode().strip()


# ---- virtual time


def test_boots_prints_and_blinks_without_wall_time(make_board: BoardMaker) -> None:
    board = make_board()
    text = expect(board, b"slot=0 ").decode()
    assert "ESP-ROM:esp32s3" in text and "boots=1 reason=1" in text
    assert board.clock == "virtual"
    began = time.monotonic()
    board.take_light()
    start = board.now_ns
    board.run_to(start + 20_000_000_000)
    frames = board.take_light()
    assert board.now_ns == start + 20_000_000_000
    assert time.monotonic() - began < 10.0
    assert len(frames) in (2_000, 2_001)
    gaps = np.diff([f.start_ns for f in frames])
    skew = board.chip.skew_ppm * 1e-6
    assert np.abs(gaps - 10_000_000 / (1 + skew)).max() <= 2
    assert len(frames[0].rgb_a) == 480


def run_record(board: Board) -> bytes:
    """Everything a recording could see of one fixed sequence of calls."""
    expect(board, b"slot=0 ")
    tone = np.sin(np.arange(24_000) * 0.05).astype(np.float32)
    board.play(tone, 48_000)
    answer = ask(board, "mic")
    with httpx.Client(base_url=board.http_base_url, transport=virtual_transport(board), timeout=5.0) as http:
        body = http.get("/").content
    board.run_to(board.now_ns + 700_000_000)
    answer += ask(board, "mic")
    light = b"".join(repr(f).encode() for f in board.take_light())
    return repr((answer, body, board.serial.read_stamped(), board.now_ns)).encode() + light


def test_same_seed_same_bytes(make_board: BoardMaker) -> None:
    first, second, other = (run_record(make_board(seed)) for seed in (SEED, SEED, SEED + 1))
    assert first == second
    assert first != other


def test_http_in_virtual_time(make_board: BoardMaker) -> None:
    board = make_board()
    with httpx.Client(base_url=board.http_base_url, transport=virtual_transport(board), timeout=5.0) as http:
        reply = http.get("/")
    assert reply.status_code == 200 and reply.text.startswith("boots=1 xxx") and len(reply.text) == 3_008
    assert board.now_ns - 1_000_000_000_000 < 2_000_000_000


def test_settings_outlive_resets_and_the_process(make_board: BoardMaker, tmp_path: Path) -> None:
    board = make_board(state_dir=tmp_path)
    expect(board, b"boots=1")
    board.serial.dtr, board.serial.rts = True, True  # neutral on a dev kit
    board.run_to(board.now_ns + 50_000_000)
    assert board.chip.power is Power.RUNNING
    board.serial.dtr = False  # RTS alone: EN low
    assert board.chip.power is Power.OFF and board.clock == "halted" and not children()
    board.serial.rts = False
    expect(board, b"boots=2")
    mac = board.mac
    board.close()
    again = Board(tmp_path, seed=SEED + 5)
    try:
        assert again.mac == mac
        expect(again, b"boots=3")
    finally:
        again.close()


def test_a_crash_reboots_with_its_reason_and_host_time_goes_on(make_board: BoardMaker) -> None:
    board = make_board()
    expect(board, b"slot=0 ")
    crashed = board.now_ns
    board.serial.write(b"crash\n")
    text = expect(board, b"slot=0 ").decode()
    assert "Guru Meditation Error" in text and "boots=2 reason=4" in text
    assert 0.3e9 < board.now_ns - crashed < 0.5e9
    assert len(children()) == 1


@pytest.mark.parametrize(("command", "words"), [("hang", "stuck outside the model"), ("die", "exit status 7")])
def test_a_lost_child_is_a_harness_fault_until_reset(make_board: BoardMaker, command: str, words: str) -> None:
    board = make_board(wall_deadline_s=1.0)
    expect(board, b"slot=0 ")
    board.serial.write(command.encode() + b"\n")
    with pytest.raises(HarnessFault, match=words):
        board.run_until(lambda: False, 1.0)
    assert not children()
    with pytest.raises(HarnessFault, match=words):
        board.run_until(lambda: False, 1.0)
    board.reset()
    expect(board, b"boots=2")


def test_child_sees_no_environment_and_no_descriptors(make_board: BoardMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("K1HIL_SECRET", "x")
    leaked = os.open("/dev/null", os.O_RDONLY)
    os.set_inheritable(leaked, True)
    board = make_board()
    expect(board, b"slot=0 ")
    (pid,) = children()
    child = psutil.Process(pid)
    assert "K1HIL_SECRET" not in child.environ()
    fds = Path(f"/proc/{pid}/fd")
    if fds.exists():
        assert {p.name for p in fds.iterdir()} == {"0", "1", "2", "3"}
    assert os.getpgid(pid) != os.getpgid(0)
    os.close(leaked)


def test_an_empty_flash_does_not_boot() -> None:
    board = Board(None, seed=SEED)
    try:
        text = expect(board, b"invalid header: 0xffffffff")
        assert b"boots" not in text and board.clock == "halted"
        with httpx.Client(base_url=board.http_base_url, transport=virtual_transport(board), timeout=1.0) as http:
            with pytest.raises(httpx.ConnectTimeout):
                http.get("/")
    finally:
        board.close()


def test_microphone_faults_and_late_sounds(make_board: BoardMaker) -> None:
    board = make_board()
    expect(board, b"slot=0 ")
    start = board.play(np.zeros(480, dtype=np.float32), 48_000)
    assert start >= board.now_ns
    board.run_to(start + 1_000_000_000)
    with pytest.raises(BadRequest, match="past"):
        board.play(np.zeros(480, dtype=np.float32), 48_000, board.now_ns - 1)
    words = int(ask(board, "mic").split()[0])
    board.faults.unplug_mic()
    board.run_to(board.now_ns + 100_000_000)
    assert int(ask(board, "mic").split()[0]) <= words + 1_000


def test_light_faults(make_board: BoardMaker) -> None:
    board = make_board()
    board.run_until(lambda: board.clock == "virtual" and bool(board.take_light()), 2.0)
    board.faults.dead_leds([0, 159])
    board.faults.drop_frames(0.5)
    board.run_to(board.now_ns + 2_000_000_000)
    frames = board.take_light()
    assert 60 < len(frames) < 140
    assert all(f.rgb_b[:3] == bytes(3) == f.rgb_a[-3:] and f.rgb_a[5] == 7 for f in frames[5:])
    assert len(board.events.events("frame dropped")) >= 60


def test_unplugged_cable(make_board: BoardMaker) -> None:
    board = make_board()
    expect(board, b"slot=0 ")
    board.faults.unplug()
    with pytest.raises(serial.SerialException):
        board.serial.read(1)
    board.faults.replug()
    assert ask(board, "still here") == "still here"


# ---- wall time, outside clients


def test_outside_clients_share_one_board(make_board: BoardMaker) -> None:
    board = make_board()
    addresses = board.serve()
    assert board.clock == "wall"
    port = serial.serial_for_url(addresses.socket, timeout=5.0)
    try:
        text = port.read_until(b"ip ")
        assert b"Ready!" in text or b"ip " in text
        port.write(b"over the socket\n")
        assert b"over the socket" in port.read_until(b"over the socket\r\n")
    finally:
        port.close()
    with urllib.request.urlopen(addresses.http + "/", timeout=5.0) as reply:
        assert reply.read().startswith(b"boots=1 ")
    assert httpx.get(addresses.http, timeout=5.0).text.startswith("boots=1 ")
    board.unserve()
    assert board.clock == "virtual" and board.now_ns % 1_000_000_000_000 == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", int(addresses.http.rsplit(":", 1)[1])), timeout=1.0)
    board.serial.reset_input_buffer()
    assert ask(board, "virtual again") == "virtual again"


def test_two_serial_clients_both_see_everything(make_board: BoardMaker) -> None:
    board = make_board()
    addresses = board.serve()
    with serial.serial_for_url(addresses.socket, timeout=5.0) as plain:
        with serial.serial_for_url(addresses.serial, timeout=5.0) as wired:
            assert b"ip " in plain.read_until(b"ip ") and b"ip " in wired.read_until(b"ip ")
            plain.write(b"from one\n")
            assert all(b"echo from one" in p.read_until(b"from one\r\n") for p in (plain, wired))
        plain.write(b"alone\n")
        assert b"echo alone" in plain.read_until(b"alone\r\n")
        board.faults.unplug()
        with pytest.raises(serial.SerialException):
            while True:
                plain.read(100)


def test_wall_mode_keeps_up_with_wall_time(make_board: BoardMaker) -> None:
    board = make_board()
    board.serve()
    began, start = time.monotonic(), board.now_ns
    assert board.run_until(lambda: board.now_ns - start >= 1_000_000_000, 3.0)
    elapsed_s = time.monotonic() - began
    assert 0.95 < elapsed_s
    told = board.harness_faults or board.events.events("slow start")
    assert elapsed_s < 1.5 or told  # a machine too busy for it has to be reported


def test_falling_behind_is_reported_not_hidden(make_board: BoardMaker) -> None:
    board = make_board()
    board.serve()
    with board.lock:
        time.sleep(0.8)  # nobody else can move the board meanwhile
    assert board.run_until(lambda: bool(board.harness_faults), 2.0)
    assert "fell_behind" in str(board.harness_faults[0])
    assert board.events.events("harness fault")


def test_invitation_datagram_and_call_back(make_board: BoardMaker) -> None:
    board = make_board()
    addresses = board.serve()
    host, port = addresses.ota.split(":")
    board.run_until(lambda: board.network.up, 5.0)
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        server.settimeout(5.0)
        udp.settimeout(5.0)
        udp.sendto(b"0 %d 1000 0123\n" % server.getsockname()[1], (host, int(port)))
        assert udp.recvfrom(100) == (b"OK", (host, int(port)))
        with server.accept()[0] as stream:
            stream.settimeout(5.0)
            assert stream.recv(100) == b"hello host"
            assert stream.recv(100) == b""


def test_live_service_prints_its_boards_and_stops_clean(firmware: Path, tmp_path: Path) -> None:
    out, stop = io.StringIO(), threading.Event()
    result: list[int] = []
    thread = threading.Thread(
        target=lambda: result.append(serve_boards(2, tmp_path, SEED, firmware, out=out, stop=stop))
    )
    thread.start()
    deadline = time.monotonic() + 20.0
    while out.getvalue().count("\n") < 2 and time.monotonic() < deadline:
        stop.wait(0.05)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    try:
        assert len({line["mac"] for line in lines}) == 2
        assert {"mac", "serial", "socket", "http", "ota", "camera"} <= set(lines[0])
        for line in lines:
            assert line["serial"].startswith("rfc2217://127.0.0.1:")
            with httpx.Client(transport=httpx.HTTPTransport(retries=3), timeout=5.0) as http:
                wait_for_page(http, line["http"])
    finally:
        stop.set()
        thread.join(20.0)
    assert result == [0] and not children()
    assert (tmp_path / "board1" / "flash.bin").stat().st_size == 4 * 1024 * 1024


LIVE = """
import sys
from pathlib import Path
from harness.bench.live import serve_boards
sys.exit(serve_boards(1, None, 5, Path(sys.argv[1])))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_orphans_whatever_ends_the_service(firmware: Path, number: int) -> None:
    command = [sys.executable, "-c", LIVE, str(firmware)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as service:
        assert service.stdout is not None
        line = json.loads(service.stdout.readline())
        with httpx.Client(timeout=5.0) as http:
            wait_for_page(http, line["http"])
        apps = psutil.Process(service.pid).children(recursive=True)
        assert len(apps) == 1
        service.send_signal(number)
        assert service.wait(10.0) == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert psutil.wait_procs(apps, timeout=5.0)[1] == []


def wait_for_page(http: httpx.Client, url: str) -> None:
    """The board needs a moment to boot and get its address."""
    deadline = time.monotonic() + 10.0
    while True:
        try:
            assert http.get(url).text.startswith("boots=")
            return
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_preload_names_what_is_missing(firmware: Path, tmp_path: Path) -> None:
    lonely = tmp_path / "firmware.bin"
    lonely.write_bytes(firmware.read_bytes())
    board = Board(None, seed=SEED)
    try:
        with pytest.raises(BadRequest, match="missing"):
            preload(board, lonely)
        assert set(LAYOUT) == {"bootloader.bin", "partitions.bin", "boot_app0.bin", "firmware.bin"}
    finally:
        board.close()
