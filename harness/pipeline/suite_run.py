"""The suite in a process group of its own: pytest, never make, because its exit code says whose fault a failure was."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.baseline.history import ENV as HISTORY_ENV
from harness.errors import BadRequest
from harness.pipeline.collect import suite_folder
from harness.pipeline.process import run_group
from harness.rig.profile import profile as profile_named

Tell = Callable[[str], None]
# Time for fixtures to close the rig after an interrupt.
PATIENCE_S = 15.0
MAX_RESULT_BYTES = 64 << 20
MOST_NAMED = 20
_SELECT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_ ().\[\]-]{0,999}|\([A-Za-z0-9_ ().\[\]-]{0,999}")
_TOLD = re.compile(r"^(tests_hil/|FAILED|ERROR|[0-9]+ (passed|failed)|rig:|results:|flashing)")


@dataclass(frozen=True)
class SuiteRun:
    """How it ended.

    Attributes:
        exit_code: see ``docs/suite.md``; negative: ended by that signal.
        folder: of the run, None when it did not get so far.
        document: its ``metrics.json``; empty when there is none.
        tail: end of the output.
    """

    exit_code: int
    folder: Path | None
    document: dict[str, Any] = field(default_factory=dict)
    tail: str = ""

    @property
    def counts(self) -> dict[str, int]:
        """Tests by outcome."""
        found = Counter(str(t.get("outcome")) for t in self.document.get("tests", []))
        return {word: found.get(word, 0) for word in ("passed", "failed", "error", "skipped")}

    @property
    def verdicts(self) -> dict[str, int]:
        """Metrics by verdict."""
        found = Counter(str(v.get("word")) for v in self.document.get("verdicts", []))
        return {word: found.get(word, 0) for word in ("improved", "unchanged", "regressed", "inconclusive")}

    @property
    def failed(self) -> list[str]:
        """The first failed tests with what they said."""
        bad = [t for t in self.document.get("tests", []) if t.get("outcome") in ("failed", "error")]
        return [f"{t.get('name')}: {t.get('message')}"[:300] for t in bad[:MOST_NAMED]]

    @property
    def sha256(self) -> str:
        """The image the device said it runs; "" when it was not asked."""
        return str(dict(self.document.get("firmware") or {}).get("sha256", ""))


def run_suite(
    rig: str, rig_dir: Path, reports: Path, *, firmware: Path | None = None, flash: bool = False, select: str = "",
    profile: str = "quick", require: str = "", baseline: bool = True, timeout_s: float = 7200.0,
    tell: Tell | None = None,
) -> SuiteRun:  # fmt: skip
    """Runs ``tests_hil`` on a rig; a lease in the environment is inherited.

    Args:
        rig, rig_dir: which rig.
        reports: folder for the run.
        firmware: image (for its list of patterns); flash: bring it onto the device first.
        select: pytest's ``-k``: names, and, or, not, brackets.
        profile, require, baseline: as of the suite's options.
        timeout_s: of the whole.
        tell: gets the lines worth telling.

    Raises:
        BadRequest: an unusable selection or profile.
        HarnessFault: it did not end in time. Cancelled by whoever interrupts this process.
    """
    profile_named(profile)
    if select and not _SELECT.fullmatch(select):
        raise BadRequest("unusable selection of tests", expected="names, and, or, not, brackets", got=repr(select[:80]))
    command = [sys.executable, "-m", "pytest", "tests_hil", "--rig", rig, "--rig-dir", str(rig_dir.absolute()),
               "--profile", profile, "--reports", str(reports.absolute()), "-p", "no:cacheprovider"]  # fmt: skip
    command += ["--firmware", str(firmware.absolute())] if firmware is not None else []
    command += [] if flash else ["--no-flash"]
    command += ["-k", select] if select else []
    command += ["--require", require] if require else []
    command += [] if baseline else ["--no-baseline"]
    environment = {HISTORY_ENV: str(reports.absolute() / "history.sqlite"), **os.environ}

    def told(line: str) -> None:
        if tell is not None and _TOLD.match(line):
            tell(line)

    code, lines = run_group(
        command, cwd=suite_folder(rig_dir.absolute()), environment=environment, tell=told, timeout_s=timeout_s,
        ask=signal.SIGINT, patience_s=PATIENCE_S,
    )  # fmt: skip
    folder = _newest(reports)
    return SuiteRun(code, folder, _document(folder), "\n".join(lines[-15:])[-2000:])


def _newest(reports: Path) -> Path | None:
    runs = [p.parent for p in reports.glob("*/metrics.json") if not p.parent.is_symlink()]
    return max(runs, key=lambda p: p.name, default=None)


def _document(folder: Path | None) -> dict[str, Any]:
    if folder is None:
        return {}
    path = folder / "metrics.json"
    if path.stat().st_size > MAX_RESULT_BYTES:
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {}
