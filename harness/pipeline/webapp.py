"""Builds any npm project that has a lock file, and keeps what came out in the artifact store.

A project's scripts, and those of all it depends on, are strangers' programs. They run in a copy of the project, in a
process group with a deadline, with a home of their own, and get none of this process's environment but what finding
and reaching the registry takes: no token, key or password that stands there.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadRequest, HarnessFault, K1HilError, RigFault
from harness.pipeline.artifacts import MAX_ARTIFACT_BYTES, MAX_FILES, Artifact, ArtifactStore, unzipped, zipped
from harness.pipeline.process import run_group

Tell = Callable[[str], None]
INSTALL_LIMIT_S, BUILD_LIMIT_S = 600.0, 600.0
MAX_PROJECT_FILES, MAX_PROJECT_BYTES = 20_000, 256 << 20
MAX_MANIFEST_BYTES, MAX_LOCK_BYTES = 1 << 20, 32 << 20
# What tools write when nobody says otherwise: Vite, create-react-app, SvelteKit's static adapter, plain exports.
OUTPUTS = ("dist", "build", "out")
INDEX = "index.html"
_LEFT_OUT = {"node_modules", ".git", ".svn", ".hg"}
_PASSED_ON = (
    "PATH", "LANG", "LC_ALL", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "npm_config_registry", "NPM_CONFIG_REGISTRY",
)  # fmt: skip
_UNREACHABLE = (
    "ENOTFOUND",
    "ECONNREFUSED",
    "ECONNRESET",
    "ETIMEDOUT",
    "EAI_AGAIN",
    "ENETUNREACH",
    "ERR_SOCKET_TIMEOUT",
)
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+-]{0,31}")
_TAIL = 25


class WebBuildFailed(K1HilError):
    """The web app does not build; carries the first error and the end of the output.

    Attributes:
        lines: the whole output.
    """

    blame = "dut"
    exit_code = 1
    lines: list[str] = []


@dataclass(frozen=True)
class WebProject:
    """An npm project that can be built: its folder, and what package.json says."""

    folder: Path
    name: str
    version: str
    lock_sha256: str


@dataclass(frozen=True)
class WebBuild:
    """What a build made.

    Attributes:
        files: path below the site's root, with slashes, to content.
        sha256: of the zip that the store keeps: the same files have the same one.
        tools: versions of node and npm.
    """

    project: WebProject
    files: dict[str, bytes]
    sha256: str
    tools: dict[str, str]
    lines: list[str]

    @property
    def store_name(self) -> str:
        """Name in the store: name, version and the first of the hash."""
        return f"{self.project.name}-{self.project.version}-{self.sha256[:12]}"


def read_project(folder: Path) -> WebProject:
    """Looks at an npm project.

    Raises:
        BadRequest: no package.json with a build script, unusable name or version, or no package-lock.json.
    """
    manifest = _object(folder / "package.json", MAX_MANIFEST_BYTES)
    scripts = manifest.get("scripts")
    if not isinstance(scripts, dict) or not isinstance(scripts.get("build"), str):
        raise BadRequest(
            f"{folder} cannot be built", expected='a "build" among the scripts of package.json',
            remedy="npm pkg set scripts.build='vite build'",
        )  # fmt: skip
    # A scope is a slash in a name, which no file has.
    name = str(manifest.get("name", "")).removeprefix("@").replace("/", "-")
    version = str(manifest.get("version", "0.0.0"))
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise BadRequest("unusable name or version in package.json", got=f"{name[:80]!r} {version[:40]!r}")
    lock = folder / "package-lock.json"
    if not lock.is_file():
        raise BadRequest(
            f"{folder} has no package-lock.json", expected="exact versions and their hashes",
            remedy="npm install --package-lock-only, and commit the file",
        )  # fmt: skip
    _object(lock, MAX_LOCK_BYTES)
    return WebProject(folder, name, version, hashlib.sha256(lock.read_bytes()).hexdigest())


def build(
    folder: Path, output: str = "", *, install_scripts: bool = True, cache: Path | None = None,
    tell: Tell | None = None, cancel: threading.Event | None = None,
    install_limit_s: float = INSTALL_LIMIT_S, build_limit_s: float = BUILD_LIMIT_S,
) -> WebBuild:  # fmt: skip
    """Runs ``npm ci`` and ``npm run build`` on a copy of a project, which itself stays untouched.

    Args:
        folder: of the project.
        output: folder that the build writes, below the project's; default the first of dist, build and out.
        install_scripts: let the packages run theirs.
        cache: npm's cache of packages, kept from build to build; default none.
        tell: gets each line of output.
        cancel: ends the build, and everything it started, when set.
        install_limit_s, build_limit_s: deadlines.

    Raises:
        BadRequest: not such a project, no npm, or nothing usable came out where it should.
        WebBuildFailed: a script failed or did not end in time.
        RigFault: the registry cannot be reached.
        Cancelled: ``cancel`` was set.
    """
    project = read_project(folder)
    if output and (Path(output).is_absolute() or ".." in Path(output).parts or Path(output) == Path()):
        raise BadRequest("the output folder must lie below the project", got=output[:120])
    npm = _npm()
    with tempfile.TemporaryDirectory(prefix="k1hil-web-") as work:
        copy, home = Path(work) / "project", Path(work) / "home"
        home.mkdir()
        _copy(folder, copy)
        _forget_old_output(copy, output)
        environment = build_environment(home, cache or home / ".npm")

        def run(arguments: list[str], limit_s: float) -> list[str]:
            return _run([npm, *arguments], copy, environment, limit_s, tell, cancel)

        tools = {"npm": _npm_version(npm), "node": _node_version(copy, environment)}
        quiet = ["--no-audit", "--no-fund", "--no-update-notifier"]
        lines = run(["ci", *quiet, *([] if install_scripts else ["--ignore-scripts"])], install_limit_s)
        lines += run(["run", "build", "--no-update-notifier"], build_limit_s)
        files = _collect(copy, output)
    return WebBuild(project, files, hashlib.sha256(zipped(files)).hexdigest(), tools, lines)


def store_build(store: ArtifactStore, made: WebBuild, commit: str = "") -> Artifact:
    """Keeps a build as ``webapp/NAME-VERSION-HASH``; the same build again is the artifact that is there.

    Raises:
        RigFault: the store cannot be written.
    """
    details = {
        "version": made.project.version, "package": made.project.name, "commit": commit, "tools": made.tools,
        "lock_sha256": made.project.lock_sha256, "files": len(made.files),
    }  # fmt: skip
    return store.put_bytes("webapp", made.store_name, zipped(made.files), ".zip", details, folder=True)


def site_files(store: ArtifactStore, name: str) -> tuple[Artifact, dict[str, bytes]]:
    """A stored build by name or tag, checked against its hash: the artifact and its files.

    Raises:
        BadRequest: there is none, or it has no start page.
        HarnessFault: it is damaged.
    """
    artifact = store.get("webapp", name)
    files = unzipped(store.content(artifact))
    if INDEX not in files:
        raise BadRequest(f"webapp '{artifact.name}' has no {INDEX}", got=f"{len(files)} files")
    return artifact, files


def build_environment(home: Path, cache: Path) -> dict[str, str]:
    """The environment of a project's scripts: an allow-list, a home of its own, no questions.

    A registry address with a name or a token in it is a secret and stays behind too.
    """
    passed = {k: os.environ[k] for k in _PASSED_ON if k in os.environ}
    for key in [k for k in passed if k.lower() == "npm_config_registry" and "@" in passed[k]]:
        del passed[key]
    return passed | {
        "HOME": str(home), "TMPDIR": str(home), "npm_config_cache": str(cache), "npm_config_userconfig": os.devnull,
        "CI": "true", "NO_COLOR": "1", "npm_config_color": "false", "npm_config_progress": "false",
    }  # fmt: skip


def _run(
    command: list[str], cwd: Path, environment: dict[str, str], limit_s: float, tell: Tell | None,
    cancel: threading.Event | None,
) -> list[str]:  # fmt: skip
    said: list[str] = []

    def heard(line: str) -> None:
        said.append(line)
        if tell is not None:
            tell(line)

    try:
        code, lines = run_group(command, cwd=cwd, environment=environment, tell=heard, cancel=cancel, timeout_s=limit_s)
    except HarnessFault as error:
        raise _failed(f"npm {command[1]} did not end within {limit_s:g} s", said) from error
    if code == 0:
        return lines
    told, step = "\n".join(lines[-200:]), "ci" if command[1] == "ci" else "run build"
    if command[1] == "ci" and any(word in told for word in _UNREACHABLE):
        raise RigFault(
            "the npm registry cannot be reached", got=_first_error(lines),
            remedy="check network and proxy; npm_config_registry names another registry",
        )  # fmt: skip
    raise _failed(f"npm {step} failed: {_first_error(lines)}", lines)


def _failed(message: str, lines: list[str]) -> WebBuildFailed:
    failed = WebBuildFailed(
        message, got="\n    ".join(["", *lines[-_TAIL:]]), remedy="the first error counts; k1hil webapp build shows all"
    )
    failed.lines = lines
    return failed


def _first_error(lines: list[str]) -> str:
    """The first line that speaks of an error. npm's own repeat the exit code and count only if there is no other."""
    found = [s.strip() for s in lines if re.search(r"\berr(or)?\b", s, re.IGNORECASE)]
    told = [re.sub(r"^npm (error|ERR!)\s*", "", s) for s in found if s.startswith("npm ")]
    own = [s for s in told if s and not re.match(r"(code|errno|syscall|path|command)\b", s)]
    others = [s for s in found if not s.startswith("npm ")]
    return (others or own or [lines[-1].strip() if lines else "no output"])[0][:300]


