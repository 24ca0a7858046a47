"""The serial loader of the modelled chip: bytes of the host in, bytes and actions of the chip out. Pure.

It starts in the ROM of the chip. A host that uploads code and starts it is given the flasher stub
(:mod:`harness.bench.stub`): what the uploaded code would do is modelled, not executed.
"""

from __future__ import annotations

from harness.bench import bootlog
from harness.bench.commands import RESET, RUN_APP, Action, Commands, Fault, LoaderFaults, Output, Parts, Refused
from harness.bench.efuse import Efuse
from harness.bench.flash import NorFlash
from harness.bench.flash_write import RegionWriter, WriteError
from harness.bench.registers import Registers
from harness.bench.spi import Spi1
from harness.bench.stub import StubCommands
from harness.wire import slip
from harness.wire.loader import (
    READ_SLOW_BYTES,
    ROM_SYNC_VALUE,
    SYNC_BODY,
    SYNC_REPLIES,
    Block,
    Op,
    Request,
    RomError,
    parse_request,
    rom_status,
)

__all__ = ["RESET", "RUN_APP", "Action", "Loader", "LoaderFaults"]

_STUB_STARTED = b"OHAI"
_ERRORS = {
    Fault.COMMAND: RomError.INVALID_MESSAGE,
    Fault.LENGTH: RomError.INVALID_MESSAGE,
    Fault.CHECKSUM: RomError.CHECKSUM,
    Fault.BLOCK_SIZE: RomError.FLASH_READ_LENGTH,
    Fault.NOT_BEGUN: RomError.BAD_PARAMETER,
    Fault.SPI: RomError.FLASH_WRITE,
    Fault.INFLATE: RomError.DEFLATE,
    Fault.MISSING: RomError.BAD_PARAMETER,
    Fault.SURPLUS: RomError.DEFLATE,
}
# With secure download fused, the ROM knows these only.
_SECURE_OPS = frozenset(
    (
        Op.SYNC,
        Op.SPI_ATTACH,
        Op.SPI_SET_PARAMS,
        Op.CHANGE_BAUDRATE,
        Op.FLASH_BEGIN,
        Op.FLASH_DATA,
        Op.FLASH_END,
        Op.GET_SECURITY_INFO,
    )
)


class RomCommands(Commands):
    """Commands of the ROM."""

    begin_words = 5  # the last one asks for encryption, which the stub has no use for

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.table[Op.MEM_END] = self._mem_end
        self.table[Op.SPI_ATTACH] = self._attach
        self.table[Op.READ_FLASH_SLOW] = self._read_slow
        if parts.efuse.secure_download:
            self.table = {op: command for op, command in self.table.items() if op in _SECURE_OPS}

    def status(self, fault: Fault | None = None) -> bytes:
        return rom_status(None if fault is None else _ERRORS[fault])

    def sync(self, request: Request) -> list[Output]:
        if request.body != SYNC_BODY:
            raise Refused(Fault.LENGTH)
        return [self.ok(request, value=ROM_SYNC_VALUE) * SYNC_REPLIES]

    def digest(self, digest: bytes) -> bytes:
        return digest.hex().encode()

    def new_writer(self, offset: int, total: int, block_size: int, compressed: bool) -> RegionWriter:
        if not self.parts.spi.attached and total:
            raise Refused(Fault.SPI)
        return RegionWriter(self.parts.flash, offset, total, block_size, compressed=compressed, erase_first=True)

    def store(self, block: Block) -> None:
        assert self.writer is not None
        try:
            self.writer.write(block.sequence, block.data)
        except WriteError as error:
            raise Refused(self.write_fault(error)) from None

    def end(self, request: Request, stay: bool) -> list[Output]:
        return [self.ok(request), RUN_APP]  # whatever was asked: the ROM leaves its loader here

    def _mem_end(self, request: Request) -> list[Output]:
        no_entry, entry = self.words(request, 2)
        if no_entry or not entry:
            return [self.ok(request)]
        if self.parts.faults.silent_stub:
            return [self.ok(request)]
        return [self.ok(request), slip.encode(_STUB_STARTED)]

    def _attach(self, request: Request) -> list[Output]:
        self.words(request, 2)
        self.parts.spi.attached = True
        return [self.ok(request)]

    def _read_slow(self, request: Request) -> list[Output]:
        offset, n = self.words(request, 2)
        if n > READ_SLOW_BYTES:
            raise Refused(Fault.BLOCK_SIZE)
        self.check_range(offset, n)
        data = self.parts.flash.read(offset, n) if self.parts.spi.attached else b"\xff" * n
        return [self.ok(request, data.ljust(READ_SLOW_BYTES, b"\0"))]


class Loader:
    """One chip in download mode.

    Args:
        flash: its flash.
        efuse: its fuses.
        faults: what goes wrong, changeable at any time.
    """

    def __init__(self, flash: NorFlash, efuse: Efuse, *, faults: LoaderFaults | None = None) -> None:
        spi1 = Spi1(flash)
        self.faults = faults or LoaderFaults()
        self._parts = Parts(flash, efuse, spi1, Registers(efuse, spi1), self.faults)
        self._slip = slip.SlipReader()
        self._commands: Commands = RomCommands(self._parts)

    @property
    def in_stub(self) -> bool:
        """Whether the flasher stub has taken over from the ROM."""
        return isinstance(self._commands, StubCommands)

    def reset(self) -> None:
        """The chip has been reset into download mode: ROM again, nothing remembered."""
        self._slip.reset()
        self._start_rom()

    def _start_rom(self) -> None:
        self._parts.spi.reset()
        self._parts.registers.reset()
        self._parts.limit = 0
        self._commands = RomCommands(self._parts)

    def boot_text(self) -> str:
        """What the ROM prints on its way into the loader."""
        return bootlog.download()

    def feed(self, data: bytes) -> list[Output]:
        """Bytes from the host, cut anywhere; what comes back, in order. Never raises."""
        outputs: list[Output] = []
        for packet in self._slip.feed(data):
            outputs += self._packet(packet)
        if self.faults.mute:
            return [o for o in outputs if isinstance(o, Action)]
        return outputs

    def _packet(self, packet: bytes) -> list[Output]:
        commands = self._commands
        if isinstance(commands, StubCommands):
            outputs = commands.packet(packet)
            if commands.left:
                self._start_rom()
            return outputs
        request = parse_request(packet)
        if request is None:
            return []
        outputs = commands.handle(request)
        if request.op == Op.MEM_END and len(outputs) > 1:
            self._commands = StubCommands(self._parts)
        return outputs
