"""The telnet side of the fast RFC 2217 client: any split of the bytes gives the same."""

from hypothesis import given
from hypothesis import strategies as st

from harness.instruments.serial_handlers.protocol_rfc2217 import TelnetReader

IAC = b"\xff"
data = st.binary(max_size=40).map(lambda b: ("data", b))
options = st.tuples(st.sampled_from([b"\xfb", b"\xfc", b"\xfd", b"\xfe"]), st.binary(min_size=1, max_size=1)).map(
    lambda p: ("option", p)
)
suboptions = st.binary(max_size=10).map(lambda b: ("sub", b"\x2c" + b))
others = st.just(("noop", b"\xf1"))


def on_the_wire(kind, value):
    if kind == "data":
        return value.replace(IAC, IAC + IAC)
    if kind == "option":
        return IAC + value[0] + value[1]
    return IAC + b"\xfa" + value.replace(IAC, IAC + IAC) + IAC + b"\xf0" if kind == "sub" else IAC + value


@given(st.lists(st.one_of(data, options, suboptions, others), max_size=12), st.integers(1, 17))
def test_any_split_gives_the_same(items, step):
    wire = b"".join(on_the_wire(*item) for item in items)
    reader = TelnetReader()
    got = [reader.feed(wire[i : i + step]) for i in range(0, len(wire), step)]
    assert b"".join(g[0] for g in got) == b"".join(v for k, v in items if k == "data")
    assert [o for g in got for o in g[1]] == [v for k, v in items if k == "option"]
    assert [s for g in got for s in g[2]] == [v for k, v in items if k == "sub"]


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_garbage_never_raises(pieces):
    reader = TelnetReader()
    for piece in pieces:
        reader.feed(piece)


def test_an_endless_sub_negotiation_is_cut():
    reader = TelnetReader()
    reader.feed(b"\xff\xfa")
    for _ in range(100):
        reader.feed(b"x" * 1000)
    (_, _, [text]) = reader.feed(b"\xff\xf0")
    assert len(text) <= 2048
