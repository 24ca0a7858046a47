"""Partition tables: the repository's CSV against a table row worked out by hand, and damage."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wire.partitions import Partition, PartitionError, build_table, parse_csv, parse_table

CSV = Path(__file__).parents[2] / "firmware" / "partitions.csv"


def test_the_contract_table() -> None:
    rows = parse_csv(CSV.read_text())
    assert rows == [
        Partition("nvs", 1, 2, 0x9000, 0x5000),
        Partition("otadata", 1, 0, 0xE000, 0x2000),
        Partition("app0", 0, 0x10, 0x10000, 0x1E0000),
        Partition("app1", 0, 0x11, 0x1F0000, 0x1E0000),
        Partition("spiffs", 1, 0x82, 0x3D0000, 0x30000),
    ]
    assert rows[-1].end == 4 << 20


def test_bytes_by_hand() -> None:
    table = build_table(parse_csv(CSV.read_text()))
    assert len(table) == 0xC00
    assert table[:32].hex() == "aa5001020090000000500000" + b"nvs".hex() + "00" * 13 + "00000000"
    assert table[64:76].hex() == "aa500010000001000000" + "1e00"
    assert table[160:176] == b"\xeb\xeb" + b"\xff" * 14
    assert table[176:192] == hashlib.md5(table[:160]).digest()
    assert set(table[192:]) == {0xFF}
    assert parse_table(table) == parse_csv(CSV.read_text())


def test_blank_flash_has_no_partitions() -> None:
    assert parse_table(b"\xff" * 0xC00) == []


def test_damage_is_named() -> None:
    table = bytearray(build_table(parse_csv(CSV.read_text())))
    table[40] ^= 1
    with pytest.raises(PartitionError, match="MD5"):
        parse_table(bytes(table))
    table[32] = 0
    with pytest.raises(PartitionError, match="row 1"):
        parse_table(bytes(table))


def test_offsets_may_be_left_out() -> None:
    rows = parse_csv("nvs,data,nvs,,20K\nota,data,ota,,8K\na,app,ota_0,,1M # first\nb,app,ota_1,,1M,\n")
    assert [row.offset for row in rows] == [0x9000, 0xE000, 0x10000, 0x110000]


@pytest.mark.parametrize(
    "text",
    [
        "a,app,ota_0,0x10000",
        "a,app,nope,0x10000,1M",
        "a,app,ota_0,0x10001,1M",
        "a,data,nvs,0x9000,8K\nb,data,ota,0xA000,4K",
    ],
)
def test_bad_csv_is_refused(text: str) -> None:
    with pytest.raises(PartitionError):
        parse_csv(text)


@given(st.binary(max_size=512))
def test_garbage_never_raises_anything_else(data: bytes) -> None:
    try:
        parse_table(data)
    except PartitionError:
        pass