def _npm() -> str:
    found = shutil.which("npm")
    if found is None:
        raise BadRequest("npm is not installed", expected="Node.js 18 or newer with npm", remedy="apt install npm")
    return found


def _npm_version(npm: str) -> str:
    """From the package.json beside it: asking npm itself takes half a second. "" where it lies elsewhere."""
    manifest = Path(npm).resolve().parents[1] / "package.json"
    try:
        told = _object(manifest, MAX_MANIFEST_BYTES)
    except BadRequest:
        return ""
    return str(told.get("version", "")) if told.get("name") == "npm" else ""


def _node_version(cwd: Path, environment: dict[str, str]) -> str:
    node = shutil.which("node")
    if node is None:
        raise BadRequest("node is not installed", expected="Node.js 18 or newer", remedy="apt install nodejs")
    return run_group([node, "--version"], cwd=cwd, environment=environment, timeout_s=60.0)[1][-1].strip()


def _object(path: Path, limit: int) -> dict[str, Any]:
    try:
        data = path.read_bytes() if path.stat().st_size <= limit else b""
        value = json.loads(data)
    except FileNotFoundError:
        raise BadRequest(f"{path} is missing", expected="an npm project") from None
    except (OSError, ValueError, RecursionError) as error:
        raise BadRequest(f"{path} cannot be read", expected=f"JSON of at most {limit} bytes", got=str(error)) from error
    if not isinstance(value, dict):
        raise BadRequest(f"{path} is no JSON object")
    return value


