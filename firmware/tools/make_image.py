"""Packs the linked host program into what is flashed: a genuine ESP32-S3 image, boot loader, tables, and a manifest.

usage: make_image.py --elf PROGRAM --stripped PROGRAM --cost TABLE --partitions CSV --out FOLDER
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parents[2])]
from cost_table import model_of  # noqa: E402
from sim_flags import toolchain  # noqa: E402

from harness.wire.image import (  # noqa: E402
    DROM_BASE,
    IRAM_BASE,
    SIM_PROJECT,
    AppDescriptor,
    Segment,
    SimPayload,
    build_image,
    host_arch,
    pack_payload,
)
from harness.wire.otadata import initial_otadata  # noqa: E402
from harness.wire.partitions import build_table, parse_csv  # noqa: E402

BOOT_IRAM = 0x403C9700  # where a second-stage boot loader is loaded
LOOP_FOREVER = b"\x06\xff\xff"  # Xtensa "j ." at the entry point: on a chip this image would do nothing at all


def app_image(payload: SimPayload, manifest: dict[str, Any], elf_sha256: bytes) -> bytes:
    """The application image: descriptor and host program as constants, one instruction as code."""
    when = datetime.strptime(manifest["build_time"], "%Y-%m-%dT%H:%M:%SZ")
    descriptor = AppDescriptor(
        version=manifest["version"],
        project_name=SIM_PROJECT,
        time=when.strftime("%H:%M:%S"),
        date=when.strftime("%b %d %Y"),
        idf_ver="virtual bench",
        app_elf_sha256=elf_sha256,
    )
    constants = Segment(DROM_BASE, descriptor.pack() + pack_payload(payload))
    return build_image([constants, Segment(IRAM_BASE, _code("host program for the virtual bench"))], IRAM_BASE)


def boot_loader() -> bytes:
    """A genuine image for offset 0. Its words tell whoever looks into it what it is."""
    return build_image([Segment(BOOT_IRAM, _code("boot loader of the virtual board"))], BOOT_IRAM)


def _code(words: str) -> bytes:
    return (LOOP_FOREVER + b"\0" + words.encode("ascii")).ljust(64, b"\0")


def _write(path: Path, data: bytes) -> None:
    new = path.with_name(path.name + ".new")
    new.write_bytes(data)
    os.replace(new, path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("elf", "stripped", "cost", "partitions", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    at = parser.parse_args()
    told = subprocess.run([str(at.stripped), "--manifest"], capture_output=True, check=True, timeout=20, env={}).stdout
    manifest = json.loads(told)
    table = at.cost.read_bytes()
    payload = SimPayload(host_arch(), at.stripped.read_bytes(), table)
    image = app_image(payload, manifest, hashlib.sha256(at.elf.read_bytes()).digest())
    manifest["sha256"] = image[-32:].hex()
    manifest["compiler"] = toolchain().text
    manifest["cost_model"] = model_of(table)
    _write(at.out / "bootloader.bin", boot_loader())
    _write(at.out / "partitions.bin", build_table(parse_csv(at.partitions.read_text(encoding="utf-8"))))
    _write(at.out / "boot_app0.bin", initial_otadata())
    _write(at.out / "firmware.manifest.json", json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n")
    _write(at.out / "firmware.bin", image)
    return 0


if __name__ == "__main__":
    sys.exit(main())
