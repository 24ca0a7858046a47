"""The serial loader on bytes: vectors of the protocol, every command, refusals, noise."""

from __future__ import annotations

import hashlib
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loader_host import ENTRY, MAC, Host, wire, words

from harness.bench.efuse import Efuse
from harness.bench.flash import MIB
from harness.bench.rom import RUN_APP, Action, LoaderFaults
from harness.wire import slip
from harness.wire.loader import (
    SYNC_BODY,
    Block,
    Op,
    Reply,
    Request,
    RomError,
    StubError,
    checksum,
    data_request,
    parse_reply,
    parse_request,
    rom_status,
    security_info,
    stub_status,
)

MD5_OF_4K_BLANK = "6ae59e64850377ee5470c854761551ea"


# ---- vectors ---------------------------------------------------------------------------------------

VECTORS = [
    (Request(Op.SYNC, SYNC_BODY), "c0000824000000000007071220" + "55" * 32 + "c0"),
    (Request(Op.READ_REG, words(0x60007044)), "c0000a04000000000044700060c0"),
    (Request(Op.FLASH_BEGIN, words(4096, 4, 1024, 0x10000, 0)),
     "c0000214000000000000100000040000000004000000000100" + "00000000c0"),
    (Request(Op.MEM_END, words(0, ENTRY)), "c000060800000000000000000" + "0a8953740c0"),
    (Request(Op.CHANGE_BAUDRATE, words(921600, 0)), "c0000f080000000000" + "00100e0000000000c0"),
    (data_request(Op.MEM_DATA, 0, bytes([1, 2, 3, 4])),
     "c000071400eb000000" + "04000000" + "00" * 12 + "01020304c0"),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "vector"), VECTORS)
def test_request_vectors(request_: Request, vector: str) -> None:
    assert wire(request_).hex() == vector
    (packet,) = slip.SlipReader().feed(bytes.fromhex(vector))
    assert parse_request(packet) == request_


def test_checksum() -> None:
    assert checksum(bytes([1, 2, 3, 4])) == 0xEB
    assert checksum(b"\xff" * 1024) == 0xEF
    assert checksum(b"") == 0xEF


@given(st.binary(max_size=200))
def test_checksum_is_the_xor(data: bytes) -> None:
    expected = 0xEF
    for byte in data:
        expected ^= byte
    assert checksum(data) == expected


def test_reply_vectors() -> None:
    def framed(reply: Reply) -> str:
        return slip.encode(reply.pack()).hex()

    assert framed(Reply(Op.READ_REG, 0x18AABBCC, rom_status())) == "c0010a0400ccbbaa1800000000c0"
    assert framed(Reply(Op.READ_REG, 0x00C0DB00, rom_status())) == "c0010a040000dbdddbdc0000000000c0"
    assert framed(Reply(Op.READ_REG, 0, rom_status(RomError.INVALID_MESSAGE))) == "c0010a04000000000001050000c0"
    assert framed(Reply(Op.FLASH_DEFL_DATA, 0, stub_status(StubError.BAD_CHECKSUM))) == "c0011102000000" + "0000c100c0"
    info = security_info(0, 9) + rom_status()
    assert framed(Reply(Op.GET_SECURITY_INFO, 0, info)) == "c0011418000000000000000000" + "00" * 8 + "09000000" + (
        "02000000" + "00000000c0"
    )


@given(st.integers(0, 255), st.binary(max_size=60), st.integers(0, 2**32 - 1))
def test_codecs_round_trip(op: int, body: bytes, value: int) -> None:
    assert parse_request(Request(op, body, value).pack()) == Request(op, body, value)
    assert parse_reply(Reply(op, value, body).pack()) == Reply(op, value, body)
    assert parse_reply(Request(op, body, value).pack()) is None
    assert parse_request(Reply(op, value, body).pack()) is None


# ---- the loader ------------------------------------------------------------------------------------


def test_sync_comes_eight_times() -> None:
    host = Host()
    assert host.send(Op.SYNC, SYNC_BODY) == [bytes.fromhex("c0010804000707122000000000c0") * 8]
    host.start_stub()
    assert host.send(Op.SYNC, SYNC_BODY) == [bytes.fromhex("c00108020000000000" + "0000c0") * 8]


