"""The folder of one run, ``reports/<time>-<rig>/``, and ``reports/latest``."""

from __future__ import annotations

import os
import re
import shutil
from datetime import datetime
from pathlib import Path

from harness.errors import BadRequest


def new_run(reports: Path, rig: str, now: datetime | None = None) -> Path:
    """Makes the folder of a new run. Two runs that start in the same second get different folders."""
    stamp = (now or datetime.now()).strftime("%Y%m%d-%H%M%S")
    reports.mkdir(parents=True, exist_ok=True)
    for attempt in range(1000):
        path = reports / (f"{stamp}-{rig}" if attempt == 0 else f"{stamp}-{rig}-{attempt + 1}")
        try:
            path.mkdir()
            return path
        except FileExistsError:
            continue
    raise FileExistsError(f"no free name for a run in {reports}")


def point_latest(run: Path) -> Path:
    """Lets ``reports/latest`` point to a run: a relative link, or a text file with its name where links are refused."""
    latest = run.parent / "latest"
    work = run.parent / f".latest-{os.getpid()}"
    work.unlink(missing_ok=True)
    try:
        work.symlink_to(run.name, target_is_directory=True)
    except (OSError, NotImplementedError):
        work.write_text(run.name + "\n", encoding="utf-8")
    if latest.is_dir() and not latest.is_symlink():
        work.unlink()
        raise FileExistsError(f"{latest} is a folder; remove it")
    work.replace(latest)
    return latest


def drop_frame_sentences(log: Path) -> None:
    """Takes per-frame records and pixels out of a console log: nine tenths of it, and of no use once a run was good."""
    if not log.is_file():
        return
    work = log.with_name(f".{log.name}.new")
    with log.open("rb") as source, work.open("wb") as target:
        target.writelines(line for line in source if not line.startswith((b"$K1FRM,", b"$K1PIX,")))
    work.replace(log)


# What new_run() names its folders; only such folders, with a result in them, are ever removed.
_RUN = re.compile(r"\d{8}-\d{6}-[^/]+")
_RESULTS = ("junit.xml", "metrics.json")


def prune(reports: Path, keep: int) -> list[Path]:
    """Removes all runs but the newest ``keep``, and never the one ``latest`` points to; returns what was removed.

    Raises:
        BadRequest: ``reports`` is not a folder.
    """
    if not reports.is_dir():
        raise BadRequest(f"{reports} is not there", remedy="run the suite first, or name the folder: --folder")
    runs = [p for p in reports.iterdir() if p.is_dir() and not p.is_symlink() and _RUN.fullmatch(p.name)]
    runs = sorted(p for p in runs if any((p / name).is_file() for name in _RESULTS))
    latest = reports / "latest"
    pointed = latest.read_text().strip() if latest.is_file() else latest.resolve().name
    old = [p for p in runs[: len(runs) - keep if keep < len(runs) else 0] if p.name != pointed]
    for path in old:
        shutil.rmtree(path)
    return old
