"""The house rules, as tests, so that `make test` is one pytest run: style, types, layers, C++ tests, portability."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """One tool, from the top of the repository, output kept."""
    return subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True, check=False)


def must_pass(done: subprocess.CompletedProcess[str]) -> None:
    """Shows the tool's own words when it fails."""
    assert done.returncode == 0, f"\n{done.stdout}\n{done.stderr}"


def test_style() -> None:
    must_pass(run(BIN / "ruff", "check", "."))


def test_types() -> None:
    must_pass(run(BIN / "mypy"))


def test_layers() -> None:
    must_pass(run(BIN / "lint-imports", "--no-logo"))


def test_installed_packages_fit_together() -> None:
    must_pass(run(sys.executable, "-m", "pip", "check", "--disable-pip-version-check"))


def test_core_in_cpp() -> None:
    must_pass(run(sys.executable, "tools/core_tests.py"))


def test_core_compiles_for_xtensa() -> None:
    done = run(sys.executable, "tools/xtensa_check.py")
    if done.returncode == 2 and not os.environ.get("CI"):
        pytest.skip(done.stderr.strip())
    must_pass(done)
