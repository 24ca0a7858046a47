"""Drives a firmware process over the link, from docs/board-link.md alone: shares no code with the virtual board."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "firmware" / "tools"))
from cost_table import model_id, pack, table_of  # noqa: E402
from sim_flags import SOURCES, toolchain  # noqa: E402

DEADLINE_S = 20.0


def build_program(core: list[Path], out: Path, jobs: int = 2) -> Path:
    """Compiles a core with the real host layer and flags, links it, makes its cost table. Returns the program."""
    tools = toolchain()
    wanted = [(p, tools.host_flags) for p in sorted((SOURCES / "host").glob("*.cpp"))] + [
        (p, tools.core_flags) for p in core
    ]
    objects: list[str] = []
    running: list[subprocess.Popen[bytes]] = []
    for source, flags in wanted:
        target = out / f"{len(objects)}_{source.stem}.o"
        objects.append(str(target))
        running.append(subprocess.Popen([tools.cxx, *flags, "-I", str(SOURCES), "-c", str(source), "-o", str(target)]))
        if len(running) >= jobs:
            assert running.pop(0).wait(120) == 0
    assert all(process.wait(120) == 0 for process in running)
    program = out / "program"
    subprocess.run([tools.cxx, *objects, *tools.link_flags, "-o", str(program)], check=True, timeout=120)
    model = model_id(tools.core_flag_text, tools.word, tools.machine)
    costs = pack(table_of(program, tools.machine), model, program.read_bytes())
    (out / "program.cost").write_bytes(costs)
    return program


@dataclass
class Child:
    """One firmware process. Everything it sends is kept in ``frames`` (type, body) and in ``raw``."""

    program: Path
    seed: int = 1
    heap_bytes: int = 327680
    first_sample_ns: int = 0
    ip: int = 0
    start: bytes | None = None
    frames: list[tuple[int, bytes]] = field(default_factory=list)
    raw: bytearray = field(default_factory=bytearray)
    settings: dict[bytes, bytes] = field(default_factory=dict)
    now_ns: int = 0
    reset_reason: int | None = None

    def __enter__(self) -> Child:
        self.link, theirs = socket.socketpair()
        self.link.settimeout(DEADLINE_S)
        devnull = os.open(os.devnull, os.O_RDWR)
        cost = self.program.with_suffix(".cost")

        def descriptors() -> None:
            os.dup2(theirs.fileno(), 3)

        self.process = subprocess.Popen(
            [str(self.program), "--cost", str(cost)], stdin=devnull, stdout=devnull, stderr=subprocess.PIPE,
            env={}, pass_fds=(3,), preexec_fn=descriptors,
        )  # fmt: skip
        theirs.close()
        os.close(devnull)
        self.buffer = b""
        self.link.sendall(self.start if self.start is not None else self.start_frame())
        kind, body = self.receive()
        assert kind == 0x81 and body[:2] == b"\x01\x00"
        self.cost_model = body[2:].decode()
        return self

    def start_frame(self) -> bytes:
        mac, sha = bytes.fromhex("348518aabbcc"), bytes(range(32))
        head = struct.pack("<IBHHQBBBBI", 80, 1, 1, 0, self.seed, 1, 0, 3, 0, 0x1E0000)
        tail = struct.pack("<IQIIb", self.heap_bytes, self.first_sample_ns, self.seed, self.ip, -50)
        return head + mac + sha + tail

    def __exit__(self, *_: object) -> None:
        try:
            self.send(8)
        except OSError:
            pass
        self.process.wait(DEADLINE_S)
        self.stderr = self.process.stderr.read().decode() if self.process.stderr else ""
        if self.process.stderr:
            self.process.stderr.close()
        self.link.close()

    def send(self, kind: int, body: bytes = b"") -> None:
        self.link.sendall(struct.pack("<IB", len(body) + 1, kind) + body)

    def receive(self) -> tuple[int, bytes]:
        while len(self.buffer) < 4 or len(self.buffer) < 4 + struct.unpack_from("<I", self.buffer)[0]:
            data = self.link.recv(1 << 20)
            if not data:
                raise EOFError(f"child ended with {self.process.wait(DEADLINE_S)}")
            self.buffer += data
            self.raw += data
        length = struct.unpack_from("<I", self.buffer)[0]
        frame, self.buffer = self.buffer[4 : 4 + length], self.buffer[4 + length :]
        self.frames.append((frame[0], frame[1:]))
        return frame[0], frame[1:]

    def grant(self, until_ns: int, stop_mask: int = 0) -> int:
        """Runs to ``until_ns`` (or an early stop, or a reset); returns the time reached."""
        self.send(2, struct.pack("<QB", until_ns, stop_mask))
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            kind, body = self.receive()
            if kind == 0x82:
                self.now_ns = struct.unpack("<Q", body)[0]
                return self.now_ns
            if kind == 0x85:
                self.answer(body)
            if kind == 0x87:
                self.reset_reason = body[8]
                self.now_ns = struct.unpack_from("<Q", body)[0]
                return self.now_ns
        raise TimeoutError("grant did not end")

    def answer(self, body: bytes) -> None:
        number, op = struct.unpack_from("<IB", body)
        rest = body[5:]
        good, reply = True, b""
        if op in (0x10, 0x11, 0x12):
            space_end = 1 + rest[0]
            name = rest[: space_end + 1 + rest[space_end]]
            value = rest[len(name) :]
            if op == 0x10:
                good, reply = name in self.settings, self.settings.get(name, b"")
            elif op == 0x11:
                self.settings[name] = value
        self.send(7, struct.pack("<IB", number, good) + reply)

    def console(self, text: bytes, at_ns: int | None = None) -> None:
        self.send(4, struct.pack("<Q", self.now_ns if at_ns is None else at_ns) + text)

    def microphone(self, first: int, n: int) -> None:
        self.send(
            3, struct.pack("<Q", first) + struct.pack(f"<{n}i", *((i & 0xFFFF) << 14 for i in range(first, first + n)))
        )

    @property
    def text(self) -> str:
        return b"".join(body[8:] for kind, body in self.frames if kind == 0x84).decode()

    def stamps(self, kind: int) -> list[int]:
        return [struct.unpack_from("<Q", body)[0] for k, body in self.frames if k == kind]
