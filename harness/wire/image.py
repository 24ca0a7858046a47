"""ESP32-S3 application images: parse, build, and the host program a ``k1-sim`` image carries.

Layout (ESP-IDF 4.4 ``esp_app_format.h``): 24-byte header, segments of ``u32 load address, u32 length, data``, zero
padding so that the checksum (XOR of all segment bytes, seed EF) is the last byte of a 16-byte row, then the SHA-256 of
everything before it. A flash-mapped segment lies at a file offset that equals its load address modulo 64 KiB; the first
one (DROM) holds the 256-byte application descriptor. A ``k1-sim`` image keeps a host program behind the descriptor: see
:class:`SimPayload`.
"""

from __future__ import annotations

import hashlib
import platform
import struct
from dataclasses import dataclass

from harness.errors import BadRequest

IMAGE_MAGIC = 0xE9
CHIP_ID_ESP32S3 = 9
DESCRIPTOR_MAGIC = 0xABCD5432
DESCRIPTOR_BYTES = 256
SIM_PROJECT = "k1-sim"
DROM_BASE = 0x3C000020
DROM_RANGE = (0x3C000000, 0x3E000000)
IROM_RANGE = (0x42000000, 0x44000000)
IRAM_BASE = 0x40374000
MAX_SEGMENTS = 16
FLASH_MODES = {"qio": 0, "qout": 1, "dio": 2, "dout": 3}
FLASH_SIZES = {"1MB": 0, "2MB": 1, "4MB": 2, "8MB": 3, "16MB": 4}
_MODE_NAMES = {code: name for name, code in FLASH_MODES.items()}
_SIZE_NAMES = {code: name for name, code in FLASH_SIZES.items()}
_FREQUENCY_80_MHZ = 0xF
_CHECKSUM_SEED = 0xEF
_PAGE = 0x10000

# magic, segments, mode, size<<4|frequency, entry;
# wp pin, spi drive[3], chip, min revision, min revision full, max revision full, 4 reserved, hash flag
_HEADER = struct.Struct("<BBBBI B3sHBHH4sB")
_SEGMENT = struct.Struct("<II")
# magic, secure version, 8 reserved, version, project, time, date, idf version, ELF SHA-256, 80 reserved
_DESCRIPTOR = struct.Struct("<II8s32s32s16s16s32s32s80s")
_PAYLOAD_MAGIC = b"K1SIMPL\x01"
_PAYLOAD = struct.Struct("<8sIII")


class ImageError(BadRequest):
    """The bytes are not the image they should be; names the first fault found."""


@dataclass(frozen=True)
class AppDescriptor:
    """What an application says of itself (``esp_app_desc_t``). Texts are cut at 31 or 15 bytes."""

    version: str
    project_name: str
    time: str = ""
    date: str = ""
    idf_ver: str = ""
    app_elf_sha256: bytes = bytes(32)
    secure_version: int = 0
    magic: int = DESCRIPTOR_MAGIC

    def pack(self) -> bytes:
        """The 256 bytes as they stand at the start of the first segment."""
        return _DESCRIPTOR.pack(
            self.magic,
            self.secure_version,
            bytes(8),
            _text(self.version, 32),
            _text(self.project_name, 32),
            _text(self.time, 16),
            _text(self.date, 16),
            _text(self.idf_ver, 32),
            self.app_elf_sha256,
            bytes(80),
        )

    @staticmethod
    def unpack(data: bytes) -> AppDescriptor | None:
        """Reads a descriptor; None when ``data`` does not start with one."""
        if len(data) < DESCRIPTOR_BYTES or int.from_bytes(data[:4], "little") != DESCRIPTOR_MAGIC:
            return None
        magic, secure, _, version, project, time, date, idf, sha, _ = _DESCRIPTOR.unpack_from(data)
        return AppDescriptor(_word(version), _word(project), _word(time), _word(date), _word(idf), sha, secure, magic)


@dataclass(frozen=True)
class Segment:
    """One block of an image and the chip address it belongs to."""

    load_addr: int
    data: bytes


