"""The key-value store against a dictionary, power cuts and a full partition."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.bench.nvs import MAX_VALUE, SECTOR, NvsStore, parse_names

OFFSET, SIZE = 0x9000, 0x5000


class PowerCut(Exception):
    pass


class Nor:
    """NOR flash in memory; can lose power after so many more bytes."""

    def __init__(self) -> None:
        self.data = bytearray(b"\xff" * 0x10000)
        self.left: int | None = None

    def read(self, off: int, n: int) -> bytes:
        return bytes(self.data[off : off + n])

    def program(self, off: int, data: bytes) -> None:
        for i, byte in enumerate(data):
            if self.left is not None:
                if self.left == 0:
                    raise PowerCut
                self.left -= 1
            self.data[off + i] &= byte

    def erase(self, off: int, n: int) -> None:
        assert off % SECTOR == 0 and n % SECTOR == 0
        assert off >= OFFSET and off + n <= OFFSET + SIZE
        if self.left is not None:
            if self.left == 0:
                raise PowerCut
            self.left -= 1
        self.data[off : off + n] = b"\xff" * n


def open_store(flash: Nor) -> NvsStore:
    return NvsStore(flash, OFFSET, SIZE)


def test_values_survive_a_restart_and_an_erase_clears_them() -> None:
    flash = Nor()
    store = open_store(flash)
    assert store.get("k1", "ssid") is None
    assert store.set("k1", "ssid", b"home") and store.set("k1", "boots", b"1") and store.set("k1", "boots", b"2")
    again = open_store(flash)
    assert (again.get("k1", "ssid"), again.get("k1", "boots"), again.get("other", "ssid")) == (b"home", b"2", None)
    assert again.erase("k1", "ssid") and not again.erase("k1", "ssid")
    assert open_store(flash).get("k1", "ssid") is None
    flash.erase(OFFSET, SIZE)
    assert open_store(flash).get("k1", "boots") is None


def test_limits() -> None:
    store = open_store(Nor())
    assert not store.set("k1", "a" * 16, b"x")
    assert not store.set("", "a", b"x")
    assert not store.set("k1", "a", b"x" * (MAX_VALUE + 1))
    assert store.set("k1", "a" * 15, b"x" * MAX_VALUE)
    assert store.set("k1", "empty", b"") and store.get("k1", "empty") == b""


def test_a_full_store_refuses_and_keeps_what_it_has() -> None:
    flash = Nor()
    store = open_store(flash)
    kept = 0
    while store.set("k1", f"key{kept}", bytes([kept]) * 1_000):
        kept += 1
    assert 5 <= kept <= 8  # two sectors a bank
    again = open_store(flash)
    assert [again.get("k1", f"key{i}") for i in range(kept)] == [bytes([i]) * 1_000 for i in range(kept)]
    assert again.erase("k1", "key0") and again.set("k1", "new", b"y" * 900)


def test_ten_thousand_boot_counts_fit() -> None:
    flash = Nor()
    store = open_store(flash)
    for i in range(10_000):
        assert store.set("k1", "boots", str(i).encode())
    assert open_store(flash).get("k1", "boots") == b"9999"


KEYS = st.sampled_from(["a", "b", "long_key_name_0"])
STEPS = st.lists(st.tuples(KEYS, st.none() | st.binary(max_size=700)), min_size=1, max_size=60)


@settings(max_examples=60)
@given(STEPS, st.integers(0, 6_000))
def test_a_power_cut_costs_at_most_the_last_change(steps: list[tuple[str, bytes | None]], cut: int) -> None:
    flash = Nor()
    store = open_store(flash)
    model: dict[str, bytes] = {}
    before = dict(model)
    flash.left = cut
    try:
        for key, value in steps:
            before = dict(model)
            if value is None:
                model.pop(key, None)
                store.erase("s", key)
            else:
                model[key] = value
                assert store.set("s", key, value)
        before = model
    except PowerCut:
        pass
    flash.left = None
    again = open_store(flash)
    found = {key: value for key in ("a", "b", "long_key_name_0") if (value := again.get("s", key)) is not None}
    assert found in (before, model)
    assert again.set("s", "a", b"after the cut")
    assert open_store(flash).get("s", "a") == b"after the cut"


@settings(max_examples=200)
@given(st.binary(max_size=600))
def test_garbage_in_flash_never_raises(data: bytes) -> None:
    flash = Nor()
    flash.data[OFFSET : OFFSET + len(data)] = data
    store = open_store(flash)
    assert store.set("k1", "x", b"1")
    assert open_store(flash).get("k1", "x") == b"1"


@given(st.binary(max_size=60))
def test_names_parse_or_are_refused(body: bytes) -> None:
    parsed = parse_names(body)
    if parsed is not None:
        space, key, rest = parsed
        assert bytes([len(space.encode())]) + space.encode() + bytes([len(key.encode())]) + key.encode() + rest == body


def test_a_partition_of_one_sector_is_refused() -> None:
    with pytest.raises(ValueError, match="8192"):
        NvsStore(Nor(), OFFSET, SECTOR)
