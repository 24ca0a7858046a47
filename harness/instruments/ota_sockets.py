"""Real sockets for :mod:`harness.instruments.ota`: the device connects back to this host."""

from __future__ import annotations

import contextlib
import socket
import time

from harness.errors import BadRequest, RigFault

_RECEIVE_MOST = 4096


class UdpSocket:
    """A fresh UDP socket connected to the device."""

    def __init__(self, address: tuple[str, int], bind: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((bind, 0))
        self._socket.connect(address)

    def send(self, data: bytes) -> None:
        """A datagram that cannot leave is a lost one: the answer stays out."""
        with contextlib.suppress(OSError):
            self._socket.send(data)

    def receive(self, timeout_s: float) -> bytes | None:
        deadline = time.monotonic() + timeout_s
        self._socket.settimeout(timeout_s)
        try:
            return self._socket.recv(_RECEIVE_MOST)
        except TimeoutError:
            return None
        except OSError:
            # "Port unreachable" comes at once while the device boots: the next invitation shall not.
            time.sleep(max(0.0, deadline - time.monotonic()))
            return None

    def close(self) -> None:
        self._socket.close()


class TcpConnection:
    """The device's connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def send(self, data: bytes, timeout_s: float) -> None:
        self._socket.settimeout(timeout_s)
        self._socket.sendall(data)

    def receive(self, timeout_s: float) -> bytes | None:
        self._socket.settimeout(timeout_s)
        try:
            return self._socket.recv(_RECEIVE_MOST)
        except TimeoutError:
            return None

    def close(self) -> None:
        self._socket.close()


class TcpListener:
    """One listening port out of the allowed range; takes connections from the device's address only."""

    def __init__(self, bind: str, ports: range, peer: str) -> None:
        self._socket = _bound(bind, ports)
        self._socket.listen(1)
        self.port: int = self._socket.getsockname()[1]
        self._peer = peer

    def accept(self, timeout_s: float) -> TcpConnection | None:
        self._socket.settimeout(timeout_s)
        try:
            sock, (address, _) = self._socket.accept()
        except TimeoutError:
            return None
        if address != self._peer:
            sock.close()
            raise RigFault("a stranger connected to the update port", expected=self._peer, got=address)
        return TcpConnection(sock)

    def close(self) -> None:
        self._socket.close()


def _bound(bind: str, ports: range) -> socket.socket:
    reason = "no port given"
    for port in ports:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            sock.bind((bind, port))
            return sock
        except OSError as e:
            sock.close()
            reason = str(e)
    raise RigFault(
        "no free TCP port for the update", expected=f"one of {ports.start}-{ports.stop - 1} on {bind}", got=reason
    )


class SocketNetwork:
    """Reaches one device by real sockets.

    Args:
        host, port: the device's update port (UDP).
        bind: address of this host to listen on; "" chooses the one that leads to the device.
        ports: TCP ports to listen on; the default lets the system choose.
    """

    def __init__(self, host: str, port: int, bind: str = "", ports: range | None = None) -> None:
        self.host = host
        try:
            self._address = (socket.gethostbyname(host), port)
        except OSError as e:
            raise BadRequest(f"unknown host '{host}'", got=str(e), remedy="give its IP address") from e
        self._bind = bind or self._own_address()
        self._ports = range(1) if ports is None else ports

    def _own_address(self) -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect(self._address)
            except OSError as e:
                raise RigFault(f"no route to {self.host}", got=str(e)) from e
            return str(probe.getsockname()[0])

    def datagrams(self) -> UdpSocket:
        return UdpSocket(self._address, self._bind)

    def listen(self) -> TcpListener:
        return TcpListener(self._bind, self._ports, self._address[0])
