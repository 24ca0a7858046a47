"""The device's HTTP API, typed: every endpoint of the K1 device contract.

What comes back is the device's JSON object with checked attributes (:mod:`harness.instruments.api_answers`). What a
firmware tells but does not know is refused by :mod:`harness.instruments.api_readings`. Every method waits out rate
limits and raises what :meth:`~harness.instruments.api_transport.ApiTransport.call` does, ``BadAnswer`` included.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness.errors import BadRequest, DutFailure
from harness.instruments import api_answers as told
from harness.instruments.api_errors import (
    ApiError,
    BadAnswer,
    DeviceRestarted,
    EndpointAbsent,
    KeyRefused,
    NoIdentity,
    NotMeasurable,
    RateLimited,
    Shadowed,
    Truncated,
    shown,
)
from harness.instruments.api_fields import Answer
from harness.instruments.api_settings import Settings

__all__ = [
    "ApiError", "BadAnswer", "DeviceApi", "DeviceRestarted", "EndpointAbsent", "KeyRefused", "NoIdentity",
    "NotMeasurable", "RateLimited", "Shadowed", "Truncated",
]  # fmt: skip

HIGHEST_INDEX = 255
CHROMA = 12


class DeviceApi(Settings):
    """HTTP client of one device; see :class:`~harness.instruments.api_transport.ApiTransport` for its arguments."""

    # ---- device ------------------------------------------------------------------------------------

    def test_connection(self) -> Answer:
        """``/api/test-connection``: the cheapest sign of life."""
        return self.read(Answer, "/api/test-connection")

    def health(self) -> told.Health:
        """``/api/health``: status, uptime_ms, fps, memory …"""
        return self.read(told.Health, "/api/health")

    def info(self) -> told.Info:
        """``/api/device/info``: device, mac, ip, build …"""
        return self.read(told.Info, "/api/device/info")

    def performance(self) -> told.Performance:
        """``/api/device/performance``: fps and mean times in µs."""
        return self.read(told.Performance, "/api/device/performance")

    def frame_metrics(self) -> told.FrameMetrics:
        """``/api/frame-metrics``: the last 64 frames, oldest first."""
        return self.read(told.FrameMetrics, "/api/frame-metrics")

    def metrics(self) -> dict[str, float]:
        """``/api/metrics``: figures by name.

        Raises:
            BadAnswer: a line that is not a name and a finite number.
        """
        figures: dict[str, float] = {}
        for line in self.get_text("/api/metrics").splitlines():
            name, _, value = line.partition(" ")
            try:
                figures[name] = float(value)
            except ValueError:
                figures[name] = math.nan
            if not name or not math.isfinite(figures[name]):
                raise BadAnswer("GET /api/metrics: not a figure", expected="name value", got=line[:80])
        return figures

    # ---- patterns, palettes, parameters ------------------------------------------------------------

    def patterns(self) -> list[told.Pattern]:
        """``/api/patterns``: index, name, id, description, audio_reactive of each."""
        return list(self.read(told.Patterns, "/api/patterns").rows)

    def current_pattern(self) -> told.CurrentPattern:
        """``/api/pattern/current``: index, id, name, is_audio_reactive."""
        return self.read(told.CurrentPattern, "/api/pattern/current")

    def select(self, pattern: str | int, *, transition: bool = False) -> told.Selected:
        """``/api/select`` by id or index. With ``transition`` the answer may still name the old pattern.

        Raises:
            BadRequest: an index that cannot be one.
            DutFailure: the device selected another pattern (the owner's firmware takes 0 for an unknown index).
        """
        if not isinstance(pattern, str) and not 0 <= pattern <= HIGHEST_INDEX:
            raise BadRequest("there is no such pattern index", expected=f"0 to {HIGHEST_INDEX}", got=str(pattern))
        name = "id" if isinstance(pattern, str) else "index"
        payload = {name: pattern} | ({"transition": True} if transition else {})
        chosen = self.read(told.Selected, "/api/select", method="POST", payload=payload)
        got = chosen.id if isinstance(pattern, str) else chosen.current_pattern
        if not transition and got is not None and got != pattern:
            raise DutFailure(
                "the device selected another pattern than asked", expected=str(pattern), got=shown(chosen),
                remedy="ask for an id of /api/patterns",
            )  # fmt: skip
        return chosen

    def palettes(self) -> list[told.Palette]:
        """``/api/palettes``; about 25 KB of the device's heap while it answers."""
        return list(self.read(told.Palettes, "/api/palettes").rows)

    def params(self) -> told.Params:
        """``/api/params``."""
        return self.read(told.Params, "/api/params")

    def set_params(self, **values: float | bool) -> told.Params:
        """``/api/params``: sets some; returns all, as the device took them (out of range: the nearer edge)."""
        return self.read(told.Params, "/api/params", method="POST", payload=values)

    def params_bounds(self) -> dict[str, told.Bound]:
        """``/api/params/bounds``: range of each parameter.

        Raises:
            Shadowed: ``/api/params`` answered in its place.
        """
        body = self.get("/api/params/bounds")
        if any(not isinstance(row, Mapping) for row in body.values()):
            raise Shadowed(
                "GET /api/params/bounds is answered by /api/params", expected="min and max of each", got=shown(body),
                remedy="this firmware cannot tell its ranges: take them from the contract (docs/k1node1.md)",
            )  # fmt: skip
        return {name: told.Bound.of(f"bounds of {name}", row) for name, row in body.items()}

    def reset_params(self) -> told.Params:
        """``/api/reset``: parameters to their defaults."""
        return self.read(told.Params, "/api/reset", method="POST")

    # ---- sound -------------------------------------------------------------------------------------

    def audio_config(self, **values: float | bool) -> told.AudioConfig:
        """``/api/audio-config``: reads, or sets the given values."""
        return self.read(told.AudioConfig, "/api/audio-config", method="POST" if values else "GET", payload=values)

    def calibrate_noise(self) -> Answer:
        """``/api/audio/noise-calibrate``: begins; the room has to be quiet for some seconds."""
        return self.read(Answer, "/api/audio/noise-calibrate", method="POST")

    def tempo(self) -> told.Tempo:
        """``/api/audio/tempo``."""
        return self.read(told.Tempo, "/api/audio/tempo")

    def audio_snapshot(self) -> told.Snapshot:
        """``/api/audio/snapshot``; its ``timestamp_us`` is uint32 and wraps."""
        return self.read(told.Snapshot, "/api/audio/snapshot")

    def audio_metrics(self) -> told.AudioMetrics:
        """``/api/audio/metrics``."""
        return self.read(told.AudioMetrics, "/api/audio/metrics")

    def audio_arrays(
        self, count: int = 16, offset: int = 0, stride: int | None = None, *, chromagram: bool = False
    ) -> told.Arrays:
        """``/api/audio/arrays``: ``count`` bins of the spectrum from ``offset`` on, every ``stride``-th.

        ``history`` and ``novelty`` are left to :meth:`get`: one overflows the answer, the other is never written.

        Raises:
            Truncated: fewer came than asked, or the end of the answer is missing; ask for 16 at a time.
        """
        params = {"count": count, "offset": offset} | ({} if stride is None else {"stride": stride})
        params |= {"include_chromagram": 1} if chromagram else {}
        body = self.get("/api/audio/arrays", **params)
        lengths = [len(body[name]) for name in ("spectrogram", "tempi") if isinstance(body.get(name), list)]
        if "count" not in body or lengths != [count, count]:
            raise Truncated(
                "GET /api/audio/arrays is not whole", expected=f"{count} bins and tempi, then count, offset, stride",
                got=f"{lengths} values and {', '.join(body)}", remedy="ask for 16 bins at a time",
            )  # fmt: skip
        arrays = told.Arrays.of("GET /api/audio/arrays", body)
        if chromagram and len(arrays.chromagram or ()) != CHROMA:
            raise Truncated("GET /api/audio/arrays is not whole", expected=f"{CHROMA} values of the chromagram",
                            got=str(len(arrays.chromagram or ())), remedy="ask for 16 bins at a time")  # fmt: skip
        return arrays

    # ---- light and time ----------------------------------------------------------------------------

    def led_frame(self) -> list[str]:
        """``/api/leds/frame``: 160 colours as ``RRGGBB``.

        Nothing in the answer of the owner's firmware tells how old it is, or whether it is of one piece: see
        :func:`~harness.instruments.api_readings.fresh_led_frame` and ``still_led_frame`` there. ``fmt`` is never
        sent: that firmware then reads freed memory.

        Raises:
            Truncated: not as many colours as the answer itself says.
        """
        frame = self.read(told.LedFrame, "/api/leds/frame")
        if len(frame.data) != frame.limit:
            raise Truncated("GET /api/leds/frame is not whole", expected=f"{frame.limit} colours",
                            got=str(len(frame.data)))  # fmt: skip
        return list(frame.data)

    def beat_events(self) -> told.BeatEvents:
        """``/api/beat-events/recent``. Empty says nothing of beats: see ``api_readings.beats``."""
        return self.read(told.BeatEvents, "/api/beat-events/recent")

    def beat_dump(self) -> told.BeatEvents:
        """``/api/beat-events/dump``: as :meth:`beat_events`, more at once."""
        return self.read(told.BeatEvents, "/api/beat-events/dump")

    def beat_info(self) -> told.Fill:
        """``/api/beat-events/info``: how full the queue is."""
        return self.read(told.Fill, "/api/beat-events/info")

    def led_tx_info(self) -> told.Fill:
        """``/api/led-tx/info``: stamps kept, and room for how many."""
        return self.read(told.Fill, "/api/led-tx/info")

    def led_tx(self, since_us: int, limit: int = 64) -> told.LedTx:
        """``/api/led-tx/recent``: starts of transmission from ``since_us`` (uint32) on.

        A start has to be given: without, the owner's firmware returns the oldest of its ring, and some 25 at most.
        """
        return self.read(told.LedTx, "/api/led-tx/recent", params={"since_us": since_us % (1 << 32), "limit": limit})

    def led_tx_dump(self, since_us: int) -> told.LedTx:
        """``/api/led-tx/dump``: as :meth:`led_tx`, up to 41 at once."""
        return self.read(told.LedTx, "/api/led-tx/dump", params={"since_us": since_us % (1 << 32)})

    def latency_probe(self) -> told.Probe:
        """``/api/latency/probe``."""
        return self.read(told.Probe, "/api/latency/probe")

    def latency_align(self, t_us: int) -> told.Align:
        """``/api/latency/align``: the transmission nearest to a device time (µs, cut to uint32)."""
        return self.read(told.Align, "/api/latency/align", params={"t_us": t_us % (1 << 32)})

    def rmt(self) -> told.Rmt:
        """``/api/rmt``. All zero says nothing of the strip: see ``api_readings.longest_rmt_gap_us``."""
        return self.read(told.Rmt, "/api/rmt")

    def reset_rmt(self) -> Answer:
        """``/api/rmt/reset``."""
        return self.read(Answer, "/api/rmt/reset", method="POST")
