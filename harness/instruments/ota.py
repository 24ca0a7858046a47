"""Over-the-air updates: an espota client with progress, back-off and deadlines, over real or virtual sockets.

It never takes an update for done: only the identity after the reboot proves that (``harness/rig/ota.py``).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harness.errors import BadRequest, DutFailure, RigFault
from harness.instruments.clock import HostClock
from harness.wire import espota
from harness.wire.espota import Accepted, Challenge, Refused

INVITATIONS = 10
FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 4.0
CONNECT_WAIT_S = 10.0
ACK_WAIT_S = 10.0
# After the last byte the device hashes its slot; and no update, however slow its air, takes longer than this in all.
END_WAIT_S = 60.0
TRANSFER_LIMIT_S = 600.0
STILL_OLD = "the device keeps running the old image"


class OutcomeUnknown(RigFault):
    """Every byte was sent, and then the device's word about them got lost: it may take the image or not. Ask it."""


class Datagrams(Protocol):
    """A UDP socket aimed at the device's update port."""

    def send(self, data: bytes) -> None: ...
    def receive(self, timeout_s: float) -> bytes | None:
        """The next datagram; None when none came in time."""
        ...

    def close(self) -> None: ...


class Connection(Protocol):
    """The TCP connection the device has opened."""

    def send(self, data: bytes, timeout_s: float) -> None:
        """All of it. Raises ``OSError`` when the peer is gone or does not take it in time."""
        ...

    def receive(self, timeout_s: float) -> bytes | None:
        """Some bytes; b"" at the end of the stream, None when nothing came in time."""
        ...

    def close(self) -> None: ...


class Listener(Protocol):
    """A TCP port of the host, open for the device."""

    port: int

    def accept(self, timeout_s: float) -> Connection | None: ...
    def close(self) -> None: ...


class OtaNetwork(Protocol):
    """How to reach the device's update port; ``host`` is its name for people."""

    host: str

    def datagrams(self) -> Datagrams:
        """A socket with a source port of its own."""
        ...

    def listen(self) -> Listener: ...


Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class OtaReport:
    """What an upload took: bytes, seconds of transfer on the rig's clock, invitations sent."""

    bytes: int
    transfer_s: float
    invitations: int


