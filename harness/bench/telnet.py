"""Server side of telnet with the COM-PORT option (RFC 2217): bytes of a client in, events in order out. Pure.

Data bytes FF are doubled both ways. Options BINARY, SGA and COM-PORT are agreed to, all others refused. Every
subnegotiation of a client is answered by its code + 100 with the value now in force.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

_IAC, _DONT, _DO, _WONT, _WILL, _SB, _SE = 255, 254, 253, 252, 251, 250, 240
_BINARY, _SGA, _COM_PORT = 0, 3, 44
_AGREED = (_BINARY, _SGA, _COM_PORT)
_SERVER = 100
_SIGNATURE, _BAUD, _DATA_BITS, _PARITY, _STOP_BITS, _CONTROL = 0, 1, 2, 3, 4, 5
_SUSPEND, _RESUME, _LINE_MASK, _MODEM_MASK, _PURGE = 8, 9, 10, 11, 12
_NOTIFY_MODEM = 107
_MODEM_READY = 0xB0  # carrier, data set ready, clear to send
_NAME = b"K1 virtual board"
_MOST_SUBNEGOTIATION = 256

# SET-CONTROL values: what they ask for, or set
_ASK_FLOW, _ASK_BREAK, _ASK_DTR, _ASK_RTS, _ASK_FLOW_IN = 0, 4, 7, 10, 13
_DTR_ON, _DTR_OFF, _RTS_ON, _RTS_OFF = 8, 9, 11, 12


@dataclass(frozen=True)
class Data:
    """Bytes for the chip."""

    data: bytes


@dataclass(frozen=True)
class Answer:
    """Bytes for the client, escaped already."""

    data: bytes


@dataclass(frozen=True)
class Lines:
    """A line was set; None: unchanged. True is asserted."""

    dtr: bool | None = None
    rts: bool | None = None


@dataclass(frozen=True)
class Baud:
    """The client set the rate."""

    baud: int


@dataclass(frozen=True)
class Purge:
    """Forget what is on its way: from the chip (``rx``), to the chip (``tx``)."""

    rx: bool
    tx: bool


Event = Data | Answer | Lines | Baud | Purge


def escape(data: bytes) -> bytes:
    """Data as it stands in a telnet stream."""
    return data.replace(b"\xff", b"\xff\xff")


@dataclass
class ComPort:
    """Settings of the emulated port, as last set. They outlive a client."""

    baud: int = 115_200
    data_bits: int = 8
    parity: int = 1
    stop_bits: int = 1
    flow: int = 1
    flow_in: int = 14
    break_state: int = 6
    dtr: bool = False
    rts: bool = False


@dataclass
class TelnetSession:
    """One client's connection. What :meth:`feed` returns does not depend on how the stream is cut."""

    port: ComPort = field(default_factory=ComPort)

    def __post_init__(self) -> None:
        self._state = "data"
        self._command = 0
        self._sub = bytearray()
        self._ours: set[int] = set()
        self._theirs: set[int] = set()

    def feed(self, data: bytes) -> list[Event]:
        """Bytes from the client; never raises. Adjacent data is given together."""
        events: list[Event] = []
        rest = data
        while rest:
            if self._state == "data":
                plain, mark, rest = rest.partition(b"\xff")
                _add_data(events, plain)
                self._state = "iac" if mark else "data"
            elif self._state == "sub":
                piece, mark, rest = rest.partition(b"\xff")
                self._grow(piece)
                self._state = "sub iac" if mark else "sub"
            else:
                self._byte(rest[0], events)
                rest = rest[1:]
        return events

    def _grow(self, piece: bytes) -> None:
        self._sub += piece[: _MOST_SUBNEGOTIATION - len(self._sub)]

    def _byte(self, byte: int, events: list[Event]) -> None:
        """One byte that is neither plain data nor the inside of a subnegotiation."""
        if self._state == "iac":
            self._state = "data"
            if byte == _IAC:
                _add_data(events, b"\xff")
            elif byte == _SB:
                self._sub.clear()
                self._state = "sub"
            elif _WILL <= byte <= _DONT:
                self._command = byte
                self._state = "option"
        elif self._state == "option":
            self._state = "data"
            self._negotiate(self._command, byte, events)
        elif byte == _IAC:
            self._grow(b"\xff")
            self._state = "sub"
        else:  # end of a subnegotiation, or something that has no place in one
            self._state = "data"
            if byte == _SE:
                self._subnegotiate(bytes(self._sub), events)

    def _negotiate(self, command: int, option: int, events: list[Event]) -> None:
        """WILL, WONT, DO, DONT: answered only when that changes something, or two polite ends would never stop."""
        mine, agree, refuse = (self._ours, _WILL, _WONT) if command in (_DO, _DONT) else (self._theirs, _DO, _DONT)
        wanted = command in (_DO, _WILL)
        if wanted and option in _AGREED:
            if option not in mine:
                mine.add(option)
                events.append(Answer(bytes((_IAC, agree, option))))
                if option == _COM_PORT and mine is self._ours:
                    events.append(Answer(_sub(_NOTIFY_MODEM, bytes([_MODEM_READY]))))
        elif wanted:
            events.append(Answer(bytes((_IAC, refuse, option))))
        elif option in mine:
            mine.discard(option)
            events.append(Answer(bytes((_IAC, refuse, option))))

    def _subnegotiate(self, sub: bytes, events: list[Event]) -> None:
        if len(sub) < 2 or sub[0] != _COM_PORT:
            return
        code, value = sub[1], sub[2:]
        if code == _SIGNATURE:
            if not value:
                events.append(Answer(_sub(_SERVER + _SIGNATURE, _NAME)))
        elif code not in (_SUSPEND, _RESUME) and code < _SERVER:
            answer = self._set(code, value, events)
            events.append(Answer(_sub(_SERVER + code, answer)))

    def _set(self, code: int, value: bytes, events: list[Event]) -> bytes:
        """Puts a setting in force; the value the client gets back."""
        port = self.port
        number = int.from_bytes(value, "big")
        if code == _BAUD and len(value) == 4:
            if number:  # 0 asks
                port.baud = number
                events.append(Baud(number))
            return struct.pack(">I", port.baud)
        if code in (_DATA_BITS, _PARITY, _STOP_BITS) and len(value) == 1:
            name = {_DATA_BITS: "data_bits", _PARITY: "parity", _STOP_BITS: "stop_bits"}[code]
            if number:
                setattr(port, name, number)
            return bytes([getattr(port, name)])
        if code == _CONTROL and len(value) == 1:
            return bytes([self._control(number, events)])
        if code == _PURGE and len(value) == 1:
            events.append(Purge(rx=number in (1, 3), tx=number in (2, 3)))
        return value

    def _control(self, number: int, events: list[Event]) -> int:
        """SET-CONTROL: line states, flow control, break; the number that tells what holds now."""
        port = self.port
        if number in (_DTR_ON, _DTR_OFF, _ASK_DTR):
            if number != _ASK_DTR:
                port.dtr = number == _DTR_ON
                events.append(Lines(dtr=port.dtr))
            return _DTR_ON if port.dtr else _DTR_OFF
        if number in (_RTS_ON, _RTS_OFF, _ASK_RTS):
            if number != _ASK_RTS:
                port.rts = number == _RTS_ON
                events.append(Lines(rts=port.rts))
            return _RTS_ON if port.rts else _RTS_OFF
        for low, high, ask, name in (
            (1, 3, _ASK_FLOW, "flow"), (5, 6, _ASK_BREAK, "break_state"), (14, 16, _ASK_FLOW_IN, "flow_in")
        ):  # fmt: skip
            if low <= number <= high:
                setattr(port, name, number)
            if number == ask or low <= number <= high:
                return int(getattr(port, name))
        return number


def _add_data(events: list[Event], data: bytes) -> None:
    """Appends, joined to data that is last already."""
    if not data:
        return
    if events and isinstance(events[-1], Data):
        events[-1] = Data(events[-1].data + data)
    else:
        events.append(Data(data))


def _sub(code: int, value: bytes) -> bytes:
    return bytes((_IAC, _SB, _COM_PORT, code)) + escape(value) + bytes((_IAC, _SE))