@dataclass(frozen=True)
class EspImage:
    """A parsed image.

    Attributes:
        entry: address of the first instruction.
        segments: in file order.
        chip_id: 9 for the ESP32-S3.
        flash_mode: ``qio``, ``qout``, ``dio`` or ``dout``.
        flash_size: such as ``4MB``.
        hash_appended: whether a SHA-256 trailer follows the checksum.
        sha256: that trailer (32 bytes), checked; all zero without one.
        descriptor: the application descriptor, None for a boot loader.
        length: bytes of the image in the file, trailer included; more may follow.
    """

    entry: int
    segments: tuple[Segment, ...]
    chip_id: int
    flash_mode: str
    flash_size: str
    hash_appended: bool
    sha256: bytes
    descriptor: AppDescriptor | None
    length: int


@dataclass(frozen=True)
class SimPayload:
    """The host program inside a ``k1-sim`` image.

    Attributes:
        arch: machine and system it runs on, such as ``x86_64-linux``.
        elf: the executable file.
        cost_table: cycle costs of its basic blocks (``firmware/tools/cost_table.py``).
    """

    arch: str
    elf: bytes
    cost_table: bytes


def parse_image(data: bytes) -> EspImage:
    """Parses and checks an image at the start of ``data`` (a file, or a whole flash slot).

    Raises:
        ImageError: naming the first fault: magic, truncated, checksum or hash.
    """
    if len(data) < _HEADER.size:
        raise ImageError("image is truncated", expected=f"{_HEADER.size} bytes of header", got=f"{len(data)} bytes")
    magic, count, mode, size_freq, entry, _, _, chip, _, _, _, _, hash_flag = _HEADER.unpack_from(data)
    if magic != IMAGE_MAGIC:
        raise ImageError("not an image: wrong magic byte", expected="0xe9", got=f"0x{magic:02x}")
    if not 1 <= count <= MAX_SEGMENTS:
        raise ImageError("bad segment count in the image header", expected=f"1 to {MAX_SEGMENTS}", got=str(count))
    segments, position = _parse_segments(data, count)
    end = (position | 15) + 1
    if len(data) < end + (32 if hash_flag else 0):
        raise ImageError("image is truncated", expected=f"{end + 32} bytes", got=f"{len(data)} bytes")
    _check(segments, data[end - 1])
    trailer = bytes(32)
    if hash_flag:
        trailer = bytes(data[end : end + 32])
        digest = hashlib.sha256(data[:end]).digest()
        if digest != trailer:
            raise ImageError("image hash does not match", expected=trailer.hex(), got=digest.hex())
    descriptor = AppDescriptor.unpack(segments[0].data) if _mapped(segments[0].load_addr) else None
    return EspImage(
        entry,
        tuple(segments),
        chip,
        _MODE_NAMES.get(mode, f"mode {mode}"),
        _SIZE_NAMES.get(size_freq >> 4, f"size {size_freq >> 4}"),
        bool(hash_flag),
        trailer,
        descriptor,
        end + (32 if hash_flag else 0),
    )


def build_image(
    segments: list[Segment],
    entry: int,
    *,
    chip_id: int = CHIP_ID_ESP32S3,
    flash_mode: str = "dio",
    flash_size: str = "4MB",
) -> bytes:
    """Builds an image with checksum and SHA-256 trailer. Flash runs at 80 MHz.

    Args:
        segments: in file order; data is padded to whole words. Flash-mapped ones must fall on their 64 KiB phase by
            themselves (the first one at ``DROM_BASE`` always does).
        entry: address of the first instruction.
        chip_id: 9 for the ESP32-S3.
        flash_mode: key of ``FLASH_MODES``.
        flash_size: key of ``FLASH_SIZES``.

    Raises:
        ImageError: a segment that the boot loader could not map, or too many of them.
    """
    if not 1 <= len(segments) <= MAX_SEGMENTS:
        raise ImageError("bad segment count", expected=f"1 to {MAX_SEGMENTS}", got=str(len(segments)))
    size_freq = FLASH_SIZES[flash_size] << 4 | _FREQUENCY_80_MHZ
    out = bytearray(
        _HEADER.pack(
            IMAGE_MAGIC, len(segments), FLASH_MODES[flash_mode], size_freq, entry,
            0xEE, bytes(3), chip_id, 0, 0, 0xFFFF, bytes(4), 1,
        )
    )  # fmt: skip
    checksum = _CHECKSUM_SEED
    for segment in segments:
        body = segment.data + bytes(-len(segment.data) % 4)
        out += _SEGMENT.pack(segment.load_addr, len(body))
        if _mapped(segment.load_addr) and (len(out) - segment.load_addr) % _PAGE:
            raise ImageError(
                "flash-mapped segment is out of phase",
                expected=f"file offset = 0x{segment.load_addr % _PAGE:x} modulo 64 KiB",
                got=f"0x{len(out):x}",
            )
        out += body
        checksum ^= _xor(body)
    out += bytes((len(out) | 15) - len(out))
    out.append(checksum)
    return bytes(out) + hashlib.sha256(out).digest()


