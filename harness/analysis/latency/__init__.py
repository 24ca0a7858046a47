"""Event latency: from the sound at the microphone port to the light of LED 0, by wire, telemetry or camera.

:func:`measure` says everything one recording can tell; ``docs/measures.md`` defines the words.
"""

from harness.analysis.latency.bands import BANDS_HZ, expected_centroid_ms
from harness.analysis.latency.events import Events, step_events
from harness.analysis.latency.film import LightTrace
from harness.analysis.latency.film_events import measure_film
from harness.analysis.latency.film_trace import film_trace
from harness.analysis.latency.measure import Disagreement, disagreement, latency_metrics, measure
from harness.analysis.latency.results import Latency
from harness.analysis.latency.switches import Switches, switches_of

__all__ = [
    "BANDS_HZ", "Disagreement", "Events", "Latency", "LightTrace", "Switches", "disagreement", "expected_centroid_ms",
    "film_trace", "latency_metrics", "measure", "measure_film", "step_events", "switches_of",
]  # fmt: skip
