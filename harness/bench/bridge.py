"""Real loopback sockets for the board's network ports, so that curl, a browser or an OTA client can use a served board.

TCP: each served port of the board has a real listening port on 127.0.0.1. UDP: one real socket per served port; each
client keeps its own source port, so answers find it. The firmware's outgoing connections to "the host" go to 127.0.0.1.
One thread with a selector; everything that touches the board holds its lock.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.bench.net import Network, Stream

_READ = 16 * 1024
_MOST_STREAMS = 64
_DIAL_S = 2.0
_MOST_BACKLOG_NS = 50_000_000
_LOOK_AGAIN_S = 0.02
_LINGER_RESET = struct.pack("ii", 1, 0)


@dataclass(eq=False)
class _RealPeer:
    """One real TCP connection: bytes of the board wait in ``out`` until the socket takes them."""

    bridge: Bridge
    sock: socket.socket
    stream: Stream | None = None
    out: bytearray = field(default_factory=bytearray)
    ending: bool = False
    reset: bool = False

    def on_data(self, host_ns: int, data: bytes) -> None:
        self.out += data
        self.bridge.wake(self)

    def on_closed(self, host_ns: int, reset: bool) -> None:
        self.ending, self.reset = True, reset
        self.bridge.wake(self)


@dataclass(eq=False)
class _RealDatagrams:
    """The real side of one UDP port."""

    sock: socket.socket
    board_port: int

    def on_datagram_to(self, client_port: int, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.sock.sendto(data, ("127.0.0.1", client_port))


class Bridge:
    """Serves ports of one board's network.

    Args:
        network: of the board.
        lock: the board's lock.
        nudge: called after something was sent to the board, so that it runs on without waiting for its next slice.
    """

    def __init__(self, network: Network, lock: threading.RLock, nudge: Callable[[], None]) -> None:
        self._net = network
        self._lock = lock
        self._nudge = nudge
        self._selector = selectors.DefaultSelector()
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self._selector.register(self._wake_r, selectors.EVENT_READ, self._drain_wake)
        self._peers: set[_RealPeer] = set()
        self._woken: set[_RealPeer] = set()
        self._full: set[_RealPeer] = set()  # not read from, until the board has taken what is on its way
        self._dials: list[tuple[Stream, int]] = []
        self._sockets: list[socket.socket] = []
        self._udp: dict[int, _RealDatagrams] = {}
        self._stop = False
        self._thread = threading.Thread(target=self._run, name="board network", daemon=True)
        network.dialer = self._dial
        network.datagram_bridge = self._datagram_out

    # ---- set-up, before start()

    def serve_tcp(self, board_port: int, real_port: int = 0) -> int:
        """Listens on 127.0.0.1 for a TCP port of the board; the real port."""
        sock = socket.create_server(("127.0.0.1", real_port))
        sock.setblocking(False)
        self._sockets.append(sock)
        self._selector.register(sock, selectors.EVENT_READ, lambda _: self._accept(sock, board_port))
        return int(sock.getsockname()[1])

    def serve_udp(self, board_port: int, real_port: int = 0) -> int:
        """Receives on 127.0.0.1 for a UDP port of the board; the real port."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", real_port))
        sock.setblocking(False)
        self._sockets.append(sock)
        self._udp[board_port] = real = _RealDatagrams(sock, board_port)
        self._selector.register(sock, selectors.EVENT_READ, lambda _: self._datagram_in(real))
        return int(sock.getsockname()[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes every socket."""
        with self._lock:
            self._stop = True
            self._net.dialer = None
            self._net.datagram_bridge = None
        self._poke()
        self._thread.join(timeout=10.0)
        for peer in list(self._peers):
            self._drop(peer)
        for sock in (*self._sockets, self._wake_r, self._wake_w):
            sock.close()
        self._selector.close()

    # ---- from the board (its lock is held)

    def wake(self, peer: _RealPeer) -> None:
        """The board has given ``peer`` something to send or to do."""
        self._woken.add(peer)
        self._poke()

    def _poke(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_w.send(b"x")

    def _dial(self, stream: Stream, port: int) -> None:
        self._dials.append((stream, port))
        self._poke()

    def _datagram_out(self, from_port: int, to_port: int, data: bytes) -> None:
        real = self._udp.get(from_port)
        if real is not None:
            real.on_datagram_to(to_port, data)

    # ---- the thread

    def _run(self) -> None:
        while True:
            ready = self._selector.select(_LOOK_AGAIN_S if self._full else None)
            if self._stop:
                return
            for key, events in ready:
                key.data(events)
            for peer in list(self._full):
                self._watch(peer)
            with self._lock:
                dials, self._dials = self._dials, []
                woken, self._woken = self._woken, set()
            for stream, port in dials:
                self._connect(stream, port)
            for peer in woken & self._peers:
                self._flush(peer)

    def _drain_wake(self, _: int) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_r.recv(4096)

    def _accept(self, listener: socket.socket, board_port: int) -> None:
        try:
            sock, address = listener.accept()
        except OSError:
            return
        peer = _RealPeer(self, sock)
        with self._lock:
            if len(self._peers) < _MOST_STREAMS:
                peer.stream = self._net.connect(board_port, peer, int(address[1]))
            if peer.stream is not None:
                self._add(peer)
        if peer.stream is None:  # nobody listens on the board: what a refused connection looks like from here
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            sock.close()
        else:
            self._nudge()

    def _add(self, peer: _RealPeer) -> None:
        peer.sock.setblocking(False)
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._peers.add(peer)
        self._selector.register(peer.sock, selectors.EVENT_READ, lambda events: self._on_peer(peer, events))

    def _connect(self, stream: Stream, port: int) -> None:
        try:
            sock = socket.create_connection(("127.0.0.1", port), timeout=_DIAL_S)
        except OSError:
            with self._lock:
                self._net.refuse(stream)
        else:
            with self._lock:
                peer = _RealPeer(self, sock, stream)
                self._add(peer)
                self._net.connected(stream, peer)
        self._nudge()

    def _on_peer(self, peer: _RealPeer, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._flush(peer)
        if events & selectors.EVENT_READ and peer in self._peers:
            try:
                data = peer.sock.recv(_READ)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            with self._lock:
                if peer.stream is not None:
                    if data:
                        peer.stream.send(data)
                    else:
                        peer.stream.close()
            if data:
                self._watch(peer)
            else:
                self._drop(peer)
            self._nudge()

    def _flush(self, peer: _RealPeer) -> None:
        """Gives the socket what it takes; the firmware gets that much window back."""
        with self._lock:
            waiting = bytes(peer.out)
        sent = 0
        if waiting:
            try:
                sent = peer.sock.send(waiting)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._drop(peer)
                return
        with self._lock:
            del peer.out[:sent]
            if peer.stream is not None:
                peer.stream.took(sent)
            done, reset = peer.ending and not peer.out, peer.reset
        if done:
            if reset:
                peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_RESET)
            self._drop(peer)
            return
        self._watch(peer)
        if sent:
            self._nudge()

    def _watch(self, peer: _RealPeer) -> None:
        """Waits for what the peer can do next: its socket takes bytes, or has some and the board has room."""
        with self._lock:
            full = peer.stream is not None and peer.stream.backlog_ns() > _MOST_BACKLOG_NS
            events = (selectors.EVENT_WRITE if peer.out else 0) | (0 if full else selectors.EVENT_READ)
        (self._full.add if full else self._full.discard)(peer)
        key = self._selector.get_map().get(peer.sock)
        if key is not None:
            self._selector.unregister(peer.sock)
        if events:
            self._selector.register(peer.sock, events, lambda ready: self._on_peer(peer, ready))

    def _drop(self, peer: _RealPeer) -> None:
        if peer in self._peers:
            self._peers.discard(peer)
            self._full.discard(peer)
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(peer.sock)
            with self._lock:
                if peer.stream is not None:
                    peer.stream.close()
                    self._net.forget(peer.stream)
            peer.sock.close()

    def _datagram_in(self, real: _RealDatagrams) -> None:
        try:
            data, address = real.sock.recvfrom(2048)
        except OSError:
            return
        with self._lock:
            self._net.send_datagram(real.board_port, int(address[1]), data)
        self._nudge()