def pack_payload(payload: SimPayload) -> bytes:
    """The container that follows the descriptor in the first segment of a ``k1-sim`` image."""
    arch = payload.arch.encode("ascii")
    head = _PAYLOAD.pack(_PAYLOAD_MAGIC, len(arch), len(payload.elf), len(payload.cost_table))
    return head + arch + payload.elf + payload.cost_table


def unpack_payload(segment_data: bytes) -> SimPayload | None:
    """The host program in the bytes after the descriptor; None when they hold none, as in an image for the chip.

    Raises:
        ImageError: the container's lengths do not fit the segment.
    """
    if len(segment_data) < _PAYLOAD.size or segment_data[:8] != _PAYLOAD_MAGIC:
        return None
    _, arch_bytes, elf_bytes, cost_bytes = _PAYLOAD.unpack_from(segment_data)
    arch_end = _PAYLOAD.size + arch_bytes
    elf_end = arch_end + elf_bytes
    cost_end = elf_end + cost_bytes
    if arch_bytes > 64 or cost_end > len(segment_data):
        raise ImageError(
            "host program in the image is truncated", expected=f"{cost_end} bytes", got=f"{len(segment_data)} bytes"
        )
    arch = segment_data[_PAYLOAD.size : arch_end].decode("ascii", "replace")
    return SimPayload(arch, bytes(segment_data[arch_end:elf_end]), bytes(segment_data[elf_end:cost_end]))


def host_arch() -> str:
    """Machine and system of this host, as in :attr:`SimPayload.arch`: ``x86_64-linux``, ``arm64-darwin``."""
    return f"{platform.machine()}-{platform.system()}".lower()


def payload_of(image: EspImage) -> SimPayload | None:
    """The host program of an image; None when it is not a ``k1-sim`` image."""
    if image.descriptor is None or image.descriptor.project_name != SIM_PROJECT:
        return None
    return unpack_payload(image.segments[0].data[DESCRIPTOR_BYTES:])


def _parse_segments(data: bytes, count: int) -> tuple[list[Segment], int]:
    segments: list[Segment] = []
    position = _HEADER.size
    for index in range(count):
        if position + _SEGMENT.size > len(data):
            raise ImageError("image is truncated", expected=f"header of segment {index}", got=f"{len(data)} bytes")
        address, length = _SEGMENT.unpack_from(data, position)
        position += _SEGMENT.size
        if length % 4 or position + length > len(data):
            raise ImageError(
                f"image is truncated or segment {index} has a bad length",
                expected=f"{length} bytes from offset {position}",
                got=f"{len(data)} bytes in all",
            )
        segments.append(Segment(address, bytes(data[position : position + length])))
        position += length
    return segments, position


def _check(segments: list[Segment], stored: int) -> None:
    checksum = _CHECKSUM_SEED
    for segment in segments:
        checksum ^= _xor(segment.data)
    if checksum != stored:
        raise ImageError("image checksum does not match", expected=f"0x{stored:02x}", got=f"0x{checksum:02x}")


def _xor(data: bytes) -> int:
    """XOR of all bytes, by halving: fast without NumPy."""
    value = int.from_bytes(data, "little")
    width = max(1, len(data))
    while width > 1:
        half = (width + 1) // 2
        value = (value >> (8 * half)) ^ (value & ((1 << (8 * half)) - 1))
        width = half
    return value


def _mapped(address: int) -> bool:
    return any(low <= address < high for low, high in (DROM_RANGE, IROM_RANGE))


def _text(text: str, size: int) -> bytes:
    return text.encode("utf-8")[: size - 1].ljust(size, b"\0")


def _word(field: bytes) -> str:
    return field.split(b"\0", 1)[0].decode("utf-8", "replace")
