"""A board of loader, reset lines and flash only, served on loopback: for tests of real flashing tools.

What the whole board adds (console, clock, application) is left out; after a reset into the application only the boot
text comes.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from harness.bench.boot import decide
from harness.bench.efuse import Efuse
from harness.bench.flash import MIB, NorFlash
from harness.bench.lines import RELEASE_NS, ResetLines, Wiring
from harness.bench.rom import Action, Loader, LoaderFaults
from harness.bench.servers import SerialServer, serve_rfc2217, serve_socket

POWER_ON = 1


class LoaderBoard:
    """Serves one chip by both transports; a context manager.

    ``boots`` counts resets into the application, ``strap_stuck`` lets the chip ignore the boot strap, ``drop_after``
    breaks the connection off once so many bytes of the host have come, ``unplugged`` turns every client away.
    """

    def __init__(
        self,
        *,
        wiring: Wiring = "cross",
        flash_path: Path | None = None,
        flash_bytes: int = 4 * MIB,
        efuse: Efuse | None = None,
        faults: LoaderFaults | None = None,
        in_loader: bool = False,
    ) -> None:
        self.efuse = efuse or Efuse(bytes.fromhex("348518aabbcc"))
        self.flash = NorFlash(flash_path, flash_bytes)
        self.loader = Loader(self.flash, self.efuse, faults=faults)
        self.lines = ResetLines(wiring)
        self.changed = threading.Condition()
        self.boots = 0
        self.downloads = 0
        self.bauds: list[int] = []
        self.strap_stuck = False
        self.drop_after: int | None = None
        self.unplug_on_drop = False
        self.unplugged = False
        self._taken = 0
        self._mode = "app"
        self._dtr = self._rts = False
        self._rise_at_s: float | None = None
        self._output = bytearray()
        if in_loader:
            self._enter_loader()
        self.servers: list[SerialServer] = []

    def __enter__(self) -> LoaderBoard:
        self.servers = [serve_rfc2217(self), serve_socket(self)]
        return self

    def __exit__(self, *_: object) -> None:
        for server in self.servers:
            server.stop()
        self.flash.close()

    @property
    def mac(self) -> str:
        return self.efuse.mac.hex(":")

    def url(self, transport: str) -> str:
        port = self.servers[0 if transport == "rfc2217" else 1].port
        return f"{transport}://127.0.0.1:{port}"

    # ---- SerialEndpoint

    def host_open(self, kind: str) -> None:
        with self.changed:
            # Without reset lines, being plugged in is the only way into the loader; a running stub stays.
            if kind == "socket" and self._mode != "loader":
                self._enter_loader()
            if self.unplugged:
                self._disconnect()

    def _disconnect(self) -> None:
        for server in self.servers:
            server.disconnect()

    def host_close(self, kind: str) -> None: ...

    def host_write(self, data: bytes) -> None:
        with self.changed:
            self._taken += len(data)
            if self.drop_after is not None and self._taken > self.drop_after:
                self.drop_after = None
                self.unplugged = self.unplug_on_drop
                self._disconnect()
                return
            if self._mode != "loader" or self.lines.held:
                return
            for output in self.loader.feed(data):
                if isinstance(output, bytes):
                    self._say(output)
                else:
                    self._act(output)

    def _act(self, action: Action) -> None:
        if action.kind == "baud":
            self.bauds.append(action.baud)
        else:
            self._boot()

    def set_lines(self, dtr: bool | None, rts: bool | None) -> None:
        with self.changed:
            self._dtr = self._dtr if dtr is None else dtr
            self._rts = self._rts if rts is None else rts
            for event in self.lines.set(self._dtr, self._rts):
                self._on_line(event.kind, event.strap_download)
            self._rise_at_s = time.monotonic() + RELEASE_NS / 1e9 if self.lines.rising else None

    def _on_line(self, kind: str, download: bool) -> None:
        if kind == "EN_LOW":
            self._mode = "off"
        elif download and not self.strap_stuck:
            self._enter_loader()
        else:
            self._boot()

    def set_baud(self, baud: int) -> None: ...

    def read_output(self, timeout_s: float) -> bytes:
        with self.changed:
            if self._rise_at_s is not None and time.monotonic() >= self._rise_at_s:
                self._rise_at_s = None
                for event in self.lines.expire():
                    self._on_line(event.kind, event.strap_download)
            self.changed.wait_for(lambda: len(self._output) > 0, timeout_s)
            data = bytes(self._output)
            self._output.clear()
            return data

    def purge_rx(self) -> None:
        with self.changed:
            self._output.clear()

    def purge_tx(self) -> None: ...

    # ---- chip

    def _enter_loader(self) -> None:
        self._mode = "loader"
        self.downloads += 1
        self.loader.reset()
        self._say(self.loader.boot_text().encode())

    def _boot(self) -> None:
        self._mode = "app"
        self.boots += 1
        self._say(decide(self.flash, POWER_ON).text.encode())

    def _say(self, data: bytes) -> None:
        self._output += data
        self.changed.notify_all()
