"""The suite on rig sim with lines of its own in the rig file, as a program of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def rig_with(folder: Path, lines: str) -> Path:
    """A folder of rig files: sim's, with these lines before its own, and its camera's calibration."""
    rigs = folder / "rigs"
    rigs.mkdir()
    (rigs / "sim.toml").write_text(lines + (ROOT / "rigs" / "sim.toml").read_text())
    shutil.copyfile(ROOT / "rigs" / "sim.camera.json", rigs / "sim.camera.json")
    return rigs


def good(rigs: Path, *words: str) -> None:
    """Runs ``python -m …`` on that rig; it must end well."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "K1HIL_"))}
    command = [sys.executable, "-m", *words, "--rig", "sim", "--rig-dir", str(rigs)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


def suite(rigs: Path, chosen: str, *more: str) -> Path:
    """Runs a part of the suite that must be green; its folder."""
    reports = rigs.with_name("reports")
    good(rigs, "pytest", "tests_hil", "-q", "-p", "no:cacheprovider", "-k", chosen, "--reports", str(reports), *more)
    return reports / "latest"
