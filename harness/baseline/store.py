"""Accepted runs of one rig: ``rigs/NAME.baseline.json``, kept in version control and changed only on command.

The file holds sets. A set is what was accepted under one fingerprint (what the values depend on besides the firmware:
the cost model above all) and one profile (how long a run listens). In a set, each metric has one line: the values of
its runs, or the one value that all of them gave.
"""

from __future__ import annotations

import json
import math
import os
import statistics
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.errors import BadRequest

SCHEMA = 2
MAX_BYTES = 16 << 20
MAX_SAMPLES = 100
MAX_LOG = 20


@dataclass(frozen=True)
class Samples:
    """The accepted values of one metric, one per run.

    Attributes:
        key: ``pattern/name`` or ``name``.
        unit: of the values.
        values: float[runs], in the order of the runs.
        source: the stream they come from; light on the wire is not light in a camera. "" when unknown.
    """

    key: str
    unit: str
    values: tuple[float, ...]
    source: str = ""

    @property
    def median(self) -> float:
        """Median of the runs."""
        return float(statistics.median(self.values))

    @property
    def alike(self) -> bool:
        """Whether all runs gave the same value to the last digit."""
        return len(set(self.values)) == 1


@dataclass(frozen=True)
class Acceptance:
    """Who changed the set and why: one line of its log.

    Attributes:
        on: date; reason: what the person wrote.
        firmware: project, version and image of the accepted runs.
        runs, metrics: how many were taken.
        seeds: of the runs, for whoever wants to repeat them.
    """

    on: str
    reason: str
    firmware: str
    runs: int
    metrics: int
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class AcceptedSet:
    """All accepted metrics under one fingerprint and profile."""

    fingerprint: dict[str, str]
    profile: str
    log: tuple[Acceptance, ...] = ()
    samples: dict[str, Samples] = field(default_factory=dict)

    def fits(self, fingerprint: Mapping[str, str], profile: str) -> bool:
        """Whether values under these conditions may be compared with this set's."""
        return self.profile == profile and self.fingerprint == dict(fingerprint)

    @property
    def patterns(self) -> set[str]:
        """Patterns with accepted values."""
        return {key.partition("/")[0] for key in self.samples if "/" in key}

    def accepting(self, samples: Iterable[Samples], entry: Acceptance) -> AcceptedSet:
        """A copy in which these metrics are replaced; the others stay."""
        merged = {**self.samples, **{s.key: s for s in samples}}
        return replace(self, samples=merged, log=(*self.log, entry)[-MAX_LOG:])


