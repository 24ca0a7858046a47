"""A device's answers as Prometheus metrics. Answers are untrusted: what is no finite number is left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from harness.instruments.api_readings import MOST_FPS

MOST_LABEL_CHARS = 80
NOT_OF_FOREIGN = frozenset({"cpu_ratio", "frame_time_seconds", "audio_latency_seconds"})
IDENTITY = (
    "device", "mac", "version", "git_commit", "image_sha256", "slot", "slot_state", "reset_reason", "boot_id",
)  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """What a device told in one visit; an endpoint that it does not have is empty.

    Attributes:
        in_use: somebody holds the rig's lease, and nothing was asked.
        seconds: how long the visit took.
        health, performance, info, probe, pattern: the answers of ``/api/health``, ``/api/device/performance``,
            ``/api/device/info``, ``/api/latency/probe`` and ``/api/pattern/current``.
    """

    in_use: bool = False
    seconds: float = 0.0
    health: Mapping[str, Any] = field(default_factory=dict)
    performance: Mapping[str, Any] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    probe: Mapping[str, Any] = field(default_factory=dict)
    pattern: Mapping[str, Any] = field(default_factory=dict)


def page(reading: Reading) -> bytes:
    """The reading in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(_Families(reading))
    return generate_latest(registry)


class _Families:
    """Makes the metric families of one reading, as prometheus_client asks for them."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        told = self._reading
        yield GaugeMetricFamily(
            "k1_device_in_use", "1 while somebody holds the rig's lease: then the device is not asked.",
            value=float(told.in_use),
        )  # fmt: skip
        yield GaugeMetricFamily("k1_device_visit_seconds", "How long asking the device took.", value=told.seconds)
        if told.in_use:
            return
        yield from self._identity()
        yield from self._figures()

    def _identity(self) -> Iterator[Metric]:
        info = GaugeMetricFamily("k1_device_info", "1; the labels say what runs there.", labels=list(IDENTITY))
        info.add_metric([_text(self._reading.info.get(name)) for name in IDENTITY], 1)
        yield info
        boots = number(self._reading.info.get("boot_count"))
        if boots is not None:
            yield CounterMetricFamily("k1_device_boots", "Starts of the chip, as it counts them.", value=boots)

    def _figures(self) -> Iterator[Metric]:
        told = self._reading
        # Firmware that does not name its image is foreign: there fps may count turns of an idle loop, cpu_percent is
        # the used heap, frame_time_us a sum of averages, last_latency_ms computing time (docs/k1node1.md).
        foreign = bool(told.info) and not told.info.get("image_sha256")
        fps = number(told.health.get("fps"))
        if fps is not None and not (foreign and fps > MOST_FPS):
            family = GaugeMetricFamily("k1_device_fps", "Frames a second, by the pattern shown.", labels=["pattern"])
            family.add_metric([_text(told.pattern.get("id"))], fps)
            yield family
        gauges = (
            ("uptime_seconds", "Since the last start. 32 bit of ms: wraps after 49.7 days.",
             told.health.get("uptime_ms"), 1e-3),
            ("heap_free_bytes", "Free heap.", told.health.get("memory_free_kb"), 1024),
            ("heap_total_bytes", "Whole heap.", told.health.get("memory_total_kb"), 1024),
            ("heap_least_free_bytes", "Least free heap since the start.",
             told.performance.get("memory_least_free_kb"), 1024),
            ("cpu_ratio", "Share of a frame's time the render core works.", told.health.get("cpu_percent"), 1e-2),
            ("frame_time_seconds", "Mean time between frames.", told.performance.get("frame_time_us"), 1e-6),
            ("render_seconds", "Mean time to render a frame.", told.performance.get("render_avg_us"), 1e-6),
            ("audio_latency_seconds", "Age of the newest sound in a frame when its transmission starts.",
             told.probe.get("last_latency_ms"), 1e-3),
        )  # fmt: skip
        for name, help_text, value, unit in gauges:
            found = number(value)
            if found is not None and not (foreign and name in NOT_OF_FOREIGN):
                yield GaugeMetricFamily(f"k1_device_{name}", help_text, value=found * unit)
        wifi = told.health.get("wifi")
        rssi = number(wifi.get("rssi")) if isinstance(wifi, Mapping) else None
        if rssi is not None:
            yield GaugeMetricFamily("k1_device_wifi_rssi_dbm", "Strength of the radio signal.", value=rssi)
        dropped = number(told.performance.get("telemetry_dropped"))
        if dropped is not None:
            yield CounterMetricFamily(
                "k1_device_telemetry_dropped", "Telemetry frames the device could not send.", value=dropped
            )


def number(value: object) -> float | None:
    """A finite number of JSON; None for anything else, booleans too."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _text(value: object) -> str:
    """A label value of bounded length, printable."""
    text = "" if value is None else str(value)[:MOST_LABEL_CHARS]
    return "".join(c if c.isprintable() else "?" for c in text)
