"""The board's network, inside this process and in the board's time: TCP streams and datagrams to and from the firmware.

The far ends are :class:`VirtualSocket` and :class:`VirtualDatagrams` (clients living in virtual time) or the bridge to
real loopback sockets (:mod:`harness.bench.bridge`). Bytes take a latency each way, drawn from the run's seed; order
within a stream is kept. Everything here runs under the board's lock.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from harness.bench import link

HOST_IP = 0x0A47_0001  # 10.71.0.1, the one machine the board can talk to
_CHUNK = 16 * 1024
_FIRST_ACCEPTED = 1_000
_NS_PER_BYTE = 1_000  # 1 MB/s, what such a chip takes over Wi-Fi at best
_KERNEL_BUFFER = 64 * 1024  # a peer that does not read stops the stream after so much

_U32 = struct.Struct("<I")
_U32_U16 = struct.Struct("<IH")
_U32_U32 = struct.Struct("<II")
_ADDRESS = struct.Struct("<IIH")


def ip_text(ip: int) -> str:
    return ".".join(str(ip >> shift & 255) for shift in (24, 16, 8, 0))


def board_ip(mac: bytes) -> int:
    """Address of a board on the virtual network: 10.71.x.y from the end of its MAC, never the host's."""
    ip = 0x0A47_0000 | mac[4] << 8 | mac[5]
    return ip + 1 if ip in (HOST_IP, 0x0A47_0000) else ip


class Peer(Protocol):
    """The far end of a TCP stream. Times are host ns at which it happens there."""

    def on_data(self, host_ns: int, data: bytes) -> None: ...
    def on_closed(self, host_ns: int, reset: bool) -> None: ...


class DatagramPeer(Protocol):
    """The far end of datagrams."""

    def on_datagram(self, host_ns: int, from_port: int, data: bytes) -> None: ...


