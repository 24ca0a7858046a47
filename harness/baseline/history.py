"""Every run that ever was: one row each, with its metrics and the values of its repeats, in one SQLite file.

A run is written in one transaction through a write-ahead log: a process killed at any moment leaves either the whole
run or nothing of it, and never harms the runs before. Several processes may write; they wait for each other.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, CursorResult, create_engine, delete, event, func, insert, select
from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from harness.baseline.history_rows import (
    META,
    METRICS,
    RUNS,
    SAMPLES,
    SCHEMA,
    metric_row,
    prepare,
    run_row,
    sample_rows,
)  # fmt: skip
from harness.errors import BadRequest, HarnessFault

ENV = "K1HIL_HISTORY"
NAME = "history.sqlite"
BUSY_S = 30.0
_WRITES = "k1hil_writes"


@dataclass(frozen=True)
class Run:
    """One run as listed.

    Attributes:
        id: number in this file; uid: the same run has the same everywhere.
        started: local time, ``YYYY-MM-DD HH:MM:SS``; seconds: it took.
        fingerprint: digest of what its values depend on besides the firmware.
        session: runs that belong together (one night, one collection).
        line, version, image, commit: the firmware's project, version, SHA-256 and source commit.
        exit_code, tests, failed: how it ended.
    """

    id: int
    uid: str
    started: str
    seconds: float
    rig: str
    fingerprint: str
    cost_model: str
    provenance: str
    profile: str
    seed: int | None
    session: str
    line: str
    version: str
    image: str
    commit: str
    exit_code: int
    tests: int
    failed: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


@dataclass(frozen=True)
class Point:
    """One run's value of one metric, with the values of its repeats."""

    run: int
    started: str
    commit: str
    version: str
    value: float
    low: float | None
    high: float | None
    verdict: str
    samples: tuple[float, ...]


