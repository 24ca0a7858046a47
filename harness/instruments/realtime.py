"""The owner's firmware beside its HTTP API: the WebSocket ``/ws`` and the UDP echo (device contract, sections 2, 3).

Figures that the device pushes a few times a second are for watching it. They carry the same defects as those of the
API (constants, loop counts); what may be measured of this firmware is in ``harness/instruments/api_readings.py``.
"""

from __future__ import annotations

import json
import secrets
import socket
import time
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI, WebSocketException
from websockets.sync.client import ClientConnection, connect

from harness.errors import BadRequest, DutFailure, RigFault
from harness.instruments.api_errors import BadAnswer, EndpointAbsent, shown
from harness.instruments.api_fields import Answer, part, real, text, whole

PATH = "/ws"
A = TypeVar("A", bound=Answer)
ECHO_PORT = 9000
MAX_MESSAGE_BYTES = 16 << 10
MAX_ECHO_BYTES = 768
OPEN_TIMEOUT_S = 5.0


class Welcome(Answer):
    """The first message. ``timestamp``: ms since boot, uint32."""

    client_id = whole()
    timestamp = whole()


class Load(Answer):
    """Means since the firmware last began to average; see trap notes in docs/k1node1.md before believing one."""

    fps = real(0)
    frame_time_us = real(0)
    memory_free_kb = real(0)


class Heard(Answer):
    """What the device hears."""

    vu_level = real()
    vu_level_raw = real()
    tempo_confidence = real()
    locked_tempo_bpm = real()


class Realtime(Answer):
    """One broadcast. ``timestamp``: ms since boot, uint32."""

    timestamp = whole()
    performance = part(Load)
    audio = part(Heard)
    parameters = part(Answer)
    current_pattern = whole()


class Echo(Answer):
    """What came back."""

    message = text()
    timestamp = whole()


class RealtimeSocket:
    """A connection to ``/ws``; a context manager.

    Args:
        base_url: of the HTTP API, ``http://HOST[:PORT]``.
        open_timeout_s: until the device has answered.

    Raises:
        EndpointAbsent: this firmware has none.
        RigFault: nobody answers there. BadAnswer: something else than the contract's welcome.
    """

    def __init__(self, base_url: str, *, open_timeout_s: float = OPEN_TIMEOUT_S) -> None:
        parts = urlsplit(base_url)
        self.url = f"ws://{parts.netloc}{PATH}"
        self._open = ExitStack()
        self._socket = self._connect(open_timeout_s)
        try:
            self.welcome: Welcome = self._next("welcome", Welcome, open_timeout_s)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Says good-bye."""
        self._open.close()

    def next(self, timeout_s: float = 2.0) -> Realtime:
        """The next broadcast; the device sends one about every 0.3 s.

        Raises:
            DutFailure: none came in time. RigFault: the connection ended. BadAnswer: not what the contract says.
        """
        return self._next("realtime", Realtime, timeout_s)

    def echo(self, words: str, timeout_s: float = 2.0) -> Echo:
        """Sends a text, which comes back; broadcasts on the way are passed over.

        Raises:
            As :meth:`next`.
        """
        try:
            self._socket.send(words)
        except ConnectionClosed as error:
            raise self._ended(error) from error
        return self._next("echo", Echo, timeout_s)

    def _connect(self, timeout_s: float) -> ClientConnection:
        try:
            return self._open.enter_context(connect(
                self.url, open_timeout=timeout_s, close_timeout=2.0, max_size=MAX_MESSAGE_BYTES, proxy=None,
                compression=None, user_agent_header=None,
            ))  # fmt: skip
        except InvalidStatus as error:
            status, body = error.response.status_code, (error.response.body or b"").decode("utf-8", "replace")[:200]
            raise EndpointAbsent(
                f"this firmware has no WebSocket {PATH}", status=status, code="", body=body, got=f"{status} {body}"
            ) from error
        except InvalidHandshake as error:
            raise BadAnswer(f"{PATH}: no WebSocket handshake", got=str(error)[:200], evidence=self.url) from error
        except InvalidURI as error:
            raise BadRequest("unusable address of a device", got=str(error), evidence=self.url) from error
        except (OSError, WebSocketException) as error:
            raise RigFault(
                "nobody answers on the device's WebSocket", got=f"{type(error).__name__}: {error}", evidence=self.url,
                remedy="is the device on, and the address right?",
            ) from error  # fmt: skip

    def _next(self, kind: str, answer: type[A], timeout_s: float) -> A:
        deadline = time.monotonic() + timeout_s
        while True:
            message = self._message(deadline, kind, timeout_s)
            if message.get("type") == kind:
                return answer.of(f"{PATH} {kind}", message)

    def _message(self, deadline: float, kind: str, timeout_s: float) -> dict[str, Any]:
        try:
            data = self._socket.recv(timeout=max(0.0, deadline - time.monotonic()))
        except TimeoutError as error:
            raise DutFailure(
                f"the device sends no {kind} message", expected=f"one within {timeout_s:g} s", got="none",
                evidence=self.url,
            ) from error  # fmt: skip
        except ConnectionClosed as error:
            raise self._ended(error) from error
        try:
            value = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise BadAnswer(f"{PATH}: no JSON object", expected="an object with type", got=shown(str(data)[:200]))
        return value

    def _ended(self, error: ConnectionClosed) -> RigFault:
        return RigFault(
            "the device ended the WebSocket", got=str(error) or "closed", evidence=self.url,
            remedy="it takes eight clients; did it restart?",
        )  # fmt: skip


class Echoes(NamedTuple):
    """Round trips to the device and back in ms, and how many were sent. They say nothing about its clock."""

    round_trips_ms: tuple[float, ...]
    sent: int


def udp_echoes(host: str, n: int = 10, *, port: int = ECHO_PORT, size: int = 32, timeout_s: float = 1.0) -> Echoes:
    """Round trips through the UDP echo.

    Args:
        n: datagrams, one after the other; size: bytes of each, 16 to 768; timeout_s: for each.

    Raises:
        BadRequest: an unusable size. RigFault: no such host.
    """
    if not 16 <= size <= MAX_ECHO_BYTES:
        raise BadRequest("unusable size of an echo", expected=f"16 to {MAX_ECHO_BYTES} bytes", got=str(size))
    found = []
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        raise RigFault(f"there is no host {host}", got=str(error)) from error
    with socket.socket(family, kind) as udp:
        udp.connect(address)
        for _ in range(n):
            took_ms = _round_trip_ms(udp, secrets.token_bytes(size), timeout_s)
            if took_ms is not None:
                found.append(took_ms)
    return Echoes(tuple(found), n)


def _round_trip_ms(udp: socket.socket, words: bytes, timeout_s: float) -> float | None:
    """None when it was lost; an answer that comes too late belongs to nobody."""
    began = time.monotonic_ns()
    deadline = began + round(timeout_s * 1e9)
    try:
        udp.send(words)
        while (left_ns := deadline - time.monotonic_ns()) > 0:
            udp.settimeout(left_ns / 1e9)
            if udp.recv(MAX_ECHO_BYTES + 1) == words:
                return (time.monotonic_ns() - began) / 1e6
    except OSError:  # nobody listens (then it is refused at once), or no answer in time
        return None
    return None
