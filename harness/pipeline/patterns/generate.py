"""Specifications to a folder of C++, and that folder to a firmware image, without touching the firmware's own sources.

The build is told of the folder by the environment variable ``K1_GENERATED_PATTERNS``; the firmware's registry then
takes the generated rows in behind its own. Objects go into a build folder of their own, so the ordinary build stays
as it is and a second generated one compiles no more than what differs.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from harness.errors import BadRequest, RigFault
from harness.pipeline.build import ENVIRONMENTS, compile_project, pio_environment, project_root
from harness.pipeline.patterns.render import INCLUDE, render_list, render_pattern
from harness.pipeline.patterns.spec import PatternSpec, load_spec
from harness.rig.bundle import MANIFEST, FirmwareBundle

VARIABLE = "K1_GENERATED_PATTERNS"
MOST_PATTERNS = 32  # the answer of /api/patterns has to fit into the device's memory for replies
REGISTRY = "firmware/src/core/patterns/registry.cpp"
_MARK = "// Made from a specification (SHA-256 "
_ROW = re.compile(r'^ *\{"([a-z0-9_]+)", "', re.MULTILINE)
_FILES = ("firmware.bin", "bootloader.bin", "partitions.bin", "boot_app0.bin", MANIFEST)
_ALSO = ("firmware.elf", "firmware.cost")
LOCK_TIMEOUT_S = 1800.0


@dataclass(frozen=True)
class Generated:
    """C++ made from specifications.

    Attributes:
        folder: what the build is given.
        specs: in the order of the firmware's list.
        sources: the C++ file of each.
    """

    folder: Path
    specs: tuple[PatternSpec, ...]
    sources: tuple[Path, ...]

    def to_json(self) -> dict[str, object]:
        """Plain values."""
        rows = [
            {"id": s.id, "source": str(p), "spec_sha256": s.sha256, "reactive": s.reactive, "layers": len(s.layers)}
            for s, p in zip(self.specs, self.sources, strict=True)
        ]
        return {"folder": str(self.folder), "patterns": rows}


def generate(spec_path: Path | Sequence[Path], out_dir: Path, *, root: Path | None = None) -> Generated:
    """Makes the C++ of one specification file, or of several for one image.

    Args:
        spec_path: YAML file, or files.
        out_dir: for the C++ alone; patterns of an earlier generation there are replaced.
        root: checkout; default: the one around the working directory.

    Raises:
        SpecInvalid: a mistake in a specification, with its line.
        BadRequest: a name that is taken, too many patterns, a folder with other sources.
    """
    paths = [spec_path] if isinstance(spec_path, Path | str) else list(spec_path)
    return generate_specs([load_spec(Path(p)) for p in paths], out_dir, root=root)


def generate_specs(specs: Sequence[PatternSpec], out_dir: Path, *, root: Path | None = None) -> Generated:
    """As :func:`generate`, from specifications already read."""
    if not 1 <= len(specs) <= MOST_PATTERNS:
        raise BadRequest("unusable number of patterns", expected=f"1 to {MOST_PATTERNS}", got=str(len(specs)))
    _refuse_taken(specs, root or project_root())
    out_dir = Path(out_dir).resolve()
    out_dir.mkdir(parents=True, exist_ok=True)
    stale = _generated_before(out_dir)
    sources = []
    for spec in specs:
        path = out_dir / f"{spec.id}.cpp"
        _write(path, render_pattern(spec))
        sources.append(path)
    _write(out_dir / INCLUDE, render_list(specs))
    for path in set(stale) - set(sources):
        path.unlink()
    return Generated(out_dir, tuple(specs), tuple(sources))


def build_generated(
    generated: Generated,
    out_dir: Path,
    *,
    env: str = "sim",
    jobs: int = 2,
    root: Path | None = None,
    tell: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
) -> FirmwareBundle:
    """Builds the firmware with generated patterns behind its own; the image and its companions go to ``out_dir``.

    Args:
        generated: what :func:`generate` gave.
        out_dir: for the files of the build.
        env: PlatformIO environment.
        jobs: compiler processes.
        root: checkout; default: the one around the working directory.
        tell: gets each line of the build's output.
        cancel: ends the build when set.

    Raises:
        BuildFailed: with the compiler's first error.
        RigFault: another build held the folder too long.
    """
    if env not in ENVIRONMENTS:
        raise BadRequest(f"unknown build environment '{env}'", expected=", ".join(ENVIRONMENTS))
    root = root or project_root()
    work = root / "firmware" / ".pio" / "build-patterns"
    work.mkdir(parents=True, exist_ok=True)
    environ = pio_environment(root) | {VARIABLE: str(generated.folder), "PLATFORMIO_BUILD_DIR": str(work)}
    command = [sys.executable, "-m", "platformio", "run", "-e", env, "-j", str(jobs), "-d", str(root / "firmware")]
    lock = FileLock(work / ".generated.lock")
    try:
        lock.acquire(timeout=LOCK_TIMEOUT_S)
    except TimeoutError as error:
        raise RigFault("another build of generated patterns does not end", evidence=str(work)) from error
    try:
        compile_project(command, environ, tell=tell, cancel=cancel)
        out_dir.mkdir(parents=True, exist_ok=True)
        for name in (*_FILES, *_ALSO):
            made = work / env / name
            if made.is_file():
                new = out_dir / f"{name}.new"
                shutil.copyfile(made, new)
                os.replace(new, out_dir / name)
    finally:
        lock.release()
    return FirmwareBundle.load(out_dir / "firmware.bin")


def firmware_patterns(root: Path) -> list[str]:
    """Ids of the firmware's own patterns, from its registry."""
    path = root / REGISTRY
    try:
        return _ROW.findall(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadRequest("the firmware's list of patterns is missing", evidence=str(path), got=str(error)) from error


def _refuse_taken(specs: Sequence[PatternSpec], root: Path) -> None:
    taken = set(firmware_patterns(root))
    for spec in specs:
        if spec.id in taken:
            raise BadRequest(
                f"the pattern id '{spec.id}' is taken", expected="an id neither the firmware nor another one has",
                remedy="give the specification another id",
            )  # fmt: skip
        taken.add(spec.id)


def _generated_before(folder: Path) -> list[Path]:
    """C++ files of an earlier generation; the build compiles every one it finds, so others are refused."""
    found = sorted(folder.glob("*.cpp"))
    for path in found:
        with open(path, encoding="utf-8", errors="replace") as file:
            head = file.read(1024)
        if _MARK not in head:
            raise BadRequest(f"{path} was not generated", remedy="give generated patterns a folder of their own")
    return found


def _write(path: Path, text: str) -> None:
    """Only what differs: an unchanged file keeps its age, and nobody reads half of one."""
    data = text.encode("ascii")
    if path.is_file() and path.read_bytes() == data:
        return
    new = path.with_name(path.name + ".new")
    new.write_bytes(data)
    os.replace(new, path)