def _copy(source: Path, target: Path) -> None:
    """The project without dependencies and history. A symbolic link could lead anywhere and stays behind."""
    count = total = 0
    for folder, names, files in os.walk(source):
        here = Path(folder)
        names[:] = sorted(n for n in names if n not in _LEFT_OUT and not (here / n).is_symlink())
        (target / here.relative_to(source)).mkdir(parents=True, exist_ok=True)
        for name in files:
            path = here / name
            if path.is_symlink() or not path.is_file():
                continue
            count, total = count + 1, total + path.stat().st_size
            if count > MAX_PROJECT_FILES or total > MAX_PROJECT_BYTES:
                raise BadRequest(
                    f"{source} is too big to build",
                    expected=f"{MAX_PROJECT_FILES} files, {MAX_PROJECT_BYTES >> 20} MiB",
                )
            shutil.copy2(path, target / path.relative_to(source))


def _forget_old_output(project: Path, output: str) -> None:
    """What an earlier build left must not pass for what this one made. A folder without a start page is source."""
    for name in [output] if output else OUTPUTS:
        if (project / name / INDEX).is_file() and (project / name).resolve() != project.resolve():
            shutil.rmtree(project / name)


def _collect(project: Path, output: str) -> dict[str, bytes]:
    """The files a build wrote.

    Raises:
        BadRequest: no such folder, none with a start page, too much, or a link that leads out of it.
    """
    folders = [project / output] if output else [project / name for name in OUTPUTS]
    made = next((f for f in folders if (f / INDEX).is_file()), None)
    if made is None:
        raise BadRequest(
            f"the build wrote no {INDEX}", expected=" or ".join(f"{f.name}/{INDEX}" for f in folders),
            remedy="name the folder it writes: --output FOLDER",
        )  # fmt: skip
    paths = sorted(p for p in made.rglob("*") if not p.is_dir())
    outside = [p for p in paths if not p.resolve().is_relative_to(made.resolve()) or not p.is_file()]
    if outside:
        raise BadRequest("the build wrote links that lead out of it", got=str(outside[0].relative_to(made)))
    if len(paths) > MAX_FILES or sum(p.stat().st_size for p in paths) > MAX_ARTIFACT_BYTES:
        raise BadRequest("the build wrote too much", expected=f"{MAX_FILES} files, {MAX_ARTIFACT_BYTES >> 20} MiB")
    return {p.relative_to(made).as_posix(): p.read_bytes() for p in paths}
