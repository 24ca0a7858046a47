"""``summary.md``: what a reader of a pull request wants to know, in Markdown that any text from a device leaves intact.

GitHub shows a step's summary up to 1 MiB and drops a larger one as a whole, so the text is bounded here: long lists are
cut at a row, and the cut is said.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from harness.report.model import RunReport
from harness.report.standing import shift_text, standings

MAX_BYTES = 64 << 10
MAX_ROWS = 60
MAX_CELL = 300
MARK = {"good": "✅", "measurement missing": "⚠️"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#|~!$])")


def markdown(report: RunReport) -> str:
    """The summary of a run, at most :data:`MAX_BYTES` of UTF-8."""
    parts = [
        _head(report),
        *[f"> {_safe(note)}\n" for note in report.notes[:MAX_ROWS]],
        _failures(report),
        _standings(report),
        _foot(report),
    ]
    return bounded("\n".join(part for part in parts if part), MAX_BYTES)


def bounded(text: str, limit: int) -> str:
    """The text, or as many of its whole lines as fit beside a line that says how many are left out."""
    if len(text.encode()) <= limit:
        return text
    lines = text.splitlines(keepends=True)
    kept, size = 0, 60
    for line in lines:
        size += len(line.encode())
        if size > limit:
            break
        kept += 1
    return "".join(lines[:kept]) + f"\n… {len(lines) - kept} lines left out\n"


def append_to_step(text: str, path: str) -> None:
    """Adds the summary to the file a workflow names in ``GITHUB_STEP_SUMMARY``; several steps may write to it."""
    with Path(path).open("a", encoding="utf-8") as target:
        target.write(text + "\n")


def _head(report: RunReport) -> str:
    counts = ", ".join(
        f"{report.count(o)} {o}" for o in ("passed", "failed", "error", "skipped") if report.count(o)
    )  # fmt: skip
    firmware = report.firmware
    rows = [
        ("tests", counts or "none"),
        ("firmware", " ".join(str(firmware.get(k, "")) for k in ("project", "version", "git")).strip() or "unknown"),
        ("image", str(firmware.get("sha256", ""))[:16] or "unknown"),
        ("profile", report.profile),
        ("provenance", report.provenance),
        ("seed", "" if report.seed is None else str(report.seed)),
        ("render time", f"modelled, {report.cost_model}" if report.cost_model else ""),
        ("took", f"{report.seconds:.0f} s, from {report.started}"),
    ]
    title = f"## {MARK.get(report.word, '❌')} {_safe(report.rig)}: {_safe(report.word)}\n"
    return title + "\n" + _table(("", ""), [row for row in rows if row[1]])


def _failures(report: RunReport) -> str:
    bad = [t for t in report.tests if t.outcome in ("failed", "error")]
    if not bad:
        return ""
    rows = [(t.name, t.blame or t.outcome, t.message) for t in bad]
    return "### What failed\n\n" + _table(("test", "blame", "what"), rows)


def _standings(report: RunReport) -> str:
    found = standings(report.verdicts)
    if not found:
        return ""
    rows = [(pattern or "device", s.word, s.counts, shift_text(s.lead)) for pattern, s in found.items()]
    head = ("pattern", "verdict", "judged", "largest shift [interval]")
    return "### Against the baseline\n\n" + _table(head, rows)


def _foot(report: RunReport) -> str:
    lines = [_safe(line) + "\n" for line in report.detectable]
    if report.replay:
        # A fence longer than any run of backticks within keeps the command one piece of code.
        fence = "`" * (max((len(run) for run in re.findall("`+", report.replay)), default=0) + 3)
        lines.append(f"Repeat this run:\n\n{fence}\n{_one_line(report.replay)}\n{fence}\n")
    return "\n".join(lines)


def _table(head: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_safe(str(cell)) for cell in row) + " |" for row in rows[:MAX_ROWS]]
    text = "\n".join(lines) + "\n"
    left = len(rows) - MAX_ROWS
    return text if left <= 0 else f"{text}\n… {left} more\n"


def _safe(text: str) -> str:
    """Text as Markdown that shows it as it is: one line, bounded, nothing in it acts as markup or ends a table cell."""
    line = _one_line(text)
    if len(line) > MAX_CELL:
        line = line[: MAX_CELL - 1] + "…"
    return _SPECIAL.sub(r"\\\1", line)


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
