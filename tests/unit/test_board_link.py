"""Frames of the board link, and the app's behaviour towards a peer that speaks it (or does not)."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench import link
from harness.bench.app import RunningApp
from harness.bench.clock import DeviceClock
from harness.bench.draws import Draws
from harness.bench.mic import Microphone
from harness.errors import HarnessFault

START = link.StartInfo(
    schedule_seed=0x1122334455667788, reset_reason=1, slot=0, slot_state=3, slot_size=0x180000,
    mac=bytes.fromhex("7cdfa1010203"), sha256=bytes(range(32)), heap_bytes=327680, first_sample_ns=41234,
    random_seed=0xDEADBEEF, ip=0x0A470203, rssi_dbm=-52,
)  # fmt: skip


# ---- bytes


def test_start_is_byte_exact() -> None:
    want = (
        "50000000" "01" "0100" "0000" "8877665544332211" "01" "00" "03" "00" "00001800" "7cdfa1010203"
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" "00000500" "12a1000000000000"
        "efbeadde" "0302470a" "cc"
    )  # fmt: skip
    assert START.frame().hex() == want
    ((kind, body),) = link.split_frames(START.frame())
    assert kind == link.START
    assert link.StartInfo.parse(body) == START


@pytest.mark.parametrize(
    ("made", "want"),
    [
        (link.grant(50_000_000, 3), "0a000000" "02" "80f0fa0200000000" "03"),
        (link.mic(640, struct.pack("<2i", -1, 1 << 14)), "11000000" "03" "8002000000000000" "ffffffff00400000"),
        (link.timed(link.CONSOLE_RX, 1000, b"id\n"), "0c000000" "04" "e803000000000000" "69640a"),
        (
            link.timed(link.CONSOLE_HOST, 5, link.host_body(True, 400_000)),
            "0e000000" "05" "0500000000000000" "01801a0600",
        ),
        (
            link.timed(link.NET_IN, 7, link.net_body(link.NET_ROOM, struct.pack("<II", 1000, 1436))),
            "12000000" "06" "0700000000000000" "08" "e80300009c050000",
        ),
        (link.reply(9, True, b"ok"), "08000000" "07" "09000000" "01" "6f6b"),
        (link.stop(), "01000000" "08"),
    ],
)  # fmt: skip
def test_frames_are_byte_exact(made: bytes, want: str) -> None:
    assert made.hex() == want


VECTORS = json.loads((Path(__file__).parents[1] / "data" / "board_link.json").read_text())
NET_BODIES: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "LINK": lambda f: struct.pack("<Ib", f["ip"], f["rssi_dbm"]),
    "ACCEPT": lambda f: struct.pack("<IIIH", f["listener"], f["handle"], f["peer_ip"], f["peer_port"]),
    "DATA": lambda f: struct.pack("<I", f["handle"]) + f["text"].encode(),
    "ROOM": lambda f: struct.pack("<II", f["handle"], f["bytes"]),
    "DATAGRAM": lambda f: struct.pack("<IIH", f["handle"], f["from_ip"], f["from_port"]) + f["text"].encode(),
    "CLOSED": lambda f: struct.pack("<I", f["handle"]),
}


def packed(name: str, f: dict[str, Any]) -> bytes:
    """What the board sends for one vector."""
    if name == "START":
        values = {k: v for k, v in f.items() if k not in ("version", "mac")}
        return link.StartInfo(mac=bytes.fromhex(f["mac"]), sha256=bytes(range(32)), **values).frame()
    if name.startswith("NET "):
        kind = name.removeprefix("NET ")
        number = getattr(link, f"NET_{kind}")
        return link.timed(link.NET_IN, f["at_ns"], link.net_body(number, NET_BODIES[kind](f)))
    return {
        "CONSOLE_HOST": lambda: link.timed(
            link.CONSOLE_HOST, f["at_ns"], link.host_body(bool(f["reading"]), f["bytes_per_s"])
        ),
        "MIC": lambda: link.mic(f["first_index"], np.array(f["words"], "<i4").tobytes()),
        "CONSOLE_RX": lambda: link.timed(link.CONSOLE_RX, f["at_ns"], f["text"].encode()),
        "GRANT": lambda: link.grant(f["until_ns"], f["stop_mask"]),
        "REPLY": lambda: link.reply(f["id"], bool(f["ok"]), f["text"].encode()),
        "STOP": link.stop,
    }[name]()


@pytest.mark.parametrize("vector", [*VECTORS["to_child"], VECTORS["reply"]], ids=lambda v: v["name"])
def test_what_the_board_sends_matches_the_shared_vectors(vector: dict[str, Any]) -> None:
    assert packed(vector["name"], vector["fields"]).hex() == vector["hex"].replace(" ", "")


def test_what_the_firmware_sends_is_read_as_the_shared_vectors_say() -> None:
    order = {v["name"]: (bytes.fromhex(v["hex"]), v["fields"]) for v in VECTORS["to_board"]}
    last = ("COUNTS", "REACHED")
    first = b"".join(data for name, (data, _) in order.items() if name not in (*last, "RESET"))

    def script(sock: socket.socket, reader: link.FrameReader) -> None:
        ready(sock, reader)
        sock.sendall(first + order["COUNTS"][0] + order["REACHED"][0] + order["RESET"][0])

    sinks = Sinks()
    app = start_app(FakeChild(script), sinks)
    assert app.advance(50_000_000) == order["REACHED"][1]["now_ns"]
    light, counts = order["LIGHT"][1], order["COUNTS"][1]
    rgb_a, rgb_b = (bytes.fromhex(light[k]) for k in ("rgb_a", "rgb_b"))
    assert sinks.light == [(light["start_ns"], light["latch_us"], rgb_a, rgb_b)]
    assert sinks.console == [(256, b"hello\n")]
    assert [(kind, body.hex()) for _, kind, body in sinks.net] == [
        (link.NET_LISTEN, "010000005000"), (link.NET_SEND, "e80300006869"), (link.NET_CLOSE, "e8030000"),
        (link.NET_CONNECT, "030000000100007f1027"), (link.NET_SENDTO, "020000000100007f34124f4b"),
    ]  # fmt: skip
    assert sinks.calls == [(link.KV_GET, b"\x02ab\x01c"), (link.SLOT_WRITE, struct.pack("<I", 4096) + b"\xe9")]
    assert vars(app.counts) == counts
    app.advance(200_000_000)
    assert app.reset is not None and vars(app.reset) == order["RESET"][1]


@given(
    st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=12),
    st.lists(st.integers(1, 40), max_size=60),
)
def test_any_split_gives_the_same_frames(frames: list[tuple[int, bytes]], cuts: list[int]) -> None:
    data = b"".join(link.frame(kind, body) for kind, body in frames)
    reader = link.FrameReader(16)
    got = []
    while data:
        n = cuts.pop() if cuts else len(data)
        reader.feed(data[:n])
        data = data[n:]
        while (one := reader.next()) is not None:
            got.append((one[0], bytes(reader.buf[one[1] : one[2]])))
    assert got == frames


@given(st.binary(max_size=200))
def test_garbage_raises_nothing_but_a_fault(data: bytes) -> None:
    with contextlib.suppress(HarnessFault):
        link.split_frames(data)


# ---- the app and its peer


class FakeChild:
    """A peer on a thread that speaks the link as its script says."""

    def __init__(self, script: Callable[[socket.socket, link.FrameReader], None]) -> None:
        self.sock, theirs = socket.socketpair()
        self.killed = False
        self._thread = threading.Thread(target=self._run, args=(theirs, script), daemon=True)
        self._thread.start()

    def _run(self, sock: socket.socket, script: Callable[[socket.socket, link.FrameReader], None]) -> None:
        with sock, contextlib.suppress(OSError):
            script(sock, link.FrameReader())

    def kill(self) -> None:
        self.killed = True
        self.sock.close()
        self._thread.join(5.0)

    def describe_end(self) -> str:
        return "exit status 7"


class Sinks:
    def __init__(self) -> None:
        self.light: list[tuple[int, int, bytes, bytes]] = []
        self.console: list[tuple[int, bytes]] = []
        self.net: list[tuple[int, int, bytes]] = []
        self.calls: list[tuple[int, bytes]] = []

    def on_light(self, at_ns: int, latch_us: int, rgb_a: bytes, rgb_b: bytes) -> None:
        self.light.append((at_ns, latch_us, rgb_a, rgb_b))

    def on_console(self, at_ns: int, data: bytes) -> None:
        self.console.append((at_ns, data))

    def on_net(self, at_ns: int, kind: int, body: bytes) -> None:
        self.net.append((at_ns, kind, body))

    def on_call(self, op: int, body: bytes) -> tuple[bool, bytes]:
        self.calls.append((op, body))
        return op == link.KV_GET, body[::-1]


def read_frame(sock: socket.socket, reader: link.FrameReader) -> tuple[int, bytes]:
    while (got := reader.next()) is None:
        if reader.fill(sock) == 0:
            raise OSError("closed")
    return got[0], bytes(reader.buf[got[1] : got[2]])


def ready(sock: socket.socket, reader: link.FrameReader) -> None:
    assert read_frame(sock, reader)[0] == link.START
    sock.sendall(link.frame(link.READY, struct.pack("<H", link.VERSION) + b"cm-1"))


def reached(now_ns: int) -> bytes:
    return link.frame(link.COUNTS, link.COUNTS_BODY.pack(now_ns, 1, 2, 3, 4, 5)) + link.frame(
        link.REACHED, link.U64.pack(now_ns)
    )


def start_app(child: FakeChild, sinks: Sinks | None = None, deadline_s: float = 5.0) -> RunningApp:
    mic = Microphone(DeviceClock(0, 0.0), 0, lambda b: Draws(1).stream("n", b), 0.0, 0, [])
    return RunningApp(child, START, mic, sinks or Sinks(), wall_deadline_s=deadline_s, evidence="here")


def test_outputs_reach_their_sinks_and_calls_are_answered() -> None:
    seen: list[tuple[int, bytes]] = []

    def script(sock: socket.socket, reader: link.FrameReader) -> None:
        ready(sock, reader)
        while True:
            kind, body = read_frame(sock, reader)
            seen.append((kind, body))
            if kind == link.GRANT:
                break
        sock.sendall(
            link.frame(link.LIGHT, struct.pack("<QIH", 5, 60, 2) + b"abcdefghijkl")
            + link.frame(link.CONSOLE_TX, link.U64.pack(6) + b"hi\n")
            + link.frame(link.NET_OUT, link.NET_HEAD.pack(7, link.NET_LISTEN) + struct.pack("<IH", 1, 80))
            + link.frame(link.CALL, link.CALL_HEAD.pack(42, link.KV_GET) + b"xyz")
        )
        seen.append(read_frame(sock, reader))
        sock.sendall(reached(50_000_000))

    sinks = Sinks()
    app = start_app(FakeChild(script), sinks)
    app.schedule(9_000, link.CONSOLE_RX, b"late")
    app.schedule(1_000, link.CONSOLE_RX, b"soon")
    app.schedule(60_000_000, link.CONSOLE_RX, b"not in this grant")
    assert app.advance(50_000_000, link.STOP_ON_NET) == 50_000_000
    assert app.cost_model == "cm-1"
    assert sinks.light == [(5, 60, b"abcdef", b"ghijkl")]
    assert sinks.console == [(6, b"hi\n")]
    assert sinks.net == [(7, link.NET_LISTEN, struct.pack("<IH", 1, 80))]
    assert (app.counts.core0_busy_ns, app.counts.mic_overruns, app.counts.heap_least) == (1, 3, 5)
    assert [kind for kind, _ in seen] == [link.MIC, link.CONSOLE_RX, link.CONSOLE_RX, link.GRANT, link.REPLY]
    assert [body[8:] for kind, body in seen if kind == link.CONSOLE_RX] == [b"soon", b"late"]
    assert seen[-1][1] == struct.pack("<IB", 42, 1) + b"zyx"
    assert len(seen[0][1]) == 8 + 4 * 641  # samples at 0 and at 50 ms included


def test_a_child_that_talks_for_ever_is_stuck_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.bench.app._MOST_SILENCES", 3)
    over = threading.Event()

    def script(sock: socket.socket, reader: link.FrameReader) -> None:
        ready(sock, reader)
        while not over.wait(0.02):
            sock.sendall(link.frame(link.CONSOLE_TX, link.U64.pack(6) + b"still here\n"))

    app = start_app(FakeChild(script), deadline_s=0.2)
    with pytest.raises(HarnessFault, match="stuck outside the model") as caught:
        app.advance(50_000_000, 0)
    over.set()
    assert "within 0.6 s" in caught.value.expected


def test_reset_ends_the_grant() -> None:
    def script(sock: socket.socket, reader: link.FrameReader) -> None:
        ready(sock, reader)
        sock.sendall(
            link.frame(link.CONSOLE_TX, link.U64.pack(1) + b"Guru") + link.frame(link.RESET, struct.pack("<QB", 77, 4))
        )

    sinks = Sinks()
    app = start_app(FakeChild(script), sinks)
    app.advance(1_000_000)
    assert app.reset is not None
    assert (app.reset.at_ns, app.reset.reason) == (77, 4)
    assert sinks.console == [(1, b"Guru")]


def test_a_silent_child_is_a_harness_fault() -> None:
    def script(sock: socket.socket, reader: link.FrameReader) -> None:
        ready(sock, reader)
        while True:
            read_frame(sock, reader)

    child = FakeChild(script)
    app = start_app(child, deadline_s=0.2)
    with pytest.raises(HarnessFault, match="stuck outside the model") as caught:
        app.advance(1_000_000)
    assert caught.value.evidence == "here"
    child.kill()


def test_a_child_that_dies_without_reset_is_a_harness_fault() -> None:
    app = start_app(FakeChild(ready))
    with pytest.raises(HarnessFault, match="died without a reset") as caught:
        app.advance(1_000_000)
    assert "exit status 7" in caught.value.got


@pytest.mark.parametrize(
    "junk",
    [
        b"\xff\xff\xff\xff\x81",
        link.frame(0x99),
        link.frame(link.REACHED, b"123"),
        link.frame(link.LIGHT, struct.pack("<QIH", 0, 60, 160) + b"too short"),
        link.frame(link.COUNTS, b""),
        link.frame(link.READY, b"\x01\x00again"),
    ],
)
def test_a_child_that_breaks_the_link_is_a_harness_fault(junk: bytes) -> None:
    def script(sock: socket.socket, reader: link.FrameReader) -> None:
        ready(sock, reader)
        sock.sendall(junk)
        while True:
            read_frame(sock, reader)

    child = FakeChild(script)
    app = start_app(child)
    with pytest.raises(HarnessFault):
        app.advance(1_000_000)
    child.kill()


def test_another_link_version_is_refused() -> None:
    def script(sock: socket.socket, reader: link.FrameReader) -> None:
        read_frame(sock, reader)
        sock.sendall(link.frame(link.READY, struct.pack("<H", 9) + b"x"))

    with pytest.raises(HarnessFault, match="another board link"):
        start_app(FakeChild(script))
