"""Accepted metrics of one rig: ``rigs/NAME.baseline.json``, kept in version control and changed only on command.

An entry belongs to a metric of a pattern under one cost model: render times of different cost models are never
compared.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadRequest
from harness.metric import Metric

SCHEMA = 1
MAX_BYTES = 16 << 20


@dataclass(frozen=True)
class Entry:
    """One accepted value.

    Attributes:
        key: ``pattern/name`` or ``name``.
        cost_model: "" on real silicon.
        value, unit: the accepted value: mean over the accepted runs.
        runs: how many runs (of different seeds) it is the mean of.
        spread: standard deviation between the runs, or None with a single run.
        noise: half width of the 95 % interval within a run, or None when the metric has none.
        source: where it came from (firmware, seeds, profile); for people.
    """

    key: str
    cost_model: str
    value: float
    unit: str
    runs: int = 1
    spread: float | None = None
    noise: float | None = None
    source: str = ""


class Baseline:
    """All entries of one rig. Immutable; :meth:`with_entries` gives a new one."""

    def __init__(self, rig: str, entries: Iterable[Entry] = (), path: Path | None = None) -> None:
        self.rig = rig
        self.path = path
        self._entries = {(e.key, e.cost_model): e for e in entries}

    @property
    def entries(self) -> list[Entry]:
        """All entries, ordered by cost model and key."""
        return [self._entries[k] for k in sorted(self._entries, key=lambda k: (k[1], k[0]))]

    def find(self, metric: Metric) -> Entry | None:
        """The entry for a metric under its cost model; None when there is none."""
        return self._entries.get((metric.key, str(metric.detail.get("cost_model", ""))))

    def cost_models(self) -> set[str]:
        """Cost models with entries."""
        return {model for _, model in self._entries}

    def with_entries(self, entries: Iterable[Entry]) -> Baseline:
        """A copy in which ``entries`` replace those of the same key and cost model."""
        return Baseline(self.rig, [*self._entries.values(), *entries], self.path)

    def save(self, path: Path) -> Path:
        """Writes the file, complete or not at all."""
        text = json.dumps(
            {"schema": SCHEMA, "rig": self.rig, "entries": [asdict(e) for e in self.entries]}, indent=1, allow_nan=False
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, work = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text + "\n")
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
            entries = [_entry(row) for row in document["entries"]]
            owner = str(document["rig"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadRequest(
                f"{path} is not a baseline of schema {SCHEMA}", got=repr(error), remedy="restore the committed file"
            ) from error
        if owner != rig:
            raise BadRequest(f"{path} belongs to another rig", expected=rig, got=owner, remedy="keep one file per rig")
        return Baseline(rig, entries, path)


def _entry(row: dict[str, Any]) -> Entry:
    entry = Entry(**row)
    if not isinstance(entry.key, str) or not isinstance(entry.cost_model, str) or int(entry.runs) < 1:
        raise ValueError(f"entry {row}")
    for number in (entry.value, entry.spread, entry.noise):
        if number is not None and not math.isfinite(number):
            raise ValueError(f"entry {entry.key}: {number}")
    return entry


def baseline_path(rig_dir: Path, rig: str) -> Path:
    """Where a rig's baseline lies."""
    return rig_dir / f"{rig}.baseline.json"