class Baseline:
    """All sets of one rig. Immutable; :meth:`with_set` gives a new one."""

    def __init__(self, rig: str, sets: Iterable[AcceptedSet] = (), path: Path | None = None) -> None:
        self.rig = rig
        self.path = path
        self.sets = tuple(sets)

    def find(self, fingerprint: Mapping[str, str], profile: str) -> AcceptedSet | None:
        """The set that was accepted under exactly these conditions; None when there is none."""
        return next((s for s in self.sets if s.fits(fingerprint, profile)), None)

    def why_not(self, fingerprint: Mapping[str, str], profile: str) -> str:
        """Why :meth:`find` finds nothing: what the nearest set has otherwise."""
        if not self.sets:
            return f"rig '{self.rig}' has no accepted baseline"
        same = [s for s in self.sets if s.fingerprint == dict(fingerprint)]
        if same:
            others = ", ".join(sorted({s.profile for s in same}))
            return f"rig '{self.rig}' has no accepted baseline for profile {profile}, only for {others}"
        nearest = min(self.sets, key=lambda s: len(_differences(s.fingerprint, fingerprint)))
        return f"the fingerprint changed: {'; '.join(_differences(nearest.fingerprint, fingerprint))}"

    def with_set(self, accepted: AcceptedSet) -> Baseline:
        """A copy in which this set replaces the one of the same conditions."""
        others = [s for s in self.sets if not s.fits(accepted.fingerprint, accepted.profile)]
        ordered = sorted([*others, accepted], key=lambda s: (sorted(s.fingerprint.items()), s.profile))
        return Baseline(self.rig, ordered, self.path)

    def save(self, path: Path) -> Path:
        """Writes the file, complete or not at all."""
        text = _to_text(self)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, work = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(work, 0o644)
            os.replace(work, path)
        except BaseException:
            Path(work).unlink(missing_ok=True)
            raise
        return path

    @staticmethod
    def load(path: Path, rig: str) -> Baseline:
        """Reads a rig's baseline; an absent file is an empty one.

        Raises:
            BadRequest: not a baseline, of another rig, or of another schema.
        """
        if not path.is_file():
            return Baseline(rig, path=path)
        if path.stat().st_size > MAX_BYTES:
            raise BadRequest(f"{path} is too large for a baseline", expected=f"at most {MAX_BYTES} bytes")
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if document["schema"] != SCHEMA:
                raise ValueError(f"schema {document['schema']}")
            sets = [_read_set(row) for row in document["sets"]]
            owner = str(document["rig"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BadRequest(
                f"{path} is not a baseline of schema {SCHEMA}", got=repr(error), remedy="restore the committed file"
            ) from error
        if owner != rig:
            raise BadRequest(f"{path} belongs to another rig", expected=rig, got=owner, remedy="keep one file per rig")
        return Baseline(rig, sets, path)


def baseline_path(rig_dir: Path, rig: str) -> Path:
    """Where a rig's baseline lies."""
    return rig_dir / f"{rig}.baseline.json"


def _differences(accepted: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    keys = [k for k in sorted({*accepted, *now}) if accepted.get(k) != now.get(k)]
    return [f"{k} is {now.get(k) or 'unknown'}, accepted was {accepted.get(k) or 'unknown'}" for k in keys]


def _to_text(baseline: Baseline) -> str:
    """JSON for people: conditions on lines of their own, then one line per metric, ordered by key."""
    blocks = []
    for s in baseline.sets:
        log = ",\n".join("    " + json.dumps(asdict(entry), allow_nan=False) for entry in s.log)
        rows = ",\n".join(
            f"    {json.dumps(key)}: {json.dumps(_row(s.samples[key]), allow_nan=False)}" for key in sorted(s.samples)
        )
        print_ = json.dumps(dict(sorted(s.fingerprint.items())))
        blocks.append(
            f'  {{"profile": {json.dumps(s.profile)},\n   "fingerprint": {print_},\n   "accepted": [\n{log}\n   ],\n'
            f'   "metrics": {{\n{rows}\n   }}}}'
        )
    body = ",\n".join(blocks)
    return f'{{"schema": {SCHEMA}, "rig": {json.dumps(baseline.rig)},\n "sets": [\n{body}\n ]}}\n'


def _row(samples: Samples) -> dict[str, Any]:
    row: dict[str, Any] = {"unit": samples.unit, "source": samples.source, "runs": len(samples.values)}
    if samples.alike:
        return {**row, "exact": samples.values[0]}
    return {**row, "median": round(samples.median, 4), "values": list(samples.values)}


def _read_set(row: dict[str, Any]) -> AcceptedSet:
    log = tuple(Acceptance(**{**entry, "seeds": tuple(entry.get("seeds", ()))}) for entry in row["accepted"])
    fingerprint = {str(k): str(v) for k, v in row["fingerprint"].items()}
    samples = {str(key): _read_samples(str(key), value) for key, value in row["metrics"].items()}
    return AcceptedSet(fingerprint, str(row["profile"]), log, samples)


def _read_samples(key: str, row: dict[str, Any]) -> Samples:
    runs = int(row["runs"])
    if not 1 <= runs <= MAX_SAMPLES:
        raise ValueError(f"{key}: {runs} runs")
    values = (float(row["exact"]),) * runs if "exact" in row else tuple(float(v) for v in row["values"])
    if len(values) != runs or not all(map(math.isfinite, values)):
        raise ValueError(f"{key}: {len(values)} values for {runs} runs, or one that is not finite")
    return Samples(key, str(row["unit"]), values, str(row.get("source", "")))
