"""pyserial's RFC 2217 client without its waits.

pyserial negotiates every setting anew whenever one is assigned, time-outs included, and looks for each answer every
50 ms; esptool assigns a time-out around each command, so 400 kB take 20 s. This client sends only settings that
changed, is woken by the answer, and takes data in runs instead of byte by byte.
"""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

from serial import PortNotOpenError, SerialException, rfc2217

_IAC = 0xFF
_COMMANDS = {b[0] for b in (rfc2217.DO, rfc2217.DONT, rfc2217.WILL, rfc2217.WONT)}
_SB, _SE = rfc2217.SB[0], rfc2217.SE[0]
MAX_SUBOPTION = 1024


class TelnetReader:
    """Splits a telnet stream into data, negotiations and sub-negotiations, whatever the pieces it comes in."""

    def __init__(self) -> None:
        self._state = "data"
        self._command = b""
        self._suboption: bytearray | None = None

    def feed(self, piece: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], list[bytes]]:
        """(data, [(DO/DONT/WILL/WONT, option)], [sub-negotiation]) completed by ``piece``."""
        data, options, suboptions = bytearray(), [], []
        at = 0
        while at < len(piece):
            if self._state == "data":
                stop = piece.find(_IAC, at)
                stop = len(piece) if stop < 0 else stop
                self._store(data, piece[at:stop])
                if stop < len(piece):
                    self._state = "command"
                at = stop + 1
                continue
            byte = piece[at]
            at += 1
            if self._state == "option":
                options.append((self._command, bytes([byte])))
                self._state = "data"
            elif byte in _COMMANDS:
                self._state, self._command = "option", bytes([byte])
            else:
                self._state = "data"
                if byte == _IAC:
                    self._store(data, b"\xff")
                elif byte == _SB:
                    self._suboption = bytearray()
                elif byte == _SE and self._suboption is not None:
                    suboptions.append(bytes(self._suboption))
                    self._suboption = None
        return bytes(data), options, suboptions

    def _store(self, data: bytearray, run: bytes) -> None:
        if self._suboption is None:
            data += run
        elif len(self._suboption) < MAX_SUBOPTION:
            self._suboption += run


class _Buffer:
    """Received bytes between the reader thread and ``read``.

    Has the methods of a queue that pyserial's client calls.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._changed = threading.Condition()
        self.ended = False

    def put(self, data: bytes | None) -> None:
        with self._changed:
            if data is None:
                self.ended = True
            else:
                self._bytes += data
            self._changed.notify_all()

    def qsize(self) -> int:
        return len(self._bytes)

    def clear(self) -> None:
        with self._changed:
            self._bytes.clear()

    def take(self, size: int, timeout_s: float | None) -> bytes:
        """Waits for ``size`` bytes (or the end of the connection); gives what there is when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: self.ended or len(self._bytes) >= size, timeout_s)
            data = bytes(self._bytes[:size])
            del self._bytes[:size]
            return data


class Serial(rfc2217.Serial):
    """Drop-in for ``rfc2217://`` URLs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._answered = threading.Condition()
        self._socket: socket.socket | None = None
        self._thread: threading.Thread | None = None
        self._in_force: tuple[Any, ...] | None = None
        self._received = _Buffer()
        super().__init__(*args, **kwargs)

    def open(self) -> None:
        """Opens the connection and negotiates all settings once."""
        self._in_force = None
        self._received = _Buffer()
        super().open()

    # ---- settings ----------------------------------------------------------------------------------

    def _reconfigure_port(self) -> None:
        wanted = (self._baudrate, self._bytesize, self._parity, self._stopbits, self._rtscts, self._xonxoff)
        if self._socket is None:
            raise SerialException("Can only operate on open ports")
        if self._write_timeout is not None:
            # esptool tries to set one and does without when this is raised, as with pyserial's own client.
            raise NotImplementedError("write_timeout is not supported over RFC 2217")
        if self._in_force == wanted:
            return
        if not 0 < self._baudrate < 2**32:
            raise ValueError(f"invalid baudrate: {self._baudrate!r}")
        settings = {
            "baudrate": struct.pack("!I", self._baudrate),
            "datasize": struct.pack("!B", self._bytesize),
            "parity": struct.pack("!B", rfc2217.RFC2217_PARITY_MAP[self._parity]),
            "stopsize": struct.pack("!B", rfc2217.RFC2217_STOPBIT_MAP[self._stopbits]),
        }
        for name, value in settings.items():
            self._rfc2217_port_settings[name].set(value)
        for name in settings:
            self._await(self._rfc2217_port_settings[name])
        if self._rtscts:
            self.rfc2217_set_control(rfc2217.SET_CONTROL_USE_HW_FLOW_CONTROL)
        elif self._xonxoff:
            self.rfc2217_set_control(rfc2217.SET_CONTROL_USE_SW_FLOW_CONTROL)
        else:
            self.rfc2217_set_control(rfc2217.SET_CONTROL_USE_NO_FLOW_CONTROL)
        self._in_force = wanted

    def rfc2217_set_control(self, value: bytes) -> None:
        """Changes a line or the flow control, and waits for the answer."""
        option = self._rfc2217_options["control"]
        option.set(value)
        self._await(option)

    def rfc2217_send_purge(self, value: bytes) -> None:
        """Empties the far buffers, and waits for the answer."""
        option = self._rfc2217_options["purge"]
        option.set(value)
        self._await(option)

    def _await(self, option: Any) -> None:
        with self._answered:
            if not self._answered.wait_for(lambda: option.is_ready() or self._received.ended, self._network_timeout):
                raise SerialException(f"timeout while waiting for option {option.name!r}")
            if not option.is_ready():
                raise SerialException("connection failed (closed by the far end)")

    # ---- data --------------------------------------------------------------------------------------

    def _telnet_read_loop(self) -> None:
        self._read_buffer = self._received
        reader, connection = TelnetReader(), self._socket
        while self.is_open and connection is not None:
            try:
                piece = connection.recv(65536)
            except TimeoutError:
                continue  # only a chance to see whether the port is still open
            except OSError:
                break
            if not piece:
                break
            data, options, suboptions = reader.feed(piece)
            for command, option in options:
                self._telnet_negotiate_option(command, option)
            if suboptions:
                with self._answered:
                    for suboption in suboptions:
                        self._telnet_process_subnegotiation(suboption)
                    self._answered.notify_all()
            if data:
                self._received.put(data)
        self._received.put(None)
        with self._answered:
            self._answered.notify_all()

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read without waiting."""
        if not self.is_open:
            raise PortNotOpenError()
        return self._received.qsize()

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes; fewer when the port's time-out passes first."""
        if not self.is_open:
            raise PortNotOpenError()
        data = self._received.take(size, self._timeout)
        if not data and self._received.ended:
            raise SerialException("connection failed (closed by the far end)")
        return data

    def reset_input_buffer(self) -> None:
        """Drops what has come in, here and at the far end."""
        if not self.is_open:
            raise PortNotOpenError()
        self.rfc2217_send_purge(rfc2217.PURGE_RECEIVE_BUFFER)
        self._received.clear()

    def close(self) -> None:
        """Closes the connection; unlike the original it does not pause for servers that are slow to notice."""
        self.is_open = False
        if self._socket is not None:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the far end was first
            self._socket.close()
            self._socket = None
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(7.0)
            self._thread = None
