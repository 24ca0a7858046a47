"""The chip's SPI1 controller, as far as a host drives it by hand through register writes: one command at a time.

Register layout: ESP32-S3 technical reference manual, SPI controller; commands and SFDP: JEDEC JESD216.
"""

from __future__ import annotations

from typing import Final

from harness.bench.flash import CAPACITY_CODES, NorFlash

BASE: Final = 0x60002000
END: Final = BASE + 0x100
_CMD, _ADDR, _USR, _USR2, _MISO_BITS, _W0 = 0x00, 0x04, 0x18, 0x20, 0x28, 0x58
_START: Final = 1 << 18
_HAS_MISO: Final = 1 << 28
_MANUFACTURER, _MEMORY_TYPE = 0xC8, 0x40  # GigaDevice, SPI NOR
# Signature, revision 1.6, one parameter header: the basic table, 16 words at 0x30.
_SFDP: Final = bytes.fromhex("53464450 060100FF 00060110 300000FF".replace(" ", "")) + bytes([_MANUFACTURER])

_RDID, _READ_SFDP, _STATUS_1, _STATUS_2, _STATUS_3 = 0x9F, 0x5A, 0x05, 0x35, 0x15
_WRITE_ENABLE, _WRITE_DISABLE, _WRITE_STATUS_1, _WRITE_STATUS_2, _WRITE_STATUS_3 = 0x06, 0x04, 0x01, 0x31, 0x11
_STATUS_OF_WRITE = {_WRITE_STATUS_1: _STATUS_1, _WRITE_STATUS_2: _STATUS_2, _WRITE_STATUS_3: _STATUS_3}
_WRITE_ENABLED: Final = 0x02


class Spi1:
    """Registers of SPI1 with a flash chip at the other end.

    Attributes:
        attached: whether the pins lead to the flash; until then every read gives FF.
    """

    def __init__(self, flash: NorFlash) -> None:
        self._flash = flash
        self.reset()

    def reset(self) -> None:
        """As after a chip reset."""
        self.attached = False
        self._registers: dict[int, int] = {}
        self._status = {_STATUS_1: 0, _STATUS_2: 0, _STATUS_3: 0}

    def read(self, address: int) -> int:
        """A 32-bit register; 0 when never written."""
        return self._registers.get(address - BASE, 0)

    def write(self, address: int, value: int) -> None:
        """Sets a register. The start bit runs the command at once and is clear again before the write returns."""
        offset = address - BASE
        if offset == _CMD and value & _START:
            self._run()
            value &= ~_START
        self._registers[offset] = value

    def _run(self) -> None:
        registers = self._registers
        command = registers.get(_USR2, 0) & 0xFF
        answer = self._answer(command, registers.get(_ADDR, 0) & 0xFFFFFF, registers.get(_W0, 0))
        if registers.get(_USR, 0) & _HAS_MISO:
            bits = (registers.get(_MISO_BITS, 0) & 0x3FF) + 1
            data = answer if self.attached else b"\xff" * 64
            word = int.from_bytes(data[:64].ljust(64, b"\xff"), "little") & ((1 << bits) - 1)
            for i in range((bits + 31) // 32):
                registers[_W0 + 4 * i] = word >> (32 * i) & 0xFFFFFFFF

    def _answer(self, command: int, address: int, written: int) -> bytes:
        """What the flash chip sends after a command; state changes as a side effect."""
        status = self._status
        if command == _RDID:
            return bytes((_MANUFACTURER, _MEMORY_TYPE, CAPACITY_CODES[self._flash.size]))
        if command == _READ_SFDP:
            return _SFDP[address:]
        if command in status:
            return bytes([status[command]])
        if command == _WRITE_ENABLE:
            status[_STATUS_1] |= _WRITE_ENABLED
        elif command == _WRITE_DISABLE:
            status[_STATUS_1] &= ~_WRITE_ENABLED
        elif command in _STATUS_OF_WRITE and status[_STATUS_1] & _WRITE_ENABLED:
            status[_STATUS_OF_WRITE[command]] = written & 0xFF & ~_WRITE_ENABLED
            status[_STATUS_1] &= ~_WRITE_ENABLED
        return b""
