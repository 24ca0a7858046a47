"""``k1hil bench --live``: boards served on loopback for people and their ordinary tools, until told to stop."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TextIO

from harness.bench.board import Board
from harness.bench.config import BoardConfig
from harness.bench.pulse_server import PulseServer
from harness.bench.status import StatusServer
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
# A network camera takes so long at least from the end of a picture to its watchers; this one has that time to work
# the picture out.
LIVE_DELIVERY_MS = 40.0
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
    ports: Mapping[str, int] | None = None,
    sound: bool = False,
) -> int:
    """Serves ``n`` boards until SIGINT, SIGTERM or ``stop``; one line of JSON per board as it becomes ready.

    A line holds the addresses of the board, ``status`` (where the bench tells its own faults) and ``environment``
    (what a program needs in its environment to play to the boards; empty without ``sound``).

    Args:
        n: number of boards, 1 to 64; each with a MAC of its own.
        state_dir: keeps the boards from run to run, ``board0``, ``board1``, … in it; None: gone afterwards.
        seed: of the run; board i uses ``seed + i``.
        firmware: ``firmware.bin`` to put into flash that is still blank.
        config: of every board.
        out: where the lines go (standard output).
        stop: ends the service, for callers that handle signals themselves.
        ports: fixed ports by name (``rfc2217``, ``socket``, ``http``, ``ota``, ``camera``, ``status``) of a single
            board.
        sound: starts a sound server that the boards' microphones hear.

    Returns:
        0 after a clean stop, 3 when a board had a harness fault.
    """
    if not 1 <= n <= _MOST_BOARDS or (ports and n > 1):
        raise BadRequest("unusable number of boards", expected="1" if ports else f"1 to {_MOST_BOARDS}", got=str(n))
    live_config = _for_wall_time(config or BoardConfig())
    fixed = dict(ports or {})
    target = sys.stdout if out is None else out
    done = threading.Event() if stop is None else stop
    boards: list[Board] = []

    def faults() -> list[str]:
        return [str(f) for board in boards for f in (*board.harness_faults, board.fault) if f is not None]

    with ExitStack() as stack:
        if stop is None:
            stack.enter_context(_signals_set(done))
        environment: dict[str, str] = {}
        if sound:
            server = _sound_server(stack)
            environment = server.environment
            live_config = live_config.model_copy(update={"microphone": server.monitor})
        status = StatusServer(faults, fixed.pop("status", 0))
        stack.callback(status.close)
        for i in range(n):
            board = Board(
                None if state_dir is None else state_dir / f"board{i}", seed=(seed + i) % 2**64, config=live_config
            )
            stack.callback(board.close)
            board.on_report = _complain
            if firmware is not None:
                preload(board, firmware)
            boards.append(board)
            line = {**asdict(board.serve(ports=fixed)), "status": status.url, "environment": environment}
            print(json.dumps(line), file=target, flush=True)
        done.wait()
        faulty = bool(faults())
    return 3 if faulty else 0


def _for_wall_time(config: BoardConfig) -> BoardConfig:
    """What differs for a board that outside clients use."""
    # Nobody takes light from a live board: keep little of it.
    changes: dict[str, object] = {"light_tap_frames": 600}
    if config.camera is not None:
        delivery_ms = max(config.camera.delivery_ms, LIVE_DELIVERY_MS)
        changes["camera"] = config.camera.model_copy(update={"delivery_ms": delivery_ms})
    return config.model_copy(update=changes)


def _complain(fault: HarnessFault) -> None:
    print(fault, file=sys.stderr, flush=True)


def _sound_server(stack: ExitStack) -> PulseServer:
    """A sound server for this process and its children, gone with ``stack``."""
    folder = Path(tempfile.mkdtemp(prefix="k1hil-sound-"))
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    server = stack.enter_context(PulseServer(folder))
    before = {name: os.environ.get(name) for name in server.environment}
    os.environ.update(server.environment)

    def restore() -> None:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    stack.callback(restore)
    return server


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
