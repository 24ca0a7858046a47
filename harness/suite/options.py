"""Command line options of the suite, checked before anything runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

from harness.errors import BadRequest
from harness.rig.profile import PROFILES

SUITE_FOLDER = "tests_hil"
REQUIREMENTS = ("camera", "latency", "verdict", "wire")
Keep = Literal["failures", "all", "none"]


@dataclass(frozen=True)
class SuiteOptions:
    """What the user asked for.

    Attributes:
        rig: name, None for the default; rig_dir: folder of rig files, None for the default.
        firmware: image or folder of a build; None: build it.
        flash: bring the firmware onto the device first.
        profile: quick, standard or nightly.
        seed: of the run; None: drawn afresh.
        require: measurements that must be there.
        keep: which recordings stay on disk.
        reports: folder of all runs.
        collect_only: nothing runs, so nothing is written.
        over_the_air: update by OTA instead of serial.
        baseline: compare with the rig's accepted runs; without, metrics are only noted.
    """

    rig: str | None
    rig_dir: Path | None
    firmware: Path | None
    flash: bool
    profile: str
    seed: int | None
    require: tuple[str, ...]
    keep: Keep
    reports: Path
    collect_only: bool
    baseline: bool = True
    over_the_air: bool = False


def add_options(parser: pytest.Parser) -> None:
    """Adds the suite's options to pytest."""
    group = parser.getgroup("k1hil", "hardware-in-the-loop suite")
    group.addoption("--rig", metavar="NAME", help="rig under test (default: K1HIL_RIG, else sim)")
    group.addoption("--rig-dir", metavar="DIR", help="folder of rig files (default: K1HIL_RIG_DIR, else rigs/)")
    group.addoption("--firmware", metavar="PATH", help="firmware.bin or its folder (default: build from source)")
    group.addoption("--flash", default="serial", choices=("serial", "ota"), help="how the firmware gets there")
    group.addoption("--no-flash", action="store_true", help="test what runs on the device already")
    group.addoption("--profile", default="quick", choices=tuple(PROFILES), help="recording lengths and repeats")
    group.addoption("--seed", metavar="N", help="repeat a run with its seed (default: drawn afresh)")
    group.addoption(
        "--require", metavar="LIST", default="", help=f"exit 11 unless all were measured: {','.join(REQUIREMENTS)}"
    )
    group.addoption(
        "--keep-recordings", default="failures", choices=("failures", "all", "none"), help="which recordings to keep"
    )
    group.addoption("--no-baseline", action="store_true", help="note metrics without comparing them")
    group.addoption("--reports", metavar="DIR", default="reports", help="folder of all runs (default: reports/)")


def is_wanted(config: pytest.Config) -> bool:
    """Whether this run of pytest is one of the suite: ``--rig`` was given or an argument lies in ``tests_hil/``."""
    if config.option.rig is not None or "k1hil" in getattr(config, "workerinput", {}):
        return True
    places = (Path(str(arg).partition("::")[0]).absolute().parts for arg in config.args)
    return any(SUITE_FOLDER in parts for parts in places)


def read_options(config: pytest.Config) -> SuiteOptions:
    """The options as values.

    Raises:
        BadRequest: a seed that is no number, an unknown requirement, a firmware that is not there.
    """
    option = config.option
    firmware = Path(option.firmware).absolute() if option.firmware else None
    if firmware is not None and not firmware.exists():
        raise BadRequest(f"--firmware {option.firmware}: no such file", remedy="build it: k1hil build")
    return SuiteOptions(
        rig=option.rig,
        rig_dir=Path(option.rig_dir).absolute() if option.rig_dir else None,
        firmware=firmware,
        flash=not option.no_flash,
        over_the_air=option.flash == "ota",
        profile=option.profile,
        seed=_seed(option.seed),
        require=_requirements(option.require),
        keep=option.keep_recordings,
        reports=Path(option.reports).absolute(),
        collect_only=bool(option.collectonly),
        baseline=not option.no_baseline,
    )


def _seed(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BadRequest("--seed is not a whole number", expected="0 to 999999999999999", got=text[:40])
    return int(text)


def _requirements(text: str) -> tuple[str, ...]:
    names = tuple(part.strip() for part in text.split(",") if part.strip())
    unknown = [name for name in names if name not in REQUIREMENTS]
    if unknown:
        raise BadRequest(f"--require does not know {', '.join(unknown)}", expected=", ".join(REQUIREMENTS))
    return names
