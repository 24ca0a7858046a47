"""How long a comparison takes with a thousand runs in the history."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figure import Figure, Spread
from harness.baseline.fingerprint import digest
from harness.baseline.gate import FRESH_RUNS, Gate, Verdict
from harness.baseline.history import History, Point
from harness.baseline.stats import MAX_RUNS
from harness.baseline.store import AcceptedSet, Samples
from harness.metric import Metric

POINTS, GOAL_MS = 1000, 200.0
# As many as one run of rig sim judges.
METRICS = 65
CONDITIONS = {"cost_model": "perf", "kind": "virtual"}
NAME = "render_us_mean"


def history_time(runs: int, seed: int) -> list[Figure]:
    """Milliseconds to fetch a metric's 1000 runs and judge the newest three against as many as a baseline may hold.

    The reference reads the same numbers from memory: what is left is the comparison.
    """
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory(prefix="k1hil-perf-") as folder, History(Path(folder) / "h.sqlite") as history:
        for number, value in enumerate(rng.normal(100.0, 1.0, POINTS)):
            history.add(document(float(value), number), f"run-{number}")
        kept = fetch(history)
        stored = [_timed(lambda: judge(fetch(history))) for _ in range(runs)]
        memory = [_timed(lambda: judge(kept)) for _ in range(runs)]
    note = f"{POINTS} runs of {METRICS} metrics each; {FRESH_RUNS} against {MAX_RUNS}"
    reference = Spread("the same numbers from memory", memory)
    return [Figure(Spread(f"{POINTS}-point history compare", stored), "ms", reference, GOAL_MS, "lower", note)]


def document(value: float, number: int) -> dict[str, Any]:
    """A run as ``metrics.json`` tells it."""
    metrics = [
        {"pattern": f"p{k}", "name": NAME, "value": value + k, "unit": "us", "direction": "lower", "n": 1,
         "ci95": [value + k - 1, value + k + 1], "source": "telemetry", "provenance": "simulated",
         "detail": {"samples": [value + k], "stimulus": "music"}}
        for k in range(METRICS)
    ]  # fmt: skip
    return {
        "schema": 1, "rig": "perf", "provenance": "simulated", "profile": "quick", "seed": number, "seconds": 50.0,
        "started": "2026-01-02 03:04:05", "exit_code": 0, "cost_model": "perf", "fingerprint": CONDITIONS,
        "firmware": {"project": "k1-sim", "version": "1.0", "sha256": "ab", "git": "cd"}, "tests": [],
        "metrics": metrics, "verdicts": [{"key": f"p{k}/{NAME}", "word": "unchanged"} for k in range(METRICS)],
    }  # fmt: skip


def fetch(history: History) -> list[Point]:
    """All runs of one metric."""
    return history.trend("perf", "p7", NAME, fingerprint=digest(CONDITIONS), profile="quick", limit=POINTS)


def judge(points: list[Point]) -> Verdict:
    """The newest runs against those before them."""
    values = [point.value for point in points]
    if len(values) != POINTS:
        raise RuntimeError(f"not the work that was meant: {len(values)} of {POINTS} runs")
    fresh, before = values[-FRESH_RUNS:], tuple(values[-FRESH_RUNS - MAX_RUNS : -FRESH_RUNS])
    key = f"p7/{NAME}"
    accepted = AcceptedSet(CONDITIONS, "quick", samples={key: Samples(key, "us", before, "telemetry")})
    metric = Metric(NAME, float(np.median(fresh)), "us", "lower", FRESH_RUNS, "telemetry", "simulated", pattern="p7",
                    detail={"samples": fresh})  # fmt: skip
    return Gate(accepted).judge(metric)


def _timed(work: Any) -> float:
    begun = time.perf_counter()
    verdict = work()
    took = (time.perf_counter() - begun) * 1e3
    if verdict.runs != MAX_RUNS or verdict.p is None:
        raise RuntimeError(f"not the work that was meant: {verdict.why}")
    return took
