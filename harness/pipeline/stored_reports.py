"""Reports of several runs from the store: what they say together, and one folder with all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.errors import HarnessFault
from harness.pipeline.artifacts import Artifact, ArtifactStore, unzipped, zipped

WORDS = ("improved", "unchanged", "regressed", "inconclusive")
OUTCOMES = ("passed", "failed", "error", "skipped")
KEPT = ("summary.md", "report.html", "metrics.csv", "metrics.json")
MOST_NAMED = 30


@dataclass
class Comparison:
    """What some reports say together.

    Attributes:
        counts: metrics by verdict. open: inconclusive although there is a baseline.
        tests: tests by outcome: each holds the firmware against the suite's rules and hard budgets, baseline or not.
        named: what is red or open, with why.
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WORDS, 0))
    open: int = 0
    tests: dict[str, int] = field(default_factory=lambda: dict.fromkeys(OUTCOMES, 0))
    named: list[str] = field(default_factory=list)

    @property
    def compared(self) -> int:
        """Metrics that met a baseline and came to a word about it."""
        return self.counts["improved"] + self.counts["unchanged"] + self.counts["regressed"]

    @property
    def verdict(self) -> Literal["pass", "fail", "inconclusive"]:
        """``fail``: something is worse than its baseline, or a test is red. ``inconclusive``: something that has a
        baseline stayed open, or there is nothing at all: no comparison, and no test that passed.

        What is new has no baseline. Then the tests decide, by rules alone, and :attr:`why` says so.
        """
        if self.counts["regressed"] or self.tests["failed"] or self.tests["error"]:
            return "fail"
        return "inconclusive" if self.open or not (self.compared or self.tests["passed"]) else "pass"

    @property
    def why(self) -> str:
        """One line: what is red or open, else what the verdict rests on."""
        if self.named:
            return "; ".join(self.named[:3])
        rules = f"judged by rules: {self.tests['passed']} tests"
        if self.compared:
            return f"compared with the baseline: {self.compared} metrics; {rules}"
        nothing = "nothing to compare with: no accepted baseline for this rig and firmware"
        return f"{rules}; {nothing}" if self.tests["passed"] else f"{nothing}, and no test passed"


def compare(store: ArtifactStore, reports: Mapping[str, str]) -> Comparison:
    """Gathers the verdicts of stored runs, which were judged against the rig's accepted baseline, and their tests.

    Raises:
        BadRequest: no such report. HarnessFault: a damaged one.
    """
    found = Comparison()
    for part, name in reports.items():
        told = document(store, name)
        for verdict in told.get("verdicts", []):
            word = str(verdict.get("word"))
            if word in found.counts:
                found.counts[word] += 1
            left_open = word == "inconclusive" and verdict.get("baseline") is not None
            found.open += left_open
            if word == "regressed" or left_open:
                found.named.append(f"{part}: {verdict.get('key')} {word}: {verdict.get('why', '')}"[:300])
        for test in told.get("tests", []):
            outcome = str(test.get("outcome"))
            if outcome in found.tests:
                found.tests[outcome] += 1
            if outcome in ("failed", "error"):
                found.named.append(f"{part}: {test.get('name')} {outcome}: {test.get('message', '')}"[:300])
    del found.named[MOST_NAMED:]
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
