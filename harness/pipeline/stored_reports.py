"""Reports of several runs from the store: what they say together, and one folder with all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.errors import HarnessFault
from harness.pipeline.artifacts import Artifact, ArtifactStore, unzipped, zipped

WORDS = ("improved", "unchanged", "regressed", "inconclusive")
KEPT = ("summary.md", "report.html", "metrics.csv", "metrics.json")
MOST_NAMED = 30


@dataclass
class Comparison:
    """All comparisons of some reports.

    Attributes:
        counts: metrics by verdict. open: inconclusive although there is a baseline.
        named: the regressed and the open ones, with why.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WORDS, 0))
    open: int = 0
    named: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Nothing is worse, and nothing that could be compared stayed open."""
        return self.counts["regressed"] == 0 and self.open == 0

    @property
    def why(self) -> str:
        """One line; also when there was nothing to compare with."""
        if self.named:
            return "; ".join(self.named[:3])
        compared = self.counts["improved"] + self.counts["unchanged"] + self.counts["regressed"]
        return "" if compared else "nothing to compare with: no accepted baseline for this rig and firmware"


def compare(store: ArtifactStore, reports: Mapping[str, str]) -> Comparison:
    """Gathers the verdicts of stored runs, which were judged against the rig's accepted baseline.

    Raises:
        BadRequest: no such report. HarnessFault: a damaged one.
    """
    found = Comparison()
    for part, name in reports.items():
        for verdict in document(store, name).get("verdicts", []):
            word = str(verdict.get("word"))
            if word in found.counts:
                found.counts[word] += 1
            left_open = word == "inconclusive" and verdict.get("baseline") is not None
            found.open += left_open
            if (word == "regressed" or left_open) and len(found.named) < MOST_NAMED:
                found.named.append(f"{part}: {verdict.get('key')} {word}: {verdict.get('why', '')}"[:300])
    return found


def gather(store: ArtifactStore, name: str, reports: Mapping[str, str], facts: Mapping[str, Any]) -> Artifact:
    """One report of all: every run's own files in a folder, and a summary that begins with the facts."""
    files: dict[str, bytes] = {}
    lines = [f"# {name}", "", *(f"- {key}: {value}" for key, value in facts.items()), ""]
    for part, stored in reports.items():
        inside = unzipped(store.content(store.get("reports", stored)))
        files |= {f"{part}/{file}": inside[file] for file in KEPT if file in inside}
        lines += [f"## {part}: {stored}", "", inside.get("summary.md", b"").decode("utf-8", "replace"), ""]
    files["summary.md"] = "\n".join(lines).encode()
    return store.put_bytes("reports", name, zipped(files), ".zip", {"reports": dict(reports)}, folder=True)


def document(store: ArtifactStore, name: str) -> dict[str, Any]:
    """``metrics.json`` of a stored run."""
    data = unzipped(store.content(store.get("reports", name))).get("metrics.json")
    try:
        value = json.loads(data) if data is not None else None
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise HarnessFault(f"the report '{name}' holds no metrics", evidence=store.url)
    return value
