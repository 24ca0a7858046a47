"""Small charts as inline SVG. Colours come from the page's style sheet, so that they follow light and dark."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.analysis.latency import Latency
from harness.analysis.latency.fold import AFTER_MS, BEFORE_MS, Fold
from harness.recording import Audio

WIDTH = 960
BARS = 48
DOTS = 500


def envelope(audio: Audio | None, start_ns: int, seconds: float, onsets_s: list[float] | None = None) -> str:
    """Loudness of the stimulus over the film's time: peak of each column, mirrored, with its onsets as ticks.

    Args:
        audio: as sent, or None for silence.
        start_ns: host time of the left edge.
        seconds: width in time.
        onsets_s: known onsets, from the first sample.
    """
    height = 44
    middle = height / 2
    parts = [f'<line class="axis" x1="0" y1="{middle}" x2="{WIDTH}" y2="{middle}"/>']
    if audio is not None and audio.samples.size and seconds > 0:
        shift_s = (audio.start_ns - start_ns) / 1e9
        for onset in onsets_s or []:
            x = WIDTH * (onset + shift_s) / seconds
            if 0 <= x <= WIDTH:
                parts.append(f'<line class="onset" x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{height}"/>')
        peaks = _peaks(audio, start_ns, seconds, WIDTH // 2)
        tops = " ".join(f"{2 * i},{middle - p * (middle - 1):.1f}" for i, p in enumerate(peaks))
        ends = " ".join(f"{2 * i},{middle + p * (middle - 1):.1f}" for i, p in reversed(list(enumerate(peaks))))
        parts.append(f'<polygon class="sound" points="{tops} {ends}"/>')
    return _svg(WIDTH, height, "sound played", parts, stretch=True)


def _peaks(audio: Audio, start_ns: int, seconds: float, columns: int) -> npt.NDArray[np.float64]:
    edges = (np.linspace(0, seconds, columns + 1) + (start_ns - audio.start_ns) / 1e9) * audio.rate_hz
    index = np.clip(edges.astype(np.int64), 0, audio.samples.size)
    size = np.abs(audio.samples)
    peaks = [float(size[a:b].max()) if b > a else 0.0 for a, b in zip(index[:-1], index[1:], strict=True)]
    return np.array(peaks)


def histogram(intervals_us: npt.NDArray[np.int64]) -> str:
    """Frame intervals as bars, with median and 99th percentile.

    Heights go with the square root of the count, so that a few late frames can be seen beside thousands on time.
    """
    width, height, floor = 300, 70, 54
    if intervals_us.size < 2:
        return _svg(width, height, "no frames", [f'<text x="8" y="{height / 2}">no frames</text>'])
    values = intervals_us / 1000
    low, high = float(values.min()), float(values.max())
    span = max(high - low, 0.5)
    low, high = low - 0.1 * span, high + 0.1 * span
    counts, _ = np.histogram(values, bins=BARS, range=(low, high))
    step = width / BARS
    tallest = np.sqrt(counts.max())
    parts = [f'<line class="axis" x1="0" y1="{floor}" x2="{width}" y2="{floor}"/>']
    for i, count in enumerate(counts):
        if count:
            tall = max(1.5, (floor - 6) * np.sqrt(count) / tallest)
            parts.append(
                f'<rect class="bar" x="{i * step:.1f}" y="{floor - tall:.1f}" width="{step - 1:.1f}" '
                f'height="{tall:.1f}">'
                f"<title>{count} frames near {low + (i + 0.5) * (high - low) / BARS:.2f} ms</title></rect>"
            )
    for value, label in ((float(np.median(values)), "p50"), (float(np.percentile(values, 99)), "p99")):
        x = width * (value - low) / (high - low)
        parts.append(f'<line class="mark" x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{floor}"><title>{label}</title></line>')
    parts.append(f'<text x="0" y="{height - 4}">{low:.1f}</text>')
    parts.append(f'<text x="{width}" y="{height - 4}" text-anchor="end">{high:.1f} ms</text>')
    middle = f"frame interval {np.median(values):.2f}, p99 {np.percentile(values, 99):.2f}"
    parts.append(f'<text x="{width / 2}" y="{height - 4}" text-anchor="middle">{middle}</text>')
    return _svg(width, height, "frame intervals", parts)


def latency_picture(latency: Latency) -> str:
    """Single latencies as dots, rising edges above, falling ones below, each with its mean and 95 % interval."""
    width, height = 300, 84
    events = latency.events
    if events is None or not events.latency_ms.size:
        return ""
    low, high = min(0.0, float(events.latency_ms.min())), float(events.latency_ms.max())
    scale = (width - 8) / max(high - low, 1.0)
    parts = [f'<line class="axis" x1="0" y1="66" x2="{width}" y2="66"/>']
    for rising, mean, middle in ((True, latency.rise, 18), (False, latency.fall, 48)):
        values = events.latency_ms[events.rising == rising]
        # A fixed pattern of heights keeps the dots apart; it means nothing.
        for i, value in enumerate(values):
            y = middle - 8 + 16 * (i * 0.618034 % 1)
            parts.append(f'<circle class="bar" cx="{4 + (value - low) * scale:.1f}" cy="{y:.1f}" r="1.4"/>')
        a, b = (4 + (x - low) * scale for x in (mean.low, mean.high))
        parts.append(f'<line class="mark" x1="{(a + b) / 2:.1f}" y1="{middle - 12}" x2="{(a + b) / 2:.1f}" '
                     f'y2="{middle + 12}"><title>{mean.value:.2f} ms</title></line>')  # fmt: skip
        parts.append(f'<line class="span" x1="{a:.1f}" y1="{middle}" x2="{b:.1f}" y2="{middle}"/>')
    parts.append(f'<text x="0" y="{height - 4}">{low:.0f}</text>')
    parts.append(f'<text x="{width}" y="{height - 4}" text-anchor="end">{high:.1f} ms</text>')
    middle_text = f"latency on {latency.rise.value:.2f}, off {latency.fall.value:.2f}"
    parts.append(f'<text x="{width / 2}" y="{height - 4}" text-anchor="middle">{middle_text}</text>')
    return _svg(width, height, "latency of single events", parts)


def latency_fit(light: Fold, latency: Latency) -> str:
    """Light around the sound's edges, all laid over each other, with the latency that was read from it.

    Above the edges that switch on, below those that switch off. Dots are observations (at most :data:`DOTS` of each
    kind), the line is the latency's mean, the bar its 95 % interval with the clock's bound.
    """
    width, height, row = 300, 132, 50
    scale = width / (BEFORE_MS + AFTER_MS)

    def at(ms: float) -> float:
        return (ms + BEFORE_MS) * scale

    parts = []
    for top, rising, mean, label in ((4, True, latency.rise, "on"), (62, False, latency.fall, "off")):
        bottom = top + row
        parts.append(f'<line class="axis" x1="0" y1="{bottom}" x2="{width}" y2="{bottom}"/>')
        parts.append(f'<line class="onset" x1="{at(0):.1f}" y1="{top}" x2="{at(0):.1f}" y2="{bottom}"/>')
        chosen = np.flatnonzero(light.rising == rising)
        for i in chosen[:: max(1, -(-chosen.size // DOTS))]:
            y = bottom - row * float(np.clip(light.level[i], -0.05, 1.08))
            parts.append(f'<circle class="bar" cx="{at(light.since_ms[i]):.1f}" cy="{y:.1f}" r="1"/>')
        x, low, high = (at(v) for v in (mean.value, mean.low - latency.clock_ms, mean.high + latency.clock_ms))
        parts.append(f'<line class="mark" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<line class="span" x1="{low:.1f}" y1="{bottom}" x2="{high:.1f}" y2="{bottom}"/>')
        parts.append(f'<text x="{width}" y="{top + 10}" text-anchor="end">{label} {mean.value:.2f} ms</text>')
    parts.append(f'<text x="{at(0):.1f}" y="{height - 4}" text-anchor="middle">sound</text>')
    parts.append(f'<text x="{width}" y="{height - 4}" text-anchor="end">{AFTER_MS:.0f} ms, {latency.source}</text>')
    return _svg(width, height, "light after the sound", parts)


def _svg(width: float, height: float, label: str, parts: list[str], *, stretch: bool = False) -> str:
    ratio = ' preserveAspectRatio="none"' if stretch else ""
    head = f'<svg viewBox="0 0 {width:g} {height:g}"{ratio} role="img" aria-label="{label}">'
    return head + "".join(parts) + "</svg>"
