"""``k1hil bench --live``: boards served on loopback for people and their ordinary tools, until told to stop."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import TextIO

from harness.bench.board import Board
from harness.bench.config import BoardConfig
from harness.errors import BadRequest, HarnessFault
from harness.wire.image import ImageError, parse_image

# Where the parts of a firmware build belong in flash; the file names are those of the build.
LAYOUT = {
    "bootloader.bin": 0x0,
    "partitions.bin": 0x8000,
    "boot_app0.bin": 0xE000,
    "firmware.bin": 0x10000,
}
_MOST_BOARDS = 64
_BLANK_CHECK = 0x20000


def preload(board: Board, firmware: Path) -> bool:
    """Writes a firmware build into a blank flash, as a factory would; False when something is there already.

    Args:
        board: not yet powered.
        firmware: ``firmware.bin`` with its siblings beside it.

    Raises:
        BadRequest: a file is missing or is no image.
    """
    flash = board.chip.flash
    if flash.read(0, _BLANK_CHECK).strip(b"\xff"):
        return False
    parts = {}
    for name, offset in LAYOUT.items():
        path = firmware if name == "firmware.bin" else firmware.with_name(name)
        try:
            parts[offset] = path.read_bytes()
        except OSError as e:
            raise BadRequest(
                "a part of the firmware build is missing", expected=name, got=str(e), evidence=str(path),
                remedy="build it: make firmware, or pio run -e sim",
            ) from e  # fmt: skip
    try:
        parse_image(parts[LAYOUT["firmware.bin"]])
    except ImageError as e:
        raise BadRequest("not a firmware image", got=e.message, evidence=str(firmware)) from e
    for offset, data in parts.items():
        flash.program(offset, data)
    return True


def serve_boards(
    n: int,
    state_dir: Path | None,
    seed: int,
    firmware: Path | None,
    *,
    config: BoardConfig | None = None,
    out: TextIO | None = None,
    stop: threading.Event | None = None,
) -> int:
    """Serves ``n`` boards until SIGINT, SIGTERM or ``stop``; one line of JSON per board as it becomes ready.

    Args:
        n: number of boards, 1 to 64; each with a MAC of its own.
        state_dir: keeps the boards from run to run, ``board0``, ``board1``, … in it; None: gone afterwards.
        seed: of the run; board i uses ``seed + i``.
        firmware: ``firmware.bin`` to put into flash that is still blank.
        config: of every board.
        out: where the lines go (standard output).
        stop: ends the service, for callers that handle signals themselves.

    Returns:
        0 after a clean stop, 3 when a board had a harness fault.
    """
    if not 1 <= n <= _MOST_BOARDS:
        raise BadRequest("unusable number of boards", expected=f"1 to {_MOST_BOARDS}", got=str(n))
    # Nobody takes light from a live board: keep little of it.
    live_config = (config or BoardConfig()).model_copy(update={"light_tap_frames": 600})
    target = sys.stdout if out is None else out
    done = threading.Event() if stop is None else stop
    faulty = False

    def complain(fault: HarnessFault) -> None:
        nonlocal faulty
        faulty = True
        print(fault, file=sys.stderr, flush=True)

    with ExitStack() as stack:
        if stop is None:
            stack.enter_context(_signals_set(done))
        boards = []
        for i in range(n):
            board = Board(
                None if state_dir is None else state_dir / f"board{i}", seed=(seed + i) % 2**64, config=live_config
            )
            stack.callback(board.close)
            board.on_report = complain
            if firmware is not None:
                preload(board, firmware)
            boards.append(board)
            print(board.serve().to_json(), file=target, flush=True)
        done.wait()
        faulty = faulty or any(board.fault is not None for board in boards)
    return 3 if faulty else 0


@contextmanager
def _signals_set(done: threading.Event) -> Iterator[None]:
    """SIGINT and SIGTERM set ``done``; what they did before comes back afterwards. Main thread only."""

    def handler(number: int, frame: FrameType | None) -> None:
        done.set()

    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
