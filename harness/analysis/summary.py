"""Every number one recording can give, by the same functions the tests use."""

from __future__ import annotations

from harness.analysis.frames import frame_metrics, pacing_metrics
from harness.analysis.latency import latency_metrics, measure
from harness.metric import Metric
from harness.recording import Recording


def analyse(recording: Recording) -> list[Metric]:
    """Frame pacing, stage times, and latency where the stimulus was made for it."""
    metrics = frame_metrics(recording) + pacing_metrics(recording)
    truth = (recording.meta.get("stimulus") or {}).get("truth") or {}
    if recording.audio is not None and "offsets_s" in truth:
        metrics += latency_metrics(recording, measure(recording))
    return metrics
