"""The verdict table on the terminal."""

from __future__ import annotations

from collections import Counter
from typing import Any

from harness.report.model import RunReport
from harness.report.standing import Standing, shift_text, standings

# Columns of the terminal table, in this order; anything else is in the files.
SHOWN = (
    ("fps", "fps", "{:.1f}"),
    ("render_us_mean", "render µs", "{:.1f}"),
    ("frame_jitter_us_p95", "jitter µs", "{:.0f}"),
    ("reaction_strength", "reaction", "{:.2f}"),
    ("light_mean", "light", "{:.1%}"),
)
SIGN = {"improved": "better", "regressed": "WORSE", "inconclusive": "?"}
MARK = {"passed": "ok", "failed": "FAIL", "error": "ERROR", "skipped": "skip"}


def verdict_table(report: RunReport) -> list[str]:
    """Lines: one row per pattern with its tests, main metrics, verdict, and the shift that says most."""
    patterns = list(dict.fromkeys(m["pattern"] for m in report.metrics if m["pattern"]))
    if not patterns:
        return []
    values = {(m["pattern"], m["name"]): m for m in report.metrics}
    found = standings(report.verdicts)
    head = ["pattern", "tests", *(title for _, title, _ in SHOWN), "verdict", "largest shift [interval]"]
    rows = [head]
    for pattern in patterns:
        cells = [pattern, _tests(report, pattern)]
        for name, _, form in SHOWN:
            metric = values.get((pattern, name))
            cells.append(form.format(metric["value"]) if metric and _shown(metric) else "-")
        cells += _against(found.get(pattern))
        rows.append(cells)
    return _aligned(rows)


def _shown(metric: dict[str, Any]) -> bool:
    """A reaction that chance explains is none."""
    return bool((metric.get("detail") or {}).get("found", True))


def _tests(report: RunReport, pattern: str) -> str:
    outcomes = Counter(t.outcome for t in report.tests if t.pattern == pattern)
    bad = [f"{outcomes[o]} {MARK[o]}" for o in ("failed", "error", "skipped") if outcomes[o]]
    good = [f"{outcomes['passed']} ok"] if outcomes["passed"] else []
    return " ".join(bad + good) or "-"


def _against(standing: Standing | None) -> list[str]:
    if standing is None:
        return ["-", "-"]
    sign = SIGN.get(standing.word, "")
    return [standing.counts, shift_text(standing.lead) + (f" {sign}" if sign else "")]


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    last = len(widths) - 1
    texts = (0, 1, last - 1, last)
    lines = []
    for row in rows:
        padded = zip(range(last + 1), row, widths, strict=True)
        lines.append("  ".join(c.ljust(w) if i in texts else c.rjust(w) for i, c, w in padded).rstrip())
    return lines


def summary_lines(report: RunReport) -> list[str]:
    """What the run was and what came out, in a few lines."""
    words = Counter(v["word"] for v in report.verdicts)
    judged = ", ".join(f"{n} {word}" for word, n in sorted(words.items())) or "nothing judged against a baseline"
    firmware = report.firmware
    lines = [
        f"rig {report.rig} ({report.provenance}), firmware {firmware.get('project', '?')} "
        f"{firmware.get('version', '?')} {str(firmware.get('sha256', ''))[:12]}, profile {report.profile}"
        + _seed(report),
        f"metrics: {len(report.metrics)}; verdicts: {judged}",
    ]
    return lines + report.notes


def _seed(report: RunReport) -> str:
    return "" if report.seed is None else f", seed {report.seed}"
