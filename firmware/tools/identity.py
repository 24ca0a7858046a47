"""Who a build is: version, commit and its time. Reproducible: the same source gives the same words.

As a module it gives macros for ``core/build_info.cpp``, and only that file, so that a commit rebuilds one object.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parents[1]
INFO_FILE = "core/build_info.cpp"
UNKNOWN_TIME = "1970-01-01T00:00:00Z"


@dataclass(frozen=True)
class Identity:
    """``commit``: 7 hex digits of the last commit that touched the firmware, ``+`` when changed since; and its time."""

    version: str
    commit: str
    build_time: str

    def macros(self, project: str, hil: bool) -> dict[str, str]:
        """Preprocessor definitions; quotes are escaped for the shell that SCons starts the compiler with."""
        texts = {
            "K1_PROJECT": project,
            "K1_VERSION": self.version,
            "K1_GIT_COMMIT": self.commit,
            "K1_BUILD_TIME": self.build_time,
        }
        return {**{name: f'\\"{text}\\"' for name, text in texts.items()}, "K1_HIL": str(int(hil))}


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def identity(folder: Path = FIRMWARE) -> Identity:
    """Reads ``VERSION`` and git. Outside git, or before the first commit: ``unknown`` and the epoch."""
    version = (folder / "VERSION").read_text(encoding="ascii").strip()
    last = _git(folder, "log", "-1", "--format=%H %ct", "--", ".")
    if not last:
        return Identity(version, "unknown", UNKNOWN_TIME)
    commit, seconds = last.split()
    dirty = "+" if _git(folder, "status", "--porcelain", "--", ".") else ""
    when = datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Identity(version, commit[:7] + dirty, when)
