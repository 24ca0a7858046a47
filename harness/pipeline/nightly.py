"""The night: the whole suite with its long profile on one rig, into the history, with a trend to look at."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from harness.baseline.history import ENV as HISTORY_ENV
from harness.baseline.history import History, history_path
from harness.errors import HarnessFault, RigFault
from harness.pipeline.collect import suite_folder
from harness.report.trend import write_trend
from harness.rig import lease as leases
from harness.rig.config import load_config
from harness.rig.opening import lease_key
from harness.rig.profile import profile as profile_named

Tell = Callable[[str], None]
# How often a rig in use is asked for again: a lease of a dead holder expires after half a minute.
ASK_EVERY_S = 15.0
SUITE_LIMIT_S = 12 * 3600.0


@dataclass(frozen=True)
class Night:
    """How it ended.

    Attributes:
        exit_code: the suite's, see ``docs/verdicts.md``; a night without verdicts is 11.
        run: the suite's folder, None when it did not get so far.
        trend: the page of all nights.
        image: SHA-256 of what the device said it runs; "" when it was not asked.
    """

    exit_code: int
    run: Path | None
    trend: Path | None
    image: str = ""


def nightly(
    rig: str,
    rig_dir: Path,
    *,
    wait_s: float,
    firmware: Path | None = None,
    flash: bool = True,
    profile: str = "nightly",
    reports: Path = Path("reports"),
    history: Path | None = None,
    tell: Tell = print,
) -> Night:
    """Runs the suite on a rig that it holds from the beginning to the end.

    Args:
        rig, rig_dir: which rig.
        wait_s: for a rig in use.
        firmware: image; default a build of this checkout.
        flash: bring it onto the device; else the device is tested as it is.
        profile: of the suite.
        reports: folder for the run.
        history: file of all nights; default ``K1HIL_HISTORY``, else beside the reports.
        tell: gets the lines worth telling.

    Raises:
        BadRequest: unknown rig, profile or firmware.
        RigFault: the rig is still in use after ``wait_s``; names the holder.
        HarnessFault: the suite did not end in half a day.
    """
    config = load_config(rig, rig_dir)
    profile_named(profile)
    lease = take_in_time(lease_key(rig, config, None), wait_s, f"k1hil nightly on {rig}", tell)
    reports = reports.absolute()
    session = f"{datetime.now():%Y%m%d-%H%M%S}-{rig}-nightly"
    with lease:
        nights = (history or history_path(reports)).absolute()
        environment = {**os.environ, HISTORY_ENV: str(nights), **lease.environment(), "K1HIL_SESSION": session}
        command = [sys.executable, "-m", "pytest", "tests_hil", "--rig", rig, "--rig-dir", str(rig_dir.absolute()),
                   "--profile", profile, "--require", "verdict", "--reports", str(reports)]  # fmt: skip
        command += ["--firmware", str(firmware.absolute())] if firmware is not None else []
        command += [] if flash else ["--no-flash"]
        code = _suite(command, suite_folder(rig_dir.absolute()), environment)
    with History(nights) as rows:
        newest = next((r for r in rows.runs(rig, 10) if r.session == session), None)
        trend = write_trend(rows, newest, reports / f"trend-{rig}.html") if newest is not None else None
    if newest is None:
        tell("the suite left no run in the history; its own output above says why")
        return Night(code or HarnessFault.exit_code, None, None)
    run = reports / newest.uid.rpartition("-")[0]
    tell(f"results: {run / 'report.html'}")
    tell(f"trend: {trend}")
    return Night(code, run, trend, newest.image)


def take_in_time(
    key: str, wait_s: float, owner: str, tell: Tell, *, every_s: float = ASK_EVERY_S, folder: Path | None = None
) -> leases.Lease:
    """The lease of a rig, waiting while another holds it.

    Raises:
        RigFault: still held when the time is over; names the holder.
    """
    deadline = time.monotonic() + wait_s
    told = False
    while True:
        try:
            return leases.take(key, owner=owner, folder=folder)
        except RigFault as busy:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                busy.expected = f"the rig free within {wait_s:.0f} s"
                raise
            if not told:
                tell(f"{busy.message}, {busy.got}; waiting up to {left_s / 60:.0f} min")
                told = True
            time.sleep(min(every_s, left_s))


def _suite(command: list[str], where: Path, environment: dict[str, str]) -> int:
    """The suite in a child that shares the lease; its exit code. Its output goes where this one's goes."""
    try:
        return subprocess.run(command, cwd=where, env=environment, timeout=SUITE_LIMIT_S, check=False).returncode
    except subprocess.TimeoutExpired as error:
        raise HarnessFault("the suite did not end", expected=f"within {SUITE_LIMIT_S / 3600:.0f} h") from error
