"""The explicit command: the metrics of finished runs become the rig's accepted values."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from harness.baseline.store import Baseline, Entry, baseline_path
from harness.errors import BadRequest

MAX_BYTES = 64 << 20


@dataclass(frozen=True)
class Accepted:
    """What was written: the file, and the entries that are new or changed."""

    path: Path
    entries: list[Entry]


def accept(runs: Sequence[Path], rig_dir: Path, *, force: bool = False) -> Accepted:
    """Takes the judged metrics of one or more run folders into ``RIG.baseline.json``.

    Several runs of different seeds give a mean and its spread; runs of one seed count once.

    Args:
        runs: folders written by the suite (with ``metrics.json``), all of one rig.
        rig_dir: where the baseline file goes.
        force: also accept runs in which tests failed.

    Raises:
        BadRequest: no run, not a run, runs of several rigs or firmwares, failed tests, or nothing to accept.
    """
    documents = [_read(folder) for folder in runs]
    if not documents:
        raise BadRequest("no run to accept", remedy="k1hil baseline accept reports/latest")
    for what in ("rig", "provenance"):
        found = {str(d.get(what)) for d in documents}
        if len(found) != 1:
            raise BadRequest(f"the runs differ in their {what}", got=", ".join(sorted(found)), remedy="one at a time")
    images = {str((d.get("firmware") or {}).get("sha256")) for d in documents}
    if len(images) != 1:
        raise BadRequest("the runs are of different firmware images", got=", ".join(sorted(images)))
    failed = [str(run) for run, d in zip(runs, documents, strict=True) if int(d.get("exit_code", 1)) not in (0, 1, 11)]
    failed += [str(run) for run, d in zip(runs, documents, strict=True) if _device_failed(d)]
    if failed and not force:
        raise BadRequest("a failed run is no baseline", evidence=", ".join(failed), remedy="use a good run, or --force")
    entries = _entries(documents)
    if not entries:
        raise BadRequest("the runs hold no judged metric", evidence=", ".join(map(str, runs)))
    rig = str(documents[0]["rig"])
    path = baseline_path(rig_dir, rig)
    before = Baseline.load(path, rig)
    before.with_entries(entries).save(path)
    return Accepted(path, entries)


def _device_failed(document: dict[str, Any]) -> bool:
    """Whether a test failed for another reason than a change against the baseline (which is what gets accepted)."""
    return any(t.get("outcome") in ("failed", "error") and not t.get("regressed") for t in document.get("tests", []))


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "metrics.json"
    if not path.is_file():
        raise BadRequest(f"{folder} is not a run", expected="a folder with metrics.json", remedy="ls reports/")
    if path.stat().st_size > MAX_BYTES:
        raise BadRequest(f"{path} is too large")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BadRequest(f"{path} is not JSON", got=str(error)) from error
    if not isinstance(document, dict) or document.get("schema") != 1:
        raise BadRequest(f"{path} is not of schema 1")
    return document


def _entries(documents: list[dict[str, Any]]) -> list[Entry]:
    """One entry per judged metric and cost model, from the runs of different seeds."""
    samples: dict[tuple[str, str], dict[Any, dict[str, Any]]] = defaultdict(dict)
    for document in documents:
        judged = {v["key"] for v in document.get("verdicts", [])}
        for metric in document.get("metrics", []):
            key = f"{metric['pattern']}/{metric['name']}" if metric.get("pattern") else str(metric["name"])
            if key in judged:
                model = str((metric.get("detail") or {}).get("cost_model", ""))
                seed = document.get("seed")
                samples[key, model][id(document) if seed is None else seed] = metric
    firmware = documents[0].get("firmware") or {}
    seeds, profile = ", ".join(str(d.get("seed")) for d in documents), documents[0].get("profile")
    source = f"{firmware.get('project')} {firmware.get('version')}, profile {profile}, seeds {seeds}"
    return [_entry(key, model, list(found.values()), source) for (key, model), found in samples.items()]


def _entry(key: str, model: str, metrics: list[dict[str, Any]], source: str) -> Entry:
    values = [float(m["value"]) for m in metrics]
    noise = [(m["ci95"][1] - m["ci95"][0]) / 2 for m in metrics if m.get("ci95")]
    return Entry(
        key,
        model,
        round(fmean(values), 4),
        str(metrics[0].get("unit", "")),
        runs=len(values),
        spread=round(stdev(values), 4) if len(values) > 1 else None,
        noise=round(fmean(noise), 4) if noise else None,
        source=source,
    )