def test_mac_and_chip() -> None:
    host = Host()
    assert host.send(Op.READ_REG, words(0x60007044)) == [bytes.fromhex("c0010a0400ccbbaa1800000000c0")]
    assert host.ask(Op.READ_REG, words(0x60007048)).value == 0x3485
    assert host.ask(Op.GET_SECURITY_INFO).data == security_info(0, 9) + rom_status()
    assert Host(efuse=Efuse(MAC, chip_id=2)).ask(Op.GET_SECURITY_INFO).data[12] == 2


def test_md5_of_blank_flash() -> None:
    host = Host()
    assert host.ask(Op.SPI_FLASH_MD5, words(0, 4096, 0, 0)).data == MD5_OF_4K_BLANK.encode() + bytes(4)
    host.start_stub()
    assert host.ask(Op.SPI_FLASH_MD5, words(0, 4096, 0, 0)).data == bytes.fromhex(MD5_OF_4K_BLANK) + bytes(2)


def test_masked_register_write() -> None:
    host = Host()
    address = 0x6000812C
    host.ask(Op.WRITE_REG, words(address, 0xFF00FF, 0xFFFFFFFF, 0))
    host.ask(Op.WRITE_REG, words(address, 0, 0x1, 0) + words(address, 0xA00, 0xF00, 0))
    assert host.ask(Op.READ_REG, words(address)).value == 0xFF0AFE


def test_rdid_by_registers() -> None:
    """What a host does by hand to read the flash's identity, before and after attaching its pins."""
    host = Host()

    def rdid() -> int:
        spi = 0x60002000
        for offset, value in ((0x28, 23), (0x18, 0x9000_0000), (0x20, 7 << 28 | 0x9F), (0x58, 0), (0x00, 1 << 18)):
            host.ask(Op.WRITE_REG, words(spi + offset, value, 0xFFFFFFFF, 0))
        assert host.ask(Op.READ_REG, words(spi)).value & 1 << 18 == 0
        return host.ask(Op.READ_REG, words(spi + 0x58)).value & 0xFFFFFF

    assert rdid() == 0xFFFFFF
    host.ask(Op.SPI_ATTACH, bytes(8))
    assert rdid() == 0x1640C8


def attach(host: Host) -> Host:
    host.ask(Op.SPI_ATTACH, bytes(8))
    return host


def test_rom_write() -> None:
    host = attach(Host())
    host.flash.program(0x10000, bytes(0x2000))
    assert host.ask(Op.FLASH_BEGIN, words(0x600, 2, 0x400, 0x10000, 0)).data == bytes(4)
    assert host.flash.read(0x10000, 0x1000) == b"\xff" * 0x1000, "the ROM erases whole sectors at once"
    assert host.flash.read(0x11000, 0x1000) == bytes(0x1000)
    data = bytes(range(256)) * 6
    assert host.block(Op.FLASH_DATA, 0, data[:0x400]) == bytes(4)
    assert host.block(Op.FLASH_DATA, 1, data[0x400:].ljust(0x400, b"\xff")) == bytes(4)
    assert host.flash.read(0x10000, 0x600) == data
    assert host.send(Op.FLASH_END, words(0)) == [slip.encode(Reply(Op.FLASH_END, 0, bytes(4)).pack()), RUN_APP]


def test_rom_write_needs_attached_flash() -> None:
    assert Host().ask(Op.FLASH_BEGIN, words(0x400, 1, 0x400, 0, 0)).data == rom_status(RomError.FLASH_WRITE)


