"""The flasher stub: the program that hosts upload into the chip to write faster than its ROM can."""

from __future__ import annotations

from harness.bench.commands import RUN_APP, Commands, Fault, Output, Parts, Refused
from harness.bench.flash import SECTOR
from harness.bench.flash_write import RegionWriter, WriteError
from harness.wire import slip
from harness.wire.loader import (
    HEADER,
    SYNC_REPLIES,
    Block,
    Op,
    Request,
    StubError,
    parse_request,
    stub_status,
)

_MOST_READ_PACKET = 0x1000
_ACK_BYTES = 4
_ERRORS = {
    Fault.COMMAND: StubError.INVALID_COMMAND,
    Fault.LENGTH: StubError.BAD_LENGTH,
    Fault.CHECKSUM: StubError.BAD_CHECKSUM,
    Fault.BLOCK_SIZE: StubError.BAD_BLOCK_SIZE,
    Fault.NOT_BEGUN: StubError.NOT_IN_FLASH_MODE,
    Fault.SPI: StubError.SPI_FAILED,
    Fault.INFLATE: StubError.INFLATE,
    Fault.MISSING: StubError.NOT_ENOUGH_DATA,
    Fault.SURPLUS: StubError.TOO_MUCH_DATA,
}


class StubCommands(Commands):
    """Commands of the stub, and its stream of flash contents.

    Attributes:
        left: the stub has reset the chip on request; the boot strap is not sampled anew, so the ROM loader is next.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.left = False
        parts.spi.attached = True
        self._late: Fault | None = None
        self._stream: _ReadStream | None = None
        self.table |= {
            Op.MEM_END: lambda r: [self.ok(r)],
            Op.SPI_ATTACH: lambda r: [self.ok(r)],
            Op.ERASE_FLASH: self._erase_flash,
            Op.ERASE_REGION: self._erase_region,
            Op.READ_FLASH: self._read_flash,
            Op.RUN_USER_CODE: lambda r: [RUN_APP],
        }

    def packet(self, packet: bytes) -> list[Output]:
        """One packet: a command, or the host's acknowledgement of a piece of the stream."""
        if self._stream is not None:
            if len(packet) == _ACK_BYTES:
                return self._acknowledged(self._stream, int.from_bytes(packet, "little"))
            self._stream = None  # the host has given up and starts over
        request = parse_request(packet)
        if request is not None:
            return self.handle(request)
        if len(packet) < HEADER.size:
            return []
        fault = Fault.COMMAND if packet[0] else Fault.LENGTH
        return [self._reply(packet[1], self.status(fault))]

    def status(self, fault: Fault | None = None) -> bytes:
        return stub_status(None if fault is None else _ERRORS[fault])

    def sync(self, request: Request) -> list[Output]:
        return [self.ok(request) * SYNC_REPLIES]

    def digest(self, digest: bytes) -> bytes:
        return digest

    def new_writer(self, offset: int, total: int, block_size: int, compressed: bool) -> RegionWriter:
        self._late = None
        return RegionWriter(self.parts.flash, offset, total, block_size, compressed=compressed, erase_first=False)

    def store(self, block: Block) -> None:
        """The stub answers first and writes afterwards: a failed write spoils the answer to the *next* command."""
        self._raise_late()
        assert self.writer is not None
        try:
            self.writer.write(block.sequence, block.data)
        except WriteError as error:
            self._late = self.write_fault(error)

    def _raise_late(self) -> None:
        if self._late is not None:
            late, self._late = self._late, None
            raise Refused(late)

    def end(self, request: Request, stay: bool) -> list[Output]:
        self._raise_late()
        assert self.writer is not None
        if not self.writer.complete:
            raise Refused(Fault.MISSING)
        self.left = not stay
        return [self.ok(request)]

    def _erase_flash(self, request: Request) -> list[Output]:
        self.parts.flash.erase(0, self.parts.flash.size)
        return [self.ok(request)]

    def _erase_region(self, request: Request) -> list[Output]:
        offset, n = self.words(request, 2)
        if offset % SECTOR or n % SECTOR:
            raise Refused(Fault.BLOCK_SIZE)
        self.check_range(offset, n)
        self.parts.flash.erase(offset, n)
        return [self.ok(request)]

    def _read_flash(self, request: Request) -> list[Output]:
        offset, n, packet_bytes, _ = self.words(request, 4)
        if not 0 < packet_bytes <= _MOST_READ_PACKET:
            raise Refused(Fault.BLOCK_SIZE)
        self.check_range(offset, n)
        stream = _ReadStream(self.parts, offset, n, packet_bytes)
        self._stream = None if stream.done else stream
        return [self.ok(request), stream.next()]

    def _acknowledged(self, stream: _ReadStream, received: int) -> list[Output]:
        if received != stream.sent:
            self._stream = None  # the host has lost count: it will run into its time-out and say so
            return []
        if stream.done:
            self._stream = None
        return [stream.next()]


class _ReadStream:
    """Flash contents in packets, one on the way at a time, then their MD5."""

    def __init__(self, parts: Parts, offset: int, n: int, packet_bytes: int) -> None:
        self._flash = parts.flash
        self._offset = offset
        self._n = n
        self._packet_bytes = packet_bytes
        self.sent = 0

    @property
    def done(self) -> bool:
        """Whether only the MD5 is left."""
        return self.sent >= self._n

    def next(self) -> bytes:
        """The next packet, framed; the MD5 of everything once all is sent."""
        if self.done:
            return slip.encode(self._flash.md5(self._offset, self._n))
        piece = self._flash.read(self._offset + self.sent, min(self._packet_bytes, self._n - self.sent))
        self.sent += len(piece)
        return slip.encode(piece)
