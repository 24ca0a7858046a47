"""Builds one mutant and runs the suite on it, in a slot of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
HEALTHY = "healthy"
BUILD_LIMIT_S = 300
SUITE_LIMIT_S = 900
JUDGED = (0, 1)  # exit codes of the suite that are a judgement: good, or the device failed


def patches() -> list[str]:
    """Names of all mutants, sorted."""
    return sorted(path.stem for path in HERE.glob("*.patch"))


@dataclass
class Judgement:
    """What the suite said about one firmware.

    Attributes:
        name: of the mutant, or ``healthy``.
        seconds: for building and judging.
        seed: of the run; ``pytest tests_hil --seed`` with the same image repeats it.
        tests: ids of all tests that were judged, ``module::test[case]``.
        red: those that failed.
        messages: why, the first line of each.
        trouble: what kept the suite from judging; empty when it did.
    """

    name: str
    seconds: float = 0.0
    seed: str = "?"
    tests: set[str] = field(default_factory=set)
    red: set[str] = field(default_factory=set)
    messages: dict[str, str] = field(default_factory=dict)
    trouble: str = ""


class Slot:
    """A private copy of ``firmware/`` that keeps its objects: a patch costs only the sources it touches."""

    def __init__(self, index: int) -> None:
        self.folder = Path(tempfile.gettempdir()) / f"k1hil-mutants-{os.getuid()}" / str(index)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.firmware = self.folder / "firmware"
        # The build packs the image with the harness's own codecs and looks for them beside firmware/.
        harness = self.folder / "harness"
        if not harness.is_symlink():
            harness.symlink_to(ROOT / "harness", target_is_directory=True)

    def judge(self, name: str, seed: int | None = None) -> Judgement:
        """Builds ``name`` and judges it, with a fresh seed where none is given.

        The tool's own trouble is told in ``.trouble``, never raised.
        """
        started = time.monotonic()
        judgement = Judgement(name)
        try:
            self._restore()
            if name != HEALTHY:
                self._patch(HERE / f"{name}.patch")
            self._run_suite(self._build(), judgement, seed)
        except (subprocess.SubprocessError, OSError, ET.ParseError) as error:
            output = getattr(error, "output", None) or ""
            judgement.trouble = f"{error}\n{str(output)[-2000:]}"
        judgement.seconds = time.monotonic() - started
        return judgement

    def _restore(self) -> None:
        """Brings the sources back to the checkout's, leaving the build folder alone."""
        keep = self.folder / "pio"
        if (self.firmware / ".pio").exists():
            shutil.rmtree(keep, ignore_errors=True)
            (self.firmware / ".pio").rename(keep)
        shutil.rmtree(self.firmware, ignore_errors=True)
        shutil.copytree(ROOT / "firmware", self.firmware, ignore=shutil.ignore_patterns(".pio"))
        if keep.exists():
            keep.rename(self.firmware / ".pio")

    def _patch(self, patch: Path) -> None:
        # Outside a repository git applies to plain files, without fuzz, and it is on every machine that has a checkout.
        environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(self.folder.parent)}
        _run(["git", "apply", str(patch)], self.folder, environment, 60)

    def _build(self) -> Path:
        environment = {
            **os.environ,
            "PLATFORMIO_CORE_DIR": str(ROOT / ".pio-core"),
            "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "No",
        }
        command = [sys.executable, "-m", "platformio", "run", "-s", "-d", str(self.firmware), "-e", "sim"]
        _run(command, self.folder, environment, BUILD_LIMIT_S)
        return self.firmware / ".pio" / "build" / "sim" / "firmware.bin"

    def _run_suite(self, image: Path, judgement: Judgement, seed: int | None) -> None:
        junit = self.folder / "junit.xml"
        junit.unlink(missing_ok=True)
        reports = self.folder / "reports"
        shutil.rmtree(reports, ignore_errors=True)
        command = [sys.executable, "-m", "pytest", "tests_hil", "--rig", "sim", "--firmware", str(image), "-q"]
        command += ["--tb=short", f"--junitxml={junit}", "--reports", str(reports), "--keep-recordings", "none"]
        command += ["--seed", str(seed)] if seed is not None else []
        code, text = _call([*command, "-p", "no:cacheprovider"], ROOT, dict(os.environ), SUITE_LIMIT_S)
        log = self.folder / f"{judgement.name}.log"
        log.write_text(text, encoding="utf-8")
        if code not in JUDGED:
            judgement.trouble = f"the suite ended with exit code {code}; see {log}"
        found = re.search(r"seed[ =:]+(\d+)", text)
        judgement.seed = found.group(1) if found else "?"
        _read(junit, judgement)


def _read(junit: Path, judgement: Judgement) -> None:
    """Takes tests and failures from a JUnit file."""
    for case in ET.parse(junit).getroot().iter("testcase"):
        test = f"{case.get('classname', '').removeprefix('tests_hil.')}::{case.get('name')}"
        judgement.tests.add(test)
        for kind in ("failure", "error"):
            fault = case.find(kind)
            if fault is not None:
                judgement.red.add(test)
                judgement.messages[test] = (fault.get("message") or kind).splitlines()[0]


def _run(command: list[str], folder: Path, environment: dict[str, str], limit_s: float) -> None:
    code, text = _call(command, folder, environment, limit_s)
    if code != 0:
        raise subprocess.CalledProcessError(code, command[:4], text)


def _call(command: list[str], folder: Path, environment: dict[str, str], limit_s: float) -> tuple[int, str]:
    """Exit code and text of a child.

    Raises:
        subprocess.TimeoutExpired: it took longer than ``limit_s`` and was ended.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        timeout=limit_s,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout
