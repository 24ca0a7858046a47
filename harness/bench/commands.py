"""Loader commands that ROM and flasher stub share. The two differ in status bytes, error codes and a few answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Literal

from harness.bench.efuse import Efuse
from harness.bench.flash import NorFlash
from harness.bench.flash_write import FlashError, InflateError, RegionWriter, SurplusError, WriteError
from harness.bench.registers import Registers
from harness.bench.spi import Spi1
from harness.wire import slip
from harness.wire.loader import Block, Op, Reply, Request, checksum, security_info

_REGISTER_WRITE_BYTES = 16


@dataclass(frozen=True)
class Action:
    """What the loader asks of the chip around it: boot the application, reset, or talk at another rate."""

    kind: Literal["run_app", "reset", "baud"]
    baud: int = 0


RUN_APP = Action("run_app")
RESET = Action("reset")

Output = bytes | Action


class Fault(Enum):
    """Why a command is refused."""

    COMMAND = auto()
    LENGTH = auto()
    CHECKSUM = auto()
    BLOCK_SIZE = auto()
    NOT_BEGUN = auto()
    SPI = auto()
    INFLATE = auto()
    MISSING = auto()
    SURPLUS = auto()


class Refused(Exception):
    """Ends a command with an error status. Never leaves the loader."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.name)
        self.fault = fault


@dataclass
class LoaderFaults:
    """Faults on the wire and in the chip, for tests.

    Attributes:
        bad_block: sequence number of a flash data block that arrives with one byte changed.
        bad_block_times: how often it does.
        mute: nothing but the boot text is heard from the chip.
        silent_stub: the stub never says that it runs; esptool then waits without end, and its caller has to give up.
    """

    bad_block: int | None = None
    bad_block_times: int = 1
    mute: bool = False
    silent_stub: bool = False

    def damage(self, block: Block) -> Block:
        """The block as it arrives."""
        if block.sequence != self.bad_block or self.bad_block_times <= 0 or not block.data:
            return block
        self.bad_block_times -= 1
        return Block(block.sequence, bytes([block.data[0] ^ 0x01]) + block.data[1:])


@dataclass
class Parts:
    """What the commands work on."""

    flash: NorFlash
    efuse: Efuse
    spi: Spi1
    registers: Registers
    faults: LoaderFaults = field(default_factory=LoaderFaults)
    limit: int = 0  # bytes of flash the host has declared; 0: not yet

    @property
    def usable(self) -> int:
        """Bytes of flash that commands may touch."""
        return min(self.limit or self.flash.size, self.flash.size)


