"""A firmware build as the flasher needs it: the image, its three companions and its manifest."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import BadRequest
from harness.wire.image import CHIP_ID_ESP32S3, SIM_PROJECT, EspImage, ImageError, parse_image

OFFSET_BOOTLOADER = 0x0
OFFSET_PARTITIONS = 0x8000
OFFSET_OTADATA = 0xE000
OFFSET_APP = 0x10000
MAX_IMAGE_BYTES = 16 << 20
MAX_MANIFEST_BYTES = 1 << 20
MANIFEST = "firmware.manifest.json"


@dataclass(frozen=True)
class FirmwareBundle:
    """One firmware build.

    Attributes:
        path, bootloader, partitions, otadata: files on disk.
        image: the parsed application image.
        manifest: what the build says of itself (patterns, params, version …); empty when there is no manifest.
    """

    path: Path
    bootloader: Path
    partitions: Path
    otadata: Path
    image: EspImage
    manifest: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """SHA-256 trailer of the image, 64 hex digits: what the device reports when it runs this build."""
        return self.image.sha256.hex()

    @property
    def version(self) -> str:
        """Version from the application descriptor."""
        return self.image.descriptor.version if self.image.descriptor else ""

    @property
    def project(self) -> str:
        """Project name from the application descriptor."""
        return self.image.descriptor.project_name if self.image.descriptor else ""

    @property
    def is_sim(self) -> bool:
        """Built for the virtual board: its payload is a program of the host."""
        return self.project == SIM_PROJECT

    @property
    def patterns(self) -> list[dict[str, Any]]:
        """Patterns from the manifest: index, id, name, description, audio_reactive, raw."""
        return list(self.manifest.get("patterns", []))

    @property
    def params(self) -> list[dict[str, Any]]:
        """Parameters from the manifest: name, min, max, default, step, kind."""
        return list(self.manifest.get("params", []))

    def flash_files(self) -> list[tuple[int, Path]]:
        """(offset, file) pairs.

        The initial otadata makes the boot loader choose app0, whatever an OTA update left behind.
        """
        return [
            (OFFSET_BOOTLOADER, self.bootloader),
            (OFFSET_PARTITIONS, self.partitions),
            (OFFSET_OTADATA, self.otadata),
            (OFFSET_APP, self.path),
        ]

    @staticmethod
    def load(path: Path) -> FirmwareBundle:
        """Reads ``firmware.bin`` (or the folder that holds it) and its siblings.

        Raises:
            BadRequest: a file is missing, or the image is not a sound ESP32-S3 application image.
        """
        path = Path(path)
        if path.is_dir():
            path = path / "firmware.bin"
        siblings = {name: path.parent / name for name in ("bootloader.bin", "partitions.bin", "boot_app0.bin")}
        for file in (path, *siblings.values()):
            if not file.is_file():
                raise BadRequest(
                    f"firmware file {file} is missing", remedy="build it: k1hil build (or pio run -e sim in firmware/)"
                )
            if file.stat().st_size > MAX_IMAGE_BYTES:
                raise BadRequest(f"{file} is too large for a firmware file", got=f"{file.stat().st_size} bytes")
        try:
            image = parse_image(path.read_bytes())
        except ImageError as fault:
            fault.evidence = str(path)
            fault.remedy = "nothing was flashed; build it anew (k1hil build) or copy the file again"
            raise
        if image.chip_id != CHIP_ID_ESP32S3:
            raise BadRequest(
                f"{path} is not built for the ESP32-S3", expected=f"chip id {CHIP_ID_ESP32S3}", got=str(image.chip_id)
            )
        if not image.hash_appended:
            raise BadRequest(
                f"{path} has no SHA-256 trailer", remedy="build with the hash appended (esptool elf2image default)"
            )
        manifest = _read_manifest(path.parent / MANIFEST, image)
        return FirmwareBundle(
            path, siblings["bootloader.bin"], siblings["partitions.bin"], siblings["boot_app0.bin"], image, manifest
        )

    def to_json(self) -> dict[str, Any]:
        """Plain values for listings and reports."""
        digest = hashlib.sha256(self.path.read_bytes()).hexdigest()
        return {
            "path": str(self.path), "project": self.project, "version": self.version, "sha256": self.sha256,
            "file_sha256": digest, "bytes": self.path.stat().st_size, "patterns": [p.get("id") for p in self.patterns],
        }  # fmt: skip


# The first field names an entry.
_PATTERN: dict[str, tuple[type, ...]] = {
    "id": (str,), "audio_reactive": (bool,), "index": (int,), "raw": (bool,), "description": (str,),
}  # fmt: skip
_PARAM: dict[str, tuple[type, ...]] = {
    "name": (str,), "min": (int, float, bool), "max": (int, float, bool), "default": (int, float, bool),
}  # fmt: skip
_OPTIONAL = {"index", "raw", "description"}


def _read_manifest(path: Path, image: EspImage) -> dict[str, Any]:
    if not path.is_file():
        return {}
    if path.stat().st_size > MAX_MANIFEST_BYTES:
        raise BadRequest(f"{path} is too large for a manifest")
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadRequest(f"{path} is not JSON", got=str(error), remedy="build the firmware again") from error
    if not isinstance(manifest, dict) or manifest.get("schema") != 1:
        raise BadRequest(f"{path} is not a manifest of schema 1", remedy="build the firmware again")
    if str(manifest.get("sha256", "")).lower() != image.sha256.hex():
        raise BadRequest(
            f"{path} belongs to another image",
            expected=image.sha256.hex(),
            got=str(manifest.get("sha256")),
            remedy="build the firmware again; never copy a manifest beside another firmware.bin",
        )
    for table, fields in (("patterns", _PATTERN), ("params", _PARAM)):
        _check_table(path, manifest, table, fields)
    return manifest


def _check_table(path: Path, manifest: dict[str, Any], table: str, fields: dict[str, tuple[type, ...]]) -> None:
    """Refuses entries that nobody could use, by file and key; a name twice would make two tests of one name."""
    rows = manifest.get(table, [])
    key = next(iter(fields))

    def wrong(where: str, expected: str, got: object) -> BadRequest:
        return BadRequest(f"{path}: {where}", expected=expected, got=repr(got)[:80], remedy="build the firmware again")

    if not isinstance(rows, list):
        raise wrong(table, "a list", rows)
    for i, row in enumerate(rows):
        if not isinstance(row, dict):
            raise wrong(f"{table}[{i}]", "an object", row)
        for name, kinds in fields.items():
            value = row.get(name)
            if name in _OPTIONAL and name not in row:
                continue
            if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds) or (
                value == "" and name == key
            ):
                raise wrong(f"{table}[{i}].{name}", " or ".join(k.__name__ for k in kinds), value)
    names = [row[key] for row in rows]
    if len(set(names)) != len(names):
        raise wrong(f"{table}[].{key}", "no name twice", sorted(n for n in set(names) if names.count(n) > 1))
