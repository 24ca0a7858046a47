"""ESP32-S3 images: what we build, the real esptool accepts; what is damaged, we refuse by name."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wire.image import (
    DROM_BASE,
    IRAM_BASE,
    AppDescriptor,
    ImageError,
    Segment,
    SimPayload,
    build_image,
    pack_payload,
    parse_image,
    payload_of,
    unpack_payload,
)

PAYLOAD = SimPayload("x86_64-linux", b"\x7fELF" + bytes(range(251)), b"costs")
DESCRIPTOR = AppDescriptor("1.0.0", "k1-sim", "12:34:56", "Jan  2 2026", "virtual", bytes(range(32)))


def sim_image(payload: SimPayload = PAYLOAD) -> bytes:
    drom = Segment(DROM_BASE, DESCRIPTOR.pack() + pack_payload(payload))
    return build_image([drom, Segment(IRAM_BASE, b"\x06\xff\xff\x00")], IRAM_BASE)


def test_round_trip() -> None:
    data = sim_image()
    image = parse_image(data + b"\xff" * 100)  # a slot holds more than the image
    assert image.length == len(data)
    assert image.descriptor == DESCRIPTOR
    assert (image.entry, image.chip_id, image.flash_mode, image.flash_size) == (IRAM_BASE, 9, "dio", "4MB")
    assert image.sha256 == hashlib.sha256(data[:-32]).digest()
    assert payload_of(image) == PAYLOAD


def test_esptool_reads_what_we_build(tmp_path: Path) -> None:
    file = tmp_path / "firmware.bin"
    file.write_bytes(sim_image())
    run = subprocess.run(
        [sys.executable, "-m", "esptool", "--chip", "esp32s3", "image-info", str(file)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    text = run.stdout
    assert run.returncode == 0, text + run.stderr
    digest = file.read_bytes()[-32:].hex()
    for part in (
        "Project name: k1-sim",
        "App version: 1.0.0",
        "Chip ID: 9 (ESP32-S3)",
        f"Validation hash: {digest} (valid)",
    ):
        assert part in text
    assert "Checksum: 0x" in text and "(valid)" in text
    assert "Flash size: 4MB" in text and "Flash freq: 80m" in text and "Flash mode: DIO" in text
    assert bytes(range(32)).hex() in text


def test_we_read_what_esptool_builds(tmp_path: Path) -> None:
    """An image merged by esptool itself from a hand-made Xtensa ELF: independent of our builder."""
    elf = tmp_path / "app.elf"
    code = b"\x06\xff\xff\x00" * 9
    elf.write_bytes(minimal_xtensa_elf(IRAM_BASE, code))
    run = subprocess.run(
        [sys.executable, "-m", "esptool", "--chip", "esp32s3", "elf2image", "--flash-mode", "dio",
         "--flash-size", "4MB",
         "--flash-freq", "80m", "-o", str(tmp_path / "app.bin"), str(elf)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    image = parse_image((tmp_path / "app.bin").read_bytes())
    assert (image.entry, image.chip_id, image.flash_size) == (IRAM_BASE, 9, "4MB")
    assert [segment.load_addr for segment in image.segments] == [IRAM_BASE]
    assert image.segments[0].data == code
    assert image.descriptor is None and payload_of(image) is None


def minimal_xtensa_elf(address: int, code: bytes) -> bytes:
    """A 32-bit little-endian Xtensa executable with one loadable section ``.text``."""
    import struct

    names = b"\0.text\0.shstrtab\0"
    code_at = 52 + 32
    names_at = code_at + len(code)
    sections_at = names_at + len(names) + (-(names_at + len(names)) % 4)
    ident = b"\x7fELF\x01\x01\x01" + bytes(9)
    head = ident + struct.pack("<HHIIIIIHHHHHH", 2, 94, 1, address, 52, sections_at, 0, 52, 32, 1, 40, 3, 2)
    segment = struct.pack("<8I", 1, code_at, address, address, len(code), len(code), 5, 4)
    null = bytes(40)
    text = struct.pack("<10I", 1, 1, 6, address, code_at, len(code), 0, 0, 4, 0)
    strings = struct.pack("<10I", 7, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    body = head + segment + code + names
    return body.ljust(sections_at, b"\0") + null + text + strings


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda d: b"\x00" + d[1:], "magic"),
        (lambda d: d[:20], "truncated"),
        (lambda d: d[:200], "truncated"),
        (lambda d: d[:-1], "truncated"),
        (lambda d: d[:-1] + bytes([d[-1] ^ 1]), "hash"),
        (lambda d: d[:-33] + bytes([d[-33] ^ 1]) + d[-32:], "checksum"),
        (lambda d: d[:400] + bytes([d[400] ^ 0x10]) + d[401:], "checksum"),
        (lambda d: d[:1] + b"\x00" + d[2:], "segment count"),
    ],
)
def test_damage_is_named(damage: object, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        parse_image(damage(sim_image()))  # type: ignore[operator]


def test_an_image_for_the_chip_has_no_payload() -> None:
    chip = AppDescriptor("1.0.0", "k1")
    image = parse_image(build_image([Segment(DROM_BASE, chip.pack() + pack_payload(PAYLOAD))], IRAM_BASE))
    assert image.descriptor is not None and image.descriptor.project_name == "k1"
    assert payload_of(image) is None
    assert unpack_payload(b"some Xtensa constants, not ours") is None


def test_mapped_segment_out_of_phase_is_refused() -> None:
    with pytest.raises(ImageError, match="phase"):
        build_image([Segment(DROM_BASE + 4, bytes(16))], IRAM_BASE)


def test_truncated_payload_is_refused() -> None:
    with pytest.raises(ImageError, match="host program"):
        unpack_payload(pack_payload(PAYLOAD)[:-1])


@given(st.binary(max_size=400))
def test_garbage_never_raises_anything_else(data: bytes) -> None:
    for candidate in (data, b"\xe9" + data, sim_image()[:64] + data):
        try:
            parse_image(candidate)
        except ImageError:
            pass


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_payload_survives(elf: bytes, costs: bytes) -> None:
    payload = SimPayload("aarch64-darwin", elf, costs)
    assert payload_of(parse_image(sim_image(payload))) == payload