@pytest.mark.parametrize("stub", [False, True])
def test_compressed_write(stub: bool) -> None:
    host = Host().start_stub() if stub else attach(Host())
    data = b"".join(hashlib.sha256(bytes([i])).digest() for i in range(200)) + bytes(5000)
    packed = zlib.compress(data, 9)
    total = len(data) if stub else -(-len(data) // 0x400) * 0x400
    good = bytes(2 if stub else 4)
    assert host.ask(Op.FLASH_DEFL_BEGIN, words(total, 4, 0x800, 0x20000, 0)).data == good
    for i in range(0, len(packed), 0x800):
        assert host.block(Op.FLASH_DEFL_DATA, i // 0x800, packed[i : i + 0x800]) == good
    assert host.flash.read(0x20000, len(data)) == data
    if stub:
        assert host.ask(Op.FLASH_DEFL_END, words(1)).data == good


def test_stub_erases_only_as_data_comes() -> None:
    """A write that breaks off leaves the rest of the region as it was."""
    host = Host().start_stub()
    host.flash.program(0x10000, bytes(0x8000))
    host.ask(Op.FLASH_BEGIN, words(0x8000, 2, 0x4000, 0x10000, 0))
    assert host.flash.read(0x10000, 0x8000) == bytes(0x8000)
    host.block(Op.FLASH_DATA, 0, b"\x5a" * 0x4000)
    assert host.flash.read(0x10000, 0x8000) == b"\x5a" * 0x4000 + bytes(0x4000)


def test_stub_reports_a_failed_write_late() -> None:
    host = Host().start_stub()
    host.ask(Op.FLASH_DEFL_BEGIN, words(100, 1, 0x4000, 0, 0))
    assert host.block(Op.FLASH_DEFL_DATA, 0, b"no zlib stream") == bytes(2)
    assert host.block(Op.FLASH_DEFL_DATA, 1, b"") == stub_status(StubError.INFLATE)


def test_stub_errors() -> None:
    host = Host().start_stub()
    assert host.block(Op.FLASH_DATA, 0, b"x") == stub_status(StubError.NOT_IN_FLASH_MODE)
    assert host.ask(0xD5).data == stub_status(StubError.INVALID_COMMAND)
    assert host.ask(Op.ERASE_REGION, words(1, 0x1000)).data == stub_status(StubError.BAD_BLOCK_SIZE)
    assert host.ask(Op.ERASE_REGION, words(0x3FF000, 0x2000)).data == stub_status(StubError.SPI_FAILED)
    host.ask(Op.FLASH_BEGIN, words(0x8000, 2, 0x4000, 0, 0))
    assert host.ask(Op.FLASH_END, words(1)).data == stub_status(StubError.NOT_ENOUGH_DATA)
    packed = zlib.compress(bytes(5000))
    host.ask(Op.FLASH_DEFL_BEGIN, words(4096, 1, 0x4000, 0, 0))
    host.block(Op.FLASH_DEFL_DATA, 0, packed)
    assert host.ask(Op.FLASH_DEFL_END, words(1)).data == stub_status(StubError.TOO_MUCH_DATA)
    (out,) = host.loader.feed(slip.encode(bytes.fromhex("0108000000000000")))
    assert out == slip.encode(Reply(8, 0, stub_status(StubError.INVALID_COMMAND)).pack()), "wrong direction"
    (out,) = host.loader.feed(slip.encode(bytes.fromhex("000a080000000000") + b"1234"))
    assert out == slip.encode(Reply(10, 0, stub_status(StubError.BAD_LENGTH)).pack()), "size does not fit"


def test_rom_errors() -> None:
    host = attach(Host())
    assert host.ask(Op.ERASE_FLASH).data == rom_status(RomError.INVALID_MESSAGE)
    assert host.ask(Op.READ_REG, b"12").data == rom_status(RomError.INVALID_MESSAGE)
    assert host.ask(Op.FLASH_BEGIN, words(0x2000, 8, 0x400, 0x3FF000, 0)).data == rom_status(RomError.FLASH_WRITE)
    host.ask(Op.FLASH_BEGIN, words(0x400, 1, 0x400, 0, 0))
    request = data_request(Op.FLASH_DATA, 0, b"\x55" * 0x400)
    assert host.ask(Op.FLASH_DATA, request.body, request.checksum ^ 1).data == rom_status(RomError.CHECKSUM)
    assert host.flash.read(0, 4) == b"\xff" * 4


def test_declared_size_limits_the_range() -> None:
    host = Host().start_stub()
    host.ask(Op.SPI_SET_PARAMS, words(0, 2 * MIB, 0x10000, 0x1000, 0x100, 0xFFFF))
    assert host.ask(Op.SPI_FLASH_MD5, words(2 * MIB, 1, 0, 0)).data == stub_status(StubError.SPI_FAILED)


def test_read_slow_is_always_64_bytes() -> None:
    host = Host()
    host.flash.program(0x100, b"hello")
    assert host.ask(Op.READ_FLASH_SLOW, words(0x100, 5)).data == (b"\xff" * 5).ljust(64, b"\0") + bytes(4)
    attach(host)
    assert host.ask(Op.READ_FLASH_SLOW, words(0x100, 5)).data == b"hello".ljust(64, b"\0") + bytes(4)
    assert host.ask(Op.READ_FLASH_SLOW, words(0x100, 65)).data == rom_status(RomError.FLASH_READ_LENGTH)


def read_stream(host: Host, offset: int, n: int) -> bytes:
    outputs = host.send(Op.READ_FLASH, words(offset, n, 0x1000, 64))
    got = b""
    reader = slip.SlipReader()
    packets = [p for out in outputs for p in reader.feed(bytes(out))][1:]  # type: ignore[arg-type]
    while len(got) < n:
        (packet,) = packets
        got += packet
        outputs = host.loader.feed(slip.encode(words(len(got))))
        packets = [p for out in outputs for p in reader.feed(bytes(out))]  # type: ignore[arg-type]
    assert packets == [hashlib.md5(got).digest()]
    return got


def test_read_stream() -> None:
    host = Host().start_stub()
    data = hashlib.sha512(b"x").digest() * 157
    host.flash.program(0x345, data)
    assert read_stream(host, 0x345, len(data)) == data
    assert host.ask(Op.READ_REG, words(0x60007048)).value == 0x3485, "commands work again afterwards"


def test_new_command_ends_an_abandoned_stream() -> None:
    host = Host().start_stub()
    host.send(Op.READ_FLASH, words(0, 0x10000, 0x1000, 64))
    assert host.ask(Op.READ_REG, words(0x60007048)).value == 0x3485
    assert host.loader.feed(slip.encode(words(0x1000))) == [], "an acknowledgement without a stream"


def test_acknowledgement_with_a_wrong_count_ends_the_stream() -> None:
    host = Host().start_stub()
    host.send(Op.READ_FLASH, words(0, 0x10000, 0x1000, 64))
    assert host.loader.feed(slip.encode(words(0x0FFF))) == []
    assert host.ask(Op.READ_REG, words(0x60007048)).value == 0x3485


def test_baud_is_changed_after_the_answer() -> None:
    host = Host()
    reply, action = host.send(Op.CHANGE_BAUDRATE, words(921600, 0))
    assert isinstance(reply, bytes)
    assert action == Action("baud", 921600)


def test_watchdog_reset_follows_its_answer() -> None:
    host = Host()
    for address, value in ((0x600080B0, 0x50D83AA1), (0x6000809C, 2000), (0x60008098, 0xD0000102)):
        assert len(host.send(Op.WRITE_REG, words(address, value, 0xFFFFFFFF, 0))) == 1
    reply, action = host.send(Op.WRITE_REG, words(0x600080B0, 0, 0xFFFFFFFF, 0))
    assert isinstance(reply, bytes)
    assert action == Action("reset")


def test_secure_download_mode() -> None:
    host = Host(efuse=Efuse(MAC, secure_download=True))
    assert host.ask(Op.GET_SECURITY_INFO).data[0] == 4
    for op in (Op.READ_REG, Op.WRITE_REG, Op.MEM_BEGIN, Op.SPI_FLASH_MD5, Op.READ_FLASH_SLOW, Op.FLASH_DEFL_BEGIN):
        assert host.ask(op, bytes(24)).data == rom_status(RomError.INVALID_MESSAGE)
    assert attach(host).ask(Op.FLASH_BEGIN, words(0x400, 1, 0x400, 0, 0)).data == bytes(4)


def test_reset_goes_back_to_rom() -> None:
    host = Host().start_stub()
    assert host.loader.in_stub
    host.loader.reset()
    assert not host.loader.in_stub
    assert host.loader.boot_text().endswith("boot:0x0 (DOWNLOAD(USB/UART0))\r\nwaiting for download\r\n")


# ---- faults ----------------------------------------------------------------------------------------


def test_bad_block_once_then_good() -> None:
    host = Host(faults=LoaderFaults(bad_block=1)).start_stub()
    host.ask(Op.FLASH_BEGIN, words(0x8000, 2, 0x4000, 0, 0))
    assert host.block(Op.FLASH_DATA, 0, b"a" * 0x4000) == bytes(2)
    assert host.block(Op.FLASH_DATA, 1, b"b" * 0x4000) == stub_status(StubError.BAD_CHECKSUM)
    assert host.block(Op.FLASH_DATA, 1, b"b" * 0x4000) == bytes(2)
    assert host.flash.read(0, 0x8000) == b"a" * 0x4000 + b"b" * 0x4000


def test_mute_chip_still_acts() -> None:
    host = Host(faults=LoaderFaults(mute=True))
    assert host.send(Op.SYNC, SYNC_BODY) == []
    assert host.send(Op.CHANGE_BAUDRATE, words(230400, 0)) == [Action("baud", 230400)]


def test_silent_stub() -> None:
    host = Host(faults=LoaderFaults(silent_stub=True))
    assert len(host.send(Op.MEM_END, words(0, ENTRY))) == 1
    assert not host.loader.in_stub


# ---- any stream ------------------------------------------------------------------------------------


def session() -> bytes:
    """A short flashing session as a host sends it."""
    packed = zlib.compress(bytes(range(256)) * 64)
    requests = [
        Request(Op.SYNC, SYNC_BODY),
        Request(Op.READ_REG, words(0x60007044)),
        Request(Op.MEM_END, words(0, ENTRY)),
        Request(Op.FLASH_DEFL_BEGIN, words(16384, 1, 0x4000, 0x1000, 0)),
        data_request(Op.FLASH_DEFL_DATA, 0, packed),
        Request(Op.FLASH_DEFL_END, words(1)),
        Request(Op.SPI_FLASH_MD5, words(0x1000, 16384, 0, 0)),
        Request(Op.READ_FLASH, words(0x1000, 0x800, 0x1000, 64)),
    ]
    return b"".join(wire(r) for r in requests) + slip.encode(words(0x800))


SESSION = session()


@given(st.lists(st.integers(0, len(SESSION)), max_size=12))
def test_any_cut_of_a_session_gives_the_same_answers(cuts: list[int]) -> None:
    whole = Host().loader.feed(SESSION)
    loader, outputs, last = Host().loader, [], 0
    for cut in [*sorted(cuts), len(SESSION)]:
        outputs += loader.feed(SESSION[last:cut])
        last = cut
    assert outputs == whole


@given(
    st.booleans(),
    st.lists(
        st.one_of(
            st.binary(max_size=80),
            st.tuples(st.integers(0, 255), st.binary(max_size=64), st.integers(0, 255)).map(
                lambda t: wire(Request(t[0], t[1], t[2]))
            ),
            st.tuples(st.sampled_from(list(Op)), st.lists(st.integers(0, 2**32 - 1), max_size=8)).map(
                lambda t: wire(Request(t[0], words(*t[1])))
            ),
            st.tuples(st.sampled_from([Op.FLASH_DATA, Op.FLASH_DEFL_DATA]), st.integers(0, 2**32 - 1)).map(
                lambda t: wire(Request(t[0], Block(t[1], b"data").pack(), checksum(b"data")))
            ),
        ),
        max_size=20,
    ),
)
def test_garbage_never_raises(stub: bool, pieces: list[bytes]) -> None:
    host = Host().start_stub() if stub else attach(Host())
    for piece in pieces:
        for out in host.loader.feed(piece):
            assert isinstance(out, (bytes, Action))
