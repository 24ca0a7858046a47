"""The gates a firmware passes before it goes anywhere: tree, style, a fresh build of every environment, warnings, size
and identity. Works on this firmware and on any PlatformIO project.

A gate that cannot be tried here (a platform or a tool is absent) is ``unavailable``: neither passed nor failed. What
ships is another matter: an image whose size nobody knows does not pass.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from harness.errors import BadRequest
from harness.pipeline.build import BuildFailed, compile_project, pio_environment, project_root
from harness.pipeline.compiler_output import first_error, warnings
from harness.pipeline.project_gates import format_gate, lint_gate, tree_gate
from harness.pipeline.sizes import measure
from harness.wire.image import ImageError, parse_image

Status = Literal["passed", "failed", "unavailable"]
Tell = Callable[[str], None]
SIZES = ("flash", "ram")


@dataclass(frozen=True)
class Limits:
    """What is demanded. Percent of the slot, percent of RAM taken before the start, number of warnings, and whether
    uncommitted changes are refused. 70 % of RAM leaves some 96 KiB for heap, network and tasks."""

    flash_percent: float = 70.0
    ram_percent: float = 70.0
    warnings: int = 0
    clean_tree: bool = True


@dataclass(frozen=True)
class Gate:
    """One gate: ``environment`` is "" for those of the whole project; ``value`` is its number, if it has one."""

    name: str
    status: Status
    limit: str
    got: str
    environment: str = ""
    value: float | None = None


@dataclass
class Validation:
    """All gates, and who each build is: ``version``, ``commit``, ``sha256`` and ``bytes`` by environment."""

    gates: list[Gate] = field(default_factory=list)
    builds: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """No gate failed, at least one environment was built, and the sizes of every image are known."""
        return bool(self.builds) and not self._bad()

    @property
    def why(self) -> str:
        """The failed gates in one line, and the sizes that nothing tells."""
        bad = (f"{g.name} {g.environment}".strip() + f": {g.got}" for g in self._bad())
        return "; ".join(bad) or ("" if self.builds else "no environment could be built here")

    def _bad(self) -> list[Gate]:
        """What speaks against it. An environment that leaves no image (a program for this computer) has no sizes."""
        ships = {env for env, who in self.builds.items() if who}
        unknown = [g for g in self.gates if g.name in SIZES and g.status == "unavailable" and g.environment in ships]
        return [g for g in self.gates if g.status == "failed" or g in unknown]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        gates = [asdict(g) for g in self.gates]
        return {"passed": self.passed, "why": self.why, "gates": gates, "builds": self.builds}


def validate(
    project: Path | None = None,
    environments: Sequence[str] = (),
    limits: Limits | None = None,
    *,
    jobs: int = 2,
    output: Path | None = None,
    tell: Tell | None = None,
    cancel: threading.Event | None = None,
) -> Validation:
    """Holds a project against every gate.

    Args:
        project: folder with ``platformio.ini``; default this firmware.
        environments: to build; default all of the project.
        limits: what is demanded.
        jobs: compiler processes.
        output: folder that keeps the builds, ``ENV/firmware.bin`` …; default they are thrown away.
        tell: gets each line of output.
        cancel: ends the build when set.

    Raises:
        BadRequest: not a PlatformIO project, or an unknown environment.
        Cancelled: ``cancel`` was set.
    """
    limits = limits or Limits()
    project = (project or project_root() / "firmware").resolve()
    environ, platforms = _known(project, environments)
    found = Validation()
    if limits.clean_tree:
        found.gates.append(Gate("clean tree", *tree_gate(project)))
    found.gates += style_gates(project)
    with tempfile.TemporaryDirectory(prefix="k1hil-build-") as work:
        build = _Build(project, output or Path(work), environ, limits, jobs, tell, cancel)
        _build_all(build, {env: platforms[env] for env in environments or platforms}, found)
    return found


def style_gates(project: Path) -> list[Gate]:
    """The gates that need no build: format and lint."""
    return [Gate("format", *format_gate(project)), Gate("lint", *lint_gate(project))]


def build_gates(
    project: Path, environments: Sequence[str], output: Path, limits: Limits | None = None, *, jobs: int = 2,
    tell: Tell | None = None, cancel: threading.Event | None = None,
) -> Validation:  # fmt: skip
    """As :func:`validate`, but only builds, into ``output``, and judges those."""
    project = project.resolve()
    environ, platforms = _known(project, environments)
    found = Validation()
    build = _Build(project, output, environ, limits or Limits(), jobs, tell, cancel)
    _build_all(build, {env: platforms[env] for env in environments or platforms}, found)
    return found


def environments_of(project: Path) -> list[str]:
    """Names of all environments of a PlatformIO project.

    Raises:
        BadRequest: it is none.
    """
    return list(_known(project.resolve(), ())[1])


def _known(project: Path, environments: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """PlatformIO's environment variables, and the platform of each environment of the project."""
    environ = pio_environment(project.parent if (project.parent / ".pio-core").is_dir() else project_root())
    platforms = _environments(project, environ)
    unknown = [e for e in environments if e not in platforms]
    if unknown:
        raise BadRequest(f"unknown environment '{unknown[0]}'", expected=", ".join(platforms))
    return environ, platforms


