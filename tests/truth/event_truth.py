"""What really happened, from the event log of the virtual board: only the scorer opens it.

Written apart from the estimators, on purpose: no code of theirs is used here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple


class Realised(NamedTuple):
    """Latencies that really happened, in ms: LED 0's light at 50 % minus the sound at 50 % at the microphone port."""

    rise: list[float]
    fall: list[float]

    @property
    def mean(self) -> float:
        return (sum(self.rise) / len(self.rise) + sum(self.fall) / len(self.fall)) / 2


def read_log(path: Path, kind: str) -> list[dict]:
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
    return [row for row in rows if row["kind"] == kind]


def photons(path: Path) -> list[tuple[int, int]]:
    """(host ns at which LED 0 takes a new light, its summed bytes), in order."""
    out = []
    for row in read_log(path, "photons"):
        out += [(at, sum(rgb)) for at, rgb in zip(row["at_ns"], row["led0"], strict=True)]
    return sorted(out)


def realised(log: Path, start_ns: int, truth: dict, reach_ms: float = 80.0) -> Realised:
    """Latencies of all edges of the latency stimulus that the host believes began at ``start_ns``.

    Args:
        reach_ms: an edge's light is looked for this long.
    """
    port_ns = next(row["at_microphone_ns"] for row in read_log(log, "sound") if row["host_ns"] == start_ns)
    light = photons(log)
    full = max(value for _, value in light)
    found: tuple[list[float], list[float]] = ([], [])
    for edges, into, lit in ((truth["onsets_s"], found[0], True), (truth["offsets_s"], found[1], False)):
        for edge in edges:
            at = port_ns + edge * 1e9
            later = [t for t, value in light if at < t < at + reach_ms * 1e6 and (2 * value >= full) is lit]
            if later:
                into.append((later[0] - at) / 1e6)
    return Realised(*found)
