"""Time of a served board: however far it stands behind wall time, it answers a question after it was asked."""

import random
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial

from harness.bench.board import Board
from harness.bench.config import BoardConfig
from harness.bench.live import preload
from harness.instruments.ports import open_serial
from harness.pipeline.build import build

# Ten times the usual pace: the board is up to 80 ms behind, so a question that reached it at once would be answered
# with a stamp from long before.
PACE_MS = 80.0
ASKED = 30


@pytest.fixture(scope="module")
def firmware() -> Path:
    return build("sim").path


@pytest.fixture
def board(firmware: Path) -> Iterator[Board]:
    made = Board(None, seed=7, config=BoardConfig(pace_ms=PACE_MS, clock_skew_ppm=0.0))
    preload(made, firmware)
    yield made
    made.close()


def await_boot(port: serial.SerialBase) -> None:
    deadline, text = time.monotonic() + 20.0, ""
    while "Ready!" not in text:
        assert time.monotonic() < deadline, f"no boot: {text[-300:]!r}"
        text += port.read(max(1, port.in_waiting)).decode("ascii", "replace")


def exchange(port: serial.SerialBase, token: str) -> tuple[int, int, int]:
    """(sent, stamp, received): monotonic ns, device us, monotonic ns."""
    sent_ns = time.monotonic_ns()
    port.write(f"sync {token}\n".encode())
    deadline, text = time.monotonic() + 10.0, ""
    while time.monotonic() < deadline:
        text += port.read(max(1, port.in_waiting)).decode("ascii", "replace")
        if found := re.search(rf"\$K1SYN,{token},(\d+)\*", text):
            return sent_ns, int(found[1]), time.monotonic_ns()
    raise AssertionError(f"no answer to sync {token}: {text[-300:]!r}")


@pytest.mark.parametrize("kind", ["serial", "socket"])
def test_a_stamp_lies_between_question_and_answer(board: Board, kind: str) -> None:
    addresses = board.serve()
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    pauses = random.Random(seed)
    with open_serial(getattr(addresses, kind), 115_200) as port:
        await_boot(port)
        taken = []
        for i in range(ASKED):
            time.sleep(pauses.uniform(0.0, 2 * PACE_MS / 1e3))  # at any place within a slice of its time
            taken.append(exchange(port, f"{i:08x}"))
    for sent_ns, t_us, received_ns in taken:
        stamped_ns = board.host.monotonic_of(board.chip.clock.to_host(t_us * 1000))
        assert sent_ns <= stamped_ns + 1_000, f"answered {(sent_ns - stamped_ns) / 1e6:.2f} ms before it was asked"
        assert stamped_ns <= received_ns
    assert not board.harness_faults
    quickest_ms = min(received_ns - sent_ns for sent_ns, _, received_ns in taken) / 1e6
    assert quickest_ms < PACE_MS / 2, "a question waits for the next slice instead of making time go on"
