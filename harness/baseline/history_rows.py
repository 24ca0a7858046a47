"""What the history's tables look like, and how a run's document becomes their rows."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, MetaData, Table, Text

from harness.baseline.fingerprint import digest

SCHEMA = 1

META = MetaData()
RUNS = Table(
    "runs", META,
    Column("id", Integer, primary_key=True),
    Column("uid", Text, nullable=False, unique=True),
    Column("started", Text, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("rig", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("conditions", Text, nullable=False),
    Column("cost_model", Text, nullable=False),
    Column("provenance", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("seed", Integer),
    Column("session", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("version", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("commit", Text, nullable=False),
    Column("exit_code", Integer, nullable=False),
    Column("tests", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Index("runs_by_rig", "rig", "started"),
)  # fmt: skip
METRICS = Table(
    "metrics", META,
    Column("id", Integer, primary_key=True),
    Column("run", ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    Column("pattern", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("value", Float, nullable=False),
    Column("unit", Text, nullable=False),
    Column("direction", Text, nullable=False),
    Column("n", Integer, nullable=False),
    Column("low", Float),
    Column("high", Float),
    Column("source", Text, nullable=False),
    Column("stimulus", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Index("metrics_of_run", "run"),
    Index("metrics_by_key", "pattern", "name", "run"),
)  # fmt: skip
SAMPLES = Table(
    "samples", META,
    Column("metric", ForeignKey("metrics.id", ondelete="CASCADE"), primary_key=True),
    Column("repeat", Integer, primary_key=True),
    Column("value", Float, nullable=False),
    Column("seed", Integer),
)  # fmt: skip


def prepare(connection: Any, _: object) -> None:
    """Every new connection: write-ahead log, commits that reach the disk, references that hold."""
    connection.isolation_level = None  # transactions begin where this module says, not where the driver guesses
    cursor = connection.cursor()
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def run_row(document: dict[str, Any], uid: str, session: str) -> dict[str, Any]:
    firmware = document.get("firmware") or {}
    conditions = {str(k): str(v) for k, v in (document.get("fingerprint") or {}).items()}
    tests = document.get("tests", [])
    seed = document.get("seed")
    return {
        "uid": uid,
        "started": str(document.get("started", "")),
        "seconds": float(document.get("seconds", 0.0)),
        "rig": str(document["rig"]),
        "fingerprint": digest(conditions) if conditions else "",
        "conditions": json.dumps(conditions, sort_keys=True),
        "cost_model": str(document.get("cost_model", "")),
        "provenance": str(document.get("provenance", "")),
        "profile": str(document.get("profile", "")),
        "seed": None if seed is None else int(seed),
        "session": session or uid,
        "line": str(firmware.get("project", "")),
        "version": str(firmware.get("version", "")),
        "image": str(firmware.get("sha256", "")),
        "commit": str(firmware.get("git", "")),
        "exit_code": int(document.get("exit_code", 0)),
        "tests": len(tests),
        "failed": sum(t.get("outcome") in ("failed", "error") for t in tests),
    }


def metric_row(metric: dict[str, Any], verdicts: dict[str, str]) -> dict[str, Any]:
    pattern, name = str(metric.get("pattern", "")), str(metric["name"])
    low, high = metric.get("ci95") or (None, None)
    return {
        "pattern": pattern,
        "name": name,
        "value": float(metric["value"]),
        "unit": str(metric.get("unit", "")),
        "direction": str(metric.get("direction", "none")),
        "n": int(metric.get("n", 1)),
        "low": low,
        "high": high,
        "source": str(metric.get("source", "")),
        "stimulus": str((metric.get("detail") or {}).get("stimulus", "")),
        "verdict": verdicts.get(f"{pattern}/{name}" if pattern else name, ""),
    }


def sample_rows(metric: dict[str, Any], number: int) -> list[dict[str, Any]]:
    detail = metric.get("detail") or {}
    values: Sequence[float] = detail.get("samples") or [metric["value"]]
    seeds: Sequence[int | None] = detail.get("seeds") or [detail.get("seed")] * len(values)
    finite = [(i, float(v), s) for i, (v, s) in enumerate(zip(values, seeds, strict=True)) if math.isfinite(float(v))]
    return [{"metric": number, "repeat": i, "value": v, "seed": s} for i, v, s in finite]
