"""SLIP framing: vectors, any cut of the stream, noise."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.wire import slip

# Bytes that framing treats specially come often enough to matter.
payload = st.lists(st.one_of(st.sampled_from([0xC0, 0xDB, 0xDC, 0xDD]), st.integers(0, 255)), min_size=1).map(bytes)


def test_escapes() -> None:
    assert slip.encode(b"\x01\xc0\xdb\xdc") == bytes.fromhex("c0 01 dbdc dbdd dc c0")
    assert slip.unescape(bytes.fromhex("01dbdcdbdddc")) == b"\x01\xc0\xdb\xdc"
    assert slip.unescape(b"\xdb\x00") is None
    assert slip.unescape(b"\xdb") is None


@given(st.lists(payload, max_size=6), st.lists(st.integers(0, 400), max_size=8))
def test_any_cut_gives_the_same_packets(packets: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(slip.encode(p) for p in packets)
    reader, found, last = slip.SlipReader(), [], 0
    for cut in [*sorted(c for c in cuts if c < len(stream)), len(stream)]:
        found += reader.feed(stream[last:cut])
        last = cut
    assert found == packets
    assert reader.dropped == 0


@given(st.binary(max_size=300), payload)
def test_noise_before_a_packet_does_no_harm(noise: bytes, packet: bytes) -> None:
    reader = slip.SlipReader()
    assert reader.feed(noise + slip.encode(packet))[-1] == packet


def test_bytes_outside_and_empty_packets_are_ignored() -> None:
    reader = slip.SlipReader()
    assert reader.feed(b"boot text\r\n" + b"\xc0\xc0\xc0ab\xc0") == [b"ab"]


def test_malformed_escape_drops_the_packet_alone() -> None:
    reader = slip.SlipReader()
    assert reader.feed(b"\xc0a\xdbz\xc0" + slip.encode(b"next")) == [b"next"]
    assert reader.dropped == 1


def test_endless_packet_is_bounded() -> None:
    reader = slip.SlipReader(max_packet=64)
    assert reader.feed(b"\xc0") == []
    for _ in range(100):
        reader.feed(b"x" * 50)
    assert reader._open_bytes > 128 and not reader._open
    assert reader.feed(b"\xc0ok\xc0") == [b"ok"]
    assert reader.dropped == 1


def test_reset_forgets_half_a_packet() -> None:
    reader = slip.SlipReader()
    reader.feed(b"\xc0half")
    reader.reset()
    assert reader.feed(b"rest\xc0ok\xc0") == [b"ok"]
