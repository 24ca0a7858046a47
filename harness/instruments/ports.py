"""Serial ports: the small surface instruments need, the one owner of a physical port, and how to find it.

A port is named by USB serial number, by MAC (which the ESP32-S3's USB-Serial/JTAG uses as its serial number), by
path, or by a pyserial URL (``rfc2217://``, ``socket://``). Re-enumeration after a chip reset is normal: the owner
opens the port again.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import serial
from serial.tools import list_ports

from harness.errors import RigFault
from harness.instruments import serial_handlers

Stamped = tuple[int, bytes]
# Unread console bytes kept while nobody pumps (a debugger at a prompt); older ones are dropped and counted.
MAX_BACKLOG = 64 << 20
_REOPEN_S = 0.2


class StampedPort(Protocol):
    """What a console needs of a port."""

    def read_stamped(self) -> list[Stamped]:
        """Bytes come in since the last call, with the host time (ns) of each piece. Does not wait.

        Raises:
            RigFault: the port is gone.
        """
        ...

    def write(self, data: bytes) -> int | None:
        """Sends bytes to the device."""
        ...

    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """Drives the modem lines; True is asserted, which pulls the pin low."""
        ...

    def close(self) -> None:
        """Gives the port back."""
        ...


@dataclass(frozen=True)
class PortInfo:
    """A port of this machine, as the system describes it."""

    device: str
    serial_number: str
    vid_pid: str
    description: str

    def to_json(self) -> dict[str, str]:
        """Plain values."""
        return asdict(self)


def find_ports() -> list[PortInfo]:
    """All serial ports of this machine that have a USB identity, sorted by path."""
    found = []
    for p in list_ports.comports():
        if p.vid is not None:
            found.append(PortInfo(p.device, p.serial_number or "", f"{p.vid:04X}:{p.pid:04X}", p.description or ""))
    return sorted(found, key=lambda p: p.device)


def _plain(text: str) -> str:
    return text.replace(":", "").replace("-", "").lower()


def resolve_port(name: str, usb_serial: str = "", mac: str = "") -> str:
    """The path or URL of a port given by path, by USB serial number or by MAC (whichever is not empty, in this order).

    Raises:
        RigFault: nothing that matches is plugged in, or two ports match.
    """
    if name:
        return name
    wanted = usb_serial or mac
    ports = find_ports()
    hits = [p for p in ports if p.serial_number and _plain(p.serial_number) == _plain(wanted)]
    if len(hits) == 1:
        return hits[0].device
    seen = (
        ", ".join(f"{p.device} ({p.serial_number or 'no serial number'})" for p in ports) or "no USB serial port at all"
    )
    raise RigFault(
        f"no serial port with serial number or MAC {wanted}" if not hits else f"{len(hits)} ports answer to {wanted}",
        expected="exactly one port",
        got=seen,
        remedy="check the cable and the power; k1hil rig new lists what is plugged in",
    )


def open_serial(url: str, baud: int) -> Any:
    """Opens a port by path or URL without disturbing the chip's reset lines.

    Raises:
        RigFault: it cannot be opened; the remedy names a missing permission.
    """
    serial_handlers.use()
    try:
        port = serial.serial_for_url(url, do_not_open=True, baudrate=baud, timeout=0.1)
        with suppress(AttributeError):
            port.exclusive = True
        # Both lines released before opening: otherwise the driver asserts them and an auto-reset board restarts.
        port.dtr = False
        port.rts = False
        port.open()
        return port
    except PermissionError as error:
        raise _no_permission(url, error) from error
    except (serial.SerialException, OSError, ValueError) as error:
        if "ermission denied" in str(error):
            raise _no_permission(url, error) from error
        raise RigFault(
            f"serial port {url} cannot be opened",
            got=str(error),
            remedy="is it plugged in, and free? k1hil rig check tells more",
        ) from error


def _no_permission(url: str, error: Exception) -> RigFault:
    return RigFault(
        f"no permission for serial port {url}",
        got=str(error),
        remedy="add yourself to the group that owns it (sudo usermod -aG dialout $USER) and log in again",
    )


class OwnedPort:
    """The one owner of a physical port: a reader thread stamps what comes in; everybody else asks this object.

    Args:
        url: finds the port anew each time it is opened (its path may change when it re-enumerates).
        baud: line rate.
        now_ns, notify: clock to stamp with, and whom to wake.
        grace_s: how long a vanished port may stay away before it is a rig fault.
    """

    def __init__(
        self,
        url: Callable[[], str],
        baud: int,
        now_ns: Callable[[], int],
        notify: Callable[[], None],
        grace_s: float = 5.0,
    ) -> None:
        self._url = url
        self._baud = baud
        self._now_ns = now_ns
        self._notify = notify
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._pieces: deque[Stamped] = deque()
        self._held = 0
        self.dropped_bytes = 0
        self._fault: RigFault | None = None
        self._stop = threading.Event()
        self._port: Any = None
        self._thread: threading.Thread | None = None
        self.resume()

    @property
    def url(self) -> str:
        """Path or URL in use now."""
        return self._url()

    def resume(self) -> None:
        """Opens the port (again) and starts reading."""
        if self._thread is not None:
            return
        self._port = open_serial(self._url(), self._baud)
        self._fault = None
        self._stop.clear()
        self._thread = threading.Thread(target=self._read_loop, name="console reader", daemon=True)
        self._thread.start()

    def pause(self) -> None:
        """Stops reading and closes the port, so that the flasher may have it. What came in before stays readable."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None
        self._close_port()

    close = pause

    def _close_port(self) -> None:
        if self._port is not None:
            with suppress(OSError, serial.SerialException):
                self._port.close()
            self._port = None

    def _read_loop(self) -> None:
        while not self._stop.is_set():
            try:
                port = self._port
                # Blocks for the first byte (or 0.1 s), then takes what else is there.
                data = port.read(1)
                if data:
                    data += port.read(port.in_waiting)
                    self._keep(self._now_ns(), data)
            except (serial.SerialException, OSError, TypeError) as error:
                if self._stop.is_set() or not self._reopen(error):
                    return

    def _keep(self, stamp_ns: int, data: bytes) -> None:
        with self._lock:
            self._pieces.append((stamp_ns, data))
            self._held += len(data)
            while self._held > MAX_BACKLOG:
                lost = len(self._pieces.popleft()[1])
                self._held -= lost
                self.dropped_bytes += lost
        self._notify()

    def _reopen(self, cause: Exception) -> bool:
        """The port vanished: a chip reset re-enumerates it. False when it stayed away."""
        deadline = time.monotonic() + self._grace_s
        self._close_port()
        while not self._stop.wait(_REOPEN_S):
            try:
                self._port = open_serial(self._url(), self._baud)
                return True
            except RigFault as fault:
                if time.monotonic() > deadline:
                    fault.got = fault.got or str(cause)
                    self._fault = RigFault(
                        "the console port went away and did not come back",
                        expected=f"the port again within {self._grace_s:g} s",
                        got=str(cause),
                        evidence=fault.message,
                        remedy="check cable and power of the device",
                    )
                    self._notify()
                    return False
        return False

    def read_stamped(self) -> list[Stamped]:
        """See :class:`StampedPort`."""
        with self._lock:
            pieces = list(self._pieces)
            self._pieces.clear()
            self._held = 0
        if not pieces and self._fault is not None:
            raise self._fault
        return pieces

    def write(self, data: bytes) -> int:
        """See :class:`StampedPort`."""
        try:
            if self._port is None:
                raise serial.SerialException("port is closed")
            return int(self._port.write(data) or 0)
        except (serial.SerialException, OSError) as error:
            raise RigFault("the console port takes no bytes", got=str(error), evidence=self._describe()) from error

    def set_lines(self, *, dtr: bool | None = None, rts: bool | None = None) -> None:
        """See :class:`StampedPort`."""
        try:
            if self._port is None:
                raise serial.SerialException("port is closed")
            if dtr is not None:
                self._port.dtr = dtr
            if rts is not None:
                self._port.rts = rts
        except (serial.SerialException, OSError) as error:
            raise RigFault("the reset lines cannot be driven", got=str(error), evidence=self._describe()) from error

    def _describe(self) -> str:
        try:
            return self._url()
        except RigFault as fault:
            return fault.message
