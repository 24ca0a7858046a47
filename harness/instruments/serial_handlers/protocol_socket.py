"""pyserial's ``socket://`` port with a true count of waiting bytes: the original knows only none and some."""

from __future__ import annotations

import fcntl
import struct
import termios

from serial import PortNotOpenError
from serial.urlhandler import protocol_socket


class Serial(protocol_socket.Serial):
    """Drop-in for ``socket://`` URLs."""

    @property
    def in_waiting(self) -> int:
        """Bytes that can be read without waiting."""
        if not self.is_open:
            raise PortNotOpenError()
        answer = fcntl.ioctl(self._socket.fileno(), termios.FIONREAD, b"\0\0\0\0")
        return int(struct.unpack("i", answer)[0])