class Network:
    """Listeners, streams and datagram ports of the running firmware.

    Args:
        now: host time.
        deliver: ``deliver(host_ns, kind, body)`` sends a NET frame to the firmware at that host time.
        latency: draws one one-way delay in ns.
    """

    def __init__(
        self, now: Callable[[], int], deliver: Callable[[int, int, bytes], None], latency: Callable[[], int]
    ) -> None:
        self.now = now
        self._deliver = deliver
        self.latency = latency
        self._up_ns: int | None = None
        self._listeners: dict[int, int] = {}  # port -> firmware's handle
        self._streams: dict[int, Stream] = {}
        self._udp: dict[int, int] = {}  # port -> firmware's handle
        self._next_handle = _FIRST_ACCEPTED
        self._arrivals: list[int] = []
        self._last_udp = 50_000
        self.host_listeners: dict[int, Callable[[Stream], Peer]] = {}
        self.datagram_peers: dict[int, DatagramPeer] = {}
        self.datagram_bridge: Callable[[int, int, bytes], None] | None = None  # (board's port, client's port, bytes)
        self.dialer: Callable[[Stream, int], None] | None = None  # connects to ports nobody listens on in here

    @property
    def up(self) -> bool:
        """The board has its address."""
        return self._up_ns is not None and self._up_ns <= self.now()

    def up_from(self, host_ns: int) -> None:
        self._up_ns = host_ns

    def time_jumped(self, by_ns: int) -> None:
        if self._up_ns is not None:
            self._up_ns += by_ns

    def down(self) -> None:
        self._up_ns = None

    def power_off(self) -> None:
        """The firmware is gone: its peers see their streams reset."""
        streams, self._streams = self._streams, {}
        self._listeners.clear()
        self._udp.clear()
        self.down()
        for stream in streams.values():
            stream.lost()

    # ---- towards the firmware

    def send(self, host_ns: int, kind: int, body: bytes) -> None:
        self._deliver(host_ns, kind, body)

    def is_listening(self, port: int) -> bool:
        return self.up and port in self._listeners

    def connect(self, port: int, peer: Peer, from_port: int) -> Stream | None:
        """Opens a stream to a port the firmware listens on; None when it does not, or the network is down."""
        listener = self._listeners.get(port)
        if listener is None or not self.up:
            return None
        handle = self._next_handle
        self._next_handle += 1
        stream = Stream(self, handle, peer)
        self._streams[handle] = stream
        stream.to_board(link.NET_ACCEPT, struct.pack("<IIIH", listener, handle, HOST_IP, from_port))
        return stream

    def send_datagram(self, port: int, from_port: int, data: bytes) -> bool:
        """False when nobody has bound the port: the datagram is lost, as on a real network."""
        handle = self._udp.get(port)
        if handle is None or not self.up:
            return False
        self.send(self.now() + self.latency(), link.NET_DATAGRAM, _ADDRESS.pack(handle, HOST_IP, from_port) + data)
        return True

    def next_arrival(self, after_ns: int) -> int | None:
        """Earliest host time after ``after_ns`` at which bytes reach a client in here, or None."""
        self._arrivals = [t for t in self._arrivals if t > after_ns]
        return min(self._arrivals, default=None)

    def note_arrival(self, host_ns: int) -> None:
        self._arrivals.append(host_ns)

    def udp_socket(self) -> VirtualDatagrams:
        """A datagram socket of the host, with a source port of its own."""
        self._last_udp += 1
        return VirtualDatagrams(self, self._last_udp)

    def tcp_accept(self, port: int) -> list[VirtualSocket]:
        """The host listens on ``port`` for the firmware's connections; the list grows as they come."""
        accepted: list[VirtualSocket] = []

        def answer(stream: Stream) -> VirtualSocket:
            sock = VirtualSocket(self)
            sock.stream = stream
            accepted.append(sock)
            return sock

        self.host_listeners[port] = answer
        return accepted

    # ---- from the firmware

    def on_out(self, host_ns: int, kind: int, body: bytes) -> None:
        """A NET frame of the firmware. Malformed bodies raise ``struct.error`` (the caller blames the firmware)."""
        if kind == link.NET_SEND:
            stream = self._streams.get(_U32.unpack_from(body)[0])
            if stream is not None:
                stream.from_board(host_ns, body[4:])
        elif kind == link.NET_CLOSE:
            self._close_handle(host_ns, _U32.unpack(body)[0])
        elif kind == link.NET_LISTEN:
            handle, port = _U32_U16.unpack(body)
            self._listeners[port] = handle
        elif kind == link.NET_BIND_UDP:
            handle, port = _U32_U16.unpack(body)
            self._udp[port] = handle
        elif kind == link.NET_CONNECT:
            self._connect_out(host_ns, *_ADDRESS.unpack(body))
        elif kind == link.NET_SENDTO:
            self._send_out(host_ns, body)
        else:
            raise struct.error(f"NET kind {kind}")

    def _close_handle(self, host_ns: int, handle: int) -> None:
        stream = self._streams.pop(handle, None)
        if stream is not None:
            stream.closed_by_board(host_ns)
        self._listeners = {p: h for p, h in self._listeners.items() if h != handle}
        self._udp = {p: h for p, h in self._udp.items() if h != handle}

    def _connect_out(self, host_ns: int, handle: int, ip: int, port: int) -> None:
        stream = Stream(self, handle, None)
        answer = self.host_listeners.get(port) if ip == HOST_IP else None
        if answer is not None:
            self._streams[handle] = stream
            stream.peer = answer(stream)
            stream.to_board(link.NET_CONNECTED, _U32.pack(handle), trips=2, since_ns=host_ns)
        elif ip == HOST_IP and self.dialer is not None:
            self._streams[handle] = stream
            self.dialer(stream, port)
        else:
            stream.to_board(link.NET_REFUSED, _U32.pack(handle), trips=2, since_ns=host_ns)

    def refuse(self, stream: Stream) -> None:
        """The dialer could not connect."""
        self._streams.pop(stream.handle, None)
        stream.to_board(link.NET_REFUSED, _U32.pack(stream.handle))

    def connected(self, stream: Stream, peer: Peer) -> None:
        """The dialer has connected."""
        stream.peer = peer
        stream.to_board(link.NET_CONNECTED, _U32.pack(stream.handle))

    def _send_out(self, host_ns: int, body: bytes) -> None:
        handle, ip, port = _ADDRESS.unpack_from(body)
        from_port = next((p for p, h in self._udp.items() if h == handle), 0)
        peer = self.datagram_peers.get(port) if ip == HOST_IP else None
        if peer is not None:
            at = host_ns + self.latency()
            self.note_arrival(at)
            peer.on_datagram(at, from_port, body[_ADDRESS.size :])
        elif ip == HOST_IP and self.datagram_bridge is not None:
            self.datagram_bridge(from_port, port, body[_ADDRESS.size :])

    def forget(self, stream: Stream) -> None:
        self._streams.pop(stream.handle, None)


