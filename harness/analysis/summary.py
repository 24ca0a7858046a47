"""Every number one recording can give, by the functions the tests use: what a kept recording said, it says again.

What a recording does not carry (another stimulus, no camera, too short) is left out, not guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness.analysis.bins import BINS, bin_position
from harness.analysis.commands import brightness_curve, brightness_metrics, command_latency, command_metrics
from harness.analysis.frames import frame_metrics, pacing_metrics
from harness.analysis.heap import heap_metrics, heap_slope
from harness.analysis.latency import expected_centroid_ms, latency_metrics, measure
from harness.analysis.light.agreement import agreement, agreement_metrics
from harness.analysis.light.frames_seen import frames_seen, seen_metrics
from harness.analysis.light.geometry import geometry, geometry_metrics
from harness.analysis.light.still import centre, centre_metrics, colour_metrics, still_colour
from harness.analysis.onset import onset_after_silence, onset_metrics
from harness.analysis.pixels import light, luminance, shown, shown_by
from harness.analysis.reactivity import reaction
from harness.analysis.tempo import reported_bpm
from harness.metric import Direction, Metric
from harness.recording import Recording

# Lengths of a step of hil_index that the suite and the calibration use; the light shows which one it was.
_STEPS_S = (0.1, 0.15, 0.2, 0.04, 1.0)
# Shorter recordings say nothing of memory that shrinks.
_HEAP_S = 10.0


def analyse(recording: Recording) -> list[Metric]:
    """All measures that the recording carries what is needed for."""
    metrics = frame_metrics(recording) + pacing_metrics(recording)
    for part in (_latency, _bands, _onset, _commands, _heap, _tempo, _tones, _reaction, _light_mean, _camera):
        metrics += part(recording)
    # The first of a name counts: latency of LED 0 goes before anything derived.
    return list({m.key: m for m in reversed(metrics)}.values())[::-1]


def _truth(recording: Recording) -> dict[str, Any]:
    return dict((recording.meta.get("stimulus") or {}).get("truth") or {})


def _pattern(recording: Recording) -> str:
    return str(recording.meta.get("pattern") or "")


def _has_pixels(recording: Recording) -> bool:
    return shown_by(recording) == "wire" or recording.pixels["seq"].size > 0


def _sees(recording: Recording) -> bool:
    return recording.light is not None and recording.light.host_ns.size > 0


def _or_nothing(make: Callable[[], list[Metric]]) -> list[Metric]:
    """A measure refuses with ValueError what it cannot tell."""
    try:
        return make()
    except ValueError:
        return []


def _metric(
    recording: Recording, name: str, value: float, unit: str, direction: Direction, n: int, source: str, **more: Any
) -> Metric:
    provenance = recording.meta.get("provenance", "simulated")
    return Metric(name, value, unit, direction, n, source, provenance, pattern=_pattern(recording), **more)


def _latency(recording: Recording) -> list[Metric]:
    if recording.audio is None or "offsets_s" not in _truth(recording):
        return []
    return latency_metrics(recording, measure(recording))


def _bands(recording: Recording) -> list[Metric]:
    """Latency of a reactive pattern, from the LEDs that follow the tone most."""
    truth = _truth(recording)
    if recording.audio is None or "offsets_s" not in truth or _pattern(recording) in ("", "hil_flash"):
        return []
    found = measure(recording, followers=True)
    if not found:
        return []
    best, hz = found[0], float(truth["carrier_hz"])
    about = {
        "expected_centroid_ms": round(expected_centroid_ms(hz), 2), "clock_bound_ms": round(best.clock_ms, 4),
        "trust": best.trust.value, **best.detail,
    }  # fmt: skip
    interval = (round(best.rise.low, 3), round(best.rise.high, 3))
    return [
        _metric(recording, f"latency_{hz:.0f}hz_rise_mean", round(best.rise.value, 3), "ms", "lower", best.rise.n,
                best.source, ci95=interval, detail=about),
    ]  # fmt: skip


def _onset(recording: Recording) -> list[Metric]:
    if recording.audio is None or "silence_s" not in _truth(recording):
        return []

    def told() -> list[Metric]:
        found = onset_after_silence(recording)
        return onset_metrics(recording, found) if found is not None else []

    return _or_nothing(told)


def _commands(recording: Recording) -> list[Metric]:
    if not recording.meta.get("commands") or not _has_pixels(recording):
        return []
    found = command_latency(recording)
    metrics = command_metrics(recording, found) if found is not None else []

    def curve() -> list[Metric]:
        seen = brightness_curve(recording)
        return brightness_metrics(recording, seen, seen.level) if seen is not None else []

    # Only of a raw pattern is it known how its light should go with the parameter.
    return metrics + (_or_nothing(curve) if _pattern(recording) == "hil_solid" else [])


def _heap(recording: Recording) -> list[Metric]:
    if float(recording.meta.get("seconds") or 0.0) < _HEAP_S:
        return []

    def told() -> list[Metric]:
        slope = heap_slope(recording)
        if slope is None:
            return []
        return heap_metrics(recording, slope)

    return _or_nothing(told)


def _tempo(recording: Recording) -> list[Metric]:
    truth = _truth(recording)
    # Music that is switched on and off at random has a beat only half of the time.
    reported = reported_bpm(recording) if "bpm" in truth and "loud" not in truth else None
    if reported is None:
        return []
    bpm = float(truth["bpm"])
    error = round(abs(reported - bpm), 3)
    return [_metric(recording, f"tempo_error_{bpm:g}", error, "1/min", "lower", 1, "telemetry")]


def _tones(recording: Recording) -> list[Metric]:
    """Brightest place of the pattern spectrum against each tone's own bin."""
    steps = [s for s in _truth(recording).get("steps", []) if "frequency_hz" in s]
    if not steps or recording.audio is None or _pattern(recording) != "spectrum" or not _has_pixels(recording):
        return []
    times, rgb = shown(recording)
    level, at_s = luminance(rgb), (times - recording.audio.start_ns) / 1e9
    errors = []
    for step in steps:
        steady = (at_s > step["start_s"] + 0.25) & (at_s < step["stop_s"])
        if not steady.any():
            return []
        picture = level[steady].mean(axis=0)
        place = int(np.argmax(picture[80:] + picture[79::-1]))
        errors.append(place * (BINS - 1) / 79 - round(bin_position(float(step["frequency_hz"]))))
    mean = round(float(np.mean(errors)), 3)
    return [_metric(recording, "tone_bin_error_mean", mean, "bins", "none", len(errors), shown_by(recording))]


