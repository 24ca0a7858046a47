"""Build gates on real PlatformIO runs: a small project with every way to fail, and this firmware."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from harness.conductor.tasks.build import clean, compile_, metrics
from harness.conductor.tasks.spec import Context
from harness.errors import BadRequest
from harness.pipeline.checkout import head_of
from harness.pipeline.process import Cancelled, run_group
from harness.pipeline.validate import Gate, Limits, Validation, validate

ROOT = Path(__file__).resolve().parents[2]
PLATFORM_PY = """\
from platformio.platform.base import PlatformBase


class TinyPlatform(PlatformBase):
    def is_embedded(self):
        return False
"""
# Prints sizes as the platforms of chips do; the one source is compiled by the system's compiler.
BUILDER = """\
from SCons.Script import AlwaysBuild, Default, DefaultEnvironment

env = DefaultEnvironment()
env.Replace(CXX="g++", LINK="g++", CXXFLAGS=["-Wall"], PROGSUFFIX="")
elf = env.Program("$BUILD_DIR/firmware.elf", env.Object("$BUILD_DIR/main.o", "$PROJECT_SRC_DIR/main.cpp"))
print(open(env.subst("$PROJECT_DIR/sizes.txt")).read())
AlwaysBuild(env.Alias("buildprog", elf))
Default(elf)
"""
INI = "[env:here]\nplatform = ./platforms/tiny\n\n[env:chip]\nplatform = nosuchchip@9.9.9\nboard = none\n"
SIZES = (
    "RAM:   [===       ]  30.0% (used 98304 bytes from 327680 bytes)\n"
    "Flash: [====      ]  40.0% (used 786432 bytes from 1966080 bytes)\n"
)
FILES = {
    "platforms/tiny/platform.json": '{"name": "tiny", "version": "1.0.0", "packages": {}, "frameworks": {}}\n',
    "platforms/tiny/platform.py": PLATFORM_PY, "platforms/tiny/builder/main.py": BUILDER, "platformio.ini": INI,
    "sizes.txt": SIZES, "src/main.cpp": "int main() { return 0; }\n", ".gitignore": ".pio/\n",
}  # fmt: skip


@pytest.fixture(autouse=True)
def core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A core folder of its own: the platform of this test never reaches that of the checkout."""
    (tmp_path / "core").mkdir()
    os.symlink(ROOT / ".pio-core" / "packages", tmp_path / "core" / "packages")
    monkeypatch.setenv("PLATFORMIO_CORE_DIR", str(tmp_path / "core"))


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """The project, committed."""
    project = tmp_path / "tiny"
    for name, text in FILES.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=project, check=True, capture_output=True, timeout=20)
    return project


def by_name(found: Validation, env: str = "here") -> dict[str, Gate]:
    return {g.name: g for g in found.gates if g.environment in ("", env)}


def test_a_sound_project_passes_and_an_absent_platform_is_unavailable(tiny: Path) -> None:
    found = validate(tiny)
    gates = by_name(found)
    assert found.passed, found.to_json()
    assert {n: g.status for n, g in gates.items()} == {
        "clean tree": "passed", "format": "passed", "lint": "unavailable", "build": "passed", "warnings": "passed",
        "flash": "passed", "ram": "passed", "identity": "unavailable",
    }  # fmt: skip
    assert (gates["flash"].value, gates["ram"].value, gates["warnings"].value) == (40.0, 30.0, 0.0)
    assert by_name(found, "chip")["build"].status == "unavailable"
    only = validate(tiny, ["chip"], Limits(clean_tree=False))
    assert not only.passed and "no environment could be built" in only.why
    with pytest.raises(BadRequest, match="unknown environment 'other'"):
        validate(tiny, ["other"])
    with pytest.raises(BadRequest, match="no PlatformIO project"):
        validate(tiny / "src")


