"""The same seed gives the same recording, byte by byte, in another process at another time; another seed does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.pipeline.build import build

ROOT = Path(__file__).resolve().parents[2]
FILES = ("streams.npz", "console.txt", "audio.flac", "recording.json")

RECORD = """
import sys
from pathlib import Path
from harness.rig import FirmwareBundle, open_rig
from harness.signals import four_on_floor
folder, firmware, seed = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
with open_rig("sim", folder=folder, seed=seed) as rig:
    rig.flash(FirmwareBundle.load(firmware))
    rig.api.info()
    rig.record(four_on_floor(120.0, 3.0), 3.0, pattern="bloom").save(folder / "recording")
"""


@pytest.fixture(scope="module")
def firmware() -> Path:
    return build("sim").path


def record(folder: Path, firmware: Path, seed: int, **environment: str) -> dict[str, bytes]:
    """Files of a recording made by a process of its own, and its console log without what flashing left there."""
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", RECORD, str(folder), str(firmware), str(seed)],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    files = {name: (folder / "recording" / name).read_bytes() for name in FILES}
    log = (folder / "console.log").read_bytes()
    return files | {"console.log": log[log.index(b"=== K1.reinvented Starting ===") :]}


def test_two_processes_one_seed(firmware: Path, tmp_path: Path) -> None:
    seed = int.from_bytes(os.urandom(6), "big")
    print(f"seed {seed}")
    one = record(tmp_path / "one", firmware, seed, PYTHONHASHSEED="1")
    two = record(tmp_path / "two", firmware, seed, PYTHONHASHSEED="2")
    other = record(tmp_path / "other", firmware, seed + 1)
    for name in one:
        assert one[name] == two[name], f"{name} differs with seed {seed}"
    # The sound as sent is the same by intent; everything the device had a part in is not.
    assert one["audio.flac"] == other["audio.flac"]
    for name in ("streams.npz", "console.txt", "recording.json", "console.log"):
        assert one[name] != other[name], name
    told = json.loads(one["recording.json"])["meta"]
    assert told["seed"] == seed and told["lost_sentences"] == 0
