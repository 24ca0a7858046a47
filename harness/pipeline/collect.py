"""Many independent runs of what is judged, for a baseline: the suite itself, restricted to its judged tests."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path

from harness.baseline.history import ENV, history_path
from harness.errors import BadRequest, HarnessFault, RigFault
from harness.pipeline.build import build
from harness.rig import FirmwareBundle
from harness.rig.config import load_config
from harness.rig.profile import profile as profile_named

Tell = Callable[[str], None]
# A child that hangs must not hang this too. Device time passes at least this fast, start-up comes on top.
STARTUP_S = 300.0


def suite_folder(rig_dir: Path) -> Path:
    """``tests_hil`` beside the rigs, else in the working directory.

    Raises:
        BadRequest: it is in neither place.
    """
    for folder in (rig_dir.parent, Path.cwd(), Path(__file__).resolve().parents[2]):
        if (folder / "tests_hil").is_dir():
            return folder
    raise BadRequest("the suite is not here", expected="a folder tests_hil", remedy="run this in the checkout")


def collect(
    rig: str,
    rig_dir: Path,
    *,
    runs: int,
    profile: str = "quick",
    firmware: Path | None = None,
    jobs: int = 1,
    reports: Path = Path("reports"),
    tell: Tell | None = None,
) -> list[Path]:
    """Runs the judged tests until each metric has ``runs`` values, each from a boot with a seed of its own.

    A profile that repeats gives several values a process: 30 runs are 30 quick, 10 standard or 4 nightly ones.

    Returns:
        The folders of the runs, all with ``metrics.json``.

    Raises:
        BadRequest: several jobs on a rig that is one device.
        RigFault: a run found the rig broken. HarnessFault: a run did not finish, or a test failed.
    """
    config = load_config(rig, rig_dir)
    if jobs > 1 and config.kind != "virtual":
        raise BadRequest(f"rig '{rig}' is one device: one run at a time", got=f"{jobs} jobs", remedy="--jobs 1")
    plan = profile_named(profile)
    say = tell or (lambda text: None)
    if firmware is None and config.kind == "virtual":
        firmware = build("sim").path
    elif firmware is not None:
        firmware = FirmwareBundle.load(firmware).path
    home = reports.absolute() / f"{datetime.now():%Y%m%d-%H%M%S}-{rig}-baseline"
    home.mkdir(parents=True)
    times = math.ceil(runs / plan.repeats)
    limit_s = STARTUP_S + plan.repeats * 64 * (plan.audio_s + 5.0)
    command = [sys.executable, "-m", "pytest", "tests_hil", "-m", "judged", "--rig", rig, "--rig-dir", str(rig_dir),
               "--profile", profile, "--no-baseline", "--keep-recordings", "none", "-q", "-p", "no:cacheprovider",
               *(["--firmware", str(firmware)] if firmware is not None else [])]  # fmt: skip
    environment = {ENV: str(history_path(reports).absolute()), "K1HIL_SESSION": home.name, **os.environ}
    started = time.monotonic()
    done: list[Path] = []

    def one(index: int) -> Path:
        folder = home / f"run-{index + 1:03d}"
        run = _run(command + ["--reports", str(folder)], suite_folder(rig_dir), folder, limit_s, environment)
        done.append(run)
        left_s = (time.monotonic() - started) / len(done) * (times - len(done))
        say(f"{len(done)} of {times} done, {plan.repeats * len(done)} runs, about {left_s:.0f} s left")
        return run

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, range(times)))


def _run(command: list[str], where: Path, folder: Path, limit_s: float, environment: dict[str, str]) -> Path:
    """One run of the suite in a child process; its folder."""
    folder.mkdir(parents=True)
    log = folder / "suite.log"
    with log.open("wb") as out:
        try:
            code = subprocess.run(
                command, cwd=where, env=environment, stdout=out, stderr=subprocess.STDOUT, timeout=limit_s
            ).returncode
        except subprocess.TimeoutExpired as error:
            raise HarnessFault("a run did not finish", expected=f"within {limit_s:.0f} s", evidence=str(log)) from error
    if code == RigFault.exit_code:
        raise RigFault("a run found the rig broken", evidence=str(log), remedy="k1hil rig check")
    found = [p.parent for p in folder.glob("*/metrics.json") if not p.parent.is_symlink()]
    if code != 0 or len(found) != 1:
        raise HarnessFault("a run failed", expected="exit code 0", got=f"{code}", evidence=str(log))
    return found[0]