class Commands:
    """Commands of ROM and stub. Subclasses give status bytes and the commands of their own."""

    begin_words = 4

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self.writer: RegionWriter | None = None
        self.table: dict[int, Callable[[Request], list[Output]]] = {
            Op.SYNC: self.sync,
            Op.READ_REG: self._read_register,
            Op.WRITE_REG: self._write_registers,
            Op.MEM_BEGIN: self._mem_begin,
            Op.MEM_DATA: self._mem_data,
            Op.FLASH_BEGIN: lambda r: self._begin(r, compressed=False),
            Op.FLASH_DEFL_BEGIN: lambda r: self._begin(r, compressed=True),
            Op.FLASH_DATA: self._flash_data,
            Op.FLASH_DEFL_DATA: self._flash_data,
            Op.FLASH_END: self._flash_end,
            Op.FLASH_DEFL_END: self._flash_end,
            Op.SPI_FLASH_MD5: self._md5,
            Op.SPI_SET_PARAMS: self._set_params,
            Op.CHANGE_BAUDRATE: self._change_baud,
            Op.GET_SECURITY_INFO: self._security_info,
        }

    def handle(self, request: Request) -> list[Output]:
        """Answers one command."""
        command = self.table.get(request.op)
        try:
            if command is None:
                raise Refused(Fault.COMMAND)
            return command(request)
        except Refused as refused:
            return [self._reply(request.op, self.status(refused.fault))]

    # ---- given by ROM or stub

    def status(self, fault: Fault | None = None) -> bytes:
        """Status bytes, of success without a fault."""
        raise NotImplementedError

    def sync(self, request: Request) -> list[Output]:
        raise NotImplementedError

    def digest(self, digest: bytes) -> bytes:
        """An MD5 as it stands in the reply."""
        raise NotImplementedError

    def new_writer(self, offset: int, total: int, block_size: int, compressed: bool) -> RegionWriter:
        raise NotImplementedError

    def store(self, block: Block) -> None:
        """Writes a block that has arrived well."""
        raise NotImplementedError

    def end(self, request: Request, stay: bool) -> list[Output]:
        raise NotImplementedError

    # ---- shared

    def ok(self, request: Request, data: bytes = b"", value: int = 0) -> bytes:
        """A framed reply of success."""
        return self._reply(request.op, data + self.status(), value)

    def _reply(self, op: int, data: bytes, value: int = 0) -> bytes:
        return slip.encode(Reply(op, value, data).pack())

    def words(self, request: Request, count: int) -> tuple[int, ...]:
        """The first words of the body, or a refusal."""
        words = request.words(count)
        if words is None:
            raise Refused(Fault.LENGTH)
        return words

    def check_range(self, offset: int, n: int) -> None:
        if offset + n > self.parts.usable:
            raise Refused(Fault.SPI)

    def _read_register(self, request: Request) -> list[Output]:
        (address,) = self.words(request, 1)
        return [self.ok(request, value=self.parts.registers.read(address))]

    def _write_registers(self, request: Request) -> list[Output]:
        body = request.body
        if not body or len(body) % _REGISTER_WRITE_BYTES:
            raise Refused(Fault.LENGTH)
        registers = self.parts.registers
        words = self.words(request, len(body) // 4)
        for address, value, mask in zip(words[::4], words[1::4], words[2::4], strict=True):
            registers.write(address, value, mask)
        # The answer leaves before the watchdog bites: the host waits for it.
        return [self.ok(request), RESET] if registers.watchdog_fired else [self.ok(request)]

    def _mem_begin(self, request: Request) -> list[Output]:
        self.words(request, 4)
        return [self.ok(request)]

    def _mem_data(self, request: Request) -> list[Output]:
        self.checked_block(request)
        return [self.ok(request)]

    def checked_block(self, request: Request, damage: bool = False) -> Block:
        """The data block of a request, or a refusal."""
        block = request.block()
        if block is None:
            raise Refused(Fault.LENGTH)
        if damage:
            block = self.parts.faults.damage(block)
        if checksum(block.data) != request.checksum:
            raise Refused(Fault.CHECKSUM)
        return block

    def _begin(self, request: Request, compressed: bool) -> list[Output]:
        total, _, block_size, offset = self.words(request, self.begin_words)[:4]
        self.writer = None
        self.check_range(offset, total)
        try:
            self.writer = self.new_writer(offset, total, block_size, compressed)
        except FlashError:
            raise Refused(Fault.SPI) from None
        return [self.ok(request)]

    def _flash_data(self, request: Request) -> list[Output]:
        if self.writer is None:
            raise Refused(Fault.NOT_BEGUN)
        self.store(self.checked_block(request, damage=True))
        return [self.ok(request)]

    def write_fault(self, error: WriteError) -> Fault:
        """The protocol's word for a failed write."""
        if isinstance(error, InflateError):
            return Fault.INFLATE
        return Fault.SURPLUS if isinstance(error, SurplusError) else Fault.SPI

    def _flash_end(self, request: Request) -> list[Output]:
        (stay,) = self.words(request, 1)
        if self.writer is None:
            raise Refused(Fault.NOT_BEGUN)
        outputs = self.end(request, bool(stay))
        self.writer = None
        return outputs

    def _md5(self, request: Request) -> list[Output]:
        offset, n, _, _ = self.words(request, 4)
        self.check_range(offset, n)
        return [self.ok(request, self.digest(self.parts.flash.md5(offset, n)))]

    def _set_params(self, request: Request) -> list[Output]:
        self.parts.limit = self.words(request, 6)[1]
        return [self.ok(request)]

    def _change_baud(self, request: Request) -> list[Output]:
        (baud, _) = self.words(request, 2)
        return [self.ok(request), Action("baud", baud)]

    def _security_info(self, request: Request) -> list[Output]:
        efuse = self.parts.efuse
        return [self.ok(request, security_info(efuse.security_flags, efuse.chip_id))]
