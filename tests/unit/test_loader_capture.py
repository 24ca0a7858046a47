"""The loader and the RFC 2217 server on bytes captured from real tools (``tests/integration/capture_loader.py``)."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench.commands import Action
from harness.bench.efuse import Efuse
from harness.bench.flash import NorFlash
from harness.bench.rom import Loader
from harness.bench.telnet import Answer, Baud, Data, Lines, Purge, TelnetSession
from harness.wire import slip
from harness.wire.loader import Op, checksum, parse_reply, parse_request

CAPTURE = json.loads((Path(__file__).parents[1] / "data" / "loader_capture.json").read_text())
IMAGE = bytes.fromhex(CAPTURE["image"])
DATA_OPS = (Op.FLASH_DATA, Op.FLASH_DEFL_DATA)


def replay(name: str) -> tuple[NorFlash, list[bytes]]:
    """Flash afterwards, and the packets of the chip."""
    flash = NorFlash()
    flash.program(0x20000, IMAGE)
    outputs = Loader(flash, Efuse(bytes.fromhex("348518aabbcc"))).feed(bytes.fromhex(CAPTURE[name]))
    packets = slip.SlipReader().feed(b"".join(o for o in outputs if not isinstance(o, Action)))
    return flash, packets


@pytest.mark.parametrize("name", ["rom_write", "rom_read", "stub_write", "stub_read"])
def test_every_packet_of_the_tool_is_understood(name: str) -> None:
    packets = slip.SlipReader().feed(bytes.fromhex(CAPTURE[name]))
    stream = 0
    for packet in packets:
        request = parse_request(packet)
        if request is None:
            stream += 1
            assert len(packet) == 4, "only the acknowledgements of a stream are no commands"
            continue
        assert request.op in list(Op)
        if request.op in DATA_OPS:
            block = request.block()
            assert block is not None and checksum(block.data) == request.checksum
        else:
            assert request.checksum == 0
    assert (stream > 0) == (name == "stub_read")


@pytest.mark.parametrize("name", ["rom_write", "stub_write"])
def test_write_session(name: str) -> None:
    flash, packets = replay(name)
    assert flash.read(0x10000, len(IMAGE)) == IMAGE
    (digest,) = [r.data for p in packets if (r := parse_reply(p)) and r.op == Op.SPI_FLASH_MD5]
    md5 = hashlib.md5(IMAGE)
    assert digest == (md5.hexdigest().encode() + bytes(4) if name == "rom_write" else md5.digest() + bytes(2))


def test_rom_read_session() -> None:
    _, packets = replay("rom_read")
    data = b"".join(r.data[:64] for p in packets if (r := parse_reply(p)) and r.op == Op.READ_FLASH_SLOW)
    assert data[:200] == IMAGE[:200]


def test_stub_read_session() -> None:
    _, packets = replay("stub_read")
    start = next(i for i, p in enumerate(packets) if (r := parse_reply(p)) and r.op == Op.READ_FLASH) + 1
    assert packets[start : start + 2] == [IMAGE[:0x1000], hashlib.md5(IMAGE).digest()]


@settings(max_examples=25)
@given(st.sampled_from(["rom_write", "stub_write", "stub_read"]), st.data())
def test_any_cut_of_a_real_session(name: str, draw: st.DataObject) -> None:
    stream = bytes.fromhex(CAPTURE[name])
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    flash = NorFlash()
    flash.program(0x20000, IMAGE)
    loader = Loader(flash, Efuse(bytes.fromhex("348518aabbcc")))
    out = [o for low, high in zip([0, *cuts], [*cuts, len(stream)], strict=True) for o in loader.feed(stream[low:high])]
    _, packets = replay(name)
    assert slip.SlipReader().feed(b"".join(o for o in out if not isinstance(o, Action))) == packets


def test_pyserial_session() -> None:
    events = TelnetSession().feed(bytes.fromhex(CAPTURE["rfc2217"]))
    assert b"".join(e.data for e in events if isinstance(e, Data)) == b"A\xff\xff\x00Bend"
    assert [e for e in events if isinstance(e, Lines)] == [
        Lines(dtr=True), Lines(rts=True), Lines(dtr=False), Lines(rts=False)
    ]  # fmt: skip
    assert [e.baud for e in events if isinstance(e, Baud)][-1] == 921_600
    assert Purge(rx=True, tx=False) in events
    subnegotiations = bytes.fromhex(CAPTURE["rfc2217"]).count(b"\xff\xfa\x2c")
    answers = b"".join(e.data for e in events if isinstance(e, Answer)).count(b"\xff\xfa\x2c")
    assert answers == subnegotiations + 1, "each is answered, and the modem state comes unasked"
