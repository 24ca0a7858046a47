"""The WebSocket and the UDP echo of the owner's firmware, as the contract tells them, over real sockets."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from harness.errors import DutFailure, RigFault
from harness.instruments.api_errors import BadAnswer, EndpointAbsent
from harness.instruments.realtime import MAX_MESSAGE_BYTES, RealtimeSocket, udp_echoes

WELCOME = {"type": "welcome", "client_id": 3, "timestamp": 4294967290}
BROADCAST = {
    "type": "realtime", "timestamp": 12, "current_pattern": 7,
    "performance": {"fps": 166.0, "frame_time_us": 6020, "render_avg_us": 80.5, "quantize_avg_us": 200,
                    "rmt_wait_avg_us": 0, "rmt_tx_avg_us": 4900, "cpu_percent": 21.0, "memory_percent": 45.0,
                    "memory_free_kb": 176},
    "audio": {"vu_level": 0.3, "vu_level_raw": 0.28, "tempo_confidence": 0.9, "locked_tempo_bpm": 128.0,
              "tempo_lock_state": "LOCKED"},
    "parameters": {"brightness": 1.0, "softness": 0.25, "palette_id": 0},
}  # fmt: skip


def device(socket_: ServerConnection) -> None:
    """A welcome, a broadcast before each echo, as a device that is asked between its slots."""
    socket_.send(json.dumps(WELCOME))
    socket_.send(json.dumps(BROADCAST))
    for words in socket_:
        socket_.send(json.dumps(BROADCAST))
        socket_.send(json.dumps({"type": "echo", "message": words, "timestamp": 20}))


@contextmanager
def served(behave: Callable[[ServerConnection], Any], **options: Any) -> Iterator[str]:
    with serve(behave, "127.0.0.1", 0, **options) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.socket.getsockname()[1]}"
        finally:
            server.shutdown()
            thread.join(10)


def test_welcome_broadcast_and_echo() -> None:
    with served(device) as url, RealtimeSocket(url) as ws:
        assert (ws.welcome.client_id, ws.welcome.timestamp) == (3, 4294967290)
        seen = ws.next()
        assert (seen.performance.fps, seen.audio.locked_tempo_bpm, seen.current_pattern) == (166.0, 128.0, 7)
        assert seen.parameters["softness"] == 0.25 and seen.performance["rmt_tx_avg_us"] == 4900
        assert ws.echo("hello \N{SNOWMAN}").message == "hello \N{SNOWMAN}", "broadcasts on the way are passed over"


@pytest.mark.parametrize(
    ("messages", "blame"),
    [([], DutFailure), (["nonsense"], BadAnswer), (["[" * 5000], BadAnswer), ([b"\x00\xff"], BadAnswer),
     (['{"type": "realtime"}'], BadAnswer), ([json.dumps(BROADCAST | {"current_pattern": "x"})], BadAnswer),
     (["x" * (MAX_MESSAGE_BYTES + 1)], RigFault)],
    ids=["silence", "no JSON", "deep", "bytes", "torn", "wrong kind", "too long"],
)  # fmt: skip
def test_what_is_no_broadcast_is_told_as_such(messages: list[Any], blame: type[Exception]) -> None:
    def behave(socket_: ServerConnection) -> None:
        socket_.send(json.dumps(WELCOME))
        for message in messages:
            socket_.send(message)
        for _ in socket_:
            """Stays until the other side goes."""

    with served(behave) as url, RealtimeSocket(url) as ws:
        with pytest.raises(blame) as error:
            ws.next(0.3)
        assert "/ws" in str(error.value)


def test_a_device_that_goes_away_is_a_rig_fault() -> None:
    with served(lambda s: s.send(json.dumps(WELCOME))) as url, RealtimeSocket(url) as ws:
        with pytest.raises(RigFault, match="ended the WebSocket"):
            ws.next()
    with pytest.raises(RigFault, match="nobody answers"):
        RealtimeSocket(url, open_timeout_s=1.0)


def test_firmware_without_it_says_so() -> None:
    with served(device, process_request=lambda ws, request: ws.respond(404, "no\n")) as url:
        with pytest.raises(EndpointAbsent, match="no WebSocket"):
            RealtimeSocket(url)


@contextmanager
def echoing(lose: int = 0, delay_s: float = 0.0) -> Iterator[int]:
    """A UDP echo that loses the first ones."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        udp.settimeout(0.1)
        over = threading.Event()

        def answer() -> None:
            count = 0
            while not over.is_set():
                try:
                    words, back = udp.recvfrom(1024)
                except TimeoutError:
                    continue
                count += 1
                if count > lose:
                    time.sleep(delay_s)
                    udp.sendto(b"something else", back)
                    udp.sendto(words, back)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield udp.getsockname()[1]
        finally:
            over.set()
            thread.join(10)


def test_round_trips_are_counted_and_losses_told() -> None:
    with echoing(lose=2, delay_s=0.02) as port:
        found = udp_echoes("127.0.0.1", 5, port=port, timeout_s=0.5)
    assert found.sent == 5 and len(found.round_trips_ms) == 3
    assert all(20.0 <= ms < 500.0 for ms in found.round_trips_ms)
    assert udp_echoes("127.0.0.1", 2, port=port, timeout_s=0.2) == ((), 2), "nobody listens any more"
