"""The first sound after a long silence: when the light begins to move, and when it is half way there."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness.analysis.frames import conditions
from harness.analysis.latency.measure import sound_trust
from harness.analysis.latency.results import LED_MS
from harness.analysis.pixels import light, shown
from harness.metric import Metric
from harness.recording import Recording
from harness.timebase import Trust

LEAST_SILENCE_S = 5.0
# What the light does by itself is looked at so long before the sound, what it settles on so long after.
_QUIET_MS, _SETTLE_MS = 1000.0, (300.0, 700.0)
# Light may seem to precede its sound by the error of the clocks, never by more.
_EARLY_MS = 15.0
# Dither moves the mean of a strip by less than this; so does what is left of the band of the silence.
_DITHER, _STEP_SHARE = 0.5 / 255, 0.02
_LEAST_STEP = 0.004
_LEAST_FRAMES = 16


class Onset(NamedTuple):
    """The answer to one onset, ms after the sound passed half of its envelope at the microphone.

    Attributes:
        dead_ms: until the strip's mean light first left all that it did in the second of silence before.
        first_ms: until it first passed the middle of its step to what it settles on.
        silence_s: how long the silence was. step: of the mean light, full white is 1.
        frame_ms: time between frames: an instant of light is a frame's, so both are known to within one.
        clock_ms, trust: bound on what the clocks may add, and what ties sound and light together.
        source: ``wire`` or ``telemetry``.
    """

    dead_ms: float
    first_ms: float
    silence_s: float
    step: float
    frame_ms: float
    clock_ms: float
    trust: Trust
    source: str


def onset_after_silence(recording: Recording) -> Onset | None:
    """Times the onset of :func:`harness.signals.onset_after_silence`.

    None when the light does not answer it, or when too few frames were sent around it to tell.

    Raises:
        ValueError: another stimulus, or a silence of less than five seconds.
    """
    truth = (recording.meta.get("stimulus") or {}).get("truth") or {}
    silence_s = float(truth.get("silence_s", 0.0))
    if recording.audio is None or "onset_s" not in truth or silence_s < LEAST_SILENCE_S:
        raise ValueError(f"needs a recording of an onset after at least {LEAST_SILENCE_S:g} s of silence")
    at_ns, rgb = shown(recording)
    at = (at_ns - recording.audio.start_ns) / 1e6 + LED_MS - float(truth["onset_s"]) * 1e3
    level = light(rgb).astype(np.float64)
    quiet = level[(at >= -_QUIET_MS) & (at < -_EARLY_MS)]
    last_ms = min(_SETTLE_MS[1], float(truth.get("sound_s", np.inf)) * 1e3)
    settled = level[(at >= _SETTLE_MS[0]) & (at < last_ms)]
    if min(quiet.size, settled.size) < _LEAST_FRAMES:
        return None
    before, after = float(np.median(quiet)), float(np.median(settled))
    step = after - before
    if abs(step) < max(_LEAST_STEP, 2 * float(np.ptp(quiet))):
        return None
    margin = _DITHER + _STEP_SHARE * abs(step)
    heard = at >= -_EARLY_MS
    moved = heard & ((level > quiet.max() + margin) | (level < quiet.min() - margin))
    halfway = heard & ((level - (before + after) / 2) * np.sign(step) >= 0)
    trust, sound_ms = sound_trust(recording)
    tapped = recording.wire is not None and recording.wire["host_ns"].size > 0
    fit = recording.clock_fits.get("device")
    clock_ms = sound_ms + (0.0 if tapped or fit is None else (fit.asymmetry_ns + fit.stat_ns) / 1e6)
    dead, first = (float(at[int(np.argmax(hit))]) for hit in (moved, halfway))
    return Onset(
        min(dead, first), first, silence_s, step, float(np.median(np.diff(at))), clock_ms, trust,
        "wire" if tapped else "telemetry",
    )  # fmt: skip


def onset_metrics(recording: Recording, found: Onset) -> list[Metric]:
    """``onset_dead_ms`` and ``onset_first_ms``: single events, so without an interval; ``detail`` tells the bounds."""
    about = {
        **conditions(recording), "silence_s": found.silence_s, "step": round(found.step, 5),
        "frame_ms": round(found.frame_ms, 3), "clock_bound_ms": round(found.clock_ms, 4), "trust": found.trust.value,
    }  # fmt: skip
    meta = recording.meta
    provenance, pattern = meta.get("provenance", "simulated"), meta.get("pattern") or ""
    dead, first = round(found.dead_ms, 3), round(found.first_ms, 3)
    return [
        Metric("onset_dead_ms", dead, "ms", "lower", 1, found.source, provenance, pattern=pattern, detail=about),
        Metric("onset_first_ms", first, "ms", "lower", 1, found.source, provenance, pattern=pattern, detail=about),
    ]
