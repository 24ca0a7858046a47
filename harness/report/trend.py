"""The trend of a rig: every judged metric over the runs that may be compared, as one offline page."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.baseline.history import History, Point, Run

WIDTH, HEIGHT, EDGE = 420.0, 46.0, 5.0
MAX_POINTS = 200
RUNS_IN_REPORT = 40


@dataclass(frozen=True)
class Row:
    """One metric: its newest value, how far it ranged, and the drawing."""

    pattern: str
    name: str
    newest: str
    least: str
    most: str
    verdict: str
    runs: int
    svg: str


def write_trend(history: History, newest: Run, path: Path) -> Path:
    """Writes the page for the rig, conditions and profile of ``newest``, complete or not at all."""
    series = [
        (pattern, name, history.trend(newest.rig, pattern, name, fingerprint=newest.fingerprint,
                                      profile=newest.profile, limit=MAX_POINTS))
        for pattern, name in history.keys(newest.id)
    ]  # fmt: skip
    rows = [_row(pattern, name, points) for pattern, name, points in series if points and points[-1].verdict]
    environment = Environment(
        loader=PackageLoader("harness", "report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    text = environment.get_template("trend.html.j2").render(run=newest, rows=rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.{os.getpid()}.new")
    work.write_text(text, encoding="utf-8")
    work.replace(path)
    return path


def sparklines(history: History, newest: Run) -> dict[str, str]:
    """Inline SVG of each judged metric of a run over the runs it may be compared with, by ``pattern/name``."""
    drawn = {}
    for pattern, name in history.keys(newest.id):
        points = history.trend(newest.rig, pattern, name, fingerprint=newest.fingerprint, profile=newest.profile,
                               limit=RUNS_IN_REPORT)  # fmt: skip
        if points and points[-1].verdict:
            # Repeats are left out: at this size they would hide the line.
            drawn[f"{pattern}/{name}" if pattern else name] = sparkline([replace(p, samples=()) for p in points])
    return drawn


def _row(pattern: str, name: str, points: list[Point]) -> Row:
    values = [p.value for p in points]
    return Row(
        pattern, name, _number(values[-1]), _number(min(values)), _number(max(values)), points[-1].verdict,
        len(points), sparkline(points),
    )  # fmt: skip


def sparkline(points: list[Point]) -> str:
    """Values over runs as inline SVG: a line through the runs' values, their repeats as faint dots.

    The picture's height is at least 2 % of the value: what looks like a step is one.
    """
    everything = [v for p in points for v in (p.value, *p.samples)]
    low, high = min(everything), max(everything)
    least = 0.02 * abs(points[-1].value) or 1.0
    if high - low < least:
        low, high = (low + high - least) / 2, (low + high + least) / 2

    def at(index: int, value: float) -> tuple[float, float]:
        x = EDGE + (WIDTH - 2 * EDGE) * (index / (len(points) - 1) if len(points) > 1 else 0.5)
        return x, EDGE + (HEIGHT - 2 * EDGE) * (high - value) / (high - low)

    parts = []
    for i, point in enumerate(points):
        for value in point.samples if len(point.samples) > 1 else ():
            x, y = at(i, value)
            parts.append(f'<circle class="sample" cx="{x:.1f}" cy="{y:.1f}" r="1.2"/>')
    path = " ".join("{:.1f},{:.1f}".format(*at(i, p.value)) for i, p in enumerate(points))
    parts.append(f'<polyline class="trend" points="{path}"/>')
    for i, point in enumerate(points):
        x, y = at(i, point.value)
        tone = {"regressed": "bad", "improved": "good", "inconclusive": "warn"}.get(point.verdict, "")
        title = f"<title>run {point.run}: {point.value:.6g}</title>"
        parts.append(f'<circle class="run {tone}" cx="{x:.1f}" cy="{y:.1f}" r="2.2">{title}</circle>')
    return f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="trend">{"".join(parts)}</svg>'


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
