"""A measured number with all that is needed to trust it."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Direction = Literal["lower", "higher", "target", "none"]
Provenance = Literal["simulated", "replayed", "hardware"]


@dataclass(frozen=True)
class Metric:
    """One metric of one recording.

    Attributes:
        name: what was measured, unit in the name where it has one (``render_us_mean``).
        value: the estimate; NaN is refused.
        unit: SI-like unit text, ``""`` for plain counts.
        direction: which way is better.
        n: number of independent samples behind the value.
        ci95: 95 % interval (low, high) where the value is an estimate, else None.
        source: stream it comes from (``telemetry``, ``wire``, ``camera``, ``api``).
        provenance: simulated, replayed or measured on hardware; never mixed.
        pattern: pattern it belongs to, ``""`` for the whole device.
        detail: conditions worth knowing (cost model, capped frames, seed), plain JSON values.
    """

    name: str
    value: float
    unit: str
    direction: Direction
    n: int
    source: str
    provenance: Provenance
    ci95: tuple[float, float] | None = None
    pattern: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not math.isfinite(self.value):
            raise ValueError(f"metric {self.name}: value {self.value} is not finite")
        if self.n < 1:
            raise ValueError(f"metric {self.name}: n must be at least 1, got {self.n}")

    @property
    def key(self) -> str:
        """Identity within a rig: ``pattern/name`` or ``name``."""
        return f"{self.pattern}/{self.name}" if self.pattern else self.name

    def to_json(self) -> dict[str, Any]:
        """Plain values for JSON and JUnit."""
        return asdict(self)


def pooled(runs: Sequence[Sequence[Metric]]) -> list[Metric]:
    """The same metrics of several runs as one each: the median, with the single values in ``detail["samples"]``.

    Args:
        runs: one list per run, the same metrics in the same order.

    Raises:
        ValueError: no run, runs that hold different metrics, or the same one by another stream, in another unit or
            direction, or of another provenance: what a camera saw and what a wire carried is not one distribution.
    """
    if not runs:
        raise ValueError("nothing to pool: no run")
    out = []
    for same in zip(*runs, strict=True):
        if len({m.key for m in same}) != 1:
            raise ValueError(f"runs hold different metrics: {', '.join(sorted({m.key for m in same}))}")
        kinds = {(m.source, m.unit, m.direction, m.provenance) for m in same}
        if len(kinds) != 1:
            told = "; ".join(" ".join(filter(None, kind)) for kind in sorted(kinds))
            raise ValueError(f"runs measured {same[0].key} in different ways: {told}")
        values = [m.value for m in same]
        detail = {**same[0].detail, "samples": values}
        capped = [m.detail["capped_frames"] for m in same if "capped_frames" in m.detail]
        if capped:
            detail["capped_frames"] = sum(capped)
        seeds = [m.detail.get("seed") for m in same]
        if len(same) > 1:
            detail["seeds"] = seeds
        first = same[0]
        several = replace(first, value=statistics.median(values), n=len(same), ci95=None)
        out.append(replace(several if len(same) > 1 else first, detail=detail))
    return out
