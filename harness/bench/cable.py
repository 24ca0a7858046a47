"""The cable between host and board: reset lines, who reads the console, how fast bytes go, whether it is plugged."""

from __future__ import annotations

from collections.abc import Callable

from harness.bench.chip import Chip, Power
from harness.bench.config import BoardConfig, Wiring
from harness.bench.lines import RELEASE_NS, LineEvent, ResetLines
from harness.bench.rom import Action

_RATES = range(300, 5_000_001)


class Cable:
    """Host side of the console of one chip. Under the board's lock.

    Args:
        chip: at the other end.
        config: kind and rate of the console.
        wiring: of the reset lines.
        jitter: draws the host's extra delay in ns.
    """

    def __init__(self, chip: Chip, config: BoardConfig, wiring: Wiring, jitter: Callable[[], float]) -> None:
        self._chip = chip
        self._config = config
        self._jitter = jitter
        self._reset_lines = ResetLines(wiring)
        self.lines = (False, False)
        self.risen_ns: int | None = None  # when EN, let go and still rising, counts as high
        self._readers: set[str] = set()
        self._stopped = False
        self._baud = config.uart_baud
        self._free_ns = 0
        self.plugged = True

    def set_lines(self, dtr: bool | None, rts: bool | None) -> list[LineEvent]:
        """DTR and RTS of the host (True: asserted), None: as it was; what that does to the chip."""
        self.lines = (self.lines[0] if dtr is None else dtr, self.lines[1] if rts is None else rts)
        events = self._reset_lines.set(*self.lines)
        self.risen_ns = self._chip.host.now_ns + RELEASE_NS if self._reset_lines.rising else None
        return events

    def expire(self) -> list[LineEvent]:
        """Host time has reached :attr:`risen_ns`."""
        self.risen_ns = None
        return self._reset_lines.expire()

    def opened(self, who: str) -> None:
        """``who`` has opened the port. On a UART, what nobody read before is gone."""
        if not self._readers and self._config.console == "uart":
            self._chip.console.clear_arrived()
        self._readers.add(who)
        self.update()

    def closed(self, who: str) -> None:
        self._readers.discard(who)
        self.update()

    def stop_reading(self, stopped: bool) -> None:
        self._stopped = stopped
        self.update()

    def plug(self, plugged: bool) -> None:
        self.plugged = plugged
        if not plugged:
            self._chip.console.clear()
        self.update()

    def set_baud(self, baud: int) -> None:
        """Matters on a UART only."""
        if baud in _RATES:
            self._baud = baud
            self.update()

    def update(self) -> None:
        """Tells the chip whether its bytes leave: a USB host has to ask for them, a UART never waits."""
        asked = bool(self._readers) and self.plugged and not self._stopped
        self._chip.set_reading(asked or self._config.console == "uart", self._config.console_rate(self._baud))

    def write(self, data: bytes) -> list[Action]:
        """Bytes of the host, to the loader at once or to the application in its time; what a loader then asks for."""
        chip = self._chip
        if not self.plugged:
            return []
        if chip.power is Power.LOADER:
            return chip.feed_loader(data)
        frame_ns = round(self._config.link_frame_ms * 1e6) if self._config.console == "usb" else 0
        wire_ns = len(data) * 1_000_000_000 // self._config.console_rate(self._baud)
        self._free_ns = max(chip.host.outside_ns, self._free_ns) + wire_ns + frame_ns // 2 + int(self._jitter())
        chip.console_rx(self._free_ns, data)
        return []
