"""The chip's registers as the serial loader shows them: fuses, SPI1 and watchdog; plain memory elsewhere."""

from __future__ import annotations

from typing import Final

from harness.bench import spi
from harness.bench.efuse import Efuse

CHIP_DETECT_MAGIC: Final = 0x40001000  # read by older hosts only, which then ask for the chip id
GPIO_STRAP: Final = 0x60004038
UART_BUFFER_NUMBER: Final = 0x3FCEF14C  # ROM variable: 0 = talking over UART
_WATCHDOG_LOCK: Final = 0x600080B0
_WATCHDOG_CONFIG: Final = 0x60008098
_WATCHDOG_ON: Final = 1 << 31
_MOST_WORDS: Final = 65_536  # written words kept; a host writes a few dozen


class Registers:
    """32-bit words by address. Unmapped ones read 0, and what was written once it was.

    Attributes:
        watchdog_fired: the host armed the watchdog and locked it: a reset follows the answer.
    """

    def __init__(self, efuse: Efuse, spi1: spi.Spi1) -> None:
        self._spi = spi1
        self._fixed = {CHIP_DETECT_MAGIC: efuse.chip_id, GPIO_STRAP: 0, UART_BUFFER_NUMBER: 0, **efuse.registers()}
        self.reset()

    def reset(self) -> None:
        """As after a chip reset."""
        self._words: dict[int, int] = {}
        self.watchdog_fired = False

    def read(self, address: int) -> int:
        if spi.BASE <= address < spi.END:
            return self._spi.read(address)
        if address in self._fixed:
            return self._fixed[address]
        return self._words.get(address, 0)

    def write(self, address: int, value: int, mask: int) -> None:
        """Sets the bits of ``mask`` to those of ``value``."""
        word = (self.read(address) & ~mask | value & mask) & 0xFFFFFFFF
        if spi.BASE <= address < spi.END:
            self._spi.write(address, word)
        elif address in self._words or len(self._words) < _MOST_WORDS:
            self._words[address] = word
        if address == _WATCHDOG_LOCK and word == 0 and self.read(_WATCHDOG_CONFIG) & _WATCHDOG_ON:
            self.watchdog_fired = True
