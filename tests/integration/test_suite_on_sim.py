"""The suite itself on the virtual bench: the same seed gives the same numbers, and a foreign seed others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def run_suite(reports: Path, seed: int) -> dict[str, Any]:
    """One short run; its metrics.json."""
    command = [sys.executable, "-m", "pytest", "tests_hil", "--rig", "sim", "--seed", str(seed), "-q"]
    command += ["-p", "no:cacheprovider", "-k", "octave and (frame_rate or lit or reacts)", "--reports", str(reports)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "K1HIL_"))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    document: dict[str, Any] = json.loads((reports / "latest" / "metrics.json").read_text())
    return document


def test_a_seed_repeats_a_run(tmp_path: Path) -> None:
    first, again, other = (run_suite(tmp_path / str(i), seed) for i, seed in enumerate((5, 5, 6)))
    assert len(first["metrics"]) >= 8
    assert first["metrics"] == again["metrics"]
    assert first["firmware"] == again["firmware"]
    assert first["metrics"] != other["metrics"] and first["firmware"]["mac"] != other["firmware"]["mac"]
