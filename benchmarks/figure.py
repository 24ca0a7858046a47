"""One timing: its runs, its goal, and the named reference it was measured beside."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Spread:
    """Several runs of one thing; ``name`` says of what."""

    name: str
    runs: Sequence[float]

    def __post_init__(self) -> None:
        if not self.runs:
            raise ValueError(f"{self.name}: no runs")

    @property
    def median(self) -> float:
        """The value that stands for all runs."""
        return statistics.median(self.runs)

    def text(self) -> str:
        """``min / median / max``."""
        shown = (min(self.runs), self.median, max(self.runs))
        return " / ".join(f"{v:.3g}" if abs(v) < 1000 else f"{v:.0f}" for v in shown)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        ends = {"min": min(self.runs), "median": self.median, "max": max(self.runs)}
        return {"name": self.name, "n": len(self.runs), **ends, "runs": list(self.runs)}


@dataclass(frozen=True)
class Figure:
    """A measured figure.

    Attributes:
        measured: the runs.
        unit: of all values, the reference's too.
        reference: the same measured another way in the same run, for comparison.
        goal: bound that the median should keep; None: for information.
        better: which side of the goal is good.
        note: conditions that belong to the value.
    """

    measured: Spread
    unit: str
    reference: Spread
    goal: float | None = None
    better: Literal["lower", "higher"] = "lower"
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median keeps the goal; None without one."""
        if self.goal is None:
            return None
        good = self.measured.median <= self.goal if self.better == "lower" else self.measured.median >= self.goal
        return good

    def lines(self) -> list[str]:
        """For people: the figure, and under it its reference."""
        sign = "<=" if self.better == "lower" else ">="
        goal = "" if self.goal is None else f"   goal {sign} {self.goal:g}: {'met' if self.met else 'MISSED'}"
        note = f"   ({self.note})" if self.note else ""
        return [
            f"{self.measured.name:46} {self.measured.text():>24} {self.unit}{goal}{note}",
            f"  reference: {self.reference.name:33} {self.reference.text():>24} {self.unit}",
        ]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            **self.measured.to_json(), "unit": self.unit, "goal": self.goal, "better": self.better, "met": self.met,
            "note": self.note, "reference": self.reference.to_json(),
        }  # fmt: skip
