"""The flasher against a virtual board that has only its loader: unmodified esptool, real sockets."""

import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from harness.bench.board import Board
from harness.instruments.flasher import Flasher, FlashError, WrongBoard

SIZE = 400_000


@pytest.fixture
def board(tmp_path):
    board = Board(tmp_path / "board", seed=7)
    yield board
    board.close()


@pytest.fixture
def files(tmp_path):
    """Four files as in a real flash: small ones, and 400 kB that compress like code does (about by half)."""
    rng = np.random.default_rng(7)
    half = rng.integers(0, 256, SIZE // 2, dtype=np.uint8).tobytes()
    parts = {0x0: rng.bytes(15_000), 0x8000: rng.bytes(3072), 0xE000: b"\xff" * 8192, 0x10000: half + bytes(SIZE // 2)}
    # esptool checks the first bytes of what goes to the boot loader's place and to an application's.
    listed = []
    for offset, data in parts.items():
        path = tmp_path / f"{offset:x}.bin"
        path.write_bytes(data)
        listed.append((offset, path))
    return listed


def test_what_is_written_is_in_flash(board, files, tmp_path, capsys):
    url = board.serve().serial
    told = []
    flasher = Flasher(tmp_path / "flash.log")
    report = flasher.flash(url, files, expected_mac=board.mac.hex(":"), progress=lambda f, t: told.append((f, t)))
    for offset, path in files:
        assert board.chip.flash.read(offset, path.stat().st_size) == path.read_bytes()
    assert report.mac == board.mac.hex(":") and "ESP32-S3" in report.chip and report.esptool and not report.skipped
    assert report.bytes_written == sum(p.stat().st_size for _, p in files)
    fractions = [f for f, _ in told]
    assert fractions == sorted(fractions) and fractions[-1] > 0.9
    assert "Hash of data verified" in (tmp_path / "flash.log").read_text()
    assert report.transfer_s < 6.0  # 20 s with pyserial's own client, half a second on an idle machine with ours
    with capsys.disabled():
        print(f"\n426 kB: transfer {report.transfer_s:.2f} s, all in all {report.seconds:.2f} s")


def test_a_late_start_of_the_stub_is_waited_for(board, files, tmp_path, monkeypatch):
    """A busy machine may hold the chip's acknowledgement back for longer than the 0.2 s that esptool would allow."""
    held, write = [], board.console_write

    def late(data):
        if data.startswith(b"\xc0\x00\x06"):  # MEM_END with the entry point: leave download mode, run what was sent
            held.append(time.monotonic())
            time.sleep(0.6)
        write(data)

    monkeypatch.setattr(board, "console_write", late)
    Flasher(tmp_path / "flash.log").flash(board.serve().serial, files[1:2])
    assert len(held) >= 1 and board.chip.flash.read(0x8000, 3072) == files[1][1].read_bytes()


def test_settings_stay_unless_erased(board, files, tmp_path):
    board.chip.flash.program(0x9000, b"settings")
    url = board.serve().serial
    flasher = Flasher(tmp_path / "flash.log")
    flasher.flash(url, files)
    assert board.chip.flash.read(0x9000, 8) == b"settings"
    flasher.flash(url, files[1:2], erase_nvs=True)
    assert board.chip.flash.read(0x9000, 0x5000) == b"\xff" * 0x5000


def test_another_board_is_refused_before_writing(board, files, tmp_path):
    before = board.chip.flash.md5(0, 0x100000)
    with pytest.raises(WrongBoard) as caught:
        Flasher(tmp_path / "flash.log").flash(board.serve().serial, files, expected_mac="12:34:56:78:9a:bc")
    assert "12:34:56:78:9a:bc" in caught.value.got and board.mac.hex(":") in caught.value.got
    assert board.chip.flash.md5(0, 0x100000) == before


def test_reading_the_mac(board, tmp_path):
    assert Flasher(tmp_path / "flash.log").read_mac(board.serve().serial) == board.mac.hex(":")


def test_unplugged_while_writing(board, files, tmp_path):
    url = board.serve().serial
    writing = threading.Event()

    def pull():
        writing.wait(60)
        board.faults.unplug()

    thread = threading.Thread(target=pull)
    thread.start()
    started = time.monotonic()
    with pytest.raises(FlashError) as caught:
        Flasher(tmp_path / "flash.log", timeout_s=60).flash(
            url, files, progress=lambda f, t: writing.set() if "writing at 0x1" in t else None
        )
    thread.join()
    assert caught.value.cause in ("lost_connection", "timeout"), caught.value
    assert caught.value.remedy and time.monotonic() - started < 60
    board.faults.replug()
    report = Flasher(tmp_path / "flash.log").flash(url, files)
    assert not report.skipped


FLASHING = """
import sys
from pathlib import Path
from harness.instruments.flasher import Flasher
files = [(int(o, 16), Path(p)) for o, p in (pair.split("=") for pair in sys.argv[2:])]
Flasher(Path(sys.argv[1]) / "flash.log").flash(files.pop(0)[1].as_posix().replace("rfc2217:/", "rfc2217://"), files,
    progress=lambda f, t: print(t, flush=True))
"""


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_esptool_too(board, files, tmp_path, sign):
    """Whoever stops the harness must not leave an esptool behind that goes on writing."""
    url = board.serve().serial
    pairs = [f"0={url}", *(f"{offset:x}={path}" for offset, path in files)]
    caller = subprocess.Popen(
        [sys.executable, "-c", FLASHING, str(tmp_path), *pairs], stdout=subprocess.PIPE, text=True
    )
    while "writing at 0x1" not in (line := caller.stdout.readline()):
        assert line, "the flasher ended before it wrote"
    caller.send_signal(sign)
    assert caller.wait(20) != 0
    left = [p.cmdline() for p in psutil.process_iter() if url in _command_line(p)]
    assert not left


def _command_line(process):
    try:
        return process.cmdline()
    except psutil.Error:
        return []