def _reaction(recording: Recording) -> list[Metric]:
    if "loud" not in _truth(recording) or recording.audio is None or not _has_pixels(recording):
        return []

    def told() -> list[Metric]:
        found = reaction(recording)
        about = {"p": found.p, "feature": found.feature, "segments": found.segments}
        value = round(found.strength, 4)
        return [_metric(recording, "reaction_strength", value, "", "none", 1, shown_by(recording), detail=about)]

    return _or_nothing(told)


def _light_mean(recording: Recording) -> list[Metric]:
    if not _has_pixels(recording):
        return []
    mean = round(float(light(shown(recording)[1]).mean()), 5)
    return [_metric(recording, "light_mean", mean, "", "none", 1, shown_by(recording))]


def _camera(recording: Recording) -> list[Metric]:
    if not _sees(recording):
        return []
    metrics = []
    if _pattern(recording) == "hil_counter" and recording.n_frames:
        metrics += _or_nothing(lambda: seen_metrics(recording, frames_seen(recording)))
    if _pattern(recording) == "hil_index":
        metrics += _places(recording)
    if _has_pixels(recording):
        metrics += _or_nothing(lambda: agreement_metrics(recording, agreement(recording)))
        metrics += _or_nothing(lambda: _still(recording))
    return metrics


def _places(recording: Recording) -> list[Metric]:
    assert recording.light is not None
    best = None
    for step_s in _STEPS_S:
        try:
            found = geometry(recording.light, step_s)
        except ValueError:
            continue  # not steps of this length
        if best is None or found.answering > best.answering:
            best = found
    if best is None:
        return []
    return geometry_metrics(recording, best)


def _still(recording: Recording) -> list[Metric]:
    colour = still_colour(recording)
    if colour is None:
        return []
    folded = centre(recording)
    metrics = colour_metrics(recording, colour)
    return metrics + (centre_metrics(recording, folded) if folded is not None else [])
