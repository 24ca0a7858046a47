"""Gates of a whole project that need no build: a clean tree, tidy text, and a linter where the project has one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Literal

Result = tuple[Literal["passed", "failed", "unavailable"], str, str]  # status, limit, got
SOURCES = (".c", ".cc", ".cpp", ".cxx", ".h", ".hh", ".hpp", ".inc", ".ino", ".py")
SKIPPED = {".pio", ".git", ".venv", "node_modules", "__pycache__"}
_TIMEOUT_S = 120.0


def tree_gate(project: Path) -> Result:
    """No uncommitted change below the project."""
    limit = "no uncommitted change"
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = _run(["git", "-C", str(project), "status", "--porcelain", "--", "."], env=quiet)
    if done is None or done.returncode != 0:
        return "unavailable", limit, "not a git checkout"
    changed = done.stdout.splitlines()
    return ("passed", limit, "none") if not changed else ("failed", limit, f"{len(changed)}; the first: {changed[0]}")


def format_gate(project: Path) -> Result:
    """No trailing blanks, no CR, a newline at every end; and clang-format's opinion where the project has a style."""
    limit = "tidy text"
    files = sources(project)
    untidy = [f"{path.relative_to(project)}: {fault}" for path in files if (fault := _untidy(path.read_bytes()))]
    if untidy:
        return "failed", limit, f"{len(untidy)} files; the first: {untidy[0]}"
    if _upwards(project, ".clang-format") is None:
        return "passed", limit, f"{len(files)} files"
    tool = shutil.which("clang-format")
    if tool is None:
        return "unavailable", limit, "the project has a .clang-format, this computer no clang-format"
    code = [str(p) for p in files if p.suffix != ".py"]
    done = _run([tool, "--dry-run", "-Werror", *code])
    if done is None or done.returncode != 0:
        words = done.stderr.splitlines()[:1] if done is not None else ["clang-format did not end"]
        return "failed", limit, "; ".join(words)
    return "passed", limit, f"{len(files)} files, as .clang-format says"


def lint_gate(project: Path) -> Result:
    """Ruff on the project's Python files, with the project's own rules."""
    limit = "no finding"
    files = [str(p) for p in sources(project) if p.suffix == ".py"]
    config = _upwards(project, "ruff.toml") or _pyproject_with_ruff(project)
    if config is None or not files:
        return "unavailable", limit, "the project has no Python rules" if files else "no Python files"
    done = _run([sys.executable, "-m", "ruff", "check", "--quiet", "--no-cache", "--output-format", "concise", *files])
    if done is None or (done.returncode != 0 and "No module named ruff" in done.stderr):
        return "unavailable", limit, "ruff is not installed"
    found = done.stdout.splitlines()
    if done.returncode != 0:
        return "failed", limit, f"{len(found)}; the first: {found[0]}" if found else done.stderr[-200:]
    return "passed", limit, f"{len(files)} files"


def sources(project: Path) -> list[Path]:
    """The project's own source files, sorted."""
    found: list[Path] = []
    for folder, names, files in os.walk(project):
        names[:] = sorted(n for n in names if n not in SKIPPED)
        found += [Path(folder) / f for f in sorted(files) if f.endswith(SOURCES)]
    return [p for p in found if not p.is_symlink()]


def _untidy(data: bytes) -> str:
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.endswith(b"\r"):
            return f"line {number} ends with CR"
        if line != line.rstrip():
            return f"line {number} ends with blanks"
    return "" if not data or data.endswith(b"\n") else "no newline at the end"


def _upwards(project: Path, name: str) -> Path | None:
    """A file of this name in the project or above it, within its checkout."""
    for folder in (project, *project.parents):
        if (folder / name).is_file():
            return folder / name
        if (folder / ".git").exists():
            break
    return None


def _pyproject_with_ruff(project: Path) -> Path | None:
    found = _upwards(project, "pyproject.toml")
    if found is None or "ruff" not in tomllib.loads(found.read_text(encoding="utf-8")).get("tool", {}):
        return None
    return found


def _run(command: list[str], env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
