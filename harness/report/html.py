"""The page of a run: one file that needs nothing else, neither network nor scripts."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.report.intervals import interval_picture
from harness.report.model import RunReport, TestResult
from harness.report.standing import shift_text, standings

WORD_TONE = {"improved": "good", "unchanged": "good", "regressed": "bad", "inconclusive": "warn"}
OUTCOME_TONE = {"passed": "good", "failed": "bad", "error": "bad", "skipped": "soft"}
# Everything the page holds, pictures included; and how many films go at a time where it would be larger.
MAX_BYTES = 5_000_000
DROP_FILMS = 4


def render(
    report: RunReport, descriptions: dict[str, str] | None = None, trends: dict[str, str] | None = None
) -> str:
    """The page as text.

    Args:
        report: of the run.
        descriptions: what each pattern is, from the firmware's manifest.
        trends: inline SVG of judged metrics over earlier runs, by ``pattern/name``.
    """
    text = _page(report, descriptions, trends)
    films = [card for card in report.cards if card.film_png]
    while len(text.encode()) > MAX_BYTES and films:
        # Without its last films a long run's page still tells everything; without the bound nobody can mail it.
        dropped, films = films[-DROP_FILMS:], films[:-DROP_FILMS]
        for card in dropped:
            card.film_png = card.said_png = card.seen_png = ""
        text = _page(report, descriptions, trends)
    return text


def _page(report: RunReport, descriptions: dict[str, str] | None, trends: dict[str, str] | None) -> str:
    environment = Environment(
        loader=PackageLoader("harness", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    by_pattern: dict[str, list[TestResult]] = defaultdict(list)
    for test in report.tests:
        by_pattern[test.pattern].append(test)
    firmware = {"project": "", "version": "", "git": "", "sha256": "", "mac": "", **report.firmware}
    report.firmware = firmware
    return environment.get_template("page.html.j2").render(
        run=report,
        tone={0: "good", 11: "warn"}.get(report.exit_code, "bad"),
        words=sorted(Counter(v["word"] for v in report.verdicts).items()),
        word_tone=WORD_TONE,
        outcome_tone=OUTCOME_TONE,
        failures=[t for t in report.tests if t.outcome in ("failed", "error")],
        by_pattern=by_pattern,
        descriptions=descriptions or {},
        rows=_rows(report, trends or {}),
        standings=[(pattern, s, shift_text(s.lead)) for pattern, s in standings(report.verdicts).items()],
        camera=next((c for c in report.cards if c.view_svg), None),
        judged=_judged(report),
        files=_files(report),
    )


def _files(report: RunReport) -> list[tuple[str, list[TestResult]]]:
    """Tests by file, in the order they ran."""
    files: dict[str, list[TestResult]] = defaultdict(list)
    for test in report.tests:
        files[test.file].append(test)
    return list(files.items())


def _judged(report: RunReport) -> dict[str, Any]:
    """The verdicts as a table: a row per pattern, a column per metric."""
    names: list[str] = []
    rows: dict[str, dict[str, dict[str, str]]] = defaultdict(dict)
    for verdict in report.verdicts:
        pattern, _, name = verdict["key"].rpartition("/")
        if name not in names:
            names.append(name)
        change = "" if verdict["change"] is None else f"{verdict['change']:+.1%}"
        cell = {"value": _number(verdict["value"]), "change": change, "word": verdict["word"], "why": verdict["why"]}
        rows[pattern][name] = cell
    return {"names": names, "rows": [(pattern, [cells.get(n) for n in names]) for pattern, cells in rows.items()]}


def _rows(report: RunReport, trends: dict[str, str]) -> list[dict[str, str]]:
    verdicts = {v["key"]: v for v in report.verdicts}
    return [_row(m, verdicts, trends) for m in report.metrics]


def _row(metric: dict[str, Any], verdicts: dict[str, dict[str, Any]], trends: dict[str, str]) -> dict[str, str]:
    key = f"{metric['pattern']}/{metric['name']}" if metric["pattern"] else metric["name"]
    verdict = verdicts.get(key, {})
    interval = metric["ci95"]
    change = verdict.get("change")
    return {
        "pattern": metric["pattern"],
        "name": metric["name"],
        "value": _number(metric["value"]),
        "unit": metric["unit"],
        "interval": f"{_number(interval[0])} … {_number(interval[1])}" if interval else "",
        "n": str(metric["n"]),
        "baseline": "" if verdict.get("baseline") is None else _number(verdict["baseline"]),
        "change": "" if change is None else f"{change:+.1%}",
        "verdict": verdict.get("word", ""),
        "source": metric["source"],
        "picture": interval_picture(metric, verdict),
        "trend": trends.get(key, ""),
    }


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
