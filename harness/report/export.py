"""Metrics for programs: JSON with everything, CSV with one line per metric."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from importlib import resources
from pathlib import Path
from typing import Any

from harness.report.model import RunReport

CSV_COLUMNS = (
    "pattern", "name", "value", "unit", "direction", "n", "ci95_low", "ci95_high", "source", "provenance", "verdict",
    "baseline", "change", "shift", "shift_low", "shift_high", "floor", "exact",
)  # fmt: skip


def write_text(path: Path, text: str) -> Path:
    """Writes a file complete or not at all."""
    work = path.with_name(f".{path.name}.{os.getpid()}.new")
    work.write_text(text, encoding="utf-8")
    work.replace(path)
    return path


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of ``metrics.json``."""
    text = resources.files("harness.report").joinpath("metrics.schema.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def metrics_json(report: RunReport) -> str:
    """The whole run without pictures."""
    return json.dumps(_finite(report.to_json()), indent=1, allow_nan=False, ensure_ascii=False) + "\n"


def _finite(value: Any) -> Any:
    """JSON has no NaN and no infinity: they become null."""
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def metrics_csv(report: RunReport) -> str:
    """One line per metric, with its verdict where it was judged."""
    verdicts = {v["key"]: v for v in report.verdicts}
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for m in report.metrics:
        key = f"{m['pattern']}/{m['name']}" if m["pattern"] else m["name"]
        verdict = verdicts.get(key, {})
        low, high = m["ci95"] or ("", "")
        writer.writerow(
            [m["pattern"], m["name"], m["value"], m["unit"], m["direction"], m["n"], low, high, m["source"]]
            + [m["provenance"], verdict.get("word", "")]
            + [_blank(verdict.get(k)) for k in ("baseline", "change", "shift", "low", "high", "floor", "exact")]
        )
    return out.getvalue()


def _blank(value: Any) -> Any:
    return "" if value is None else value
