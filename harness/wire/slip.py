"""SLIP framing (RFC 1055) as the ESP32-S3 serial loader uses it: ``C0`` around every packet, ``DB`` escapes.

``C0`` inside a packet is ``DB DC``, ``DB`` is ``DB DD``. Escaping comes after sizes and checksums are computed.
"""

from __future__ import annotations

END = b"\xc0"
ESCAPE = b"\xdb"
_ESCAPED_END = b"\xdb\xdc"
_ESCAPED_ESCAPE = b"\xdb\xdd"
# The largest packet of the protocol is a 16 KiB block with its headers; noise without a delimiter must not grow.
MAX_PACKET = 0x10000


def encode(packet: bytes) -> bytes:
    """One packet as it stands on the wire, with both delimiters."""
    return END + packet.replace(ESCAPE, _ESCAPED_ESCAPE).replace(END, _ESCAPED_END) + END


def unescape(body: bytes) -> bytes | None:
    """The packet between two delimiters; None when an escape is malformed."""
    if ESCAPE not in body:
        return body
    head, *rest = body.split(ESCAPE)
    out = [head]
    for piece in rest:
        code = piece[:1]
        if code == b"\xdc":
            out.append(END)
        elif code == b"\xdd":
            out.append(ESCAPE)
        else:
            return None
        out.append(piece[1:])
    return b"".join(out)


class SlipReader:
    """Packets out of a byte stream. Lenient: what is no packet is dropped and counted, nothing raises.

    Bytes before the first delimiter, empty packets, malformed escapes and packets above ``max_packet`` are dropped. The
    result does not depend on how the stream is cut.
    """

    def __init__(self, max_packet: int = MAX_PACKET) -> None:
        self._limit = 2 * max_packet
        self._max_packet = max_packet
        self.reset()

    def reset(self) -> None:
        """Forgets a half-received packet."""
        self._open: list[bytes] = []
        self._open_bytes = 0
        self._started = False
        self.dropped = 0

    def feed(self, data: bytes) -> list[bytes]:
        """Adds bytes of the stream; the packets that are complete now, unescaped, in order."""
        pieces = bytes(data).split(END)
        packets = []
        for piece in pieces[:-1]:
            self._collect(piece)
            packet = self._close()
            if packet:
                packets.append(packet)
        self._collect(pieces[-1])
        return packets

    def _collect(self, piece: bytes) -> None:
        if self._started:
            self._open_bytes += len(piece)
            if self._open_bytes <= self._limit:
                self._open.append(piece)
            else:
                self._open.clear()

    def _close(self) -> bytes | None:
        started, size, pieces = self._started, self._open_bytes, self._open
        self._started, self._open_bytes, self._open = True, 0, []
        if not started or size == 0:
            return None
        packet = unescape(b"".join(pieces)) if size <= self._limit else None
        if packet is None or len(packet) > self._max_packet:
            self.dropped += 1
            return None
        return packet
