"""otadata: bytes of a real build, which entry counts, where the next one goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.wire.otadata import (
    EMPTY_SEQ,
    ENTRY_BYTES,
    OTADATA_BYTES,
    SECTOR_BYTES,
    OtaSelectEntry,
    OtaState,
    active_entry,
    build_otadata,
    entry_crc,
    initial_otadata,
    next_entry,
    parse_otadata,
)

ERASED = OtaSelectEntry(EMPTY_SEQ, OtaState.UNDEFINED, crc_ok=False)


def test_initial_is_the_boot_app0_of_the_arduino_core() -> None:
    data = initial_otadata()
    assert len(data) == OTADATA_BYTES
    assert data[:ENTRY_BYTES].hex() == "01000000" + "ff" * 24 + "9a984347"
    assert data[ENTRY_BYTES:] == b"\xff" * (OTADATA_BYTES - ENTRY_BYTES)


def test_erased_partition_has_no_active_entry() -> None:
    entries = parse_otadata(b"\xff" * OTADATA_BYTES)
    assert [e.written for e in entries] == [False, False]
    assert active_entry(entries) is None


def test_newest_usable_entry_counts() -> None:
    old, new = OtaSelectEntry(4, OtaState.VALID), OtaSelectEntry(5, OtaState.NEW)
    assert active_entry([old, new]) == 1
    assert active_entry([new, old]) == 0
    for given_up in (OtaState.INVALID, OtaState.ABORTED):
        assert active_entry([old, new.with_state(given_up)]) == 0
    assert active_entry([old, OtaSelectEntry(5, OtaState.NEW, crc_ok=False)]) == 0
    assert active_entry([ERASED, OtaSelectEntry(0, OtaState.VALID)]) is None


def test_update_after_update() -> None:
    entries = [OtaSelectEntry(1, OtaState.UNDEFINED), ERASED]
    for slot, seq, sector in ((1, 2, 1), (0, 3, 0), (1, 4, 1), (1, 4, 0)):
        index, entry = next_entry(entries, slot, 2, OtaState.NEW)
        assert (index, entry.seq, entry.slot(2)) == (sector, seq, slot)
        entries[index] = entry


def test_first_update_of_a_blank_partition() -> None:
    assert next_entry([ERASED, ERASED], 1, 2, OtaState.NEW) == (0, OtaSelectEntry(2, OtaState.NEW))


@given(st.integers(1, EMPTY_SEQ - 1), st.sampled_from(list(OtaState)))
def test_round_trip(seq: int, state: OtaState) -> None:
    entry = OtaSelectEntry(seq, int(state))
    data = build_otadata([None, entry])
    assert len(data) == OTADATA_BYTES
    assert parse_otadata(data)[1] == entry
    broken = bytearray(data)
    broken[SECTOR_BYTES] ^= 1
    assert not parse_otadata(bytes(broken))[1].crc_ok


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=2), st.integers(0, 1))
def test_next_entry_becomes_the_active_one(seqs: list[int], slot: int) -> None:
    entries = [OtaSelectEntry(seq, OtaState.VALID) for seq in seqs]
    index, entry = next_entry(entries, slot, 2, OtaState.NEW)
    kept = active_entry(entries)
    entries[index] = entry
    assert index != kept
    assert entry.slot(2) == slot
    assert entry.seq >= max(seqs)
    assert max(e.seq for e in entries) == entry.seq


@given(st.binary(min_size=2 * ENTRY_BYTES, max_size=2 * ENTRY_BYTES))
def test_garbage_never_names_a_slot(data: bytes) -> None:
    """An entry counts only when its CRC fits: noise does not, but for one in 2**32."""
    sectors = (data[:ENTRY_BYTES], data[ENTRY_BYTES:])
    entries = parse_otadata(b"".join(s.ljust(SECTOR_BYTES, b"\xff") for s in sectors))
    for sector, entry in zip(sectors, entries, strict=True):
        fits = int.from_bytes(sector[28:], "little") == entry_crc(int.from_bytes(sector[:4], "little"))
        assert entry.crc_ok == fits
        assert entry.usable <= fits
