"""Where a pattern stands against its baseline: one word, and the one comparison that says most."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# The worst first; a broken budget is worse than any of them.
_RANK = {"regressed": 0, "inconclusive": 1, "improved": 2, "unchanged": 3}


@dataclass(frozen=True)
class Standing:
    """The verdicts of one pattern (or of the whole device) in short.

    Attributes:
        word: the worst of them: regressed, inconclusive, improved or unchanged.
        counts: how many of each, and how many were compared exactly, as text.
        lead: the verdict that says most: of those with the worst word the one that moved farthest for its floor.
    """

    word: str
    counts: str
    lead: dict[str, Any]


def standings(verdicts: Iterable[dict[str, Any]]) -> dict[str, Standing]:
    """Standing of each pattern that was judged, in the order they came; the whole device is ``""``."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for verdict in verdicts:
        groups.setdefault(verdict["key"].rpartition("/")[0], []).append(verdict)
    return {pattern: _standing(mine) for pattern, mine in groups.items()}


def _standing(verdicts: list[dict[str, Any]]) -> Standing:
    lead = min(verdicts, key=_weight)
    words = Counter(_word(v) for v in verdicts)
    exact = sum(bool(v.get("exact")) for v in verdicts)
    counts = ", ".join(f"{n} {word}" for word, n in sorted(words.items(), key=lambda item: _RANK[item[0]]))
    return Standing(_word(lead), counts + (f" ({exact} exact)" if exact else ""), lead)


def _word(verdict: dict[str, Any]) -> str:
    return "regressed" if verdict.get("over_budget") else str(verdict["word"])


def _weight(verdict: dict[str, Any]) -> tuple[float, ...]:
    """Small for what should be shown: the worst word, then the largest step in units of its floor, then the widest."""
    floor = float(verdict.get("floor") or 0.0) or 1.0
    moved = abs(float(verdict.get("shift") or 0.0)) / floor
    reach = max(abs(float(verdict.get(end) or 0.0)) for end in ("low", "high")) / floor
    return (0.0 if verdict.get("over_budget") else 1.0, float(_RANK[_word(verdict)]), -moved, -reach)


def shift_text(verdict: dict[str, Any]) -> str:
    """``render_us_mean +1.2 [-0.4, +2.8] us, +0.9%``; where nothing was compared, why not."""
    name = verdict["key"].rpartition("/")[2]
    if verdict.get("over_budget"):
        return f"{name}: {verdict['over_budget']}"
    if verdict.get("shift") is None:
        return f"{name}: {verdict.get('why') or 'nothing to compare with'}"
    unit = f" {verdict['unit']}" if verdict.get("unit") else ""
    change = verdict.get("change")
    tail = "" if change is None else f", {change:+.1%}"
    if verdict.get("exact"):
        return f"{name} {verdict['shift']:+.4g}{unit} exact{tail}"
    return f"{name} {verdict['shift']:+.4g} [{verdict['low']:+.4g}, {verdict['high']:+.4g}]{unit}{tail}"
