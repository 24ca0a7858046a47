"""What talks to a simulated loader, byte by byte."""

from __future__ import annotations

import struct

from harness.bench.commands import Output
from harness.bench.efuse import Efuse
from harness.bench.flash import MIB, NorFlash
from harness.bench.rom import Loader, LoaderFaults
from harness.wire import slip
from harness.wire.loader import Op, Reply, Request, data_request, parse_reply

MAC = bytes.fromhex("348518aabbcc")
ENTRY = 0x403795A8


def wire(request: Request) -> bytes:
    return slip.encode(request.pack())


def words(*values: int) -> bytes:
    return struct.pack(f"<{len(values)}I", *values)


class Host:
    """Talks to one loader."""

    def __init__(self, *, efuse: Efuse | None = None, faults: LoaderFaults | None = None, size: int = 4 * MIB) -> None:
        self.flash = NorFlash(size=size)
        self.loader = Loader(self.flash, efuse or Efuse(MAC), faults=faults)

    def send(self, op: int, body: bytes = b"", check: int = 0) -> list[Output]:
        return self.loader.feed(wire(Request(op, body, check)))

    def ask(self, op: int, body: bytes = b"", check: int = 0) -> Reply:
        """The one reply."""
        (out,) = self.send(op, body, check)
        assert isinstance(out, bytes)
        (packet,) = slip.SlipReader().feed(out)
        reply = parse_reply(packet)
        assert reply is not None and reply.op == op
        return reply

    def block(self, op: Op, sequence: int, data: bytes) -> bytes:
        """Status bytes for one data block."""
        request = data_request(op, sequence, data)
        return self.ask(op, request.body, request.checksum).data

    def start_stub(self) -> Host:
        outputs = self.send(Op.MEM_END, words(0, ENTRY))
        assert outputs[1] == bytes.fromhex("c04f484149c0")
        return self
