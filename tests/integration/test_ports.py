"""Real ports: a pseudo terminal with its one owner, and pyserial's own RFC 2217 server against our client."""

import os
import pty
import socket
import threading
import time
import tty

import pytest
import serial
from serial.rfc2217 import PortManager

from harness.errors import RigFault
from harness.instruments.clock import WallClock
from harness.instruments.console import Console
from harness.instruments.ports import OwnedPort, open_serial, resolve_port


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield master, os.ttyname(slave)
    for fd in (master, slave):
        try:
            os.close(fd)
        except OSError:
            pass


def test_an_owned_port_stamps_reads_and_writes(terminal, tmp_path):
    master, path = terminal
    clock = WallClock()
    port = OwnedPort(lambda: path, 115_200, clock.now_ns, clock.notify)
    console = Console(port, clock, tmp_path / "console.log")
    cursor = console.cursor()
    before_ns = time.monotonic_ns()
    os.write(master, b"[00:00:00.100] INFO  [0] Ready!\r\n")
    cursor.expect("Ready!", 5.0)
    cursor.expect("\n", 5.0)
    assert console.lines[-1].text == "[00:00:00.100] INFO  [0] Ready!"
    assert before_ns <= console.lines[-1].host_ns <= time.monotonic_ns()
    console.send("id")
    assert os.read(master, 100) == b"id\n"
    port.pause()
    open_serial(path, 115_200).close()
    port.resume()
    os.write(master, b"after the flasher\n")
    cursor.expect("after the flasher", 5.0)
    port.close()


def test_only_one_owner(terminal):
    _, path = terminal
    clock = WallClock()
    port = OwnedPort(lambda: path, 115_200, clock.now_ns, clock.notify)
    with pytest.raises(RigFault) as caught:
        open_serial(path, 115_200)
    assert path in caught.value.message
    port.close()
    open_serial(path, 115_200).close()


def test_a_port_that_stays_away_is_a_rig_fault(terminal):
    master, path = terminal
    clock = WallClock()
    gone = threading.Event()

    def url():
        if gone.is_set():
            raise RigFault("no serial port with that number")
        return path

    port = OwnedPort(url, 115_200, clock.now_ns, clock.notify, grace_s=0.5)
    console = Console(port, clock)
    gone.set()
    os.close(master)
    with pytest.raises(RigFault, match="did not come back"):
        console.cursor().expect("anything", 10.0)
    port.close()


def test_missing_ports_are_named():
    with pytest.raises(RigFault) as caught:
        open_serial("/dev/ttyNOPE7", 115_200)
    assert "/dev/ttyNOPE7" in caught.value.message and caught.value.remedy
    with pytest.raises(RigFault, match="12:34:56:78:9a:bc"):
        resolve_port("", "", "12:34:56:78:9a:bc")


@pytest.fixture
def echo_server():
    """pyserial's own RFC 2217 server over its loop-back port: what is written comes back."""
    listener = socket.create_server(("127.0.0.1", 0))
    seen = []

    def serve():
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        loop = serial.serial_for_url("loop://", timeout=0, baudrate=4_000_000)
        lock = threading.Lock()

        class Wire:
            def write(self, data):
                with lock:
                    connection.sendall(data)

        manager = PortManager(loop, Wire())
        connection.settimeout(0.02)
        while True:
            try:
                piece = connection.recv(65536)
                if not piece:
                    return
                seen.append(piece)
                incoming = b"".join(manager.filter(piece))
            except TimeoutError:
                incoming = b""
            except OSError:
                return
            for at in range(0, len(incoming), 1024):  # the loop-back port holds 4 KiB
                loop.write(incoming[at : at + 1024])
                Wire().write(b"".join(manager.escape(loop.read(4096))))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"rfc2217://127.0.0.1:{listener.getsockname()[1]}", seen
    listener.close()
    thread.join(5)


def test_the_fast_client_against_pyserials_server(echo_server):
    url, seen = echo_server
    started = time.monotonic()
    port = open_serial(url, 115_200)
    assert type(port).__module__.startswith("harness.instruments.serial_handlers")
    payload = bytes(range(256)) * 64 + b"\xff" * 100
    port.timeout = 5.0
    port.write(payload)
    assert port.read(len(payload)) == payload
    sent = len(seen)
    for timeout in (0.1, 3.0, 0.1):  # what esptool does around each command
        port.timeout = timeout
    assert len(seen) == sent
    port.baudrate = 921_600
    assert time.monotonic() - started < 3.0
    port.timeout = 0.2
    assert port.read(1) == b""
    port.close()
