"""The suite as others run it: with the oldest pytest it promises to work with, and in workers of pytest-xdist."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OLDEST = "8.4.2"  # the last of the 8.4 line
FEW = "test_identity or test_ramp or (test_patterns and lava)"

# A plugin that counts how often PlatformIO is asked to build: its own environment is held to a list.
_COUNTING = """
import pathlib
import subprocess

plain = subprocess.Popen.__init__


def noted(self, args, *more, **named):
    if "platformio" in args:
        with (pathlib.Path(__file__).parent / "builds").open("a") as file:
            file.write("build\\n")
    plain(self, args, *more, **named)


subprocess.Popen.__init__ = noted
"""

# A test as pytest-embedded's users write it: nothing of ours but the name of the rig on the command line.
_FOREIGN = r"""
import pexpect
import pytest


def test_answers(dut):
    dut.write("id\n")
    match = dut.expect(r"\$K1ID,1,k1-sim,([\d.]+),", timeout=10)
    assert match.group(1).decode()
    dut.write("reboot\n")
    dut.expect_exact("=== K1.reinvented Starting ===", timeout=10)
    dut.expect(["never to be seen", r"Ready!"], timeout=10)


def test_waits_no_longer_than_told(dut):
    with pytest.raises(pexpect.TIMEOUT):
        dut.expect_exact("never to be seen", timeout=2)
"""


def run(python: Path | str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "K1HIL_"))}
    return subprocess.run(
        [str(python), "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT, env={**clean, **environment}, capture_output=True, text=True, timeout=280, check=False,
    )  # fmt: skip


def oldest_pytest() -> Path:
    """Interpreter of an environment with this one's packages but the oldest pytest; kept in ``.cache``."""
    folder = ROOT / ".cache" / f"pytest-{OLDEST}"
    python = folder / "bin" / "python"
    complete = folder / "complete"
    if not complete.exists():
        venv.EnvBuilder(with_pip=True, clear=True).create(folder)
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps"]
        done = subprocess.run(
            [*command, f"pytest=={OLDEST}"], capture_output=True, text=True, timeout=300, check=False
        )
        if done.returncode:
            why = f"pytest {OLDEST} cannot be installed: {done.stderr.strip()[-300:]}"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
        (site,) = folder.glob("lib/python*/site-packages")
        # Searched after the folder's own packages, so that only pytest differs.
        (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        complete.touch()
    return python


def test_oldest_pytest(tmp_path: Path) -> None:
    done = run(oldest_pytest(), "tests_hil", "--rig", "sim", "-k", FEW, "--reports", str(tmp_path))
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert f"pytest-{OLDEST}" in done.stdout
    document = json.loads((tmp_path / "latest" / "metrics.json").read_text())
    assert len(document["tests"]) >= 10 and {t["outcome"] for t in document["tests"]} == {"passed"}
    assert (tmp_path / "latest" / "report.html").stat().st_size > 10_000


def test_two_workers_one_build_one_rig(tmp_path: Path) -> None:
    counting = tmp_path / "counting"
    counting.mkdir()
    (counting / "count_builds.py").write_text(_COUNTING)
    reports = tmp_path / "reports"
    done = run(
        sys.executable, "tests_hil", "--rig", "sim", "-n", "2", "-v", "-k", FEW, "--reports", str(reports),
        "-p", "count_builds", PYTHONPATH=str(counting),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert (counting / "builds").read_text().count("build") == 1
    passed = re.findall(r"\[(gw\d)\] .*PASSED", done.stdout)
    assert len(passed) >= 10 and len(set(passed)) == 1, "one rig, one worker"
    document = json.loads((reports / "latest" / "metrics.json").read_text())
    assert len(document["tests"]) == len(passed) and document["metrics"]
    assert document["firmware"]["mac"], "what a worker learned reaches the controller"


def test_foreign_tests_run_unchanged(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["harness.plugin"]\n')
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -p no:conductor-agents-testing\n")
    (tmp_path / "test_foreign.py").write_text(_FOREIGN)
    done = run(
        sys.executable, str(tmp_path), "--rootdir", str(tmp_path), "-c", str(tmp_path / "pytest.ini"),
        "--rig", "sim", "--reports", str(tmp_path / "reports"), PYTHONPATH=str(ROOT),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert "2 passed" in done.stdout
