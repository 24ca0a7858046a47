"""Draws one recording: its film, its frame intervals, its sound, a few facts."""

from __future__ import annotations

from harness.analysis.frames import fps, lost_records, sent_intervals_us
from harness.analysis.latency import Latency, measure
from harness.analysis.latency.fold import fold
from harness.analysis.pixels import light, shown, shown_by
from harness.recording import Recording
from harness.report.camera_view import films, view, view_facts
from harness.report.charts import envelope, histogram, latency_fit, latency_picture
from harness.report.film import film_base64
from harness.report.model import Card

FILM_S = 6.0


def card(recording: Recording, name: str, title: str = "") -> Card:
    """The card of a recording: the last :data:`FILM_S` seconds of it, when tempo and levels have settled."""
    times, rgb = shown(recording)
    frames = len(rgb)
    if frames:
        late = times >= times[-1] - int(FILM_S * 1e9)
        times, rgb = times[late], rgb[late]
    seconds = float(times[-1] - times[0]) / 1e9 if len(times) > 1 else 0.0
    stimulus = recording.meta.get("stimulus") or {}
    onsets = (stimulus.get("truth") or {}).get("onsets_s") or []
    start_ns = int(times[0]) if len(times) else int(recording.meta.get("t0_ns", 0))
    pattern = str(recording.meta.get("pattern") or "")
    latencies = _latencies(recording)
    drawn = Card(
        name,
        pattern,
        title or pattern or name,
        str(stimulus.get("name") or "nothing played"),
        film_base64(times, rgb),
        seconds,
        frames,
        histogram(sent_intervals_us(recording)),
        envelope(recording.audio, start_ns, seconds, [float(x) for x in onsets]),
        _facts(recording) + _latency_facts(latencies),
        latency_picture(latencies[0]) if latencies else "",
        _fit(recording, latencies),
    )
    add_camera(drawn, recording)
    return drawn


def add_camera(drawn: Card, recording: Recording) -> None:
    """Puts what the camera saw in a recording onto a card of the same pattern; nothing without a camera."""
    both = films(recording, FILM_S)
    if both is None or recording.light is None:
        return
    drawn.said_png, drawn.seen_png, drawn.seen_s = both.said, both.seen, both.seconds
    drawn.view_svg, drawn.view_facts = view(recording.light), view_facts(recording.light)


def _fit(recording: Recording, latencies: list[Latency]) -> str:
    light = fold(recording, latencies[0].source) if latencies else None
    return latency_fit(light, latencies[0]) if light is not None else ""


def _latencies(recording: Recording) -> list[Latency]:
    truth = (recording.meta.get("stimulus") or {}).get("truth") or {}
    if recording.audio is None or "offsets_s" not in truth:
        return []
    return measure(recording) or measure(recording, followers=True)


def _latency_facts(latencies: list[Latency]) -> list[tuple[str, str]]:
    facts = []
    for one in latencies:
        bound = f", clock ± {one.clock_ms:.2f}" if one.clock_ms else ""
        facts.append((f"latency, {one.source}", f"{one.mean.value:.2f} ± {one.mean.half_width:.2f} ms{bound}"))
    if latencies:
        facts.append(("time ties", latencies[0].trust.value))
    return facts


def _facts(recording: Recording) -> list[tuple[str, str]]:
    _, rgb = shown(recording)
    facts = [("source", "strip wires" if shown_by(recording) == "wire" else "telemetry")]
    if recording.n_frames:
        f = recording.frames
        facts += [
            ("frames per second", f"{fps(recording):.1f}"),
            ("render, mean", f"{f['render_us'].mean():.1f} µs"),
            ("free heap, least", f"{int(f['heap_free'].min()) / 1024:.0f} KiB"),
        ]
    if len(rgb):
        facts.append(("light, mean", f"{float(light(rgb).mean()):.1%}"))
    capped = recording.meta.get("capped_frames")
    if capped:
        facts.append(("dimmed by the current limit", f"{capped} frames"))
    lost = lost_records(recording)
    if lost:
        facts.append(("records lost", str(lost)))
    return facts
