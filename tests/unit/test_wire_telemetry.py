"""The telemetry codec: check values, any split of the bytes, garbage."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wire.telemetry import (
    FRAME_FIELDS,
    LineSplitter,
    Sentence,
    crc16,
    encode_command,
    encode_sentence,
    parse_event,
    parse_identity,
    parse_lines,
    parse_sentence,
    parse_sync,
)

FRAME = (7, 1_234_567, 850, 120, 4861, 211_000, 1_230_000, 3, 0, 1)
IDENTITY = (
    1, "k1-sim", "1.0.0", "abc1234", "2025-01-01T00:00:00Z", "0F" * 32, "power_on", 3, "00c0ffee", "AA:bb:cc:dd:ee:ff",
    "192.168.4.2", 0, "undefined", 1, 312_000,
)  # fmt: skip


def test_crc_is_ccitt_false():
    assert crc16(b"123456789") == 0x29B1


def test_the_example_of_the_specification():
    assert encode_sentence("SYN", [42, 1234567]) == b"$K1SYN,42,1234567*4A99\r\n"
    assert parse_sentence(b"$K1SYN,42,1234567*4A99\r\n") == Sentence("SYN", ("42", "1234567"))


def test_forbidden_characters_are_replaced():
    assert parse_sentence(encode_sentence("ACK", ["a,b*c$d\ne"])) == Sentence("ACK", ("a_b_c_d_e",))


@pytest.mark.parametrize(
    "line",
    [
        b"$K1SYN,42,1234567*4A98",  # wrong CRC
        b"$K1SYN,42,1234567*4a99",  # lower case
        b"$K1SYN,42,1234567*4A99x",  # something behind
        b"$K1SYN,42,1234567",
        b"$K1*",
        b"$K1",
        b"",
        b"$K1SYN," + b"1" * 1100 + b"*0000",
    ],
)
def test_unsound_lines_are_text(line):
    assert parse_sentence(line) is None
    batch = parse_lines([line], 5)
    assert batch.text == [(5, line)] and not batch.frames and not batch.sentences


def test_a_sentence_behind_torn_text_is_found():
    line = b"[00:00:01.000] INFO [A] BPM$K1SYN,9," + encode_sentence("SYN", [42, 1234567]).rstrip()
    batch = parse_lines([line], 5)
    assert batch.sentences == [(5, Sentence("SYN", ("42", "1234567")))]
    assert batch.text == [(5, line)]


def test_frames_take_the_fast_path_and_carry_the_host_time():
    batch = parse_lines([encode_sentence("FRM", FRAME).rstrip(b"\n")], 99)
    assert batch.frames == [(*FRAME, 99)]
    assert len(FRAME_FIELDS) == len(FRAME) + 1
    assert not batch.text


def test_surplus_fields_are_ignored_and_missing_ones_are_not():
    assert parse_lines([encode_sentence("FRM", [*FRAME, "new"])], 1).frames == [(*FRAME, 1)]
    short = parse_lines([encode_sentence("FRM", FRAME[:-1])], 1)
    assert not short.frames and short.damaged == 1


@pytest.mark.parametrize("bad", ["-1", "1_0", "+1", " 1", "1.5", "", "x", str(1 << 63)])
def test_a_sound_sentence_with_senseless_numbers_is_damage(bad):
    line = encode_sentence("FRM", [bad, *FRAME[1:]]).rstrip()
    batch = parse_lines([line], 1)
    assert not batch.frames and batch.damaged == 1


def test_pixels():
    rgb = bytes(range(240)) * 2
    line = encode_sentence("PIX", [7, 1_234_567, base64.b64encode(rgb).decode()])
    assert parse_lines([line.rstrip(b"\n")], 4).pixels == [(4, 7, 1_234_567, rgb)]
    short = encode_sentence("PIX", [7, 1_234_567, base64.b64encode(rgb[:-3]).decode()])
    assert parse_lines([short.rstrip()], 4).damaged == 1


def test_identity():
    sentence = parse_sentence(encode_sentence("ID", IDENTITY))
    assert sentence is not None
    identity = parse_identity(sentence)
    assert identity is not None
    assert identity.sha256 == "0f" * 32 and identity.mac == "aa:bb:cc:dd:ee:ff" and identity.hil and identity.slot == 0
    assert identity.boot_count == 3 and identity.t_us == 312_000


@pytest.mark.parametrize("at", range(15))
def test_an_identity_with_one_senseless_field_is_refused_or_kept_as_text(at):
    values = [*IDENTITY]
    values[at] = "?"
    sentence = parse_sentence(encode_sentence("ID", values))
    assert sentence is not None
    identity = parse_identity(sentence)
    is_text = at in (1, 2, 3, 4, 6, 10, 12)
    assert (identity is not None) == is_text


def test_events_and_sync():
    assert parse_event(Sentence("BEAT", ("5", "120.5", "0.75"))) == {
        "kind": "beat", "t_us": 5, "bpm": 120.5, "confidence": 0.75,
    }  # fmt: skip
    assert parse_event(Sentence("ONS", ("5", "nan"))) is None
    assert parse_event(Sentence("ONS", ("x", "1"))) is None
    assert parse_sync(Sentence("SYN", ("abc", "17"))) == ("abc", 17)
    assert parse_sync(Sentence("SYN", ("abc", "-17"))) is None


def test_commands():
    assert encode_command("select perlin") == b"select perlin\n"
    for bad in ("", " ", "a\nb", "é", "x" * 161):
        with pytest.raises(ValueError):
            encode_command(bad)


sentences = st.one_of(
    st.lists(st.integers(0, 2**63 - 1), min_size=10, max_size=10).map(lambda v: encode_sentence("FRM", v)),
    st.tuples(st.integers(0, 10**9), st.integers(0, 2**40), st.binary(min_size=480, max_size=480)).map(
        lambda v: encode_sentence("PIX", [v[0], v[1], base64.b64encode(v[2]).decode()])
    ),
    st.text("abcdefg 0123.[]", max_size=40).map(lambda t: t.encode() + b"\r\n"),
    st.integers(0, 2**40).map(lambda t: encode_sentence("SYN", ["tok", t])),
)


@given(st.lists(sentences, max_size=12), st.lists(st.integers(1, 200), min_size=1, max_size=20))
def test_any_split_gives_the_same(parts, cuts):
    data = b"".join(parts)
    whole = parse_lines(LineSplitter().feed(data), 0)
    splitter, at, i = LineSplitter(), 0, 0
    frames, pixels, others, text = [], [], [], []
    while at < len(data):
        step = cuts[i % len(cuts)]
        batch = parse_lines(splitter.feed(data[at : at + step]), 0)
        frames += batch.frames
        pixels += batch.pixels
        others += batch.sentences
        text += batch.text
        at, i = at + step, i + 1
    assert (frames, pixels, others, text) == (whole.frames, whole.pixels, whole.sentences, whole.text)
    assert splitter.partial == b""
    assert len(whole.frames) == sum(p.startswith(b"$K1FRM") for p in parts)


@given(
    st.lists(st.one_of(st.binary(max_size=120), st.just(b"\n"), st.just(b"$K1FRM,"), st.just(b"*4A99\n")), max_size=30)
)
def test_garbage_never_raises_and_a_newline_resynchronises(pieces):
    splitter = LineSplitter()
    for piece in pieces:
        parse_lines(splitter.feed(piece), 0)
    batch = parse_lines(splitter.feed(b"\n" + encode_sentence("FRM", FRAME)), 0)
    assert batch.frames[-1] == (*FRAME, 0)


def test_a_line_that_never_ends_does_not_fill_memory():
    splitter = LineSplitter()
    lines = []
    for _ in range(100):
        lines += splitter.feed(b"x" * 1000)
    assert len(splitter.partial) <= 4096 and sum(map(len, lines)) + len(splitter.partial) == 100_000