class Stream:
    """One TCP stream, seen from its far end."""

    def __init__(self, network: Network, handle: int, peer: Peer | None) -> None:
        self._net = network
        self.handle = handle
        self.peer = peer
        self.alive = True
        self._last_in = 0
        self._last_out = 0

    def to_board(self, kind: int, body: bytes, trips: int = 1, since_ns: int | None = None) -> int:
        """Sends a NET frame in order, ``trips`` one-way trips after ``since_ns`` (now); host time of its arrival."""
        at = self._net.now() if since_ns is None else since_ns
        at += sum(self._net.latency() for _ in range(trips))
        self._last_in = max(self._last_in, at)
        self._net.send(self._last_in, kind, body)
        return self._last_in

    def send(self, data: bytes) -> None:
        """Bytes to the firmware at the rate of the air; never blocks, see :meth:`backlog_ns`."""
        if self.alive:
            for at in range(0, len(data), _CHUNK):
                chunk = data[at : at + _CHUNK]
                self._last_in = max(self._last_in, self._net.now()) + len(chunk) * _NS_PER_BYTE
                self.to_board(link.NET_DATA, _U32.pack(self.handle) + chunk)

    def backlog_ns(self) -> int:
        """How long what was sent is still on its way: a sender that minds waits while this is large."""
        return self._last_in - self._net.now()

    def took(self, n: int, at_ns: int | None = None) -> None:
        """The far end has taken ``n`` bytes at ``at_ns`` (now): the firmware may send so many more."""
        if n and self.alive:
            self.to_board(link.NET_ROOM, _U32_U32.pack(self.handle, n), since_ns=at_ns)

    def close(self) -> None:
        """The far end closes."""
        if self.alive:
            self.alive = False
            self.to_board(link.NET_CLOSED, _U32.pack(self.handle))

    def from_board(self, host_ns: int, data: bytes) -> None:
        if self.peer is not None and self.alive:
            self.peer.on_data(self._out_at(host_ns), data)

    def closed_by_board(self, host_ns: int) -> None:
        if self.peer is not None and self.alive:
            self.alive = False
            self.peer.on_closed(self._out_at(host_ns), False)

    def lost(self) -> None:
        """Power or reset took the firmware away in mid-stream."""
        if self.peer is not None and self.alive:
            self.alive = False
            self.peer.on_closed(self._out_at(self._net.now()), True)

    def _out_at(self, host_ns: int) -> int:
        self._last_out = max(self._last_out, host_ns + self._net.latency())
        self._net.note_arrival(self._last_out)
        return self._last_out


@dataclass
class _Arrived:
    host_ns: int
    data: bytes


class VirtualSocket:
    """A TCP client's end that lives in the board's time. All calls return at once; waiting is ``Board.run_until``."""

    def __init__(self, network: Network) -> None:
        self._net = network
        self._rx: deque[_Arrived] = deque()
        self._held = 0
        self._owed = 0
        self._closed_ns: int | None = None
        self.was_reset = False
        self.stream: Stream | None = None

    def on_data(self, host_ns: int, data: bytes) -> None:
        self._rx.append(_Arrived(host_ns, data))
        self._held += len(data)
        self._owed += len(data)
        self._give_room(host_ns)

    def _give_room(self, at_ns: int | None = None) -> None:
        """What the kernel's buffer holds is taken, read or not; more than that is not, until it is read."""
        if self.stream is not None and self._held <= _KERNEL_BUFFER:
            self.stream.took(self._owed, at_ns)
            self._owed = 0

    def on_closed(self, host_ns: int, reset: bool) -> None:
        self._closed_ns = host_ns
        self.was_reset = reset

    def readable(self) -> bool:
        """Bytes or the end of the stream have arrived."""
        now = self._net.now()
        return bool(self._rx and self._rx[0].host_ns <= now) or (
            not self._rx and self._closed_ns is not None and self._closed_ns <= now
        )

    def recv(self, n: int) -> bytes:
        """Up to ``n`` bytes that have arrived; b"" when none have, or the stream has ended (see :meth:`readable`)."""
        now = self._net.now()
        out = bytearray()
        while self._rx and self._rx[0].host_ns <= now and len(out) < n:
            first = self._rx[0]
            take = min(n - len(out), len(first.data))
            out += first.data[:take]
            if take == len(first.data):
                self._rx.popleft()
            else:
                first.data = first.data[take:]
            self._held -= take
        self._give_room()
        return bytes(out)

    def send(self, data: bytes) -> bool:
        """False when the stream has ended."""
        if self.stream is None or not self.stream.alive:
            return False
        self.stream.send(data)
        return True

    def close(self) -> None:
        if self.stream is not None:
            self.stream.close()


class VirtualDatagrams:
    """A UDP client's socket that lives in the board's time."""

    def __init__(self, network: Network, port: int) -> None:
        self._net = network
        self.port = port
        self._rx: deque[tuple[int, int, bytes]] = deque()
        network.datagram_peers[port] = self

    def on_datagram(self, host_ns: int, from_port: int, data: bytes) -> None:
        self._rx.append((host_ns, from_port, data))

    def send(self, to_port: int, data: bytes) -> None:
        self._net.send_datagram(to_port, self.port, data)

    def readable(self) -> bool:
        return bool(self._rx and self._rx[0][0] <= self._net.now())

    def recv(self) -> bytes | None:
        """The oldest datagram that has arrived; None when none has."""
        return self._rx.popleft()[2] if self.readable() else None

    def close(self) -> None:
        self._net.datagram_peers.pop(self.port, None)