class History:
    """The history in one file; made on first use.

    Raises:
        BadRequest: the file is something else, or of a newer schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self._engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": BUSY_S})
        event.listen(self._engine, "connect", prepare)
        event.listen(self._engine, "begin", _begin)
        self._writer = self._engine.execution_options(**{_WRITES: True})
        try:
            with self._writer.begin() as db:
                self._check_schema(db)
        except DatabaseError as error:
            self.close()
            raise BadRequest(
                f"{path} cannot be used as a history", got=str(error.orig), remedy=f"move it away, or set {ENV}"
            ) from error

    def _check_schema(self, db: Connection) -> None:
        found = int(db.exec_driver_sql("PRAGMA user_version").scalar_one())
        if found not in (0, SCHEMA):
            raise BadRequest(
                f"{self.path} is of another schema", expected=str(SCHEMA), got=str(found), remedy="use a newer k1hil"
            )
        META.create_all(db)
        db.exec_driver_sql(f"PRAGMA user_version = {SCHEMA}")

    def close(self) -> None:
        """Lets go of the file."""
        self._engine.dispose()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- writing -----------------------------------------------------------------------------------

    def add(self, document: dict[str, Any], uid: str, session: str = "") -> int:
        """Writes a run, all of it or nothing; a run that is there already stays as it is. Returns its id.

        Args:
            document: as in ``metrics.json``.
            uid: names the run for good (the name of its folder).
            session: what it belongs to; default itself.

        Raises:
            HarnessFault: the disk is full, or another process holds the file for half a minute.
        """
        with self._transaction() as db:
            known = db.execute(select(RUNS.c.id).where(RUNS.c.uid == uid)).scalar_one_or_none()
            if known is not None:
                return int(known)
            run = _new_id(db.execute(insert(RUNS), run_row(document, uid, session)))
            verdicts = {v["key"]: v["word"] for v in document.get("verdicts", [])}
            for metric in document.get("metrics", []):
                row = {"run": run, **metric_row(metric, verdicts)}
                number = _new_id(db.execute(insert(METRICS), row))
                db.execute(insert(SAMPLES), sample_rows(metric, number))
            return run

    def prune(self, keep: int, rig: str | None = None) -> int:
        """Removes all but the newest ``keep`` runs (of each rig, or of one); returns how many went."""
        removed = 0
        with self._transaction() as db:
            names = [rig] if rig else list(db.execute(select(RUNS.c.rig).distinct()).scalars())
            for name in names:
                newest = select(RUNS.c.id).where(RUNS.c.rig == name).order_by(RUNS.c.id.desc()).limit(keep)
                gone = delete(RUNS).where(RUNS.c.rig == name, RUNS.c.id.not_in(newest))
                removed += int(db.execute(gone).rowcount)
        return removed

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._writer.begin() as db:
                yield db
        except SQLAlchemyError as error:
            raise HarnessFault(
                "the history could not be written", got=str(error.__cause__ or error), evidence=str(self.path),
                remedy="is the disk full, or does another process hold the file?",
            ) from error  # fmt: skip

    # ---- reading -----------------------------------------------------------------------------------

    def runs(self, rig: str | None = None, limit: int = 50) -> list[Run]:
        """The newest runs, newest first."""
        wanted = [c for c in RUNS.c if c.name != "conditions"]
        query = select(*wanted).order_by(RUNS.c.id.desc()).limit(limit)
        if rig is not None:
            query = query.where(RUNS.c.rig == rig)
        with self._engine.connect() as db:
            return [Run(**row) for row in db.execute(query).mappings()]

    def keys(self, run: int) -> list[tuple[str, str]]:
        """(pattern, name) of every metric of a run."""
        query = select(METRICS.c.pattern, METRICS.c.name).where(METRICS.c.run == run).order_by(METRICS.c.id)
        with self._engine.connect() as db:
            return [(str(p), str(n)) for p, n in db.execute(query)]

    def trend(
        self, rig: str, pattern: str, name: str, *, fingerprint: str, profile: str, limit: int = 1000
    ) -> list[Point]:
        """One metric over the runs of one rig, fingerprint and profile, oldest first: the newest ``limit``."""
        joined = METRICS.join(RUNS, METRICS.c.run == RUNS.c.id)
        query = (
            select(METRICS.c.id, METRICS.c.run, RUNS.c.started, RUNS.c.commit, RUNS.c.version, METRICS.c.value,
                   METRICS.c.low, METRICS.c.high, METRICS.c.verdict)
            .select_from(joined)
            .where(RUNS.c.rig == rig, RUNS.c.fingerprint == fingerprint, RUNS.c.profile == profile)
            .where(METRICS.c.pattern == pattern, METRICS.c.name == name)
            .order_by(METRICS.c.run.desc())
            .limit(limit)
        )  # fmt: skip
        with self._engine.connect() as db:
            rows = list(db.execute(query))[::-1]
            wanted = select(SAMPLES).where(SAMPLES.c.metric.in_(select(query.subquery().c.id)))
            values: dict[int, list[float]] = {}
            for sample in db.execute(wanted.order_by(SAMPLES.c.metric, SAMPLES.c.repeat)):
                values.setdefault(sample.metric, []).append(sample.value)
        return [Point(*row[1:], samples=tuple(values.get(row[0], ()))) for row in rows]

    def export(self, rig: str | None = None) -> Iterator[dict[str, Any]]:
        """Every run with its metrics and samples as plain values, oldest first."""
        query = select(RUNS).order_by(RUNS.c.id)
        if rig is not None:
            query = query.where(RUNS.c.rig == rig)
        with self._engine.connect() as db:
            for row in db.execute(query).mappings():
                run = {**row, "conditions": json.loads(row["conditions"])}
                yield {"schema": SCHEMA, **run, "metrics": _exported(db, int(row["id"]))}

    def count(self) -> int:
        """Number of runs."""
        with self._engine.connect() as db:
            return int(db.execute(select(func.count()).select_from(RUNS)).scalar_one())


def history_path(reports: Path) -> Path:
    """Where the history lies: ``K1HIL_HISTORY``, else beside the reports."""
    return Path(os.environ[ENV]) if os.environ.get(ENV) else reports / NAME


def _begin(db: Connection) -> None:
    """Who is going to write says so at once: a reader that turns writer half-way is refused instead of waiting."""
    db.exec_driver_sql("BEGIN IMMEDIATE" if db.get_execution_options().get(_WRITES) else "BEGIN")


def _new_id(result: CursorResult[Any]) -> int:
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def _exported(db: Connection, run: int) -> list[dict[str, Any]]:
    samples: dict[int, list[float]] = {}
    wanted = select(SAMPLES).join(METRICS, SAMPLES.c.metric == METRICS.c.id).where(METRICS.c.run == run)
    for sample in db.execute(wanted.order_by(SAMPLES.c.metric, SAMPLES.c.repeat)):
        samples.setdefault(sample.metric, []).append(sample.value)
    rows = db.execute(select(METRICS).where(METRICS.c.run == run).order_by(METRICS.c.id)).mappings()
    return [
        {k: v for k, v in row.items() if k not in ("id", "run")} | {"samples": samples.get(row["id"], [])}
        for row in rows
    ]
