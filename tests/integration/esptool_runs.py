"""Runs unmodified esptool releases, each from a private environment, against a served board."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest

from harness.instruments.esptool_child import SETTINGS

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
NEWEST = version("esptool")
SUPPORTED = ("4.12.0", "5.2.0", NEWEST)
# Every minor release that can flash an ESP32-S3 in the way the harness does.
ALL = ("4.8.1", "4.12.0", "5.0.2", "5.1.0", "5.2.0", "5.3.1", "5.4.0", "5.5.0", NEWEST)
VERSIONS = tuple(dict.fromkeys(ALL if os.environ.get("K1HIL_ESPTOOL") == "all" else SUPPORTED))
PATIENCE_S = 180.0

# esptool as it is, in a process whose pyserial finds the harness's rfc2217 client first.
_FAST = (
    "import runpy, sys, serial;"
    "serial.protocol_handler_packages.insert(0, 'harness.instruments.serial_handlers');"
    "sys.argv[0] = 'esptool';"
    "runpy.run_module('esptool', run_name='__main__')"
)


@dataclass(frozen=True)
class Run:
    """One finished run."""

    code: int
    text: str


@cache
def python_of(release: str) -> Path:
    """Interpreter of an environment that holds this release; made at first use and kept in ``.cache``."""
    if release == NEWEST:
        return Path(sys.executable)
    folder = CACHE / f"esptool-{release}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    complete = folder / "complete"
    if not complete.exists():
        venv.EnvBuilder(with_pip=True, clear=True).create(folder)
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", f"esptool=={release}"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            why = f"esptool {release} cannot be installed: {done.stderr.strip()[-300:]}"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
        complete.touch()
    return python


class Esptool:
    """One release, one folder for its files."""

    def __init__(self, release: str, folder: Path, *, fast: bool = True) -> None:
        self.release = release
        self.major = int(release.split(".")[0])
        self.folder = folder
        self.fast = fast
        (folder / "esptool.cfg").write_text(SETTINGS)

    def command(self, url: str, *arguments: str, chip: str = "esp32s3") -> list[str]:
        """The command line; names of commands and options in the spelling of this release."""
        if self.major < 5:
            arguments = tuple(a.replace("-", "_") if re.fullmatch(r"[a-z]+(-[a-z]+)+", a) else a for a in arguments)
        start = ["-c", _FAST] if self.fast else ["-m", "esptool"]
        return [str(python_of(self.release)), *start, "--chip", chip, "--port", url, *arguments]

    def environment(self) -> dict[str, str]:
        keep = {k: v for k, v in os.environ.items() if not k.startswith("ESPTOOL_")}
        own = {"ESPTOOL_CFGFILE": str(self.folder / "esptool.cfg"), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
        return {**keep, **own, "TERM": "dumb", "COLUMNS": "200"}

    def run(self, url: str, *arguments: str, chip: str = "esp32s3") -> Run:
        """Runs to the end, however it ends."""
        done = subprocess.run(
            self.command(url, *arguments, chip=chip),
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE_S,
            check=False,
        )
        return Run(done.returncode, done.stdout)

    def must(self, url: str, *arguments: str, chip: str = "esp32s3") -> str:
        """Runs to a good end; its output."""
        run = self.run(url, *arguments, chip=chip)
        assert run.code == 0, f"esptool {self.release} {' '.join(arguments)}\n{run.text}"
        return run.text
