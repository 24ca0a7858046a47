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
BUILD_LIMIT_S = 300
SUITE_LIMIT_S = 600


def patches() -> list[str]:
    """Names of all mutants, sorted."""
    return sorted(path.stem for path in HERE.glob("*.patch"))


@dataclass
class Judgement:
    """What the suite said about one firmware."""

    name: str
    seconds: float = 0.0
    seed: str = "?"
    tests: set[str] = field(default_factory=set)
    red: set[str] = field(default_factory=set)
    trouble: str = ""


class Slot:
    """A private copy of `firmware/` that keeps its objects: a patch costs only the sources it touches."""

    def __init__(self, index: int) -> None:
        self.folder = Path(tempfile.gettempdir()) / f"k1hil-mutants-{os.getuid()}" / str(index)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.firmware = self.folder / "firmware"

    def judge(self, name: str) -> Judgement:
        """Builds `name` (a patch's stem, or "healthy") and judges it; the tool's own trouble is told in `.trouble`."""
        started = time.monotonic()
        judgement = Judgement(name)
        try:
            self._restore()
            if name != "healthy":
                self._patch(HERE / f"{name}.patch")
            self._run_suite(self._build(), judgement)
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
        command = ["patch", "-p1", "--no-backup-if-mismatch", "--fuzz=0", "-s", "-i", str(patch)]
        subprocess.run(
            command, cwd=self.folder, check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def _build(self) -> Path:
        environment = dict(os.environ)
        environment["PLATFORMIO_CORE_DIR"] = str(ROOT / ".pio-core")
        environment["PLATFORMIO_SETTING_ENABLE_TELEMETRY"] = "No"
        command = [sys.executable, "-m", "platformio", "run", "-s", "-d", str(self.firmware), "-e", "sim"]
        subprocess.run(
            command,
            check=True,
            env=environment,
            timeout=BUILD_LIMIT_S,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self.firmware / ".pio" / "build" / "sim" / "firmware.bin"

    def _run_suite(self, image: Path, judgement: Judgement) -> None:
        junit = self.folder / "junit.xml"
        junit.unlink(missing_ok=True)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "tests_hil",
            "--rig",
            "sim",
            "--firmware",
            str(image),
            "-q",
            "--tb=line",
        ]
        command += [f"--junitxml={junit}", "--keep-recordings", "none", "-p", "no:cacheprovider"]
        environment = {**os.environ, "K1HIL_REPORTS": str(self.folder / "reports")}
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=environment,
            timeout=SUITE_LIMIT_S,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        (self.folder / f"{judgement.name}.log").write_text(done.stdout)
        if done.returncode not in (0, 1):
            judgement.trouble = f"suite ended with {done.returncode}; see {self.folder / judgement.name}.log"
        found = re.search(r"seed[ =:]+(\d+)", done.stdout)
        judgement.seed = found.group(1) if found else "?"
        for case in ET.parse(junit).getroot().iter("testcase"):
            test = f"{case.get('classname', '').removeprefix('tests_hil.')}::{case.get('name')}"
            judgement.tests.add(test)
            if case.find("failure") is not None or case.find("error") is not None:
                judgement.red.add(test)
