"""The built ``sim`` image: what the real esptool, the codecs and the program inside it say must agree."""

from __future__ import annotations

import hashlib
import json
import re
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from host_child import Child

from harness.pipeline.build import build
from harness.rig.bundle import FirmwareBundle
from harness.wire.image import SIM_PROJECT, host_arch, parse_image, payload_of
from harness.wire.otadata import initial_otadata
from harness.wire.partitions import parse_csv, parse_table

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "firmware" / ".pio" / "build" / "sim"
MS = 1_000_000


@pytest.fixture(scope="module")
def bundle() -> FirmwareBundle:
    return build("sim", root=ROOT)


@pytest.fixture(scope="module")
def program(bundle: FirmwareBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program as the board takes it out of the image."""
    payload = payload_of(parse_image(bundle.path.read_bytes()))
    assert payload is not None and payload.arch == host_arch()
    folder = tmp_path_factory.mktemp("payload")
    (folder / "program").write_bytes(payload.elf)
    (folder / "program").chmod(0o755)
    (folder / "program.cost").write_bytes(payload.cost_table)
    return folder / "program"


def test_esptool_accepts_image_and_boot_loader(bundle: FirmwareBundle) -> None:
    for name, words in (("firmware.bin", "Project name: k1-sim"), ("bootloader.bin", "Chip ID: 9 (ESP32-S3)")):
        command = [sys.executable, "-m", "esptool", "--chip", "esp32s3", "image-info", str(FOLDER / name)]
        run = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 0 and words in run.stdout, run.stdout + run.stderr
        assert len(re.findall(r"\(valid\)", run.stdout)) == 2, run.stdout


def test_manifest_image_and_program_agree(bundle: FirmwareBundle, program: Path) -> None:
    data = bundle.path.read_bytes()
    image = parse_image(data)
    manifest = json.loads((FOLDER / "firmware.manifest.json").read_text())
    told = json.loads(
        subprocess.run([program, "--manifest"], capture_output=True, check=True, timeout=20, env={}).stdout
    )
    assert {key: manifest[key] for key in told} == told
    assert manifest["sha256"] == hashlib.sha256(data[:-32]).hexdigest() == image.sha256.hex()
    assert image.descriptor is not None
    assert (image.descriptor.project_name, image.descriptor.version) == (SIM_PROJECT, manifest["version"])
    assert image.descriptor.app_elf_sha256 == hashlib.sha256((FOLDER / "firmware.elf").read_bytes()).digest()
    assert len(data) < 0x1E0000
    with Child(program) as child:
        assert child.cost_model == manifest["cost_model"]


def test_tables(bundle: FirmwareBundle) -> None:
    rows = parse_table((FOLDER / "partitions.bin").read_bytes())
    assert rows == parse_csv((ROOT / "firmware" / "partitions.csv").read_text())
    otadata = (FOLDER / "boot_app0.bin").read_bytes()
    assert otadata == initial_otadata()
    # Arduino's boot_app0.bin: sequence 1, blank label and state, CRC 0x4743989A, all else erased.
    assert otadata == b"\x01\0\0\0" + b"\xff" * 24 + b"\x9a\x98\x43\x47" + b"\xff" * (8192 - 32)


def test_no_folder_of_the_builder_is_in_the_image(bundle: FirmwareBundle) -> None:
    assert str(ROOT).encode() not in bundle.path.read_bytes()


def test_the_real_core_boots_and_repeats(program: Path) -> None:
    def run(seed: int) -> tuple[bytes, str]:
        with Child(program, seed=seed) as child:
            child.microphone(0, 15_000)
            child.send(4, struct.pack("<Q", 200 * MS) + b"telemetry on\n")
            for end in range(50, 1001, 50):
                child.grant(end * MS)
            assert child.reset_reason is None
            return bytes(child.raw), child.text

    first, text = run(7)
    assert "Ready!" in text and text.count("$K1FRM,") > 100
    assert run(7)[0] == first
    assert run(8)[0] != first
