"""The results of one run as plain data: what every kind of report is made from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA = 1


@dataclass
class TestResult:
    """One test.

    Attributes:
        nodeid: as pytest names it.
        outcome: passed, failed, error or skipped.
        blame: whose fault a failure is: dut, rig, harness, request; "" when it passed.
        message: first line of the failure, or the reason of a skip.
        detail: the whole text of a failure.
        serial: end of the console text during the test.
        pattern: pattern the test was about.
        regressed: it failed because a metric got worse than the baseline.
        recordings: names of the recordings it used.
    """

    __test__ = False  # not a test class, whatever its name says to pytest

    nodeid: str
    outcome: str
    seconds: float = 0.0
    blame: str = ""
    message: str = ""
    detail: str = ""
    serial: str = ""
    pattern: str = ""
    regressed: bool = False
    recordings: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Test name without its file."""
        return self.nodeid.rpartition("::")[2]

    @property
    def file(self) -> str:
        """File without folders."""
        return self.nodeid.partition("::")[0].rpartition("/")[2]


@dataclass
class Card:
    """What the page shows of one recording, drawn already.

    Attributes:
        name: of the recording; pattern: its pattern id; title: for people; stimulus: what was played.
        film_png: base64 of a PNG, time from left to right, LED 0 at the top.
        seconds: length of the film; frames: frames in it.
        intervals_svg, envelope_svg: inline SVG.
        facts: label and value pairs.
        latency_svg: inline SVG of single latencies; "" when the recording tells none.
        fit_svg: inline SVG of the light they were read from; "" likewise.
        said_png, seen_png: base64 PNGs of one span, from bytes and from the camera; "" without a camera.
        seen_s: length of that span. view_svg, view_facts: the LEDs in the camera's picture.
    """

    name: str
    pattern: str
    title: str
    stimulus: str
    film_png: str
    seconds: float
    frames: int
    intervals_svg: str
    envelope_svg: str
    facts: list[tuple[str, str]] = field(default_factory=list)
    latency_svg: str = ""
    fit_svg: str = ""
    said_png: str = ""
    seen_png: str = ""
    seen_s: float = 0.0
    view_svg: str = ""
    view_facts: list[tuple[str, str]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @staticmethod
    def from_json(row: dict[str, Any]) -> Card:
        """The reverse of :meth:`to_json`."""
        pairs = {name: [(str(a), str(b)) for a, b in row[name]] for name in ("facts", "view_facts")}
        return Card(**{**row, **pairs})


@dataclass
class RunReport:
    """One run.

    Attributes:
        rig, provenance, profile, seed, cost_model, started, seconds, exit_code, command: conditions.
        fingerprint: what values may be compared with, see :mod:`harness.baseline.fingerprint`.
        replay: command line that repeats the run with its seed.
        firmware: identity of the firmware (project, version, git, sha256, mac …).
        detectable: sentences on the smallest change this profile can find.
        tests, metrics, verdicts, cards: results; metrics and verdicts as plain JSON.
        notes: what a reader must know (a rig fault, missing measurements).
    """

    rig: str
    provenance: str
    profile: str
    seed: int | None
    started: str
    seconds: float = 0.0
    exit_code: int = 0
    cost_model: str = ""
    command: str = ""
    replay: str = ""
    firmware: dict[str, Any] = field(default_factory=dict)
    detectable: list[str] = field(default_factory=list)
    tests: list[TestResult] = field(default_factory=list)
    metrics: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    cards: list[Card] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fingerprint: dict[str, str] = field(default_factory=dict)

    def count(self, outcome: str) -> int:
        """Tests with that outcome."""
        return sum(t.outcome == outcome for t in self.tests)

    @property
    def word(self) -> str:
        """One word for the run: what the exit code means."""
        return EXIT_WORDS.get(self.exit_code, "failed")

    def to_json(self) -> dict[str, Any]:
        """Everything but the pictures, for ``metrics.json``."""
        whole = asdict(self)
        del whole["cards"]
        for test in whole["tests"]:
            test["detail"] = test["detail"][-4000:]
            test["serial"] = test["serial"][-2000:]
        return {"schema": SCHEMA, **whole, "verdict": self.word}


EXIT_WORDS = {
    0: "good",
    1: "device failed",
    2: "interrupted",
    3: "harness error",
    4: "bad request",
    5: "nothing collected",
    10: "rig fault",
    11: "measurement missing",
}
