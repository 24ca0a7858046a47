"""RFC 2217, server side: the opening of a real client, every setting, any cut of the stream."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.bench.telnet import Answer, Baud, ComPort, Data, Event, Lines, Purge, TelnetSession, escape


def ask(hexadecimal: str, session: TelnetSession | None = None) -> list[Event]:
    return (session or TelnetSession()).feed(bytes.fromhex(hexadecimal))


def answers(events: list[Event]) -> str:
    return b"".join(e.data for e in events if isinstance(e, Answer)).hex()


def joined(events: list[Event]) -> list[Event]:
    """Neighbouring data and answers put together: how they are split depends on the cuts."""
    out: list[Event] = []
    for event in events:
        if out and isinstance(event, Data) and isinstance(out[-1], Data):
            out[-1] = Data(out[-1].data + event.data)
        else:
            out.append(event)
    return out


def test_opening_of_pyserial() -> None:
    """What pyserial 3.5 sends first; ECHO is refused, BINARY, SGA and COM-PORT are agreed to, once each."""
    session = TelnetSession()
    first = ask("fffd01" "fffb03" "fffd03" "fffb00" "fffd00" "fffb2c" "fffd2c", session)  # fmt: skip
    options = "fffc01" "fffd03" "fffb03" "fffd00" "fffb00" "fffd2c" "fffb2c"  # fmt: skip
    assert answers(first) == options + "fffa2c6bb0fff0", "and the modem state once COM-PORT is on"
    assert ask("fffb03" "fffd2c", session) == [], "what holds already is not answered again"  # fmt: skip


def test_every_setting_is_answered_with_its_value() -> None:
    for sent, value in (
        ("01 00002580", "65 00002580"),
        ("02 08", "66 08"),
        ("03 01", "67 01"),
        ("04 01", "68 01"),
        ("05 01", "69 01"),
        ("05 08", "69 08"),
        ("05 0c", "69 0c"),
        ("0a 00", "6e 00"),
        ("0b ff" "ff", "6f ff" "ff"),
        ("0c 01", "70 01"),
    ):  # fmt: skip
        assert answers(ask(f"fffa2c {sent} fff0")) == bytes.fromhex(f"fffa2c {value} fff0").hex()


def test_lines_baud_and_purge_in_order_with_data() -> None:
    dtr, rts, baud, purge = "fffa2c0508fff0", "fffa2c050bfff0", "fffa2c010001c200fff0", "fffa2c0c02fff0"
    events = ask("61" + dtr + "62" + rts + "63" + baud + purge + "64")
    assert [e for e in events if not isinstance(e, Answer)] == [
        Data(b"a"), Lines(dtr=True), Data(b"b"), Lines(rts=True), Data(b"c"), Baud(115_200),
        Purge(rx=False, tx=True), Data(b"d"),
    ]  # fmt: skip


def test_questions_change_nothing() -> None:
    port = ComPort(baud=9600, dtr=True)
    session = TelnetSession(port)
    events = ask("fffa2c0100000000fff0" "fffa2c0507fff0" "fffa2c050afff0" "fffa2c0500fff0", session)  # fmt: skip
    assert answers(events) == "fffa2c6500002580fff0" "fffa2c6908fff0" "fffa2c690cfff0" "fffa2c6901fff0"  # fmt: skip
    assert all(isinstance(e, Answer) for e in events)


def test_signature() -> None:
    assert b"K1 virtual board" in bytes.fromhex(answers(ask("fffa2c00fff0")))


def test_doubled_ff_is_one_data_byte() -> None:
    assert ask("41ffff42ffffffff") == [Data(b"A\xffB\xff\xff")]
    assert escape(b"a\xffb") == b"a\xff\xffb"


def test_value_of_ff_inside_a_setting() -> None:
    assert [e for e in ask("fffa2c01 0000ffff00 fff0") if isinstance(e, Baud)] == [Baud(0xFF00)]


def test_nonsense_is_survived() -> None:
    assert ask("fff1" "fff6" "41") == [Data(b"A")]  # fmt: skip
    assert ask("fffa" + "00" * 5000 + "fff0" + "41") == [Data(b"A")]
    assert ask("fffa18 01 fff0" "41") == [Data(b"A")], "a subnegotiation of another option"  # fmt: skip
    assert ask("fffa2c01 01 fffb" "41") == [Data(b"A")], "a subnegotiation that ends in a command"  # fmt: skip


pieces = st.one_of(
    st.binary(max_size=20),
    st.binary(max_size=20).map(escape),
    st.tuples(st.sampled_from([0xFB, 0xFC, 0xFD, 0xFE]), st.integers(0, 50)).map(lambda t: bytes((0xFF, *t))),
    st.tuples(st.integers(0, 15), st.binary(max_size=5)).map(
        lambda t: b"\xff\xfa\x2c" + bytes([t[0]]) + escape(t[1]) + b"\xff\xf0"
    ),
)


@given(st.lists(pieces, max_size=10).map(b"".join), st.lists(st.integers(0, 200), max_size=8))
def test_any_cut_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    whole = TelnetSession().feed(stream)
    session, events, last = TelnetSession(), [], 0
    for cut in [*sorted(c for c in cuts if c < len(stream)), len(stream)]:
        events += session.feed(stream[last:cut])
        last = cut
    assert joined(events) == joined(whole)


@given(st.binary(max_size=400))
def test_escaped_data_comes_through(data: bytes) -> None:
    assert joined(TelnetSession().feed(escape(data))) == ([Data(data)] if data else [])
