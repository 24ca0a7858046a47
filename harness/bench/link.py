"""The socket between the board and the firmware process: frames, exactly as ``docs/board-link.md`` says.

Only packing and unpacking lives here; :mod:`harness.bench.app` gives the frames their meaning. All numbers are little
endian, all times ``u64`` nanoseconds of device time.
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Final

from harness.errors import HarnessFault

VERSION: Final = 1
MAX_FRAME: Final = 4 * 1024 * 1024
SAMPLE_NS: Final = 78_125  # 1 / 12.8 kHz
SEND_WINDOW: Final = 5_744  # bytes a fresh TCP stream may have on the way to its peer

# board to child
START, GRANT, MIC, CONSOLE_RX, CONSOLE_HOST, NET_IN, REPLY, STOP = range(0x01, 0x09)
# child to board
READY, REACHED, LIGHT, CONSOLE_TX, CALL, NET_OUT, RESET, COUNTS = range(0x81, 0x89)

STOP_ON_NET: Final = 1
STOP_ON_CONSOLE: Final = 2

# NET kinds, board to child
NET_LINK, NET_ACCEPT, NET_DATA, NET_CLOSED, NET_CONNECTED, NET_REFUSED, NET_DATAGRAM, NET_ROOM = range(1, 9)
# NET kinds, child to board
NET_LISTEN, NET_SEND, NET_CLOSE, NET_CONNECT, NET_BIND_UDP, NET_SENDTO = range(11, 17)

# CALL operations
SLOT_BEGIN, SLOT_WRITE, SLOT_FINISH, SLOT_ABORT, SLOT_CONFIRM, SLOT_INVALID = range(0x01, 0x07)
KV_GET, KV_SET, KV_ERASE = range(0x10, 0x13)

_HEAD = struct.Struct("<IB")
_START = struct.Struct("<HHQBBBBI6s32sIQIIb")
_GRANT = struct.Struct("<IBQB")
_AT = struct.Struct("<IBQ")
_HOST = struct.Struct("<BI")
_REPLY = struct.Struct("<IBIB")

# bodies read in place by the app
U64 = struct.Struct("<Q")
LIGHT_HEAD = struct.Struct("<QIH")
CALL_HEAD = struct.Struct("<IB")
NET_HEAD = struct.Struct("<QB")
RESET_BODY = struct.Struct("<QB")
COUNTS_BODY = struct.Struct("<QQQIII")


@dataclass(frozen=True)
class StartInfo:
    """Body of START: everything a starting firmware may know about its board."""

    schedule_seed: int
    reset_reason: int
    slot: int
    slot_state: int
    slot_size: int
    mac: bytes
    sha256: bytes
    heap_bytes: int
    first_sample_ns: int
    random_seed: int
    ip: int
    rssi_dbm: int
    flags: int = 0

    def frame(self) -> bytes:
        """The whole START frame."""
        body = _START.pack(
            VERSION, self.flags, self.schedule_seed, self.reset_reason, self.slot, self.slot_state, 0, self.slot_size,
            self.mac, self.sha256, self.heap_bytes, self.first_sample_ns, self.random_seed, self.ip, self.rssi_dbm,
        )  # fmt: skip
        return frame(START, body)

    @classmethod
    def parse(cls, body: bytes) -> StartInfo:
        """Reads a START body; ``ValueError`` on another length or version."""
        if len(body) != _START.size:
            raise ValueError(f"START body has {len(body)} bytes, expected {_START.size}")
        v = _START.unpack(body)
        if v[0] != VERSION:
            raise ValueError(f"START version {v[0]}, expected {VERSION}")
        return cls(v[2], v[3], v[4], v[5], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[1])


def frame(kind: int, body: bytes = b"") -> bytes:
    """One frame: length (type and body), type, body."""
    return _HEAD.pack(len(body) + 1, kind) + body


def grant(until_ns: int, stop_mask: int) -> bytes:
    return _GRANT.pack(10, GRANT, until_ns, stop_mask)


def mic(first_index: int, words: bytes) -> bytes:
    """``words``: int32 little endian, word i sampled at first_sample_ns + (first_index + i) x 78125 ns."""
    return _AT.pack(len(words) + 9, MIC, first_index) + words


def timed(kind: int, at_ns: int, body: bytes) -> bytes:
    """CONSOLE_RX, CONSOLE_HOST or NET: a frame whose body starts with its instant."""
    return _AT.pack(len(body) + 9, kind, at_ns) + body


def host_body(reading: bool, bytes_per_s: int) -> bytes:
    """CONSOLE_HOST after its instant."""
    return _HOST.pack(int(reading), bytes_per_s)


def net_body(kind: int, body: bytes) -> bytes:
    """NET after its instant."""
    return bytes([kind]) + body


def reply(call_id: int, ok: bool, data: bytes = b"") -> bytes:
    return _REPLY.pack(len(data) + 6, REPLY, call_id, int(ok)) + data


def stop() -> bytes:
    return frame(STOP)


class FrameReader:
    """Cuts a stream into frames without copying: ``next()`` gives offsets into ``buf``, valid until ``fill()``."""

    def __init__(self, size: int = 256 * 1024) -> None:
        self.buf = bytearray(size)
        self._lo = 0
        self._hi = 0

    def fill(self, sock: socket.socket) -> int:
        """Receives what is there (blocking as the socket is set). Bytes got; 0 when the peer has closed."""
        self._make_room()
        n = sock.recv_into(memoryview(self.buf)[self._hi :])
        self._hi += n
        return n

    def feed(self, data: bytes) -> None:
        """Appends bytes from elsewhere (tests, other transports)."""
        while len(self.buf) - self._hi < len(data):
            self._make_room(len(data))
        self.buf[self._hi : self._hi + len(data)] = data
        self._hi += len(data)

    def _make_room(self, want: int = 4096) -> None:
        if self._lo == self._hi:
            self._lo = self._hi = 0
        elif self._lo and len(self.buf) - self._hi < max(want, len(self.buf) // 2):
            held = self.buf[self._lo : self._hi]
            self.buf[: len(held)] = held
            self._lo, self._hi = 0, len(held)
        if len(self.buf) - self._hi < want:
            grown = bytearray(2 * len(self.buf) + want)
            grown[: self._hi] = self.buf[: self._hi]
            self.buf = grown

    def next(self) -> tuple[int, int, int] | None:
        """(type, first, end of body) of the next whole frame, or None.

        Raises:
            HarnessFault: a length that no frame can have; the peer does not speak this protocol.
        """
        lo = self._lo
        have = self._hi - lo
        if have < 5:
            return None
        length, kind = _HEAD.unpack_from(self.buf, lo)
        if not 1 <= length <= MAX_FRAME:
            raise HarnessFault(
                "broken frame on the board link",
                expected=f"a length of 1 to {MAX_FRAME}",
                got=f"{length} before type 0x{kind:02x}",
                remedy="the firmware process wrote something else than link frames to descriptor 3",
            )
        end = lo + 4 + length
        if end > self._hi:
            return None
        self._lo = end
        return kind, lo + 5, end


def split_frames(data: bytes) -> list[tuple[int, bytes]]:
    """All whole frames of a byte string as (type, body)."""
    reader = FrameReader(max(64, len(data) + 16))
    reader.feed(data)
    out: list[tuple[int, bytes]] = []
    while (got := reader.next()) is not None:
        out.append((got[0], bytes(reader.buf[got[1] : got[2]])))
    return out
