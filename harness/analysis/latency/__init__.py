"""Event latency: from the sound at the microphone port to the light of LED 0, by wire, telemetry or camera.

:func:`measure` says everything one recording can tell; ``docs/measures.md`` defines the words.
"""

from harness.analysis.latency.bands import BANDS_HZ, expected_centroid_ms
from harness.analysis.latency.events import Events, step_events
from harness.analysis.latency.measure import Disagreement, Latency, disagreement, latency_metrics, measure
from harness.analysis.latency.switches import Switches, switches_of

__all__ = [
    "BANDS_HZ", "Disagreement", "Events", "Latency", "Switches", "disagreement", "expected_centroid_ms",
    "latency_metrics", "measure", "step_events", "switches_of",
]  # fmt: skip