def test_an_image_whose_size_nothing_tells_does_not_pass(tiny: Path) -> None:
    """No lines of PlatformIO, no partition table, no Xtensa ELF: the numbers are unknown, not zero."""
    builder = tiny / "platforms" / "tiny" / "builder" / "main.py"
    image = ROOT / "tests" / "data" / "loader_capture.json"  # any file: it is its size that nobody knows
    builder.write_text(BUILDER + f'import shutil\nshutil.copy({str(image)!r}, env.subst("$BUILD_DIR/firmware.bin"))\n')
    (tiny / "sizes.txt").write_text("nothing\n")
    found = validate(tiny, ["here"], Limits(clean_tree=False))
    gates = by_name(found)
    assert gates["flash"].status == gates["ram"].status == "unavailable"
    assert not found.passed and "flash here: nothing tells it" in found.why and "ram here" in found.why
    builder.write_text(BUILDER)
    program = validate(tiny, ["here"], Limits(clean_tree=False))
    assert program.passed, "a program for this computer has no slot to fill"


SECRETS = ("K1HIL_ALERT_URL", "K1HIL_OTA_PASSWORD", "K1HIL_API_KEY", "AWS_SECRET_ACCESS_KEY", "CONDUCTOR_AUTH_SECRET",
           "PLATFORMIO_AUTH_TOKEN", "K1HIL_REPOS")  # fmt: skip


def test_a_project_reads_no_secret_of_who_builds_it(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its scripts nor its settings: both are programs of whoever made the commit."""
    for name in SECRETS:
        monkeypatch.setenv(name, f"hush-{name}")
    dump = f"import json, os\nopen({str(tiny / 'seen')!r}, 'w').write(json.dumps(dict(os.environ)))\n"
    (tiny / "dump.py").write_text(dump)
    ini = INI.replace("[env:here]\n", "[env:here]\nextra_scripts = pre:dump.py\ncustom_x = ${sysenv.K1HIL_API_KEY}\n")
    (tiny / "platformio.ini").write_text(ini)
    assert by_name(validate(tiny, ["here"], Limits(clean_tree=False)))["build"].status == "passed"
    seen = (tiny / "seen").read_text()
    assert '"PATH"' in seen and "hush" not in seen


def test_every_environment_of_a_commit_is_built(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that cannot be built here never passes: it is told, and red for who wants to run it."""
    shutil.copytree(tiny, tmp_path / "repo" / "fw", ignore=shutil.ignore_patterns(".git"))
    (tmp_path / "repo" / "fw" / "platformio.ini").write_text(f"{INI}\n[env:big]\nplatform = ./platforms/tiny\n")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "all"]):
        subprocess.run(["git", *command], cwd=tmp_path / "repo", check=True, capture_output=True, timeout=20)
    monkeypatch.setenv("K1HIL_REPOS", f"k1={tmp_path / 'repo'}")
    folder = tmp_path / "worker" / "jobs" / "1"
    folder.mkdir(parents=True)
    context = Context("", Path("rigs"), str(tmp_path / "store"), folder, "wf", "wf", "wf/c/0", "t", 0.0, print)

    def compiled(**inputs: str) -> dict[str, Any]:
        asked = {"repo": "k1", "commit_sha": head_of("k1"), "project": "fw", **inputs}
        assert clean(asked, context).output["verdict"] == "pass"
        return compile_(asked, context).output

    told = compiled(environment="here")
    assert told["verdict"] == "pass"
    assert {e: t["status"] for e, t in told["environments"].items()} == {
        "here": "passed", "chip": "unavailable", "big": "passed",
    }  # fmt: skip
    gates = {(g["environment"], g["name"]) for g in metrics({"environment": "here"}, context).output["gates"]}
    assert ("here", "flash") in gates and ("big", "flash") in gates and not [g for g in gates if g[0] == "chip"]
    wanted = compiled(environment="here", also="chip")
    assert wanted["verdict"] == "fail" and "chip: platform nosuchchip@9.9.9 is not installed here" in wanted["why"]
    with pytest.raises(BadRequest, match="unknown environment 'other'"):
        compiled(environment="other")


def dirty(project: Path) -> None:
    (project / "src" / "new.h").write_text("\n")


def untidy(project: Path) -> None:
    (project / "src" / "main.cpp").write_text("int main() { return 0; } \n")


