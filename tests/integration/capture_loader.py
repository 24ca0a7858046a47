"""Captures what real tools send, for the codec tests: ``python tests/integration/capture_loader.py``.

Writes ``tests/data/loader_capture.json``: the bytes of esptool's ROM and stub sessions (the uploaded stub itself left
out) and of pyserial's RFC 2217 client. Unit tests replay them: a misunderstanding shared by loader and tests shows.
"""

from __future__ import annotations

import json
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import serial
from esptool_runs import NEWEST, ROOT, Esptool
from loader_board import LoaderBoard

from harness.bench import servers
from harness.wire import slip
from harness.wire.loader import Op, parse_request

OUT = ROOT / "tests" / "data" / "loader_capture.json"
IMAGE = bytes(range(256)) * 12 + b"\xc0\xdb" * 512


class Recorder(LoaderBoard):
    """Keeps every byte of the host."""

    taken = b""

    def host_write(self, data: bytes) -> None:
        self.taken += data
        super().host_write(data)


def session(*arguments: str) -> str:
    """Host bytes of one run of esptool, as hex; the upload of the stub is cut out."""
    with tempfile.TemporaryDirectory() as folder, Recorder() as board:
        (Path(folder) / "image.bin").write_bytes(IMAGE)
        board.flash.program(0x20000, IMAGE)
        Esptool(NEWEST, Path(folder)).must(board.url("socket"), *arguments)
        packets = slip.SlipReader().feed(board.taken)
    kept = []
    for packet in packets:
        request = parse_request(packet)
        if request is None or request.op not in (Op.MEM_BEGIN, Op.MEM_DATA):
            kept.append(slip.encode(packet))
    return b"".join(kept).hex()


def telnet() -> str:
    """Bytes of pyserial's client: opening, data with FF, lines, another rate, purging."""
    taken = b""
    receive = servers._Connection._receive

    def tee(self: servers._Connection) -> bytes:
        nonlocal taken
        data = receive(self)
        taken += data
        return data

    servers._Connection._receive = tee  # type: ignore[method-assign]
    with Recorder() as board:
        port = serial.serial_for_url(board.url("rfc2217"), timeout=5)
        port.write(b"A\xff\xff\x00B")
        port.dtr = False
        port.rts = False
        port.baudrate = 921_600
        port.reset_input_buffer()
        port.write(b"end")
        port.close()
    return taken.hex()


def main() -> None:
    capture = {
        "made_by": f"esptool {NEWEST}, pyserial {version('pyserial')}: python tests/integration/capture_loader.py",
        "image": IMAGE.hex(),
        "rom_write": session("--no-stub", "write-flash", "0x10000", "image.bin"),
        "rom_read": session("--no-stub", "read-flash", "0x20000", "200", "back.bin"),
        "stub_write": session("write-flash", "0x10000", "image.bin"),
        "stub_read": session("read-flash", "0x20000", str(len(IMAGE)), "back.bin"),
        "rfc2217": telnet(),
    }
    scratch = OUT.with_suffix(".tmp")
    scratch.write_text(json.dumps(capture, indent=1) + "\n")
    scratch.replace(OUT)
    print({name: len(value) // 2 for name, value in capture.items()}, file=sys.stderr)


if __name__ == "__main__":
    main()
