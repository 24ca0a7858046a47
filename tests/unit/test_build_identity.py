"""Who a build says it is: from git and the VERSION file, and the same for the same source."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "firmware" / "tools"))
from identity import UNKNOWN_TIME, Identity, identity  # noqa: E402


def git(folder: Path, *arguments: str) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, timeout=20)


def project(folder: Path) -> Path:
    firmware = folder / "firmware"
    firmware.mkdir()
    (firmware / "VERSION").write_text("2.3.4\n")
    return firmware


def test_outside_git(tmp_path: Path) -> None:
    assert identity(project(tmp_path)) == Identity("2.3.4", "unknown", UNKNOWN_TIME)


def test_commit_and_changes(tmp_path: Path) -> None:
    firmware = project(tmp_path)
    git(tmp_path, "init", "-q")
    assert identity(firmware).commit == "unknown"  # no commit yet
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one", "--date", "2026-01-02T03:04:05Z")
    clean = identity(firmware)
    assert len(clean.commit) == 7 and clean.version == "2.3.4"
    assert clean.build_time.endswith("Z") and clean.build_time != UNKNOWN_TIME
    (tmp_path / "README").write_text("elsewhere")
    assert identity(firmware) == clean  # what lies beside the firmware does not change it
    (firmware / "VERSION").write_text("2.3.5\n")
    assert identity(firmware) == Identity("2.3.5", clean.commit + "+", clean.build_time)


def test_macros_are_fit_for_the_compilers_command_line() -> None:
    macros = Identity("1.0.0", "abc1234+", "2026-01-02T03:04:05Z").macros("k1-sim", True)
    assert macros["K1_HIL"] == "1" and macros["K1_PROJECT"] == '\\"k1-sim\\"'
    assert set(macros) == {"K1_PROJECT", "K1_VERSION", "K1_GIT_COMMIT", "K1_BUILD_TIME", "K1_HIL"}