def warns(project: Path) -> None:
    (project / "src" / "main.cpp").write_text("int main() { int left = 1; return 0; }\n")


def too_big(project: Path) -> None:
    (project / "sizes.txt").write_text(SIZES.replace("40.0% (used 786432", "70.0% (used 1376256"))


def too_hungry(project: Path) -> None:
    (project / "sizes.txt").write_text(SIZES.replace("30.0% (used 98304", "90.0% (used 294912"))


def broken(project: Path) -> None:
    (project / "src" / "main.cpp").write_text("int main() { return x; }\nint y = z;\n")


@pytest.mark.parametrize(
    ("change", "gate", "got"),
    [
        (dirty, "clean tree", "1; the first: ?? src/new.h"),
        (untidy, "format", "src/main.cpp: line 1 ends with blanks"),
        (warns, "warnings", "main.cpp:1:18: warning: unused variable 'left'"),
        (too_big, "flash", "70.0 % (1376256 of 1966080 bytes"),
        (too_hungry, "ram", "90.0 % (294912 of 327680 bytes"),
        (broken, "build", "main.cpp:1:21: error: 'x' was not declared in this scope"),
    ],
)
def test_one_gate_fails_by_its_own_cause(tiny: Path, change: Callable[[Path], None], gate: str, got: str) -> None:
    change(tiny)
    found = validate(tiny, ["here"], Limits(clean_tree=change is dirty))
    failed = {g.name: g.got.replace("\u2018", "'").replace("\u2019", "'") for g in found.gates if g.status == "failed"}
    assert not found.passed and list(failed) == [gate] and got in failed[gate], failed


def test_cancel_ends_the_compiler(tmp_path: Path) -> None:
    """The process tree of a build: a shell, its compiler driver, and the compiler itself, busy for minutes."""
    # Instantiates templates without end: the compiler proper is busy, far below the process that is started.
    text = "template<int N, int M> struct T { static const int v = T<N-1, M>::v + T<N-1, M+1>::v; };\n" \
           "template<int M> struct T<0, M> { static const int v = M; };\nint x = T<800, 0>::v;\n"  # fmt: skip
    (tmp_path / "slow.cpp").write_text(text)
    command = ["sh", "-c", f"g++ -ftemplate-depth=2000 -c {tmp_path}/slow.cpp -o {tmp_path}/slow.o; echo never"]
    cancel, told = threading.Event(), []
    already = set(psutil.Process().children(recursive=True))

    def call_off() -> None:
        deadline = time.monotonic() + 20.0
        while time.monotonic() < deadline and not cancel.is_set():
            names = {p.name() for p in set(psutil.Process().children(recursive=True)) - already}
            if "cc1plus" in names:
                told.extend(names)
                cancel.set()
            time.sleep(0.02)

    watcher = threading.Thread(target=call_off)
    watcher.start()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        run_group(command, cancel=cancel, timeout_s=60.0)
    watcher.join()
    assert "cc1plus" in told and time.monotonic() - began < 25.0
    left = [p for p in set(psutil.Process().children(recursive=True)) - already if p.status() != psutil.STATUS_ZOMBIE]
    assert left == []


def test_a_cancelled_validation_leaves_nothing(tiny: Path) -> None:
    cancel = threading.Event()
    already = set(psutil.Process().children(recursive=True))
    with pytest.raises(Cancelled):
        validate(tiny, ["here"], tell=lambda line: cancel.set(), cancel=cancel)
    assert set(psutil.Process().children(recursive=True)) <= already


def test_this_firmware(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PLATFORMIO_CORE_DIR")
    found = validate(ROOT / "firmware", ["sim"], Limits(clean_tree=False), output=tmp_path / "out")
    assert found.passed, found.to_json()
    gates = by_name(found, "sim")
    assert gates["lint"].status == gates["identity"].status == "passed"
    assert 5.0 < gates["flash"].value < 70.0 and 10.0 < gates["ram"].value < 70.0  # type: ignore[operator]
    assert (tmp_path / "out" / "sim" / "firmware.bin").stat().st_size == found.builds["sim"]["bytes"]