def _build_all(build: _Build, platforms: dict[str, str], found: Validation) -> None:
    for env, platform in platforms.items():
        where = _platform_missing(platform, build.project, build.environ)
        if where:
            found.gates.append(Gate("build", "unavailable", "builds", where, env))
        else:
            build.run(env, found)


def _environments(project: Path, environ: dict[str, str]) -> dict[str, str]:
    """Name to platform of every environment."""
    if not (project / "platformio.ini").is_file():
        raise BadRequest(f"{project} is no PlatformIO project", expected="platformio.ini in it")
    command = [sys.executable, "-m", "platformio", "project", "config", "-d", str(project), "--json-output"]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)
    try:
        sections = {str(name): dict(options) for name, options in json.loads(done.stdout)}
    except ValueError as error:
        words = (done.stderr or done.stdout)[-300:]
        raise BadRequest(f"{project / 'platformio.ini'} cannot be read", got=words) from error
    return {n[4:]: str(o.get("platform", "")) for n, o in sections.items() if n.startswith("env:")}


def _platform_missing(platform: str, project: Path, environ: dict[str, str]) -> str:
    """Why a platform cannot be used without a download; "" when it can."""
    name, _, version = platform.rpartition("/")[2].partition("@") if "://" not in platform else (platform, "", "")
    local = platform.removeprefix("symlink://").removeprefix("file://")
    if local.startswith((".", "/")):
        return "" if (project / local / "platform.json").is_file() else f"no platform in {local}"
    for folder in sorted((Path(environ["PLATFORMIO_CORE_DIR"]) / "platforms").glob("*/platform.json")):
        if folder.parent.name.partition("@")[0] != name.strip():
            continue
        there = str(json.loads(folder.read_text(encoding="utf-8")).get("version", ""))
        if version.strip()[:1].isdigit() is False or there == version.strip():
            return ""
    return f"platform {platform or '(none named)'} is not installed here"


@dataclass
class _Build:
    """Fresh builds: a folder of their own, so that every file is compiled and every warning seen."""

    project: Path
    folder: Path
    environ: dict[str, str]
    limits: Limits
    jobs: int
    tell: Tell | None
    cancel: threading.Event | None

    def run(self, env: str, found: Validation) -> None:
        environ = {**self.environ, "PLATFORMIO_BUILD_DIR": str(self.folder)}
        command = [sys.executable, "-m", "platformio", "run", "-d", str(self.project), "-e", env, "-j", str(self.jobs)]
        try:
            lines = compile_project(command, environ, tell=self.tell, cancel=self.cancel)
        except BuildFailed as failed:
            found.gates.append(Gate("build", "failed", "builds", first_error(failed.lines), env))
            self._warnings(env, failed.lines, found)
            return
        found.gates.append(Gate("build", "passed", "builds", "built", env))
        self._warnings(env, lines, found)
        self._sizes(env, lines, found)
        self._identity(env, found)

    def _warnings(self, env: str, lines: list[str], found: Validation) -> None:
        seen = warnings(lines)
        status: Status = "passed" if len(seen) <= self.limits.warnings else "failed"
        got = f"{len(seen)}{'; the first: ' + seen[0] if seen else ''}"
        found.gates.append(Gate("warnings", status, f"at most {self.limits.warnings}", got, env, float(len(seen))))

    def _sizes(self, env: str, lines: list[str], found: Validation) -> None:
        sizes = measure(lines, self.folder / env)
        for what, most in (("Flash", self.limits.flash_percent), ("RAM", self.limits.ram_percent)):
            usage = sizes.get(what)
            limit = f"less than {most:g} %"
            if usage is None:
                found.gates.append(Gate(what.lower(), "unavailable", limit, "nothing tells it", env))
                continue
            status: Status = "passed" if usage.percent < most else "failed"
            found.gates.append(Gate(what.lower(), status, limit, str(usage), env, round(usage.percent, 2)))

    def _identity(self, env: str, found: Validation) -> None:
        image = self.folder / env / "firmware.bin"
        limit = "version, commit and SHA-256"
        if not image.is_file():
            found.gates.append(Gate("identity", "unavailable", limit, "the build leaves no firmware.bin", env))
            found.builds[env] = {}
            return
        who = _who(image, self.project)
        found.builds[env] = {"bytes": image.stat().st_size, **who}
        known = bool(who["sha256"] and who["version"] and who["commit"] not in ("", "unknown"))
        got = f"{who['version']} {who['commit']} {who['sha256'][:16]}{who['fault']}"
        found.gates.append(Gate("identity", "passed" if known else "failed", limit, got, env))


def _who(image: Path, project: Path) -> dict[str, str]:
    """Version, commit and SHA-256 of an image: by its descriptor and its manifest, else by git."""
    try:
        parsed = parse_image(image.read_bytes())
    except ImageError as error:
        return {"version": "", "commit": "", "sha256": "", "fault": f" {error.message}"}
    manifest = image.with_name("firmware.manifest.json")
    told = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
    commit = str(told.get("git", "")) or _head(project)
    version = str(told.get("version", "")) or (parsed.descriptor.version if parsed.descriptor else "")
    return {"version": version, "commit": commit, "sha256": parsed.sha256.hex(), "fault": ""}


def _head(project: Path) -> str:
    command = ["git", "-C", str(project), "rev-parse", "--short=7", "HEAD"]
    quiet = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    done = subprocess.run(command, env=quiet, capture_output=True, text=True, timeout=20, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
