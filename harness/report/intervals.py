"""One line of picture per metric: its interval over the baseline's band."""

from __future__ import annotations

from typing import Any

WIDTH, HEIGHT, EDGE = 180.0, 20.0, 6.0
# The band of the practical floor takes this share of the width unless something lies farther out.
_BAND = 0.4


def interval_picture(metric: dict[str, Any], verdict: dict[str, Any]) -> str:
    """Inline SVG.

    Judged: the shaded band is the practical floor about the accepted median (the line in its middle), the bar the
    shift's interval, the dot the shift. Not judged: the 95 % interval and its value, without a scale.

    Args:
        metric: as in ``metrics.json``. verdict: of it, empty when it was not judged.
    """
    if verdict.get("shift") is not None and verdict.get("baseline") is not None:
        return _judged(verdict)
    interval = metric.get("ci95")
    if not interval or interval[0] is None or interval[1] is None:
        return ""
    return _alone(float(metric["value"]), float(interval[0]), float(interval[1]))


def _judged(verdict: dict[str, Any]) -> str:
    floor = float(verdict.get("floor") or 0.0)
    shift, low, high = (float(verdict.get(k) or 0.0) for k in ("shift", "low", "high"))
    farthest = max(abs(low), abs(high), abs(shift))
    reach = max(floor / _BAND, farthest * 1.1, 1e-12)

    def at(value: float) -> float:
        return WIDTH / 2 + (WIDTH / 2 - EDGE) * value / reach

    tone = {"regressed": "bad", "inconclusive": "warn"}.get(str(verdict["word"]), "good")
    unit = f" {verdict['unit']}" if verdict.get("unit") else ""
    title = f"{verdict['baseline']:.6g}{unit} {shift:+.4g} [{low:+.4g}, {high:+.4g}], floor {floor:.4g}"
    return _svg(title, [
        f'<rect class="band" x="{at(-floor):.1f}" y="3" width="{at(floor) - at(-floor):.1f}" height="{HEIGHT - 6:g}"/>',
        f'<line class="axis" x1="{at(0):.1f}" y1="1" x2="{at(0):.1f}" y2="{HEIGHT - 1:g}"/>',
        f'<line class="reach {tone}" x1="{at(low):.1f}" y1="{HEIGHT / 2:g}" x2="{at(high):.1f}" y2="{HEIGHT / 2:g}"/>',
        f'<circle class="dot {tone}" cx="{at(shift):.1f}" cy="{HEIGHT / 2:g}" r="3"/>',
    ])  # fmt: skip


def _alone(value: float, low: float, high: float) -> str:
    reach = max(high - value, value - low, 1e-12) * 1.6

    def at(x: float) -> float:
        return WIDTH / 2 + (WIDTH / 2 - EDGE) * (x - value) / reach

    return _svg(f"{value:.6g}, 95 % {low:.6g} to {high:.6g}", [
        f'<line class="reach plain" x1="{at(low):.1f}" y1="{HEIGHT / 2:g}" x2="{at(high):.1f}" y2="{HEIGHT / 2:g}"/>',
        f'<circle class="dot plain" cx="{at(value):.1f}" cy="{HEIGHT / 2:g}" r="3"/>',
    ])  # fmt: skip


def _svg(title: str, parts: list[str]) -> str:
    head = f'<svg class="interval" viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" aria-label="interval">'
    return f"{head}<title>{title}</title>{''.join(parts)}</svg>"