class OtaClient:
    """Sends one image to one device.

    Args:
        network: sockets, real or virtual.
        clock: the rig's.
        password: of the device, "" for none; never logged.
    """

    def __init__(self, network: OtaNetwork, clock: HostClock, password: str = "") -> None:
        self._net = network
        self._clock = clock
        self._password = password

    def upload(self, image: bytes, *, name: str = "firmware.bin", progress: Progress | None = None) -> OtaReport:
        """Invites, waits for the device to connect, and lets it pull.

        Raises:
            OutcomeUnknown: all was sent, and what the device made of it got lost.
            RigFault: no answer (asleep, no network), connection lost, stalled or too slow, image damaged on the way.
            DutFailure: invited, but the device never connected (no slot, too big) or reported an error in words.
            BadRequest: the password is missing or wrong, or of a kind this client does not speak.
        """
        md5 = hashlib.md5(image).hexdigest()
        listener = self._net.listen()
        try:
            tries = self._invite(espota.invitation(listener.port, len(image), md5), len(image), md5, name)
            connection = listener.accept(CONNECT_WAIT_S)
            if connection is None:
                raise DutFailure(
                    f"{self._net.host} took the invitation but never connected: it could not begin the update",
                    expected=f"a connection to port {listener.port} within {CONNECT_WAIT_S:g} s",
                    got=f"silence; {STILL_OLD}",
                    remedy="its log says why: image too big for a slot, or the running image is not confirmed yet",
                )
            try:
                began_ns = self._clock.now_ns()
                self._serve(connection, image, progress)
                return OtaReport(len(image), (self._clock.now_ns() - began_ns) / 1e9, tries)
            finally:
                connection.close()
        finally:
            listener.close()

    # ---- invitation

    def _invite(self, datagram: bytes, size: int, md5: str, name: str) -> int:
        """Number of invitations until the device took one."""
        wait_s = FIRST_WAIT_S
        for attempt in range(1, INVITATIONS + 1):
            udp = self._net.datagrams()
            try:
                udp.send(datagram)
                heard = udp.receive(wait_s)
                if heard is not None:
                    self._settle(udp, heard, espota.client_nonce(name, size, md5, self._net.host))
                    return attempt
            finally:
                udp.close()
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)
        raise RigFault(
            f"{self._net.host} does not answer invitations to update",
            expected="OK or AUTH on UDP",
            got=f"silence to {INVITATIONS} invitations; {STILL_OLD}",
            remedy="is it powered, awake and on this network? ping it; is its update port open?",
        )

    def _settle(self, udp: Datagrams, heard: bytes, cnonce: str) -> None:
        """From the first answer to Accepted, through the password if one is asked for."""
        answer = espota.parse_answer(heard)
        if isinstance(answer, Challenge):
            if not answer.is_md5:
                raise BadRequest(
                    f"{self._net.host} asks for a SHA-256 password answer (Arduino core 3.3 or later)",
                    expected="a challenge of 32 hex digits",
                    got="64 hex digits",
                    remedy="update it by its own tool, or over serial",
                )
            if not self._password:
                raise BadRequest(f"{self._net.host} asks for an update password", remedy="set K1HIL_OTA_PASSWORD")
            udp.send(espota.password_answer(self._password, answer.nonce, cnonce))
            second = udp.receive(LONGEST_WAIT_S)
            if second is None:
                raise RigFault(f"{self._net.host} went silent after the password", got=STILL_OLD)
            answer = espota.parse_answer(second)
            if isinstance(answer, Refused):
                raise BadRequest(
                    f"{self._net.host} refuses the update password", got=answer.words, remedy="set K1HIL_OTA_PASSWORD"
                )
        if not isinstance(answer, Accepted):
            words = answer.words if isinstance(answer, Refused) else "another challenge"
            raise DutFailure(f"{self._net.host} refuses the update", expected="OK", got=f"{words}; {STILL_OLD}")

    # ---- transfer

    def _serve(self, connection: Connection, image: bytes, progress: Progress | None) -> None:
        size, transfer, taken, whole = len(image), espota.Transfer(), 0, False
        limit = _Limit(self._clock, TRANSFER_LIMIT_S)
        try:
            for at in range(0, size, espota.CHUNK_BYTES):
                taken, before = at, transfer.heard
                chunk = image[at : at + espota.CHUNK_BYTES]
                _send(connection, chunk)
                whole = at + len(chunk) == size
                if whole:
                    limit = _Limit(self._clock, min(END_WAIT_S + ACK_WAIT_S, limit.left_s))
                while transfer.heard == before:
                    self._hear(connection, transfer, ACK_WAIT_S, limit)
                if progress is not None:
                    progress(at + len(chunk), size)
            while not transfer.succeeded:
                self._hear(connection, transfer, END_WAIT_S, limit)
        except _Lost as lost:
            raise self._broke_off(str(lost), taken, size, whole) from lost

    def _hear(self, connection: Connection, transfer: espota.Transfer, wait_s: float, limit: _Limit) -> None:
        """Takes what the device says next; raises when that is bad news or nothing, or the time is over."""
        try:
            data = connection.receive(min(wait_s, limit.left_s)) if limit.left_s > 0 else None
        except OSError as e:
            raise _Lost(str(e)) from e
        if data is None:
            over = limit.left_s <= 0
            raise _Lost(f"not done within {limit.all_s:g} s" if over else f"no acknowledgement for {wait_s:g} s")
        if data == b"":
            raise _Lost(f"the device closed the connection; its last words: {transfer.words or 'none'}")
        transfer.feed(data)
        if transfer.failed:
            damaged = "MD5" in transfer.words
            kind = RigFault if damaged else DutFailure
            raise kind(
                f"{self._net.host} reports a failed update",
                expected="OK",
                got=f"{transfer.words}; {STILL_OLD}",
                remedy="the image was damaged on the way: try again" if damaged else "read the device's log",
            )

    def _broke_off(self, why: str, taken: int, size: int, whole: bool) -> RigFault:
        """Before the last byte no image is whole, so the old one runs on; after it nobody knows."""
        if whole:
            return OutcomeUnknown(
                f"{self._net.host} was sent the whole image, and its answer was lost",
                expected="OK",
                got=f"{why}; it may start the new image, or keep the old one",
                remedy="ask the device what it runs: its identity says which",
            )
        return RigFault(
            f"the update of {self._net.host} broke off",
            expected=f"{size} bytes taken",
            got=f"{why}, after {taken} of {size} bytes; {STILL_OLD}",
            remedy="check power and Wi-Fi of the device, then try again",
        )


class _Lost(Exception):
    """The connection is of no use any more."""


def _send(connection: Connection, chunk: bytes) -> None:
    try:
        connection.send(chunk, ACK_WAIT_S)
    except OSError as e:
        raise _Lost(str(e)) from e


class _Limit:
    """A time that runs out once, however much is heard meanwhile."""

    def __init__(self, clock: HostClock, all_s: float) -> None:
        self.all_s = all_s
        self._clock, self._end_ns = clock, clock.now_ns() + round(all_s * 1e9)

    @property
    def left_s(self) -> float:
        return (self._end_ns - self._clock.now_ns()) / 1e9
