"""The practical floor of each metric: a change smaller than this is of no concern to anybody, however sure it is.

``docs/verdicts.md`` gives the reasons; a metric without a line of its own has the last one.
"""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass


@dataclass(frozen=True)
class Floor:
    """The larger of a share of the accepted value and an amount in the metric's unit."""

    names: str
    share: float
    amount: float = 0.0


FLOORS = (
    Floor("render_us_*", 0.02),
    Floor("quantize_us_*", 0.02),
    Floor("transmit_us_*", 0.01),
    Floor("fps*", 0.005),
    Floor("heap_free_*", 0.005, 512.0),
    Floor("latency_*", 0.0, 1.0),
    Floor("tempo_error_*", 0.0, 0.5),
    Floor("*", 0.05),
)


def practical_floor(name: str, accepted: float) -> float:
    """The floor of a metric in its unit.

    Args:
        name: of the metric, without its pattern.
        accepted: the accepted value the change is measured from.
    """
    row = next(f for f in FLOORS if fnmatch.fnmatchcase(name, f.names))
    return max(row.share * abs(accepted), row.amount)
