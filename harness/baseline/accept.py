"""The explicit command: the metrics of finished runs become the rig's accepted values, with a reason."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from harness.baseline.gate import EXACT_RUNS
from harness.baseline.store import MAX_SAMPLES, Acceptance, AcceptedSet, Baseline, Samples, baseline_path
from harness.errors import BadRequest

MAX_BYTES = 64 << 20
MAX_REASON = 300
GOOD_CODES = (0, 1, 11)


@dataclass(frozen=True)
class Accepted:
    """What was written: the file, and the metrics that are new or changed."""

    path: Path
    samples: list[Samples]


def accept(
    runs: Sequence[Path],
    rig_dir: Path,
    *,
    reason: str,
    force: bool = False,
    exact: bool = False,
    today: date | None = None,
) -> Accepted:
    """Takes the judged metrics of run folders into ``RIG.baseline.json``; metrics they do not hold stay as they are.

    Each run adds its values (one per repeat). Runs of one seed are one run: the first counts.

    Args:
        runs: folders written by the suite (with ``metrics.json``), all of one rig, firmware and profile.
        rig_dir: where the baseline file goes.
        reason: why, for whoever reads the difference.
        force: also accept runs in which tests failed.
        exact: only metrics that were alike to the last digit in all runs. For rigs where 30 runs take too long: fewer
            are enough to see that nothing random reaches a metric, and too few to judge one that spreads.
        today: the date of the log entry.

    Raises:
        BadRequest: no reason, no run, not a run, runs that do not belong together, failed tests, nothing to accept.
    """
    reason = " ".join(reason.split())
    if not 3 <= len(reason) <= MAX_REASON:
        raise BadRequest("accepting needs a reason", expected=f"3 to {MAX_REASON} characters", remedy='--reason "why"')
    documents = [_read(folder) for folder in runs]
    if not documents:
        raise BadRequest("no run to accept", remedy="k1hil baseline accept reports/latest --reason WHY")
    _refuse_mixture(documents)
    failed = [str(run) for run, d in zip(runs, documents, strict=True) if _failed(d)]
    if failed and not force:
        raise BadRequest("a failed run is no baseline", evidence=", ".join(failed), remedy="use a good run, or --force")
    samples = pooled(documents, mixed=exact)
    if exact:
        samples = [s for s in samples if s.alike and len(s.values) >= EXACT_RUNS]
    if not samples:
        kind = f"judged metric alike in at least {EXACT_RUNS} runs" if exact else "judged metric"
        raise BadRequest(f"the runs hold no {kind}", evidence=", ".join(map(str, runs)))
    return _write(documents[0], samples, reason, rig_dir, today or date.today(), _seeds(documents))


def pooled(documents: Sequence[dict[str, Any]], *, mixed: bool = False) -> list[Samples]:
    """The values of each judged metric over all runs of different seeds, ordered by key.

    Args:
        mixed: a metric that was measured by different streams (a camera, and telemetry where the camera fell short) is
            left out; else it is refused.

    Raises:
        BadRequest: more values than a baseline holds, or values of different streams.
    """
    values: dict[str, list[float]] = defaultdict(list)
    units: dict[str, tuple[str, str]] = {}
    seen: set[tuple[str, int]] = set()
    apart: set[str] = set()
    for document in documents:
        seed = document.get("seed")
        judged = {v["key"] for v in document.get("verdicts", [])}
        for metric in document.get("metrics", []):
            key = f"{metric['pattern']}/{metric['name']}" if metric.get("pattern") else str(metric["name"])
            if key in judged and (key, seed) not in seen:
                if seed is not None:
                    seen.add((key, int(seed)))
                given = (metric.get("detail") or {}).get("samples") or [metric["value"]]
                values[key] += [float(v) for v in given]
                kind = (str(metric.get("unit", "")), str(metric.get("source", "")))
                if units.setdefault(key, kind) != kind:
                    apart.add(key)
                if key in apart and not mixed:
                    raise BadRequest(f"the runs differ in unit or source of {key}", got=f"{units[key]} and {kind}")
    longest = max(map(len, values.values()), default=0)
    if longest > MAX_SAMPLES:
        raise BadRequest("too many runs for a baseline", expected=f"at most {MAX_SAMPLES}", got=str(longest))
    return [Samples(key, units[key][0], tuple(values[key]), units[key][1]) for key in sorted(values.keys() - apart)]


def _refuse_mixture(documents: list[dict[str, Any]]) -> None:
    for what in ("rig", "provenance", "profile", "fingerprint"):
        found = {json.dumps(d.get(what), sort_keys=True) for d in documents}
        if len(found) != 1:
            raise BadRequest(f"the runs differ in their {what}", got=", ".join(sorted(found)), remedy="one at a time")
    images = {str((d.get("firmware") or {}).get("sha256")) for d in documents}
    if len(images) != 1:
        raise BadRequest("the runs are of different firmware images", got=", ".join(sorted(images)))
    if not documents[0].get("fingerprint"):
        raise BadRequest("the runs have no fingerprint: the rig was never opened", remedy="use a complete run")


def _failed(document: dict[str, Any]) -> bool:
    """Whether it failed for another reason than a change against the old baseline (which is what gets accepted)."""
    over_budget = any(v.get("over_budget") for v in document.get("verdicts", []))
    tests = document.get("tests", [])
    bad = any(t.get("outcome") in ("failed", "error") and not t.get("regressed") for t in tests)
    return bad or over_budget or int(document.get("exit_code", 1)) not in GOOD_CODES


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
    if not isinstance(document, dict) or "rig" not in document or "metrics" not in document:
        raise BadRequest(f"{path} does not hold a run's metrics")
    return document


def _seeds(documents: list[dict[str, Any]]) -> tuple[int, ...]:
    return tuple(sorted({int(d["seed"]) for d in documents if d.get("seed") is not None}))


def _write(
    document: dict[str, Any], samples: list[Samples], reason: str, rig_dir: Path, today: date, seeds: tuple[int, ...]
) -> Accepted:
    rig, profile = str(document["rig"]), str(document["profile"])
    conditions = {str(k): str(v) for k, v in document["fingerprint"].items()}
    firmware = document.get("firmware") or {}
    identity = f"{firmware.get('project', '?')} {firmware.get('version', '?')} {str(firmware.get('sha256', ''))[:12]}"
    runs = max(len(s.values) for s in samples)
    entry = Acceptance(today.isoformat(), reason, identity, runs, len(samples), seeds)
    path = baseline_path(rig_dir, rig)
    before = Baseline.load(path, rig)
    old = before.find(conditions, profile) or AcceptedSet(conditions, profile)
    before.with_set(old.accepting(samples, entry)).save(path)
    return Accepted(path, samples)
