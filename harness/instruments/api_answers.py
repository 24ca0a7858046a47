"""Answers of the K1 HTTP API, endpoint by endpoint (K1 device contract, REST API; docs/http-api.md).

Names are those of the wire unless they lack a unit. ``*_us`` stamps are uint32 microseconds since boot and wrap every
71 min 35 s; ``uptime_ms`` and ``timestamp`` are uint32 milliseconds. A field that only one firmware tells is None on
the other.
"""

from __future__ import annotations

from harness.instruments.api_fields import (
    UINT32,
    Answer,
    colours,
    flag,
    maybe,
    part,
    real,
    reals,
    rows,
    text,
    whole,
)
from harness.timebase import apart_us32

MOST_EVENTS = 256


class Wifi(Answer):
    """``ssid`` is a credential and has no attribute."""

    rssi_dbm = maybe(real(-200, 50, key="rssi"))
    ip = maybe(text())


class Health(Answer):
    """``/api/health``. ``fps`` in 1/s; above 250 it counts turns of a loop that sends nothing (contract, trap 3)."""

    status = text()
    uptime_ms = whole()
    fps = real(0)
    cpu_percent = maybe(real(0))
    memory_free_kb = maybe(whole())
    memory_total_kb = maybe(whole())
    connected = maybe(flag())
    wifi = maybe(part(Wifi))


class Info(Answer):
    """``/api/device/info``. What names the image is None on firmware that does not tell (trap 8)."""

    device = text()
    mac = text()
    uptime_ms = maybe(whole())
    ip = maybe(text())
    project = maybe(text())
    version = maybe(text())
    git_commit = maybe(text())
    build_time = maybe(text())
    image_sha256 = maybe(text())
    reset_reason = maybe(text())
    boot_count = maybe(whole())
    boot_id = maybe(text())


class Performance(Answer):
    """``/api/device/performance``: means in µs. ``rmt_wait_avg_us`` is never counted, hence always 0 (trap 6)."""

    fps = real(0)
    frame_time_us = maybe(real(0))
    render_avg_us = maybe(real(0))
    quantize_avg_us = maybe(real(0))
    rmt_tx_avg_us = maybe(real(0))
    cpu_percent = maybe(real(0))
    memory_percent = maybe(real(0, 100))
    memory_free_kb = maybe(whole())
    memory_total_kb = maybe(whole())
    beat_overflows_total = maybe(whole())
    fps_history = maybe(reals())


class FrameTimes(Answer):
    """One frame: µs, ``heap_free`` in bytes."""

    render_us = real(0)
    quantize_us = real(0)
    rmt_tx_us = real(0)
    total_us = real(0)
    heap_free_bytes = maybe(whole(key="heap_free"))


class FrameMetrics(Answer):
    """``/api/frame-metrics``: the last frames, oldest first once 64 exist."""

    frame_count = whole(0, MOST_EVENTS)
    rows = rows(FrameTimes, key="frames")
    buffer_size = maybe(whole())


class Pattern(Answer):
    """One row of ``/api/patterns``."""

    index = whole(0, 255)
    id = text()
    name = text()
    audio_reactive = maybe(flag())


class Patterns(Answer):
    """``/api/patterns``."""

    rows = rows(Pattern, key="patterns")
    current_pattern = maybe(whole(0, 255))


class CurrentPattern(Answer):
    """``/api/pattern/current``."""

    index = whole(0, 255)
    id = text()
    name = maybe(text())
    is_audio_reactive = maybe(flag())


class Selected(Answer):
    """``/api/select``. With a transition it still names the old pattern."""

    id = text()
    current_pattern = maybe(whole(0, 255))


class Key(Answer):
    """A colour of a palette; ``position`` 0 to 255."""

    position = whole(0, 255)
    r = whole(0, 255)
    g = whole(0, 255)
    b = whole(0, 255)


class Palette(Answer):
    """One row of ``/api/palettes``."""

    id = whole(0, 255)
    name = text()
    keyframes = whole(0, 255)
    colors = rows(Key)


class Palettes(Answer):
    """``/api/palettes``."""

    rows = rows(Palette, key="palettes")


class Params(Answer):
    """All parameters as the device holds them: 0 to 1 unless the contract's table says otherwise.

    ``led_offset`` in LEDs. The owner's firmware leaves ``custom_param_*`` out of GET.
    """

    brightness = real(0, 1)
    speed = maybe(real(0, 1))
    palette_id = maybe(real(0, 255))
    mirror_mode = maybe(flag())
    led_offset = maybe(real(-160, 160))
    frame_min_period_ms = maybe(real(0, 1000))


class Bound(Answer):
    """Range of one parameter."""

    min = real()
    max = real()


class AudioConfig(Answer):
    """``/api/audio-config``. POST of the owner's firmware does not tell ``vu_floor_pct``."""

    microphone_gain = real(0)
    vu_floor_pct = maybe(real(0, 1))
    active = maybe(flag())


class TempoBin(Answer):
    """A tempo and how strongly it is heard (0 to 1); ``phase`` in rad."""

    bpm = real(0)
    magnitude = real()
    phase_rad = maybe(real(key="phase"))


class Measures(Answer):
    """Parts of the confidence."""

    peak_ratio = real()
    entropy = real()
    temporal_stability = real()
    combined = real()


class Tempo(Answer):
    """``/api/audio/tempo``. Lock and measures are constants on the owner's firmware (trap 10)."""

    tempo_confidence = real()
    top_bins = rows(TempoBin)
    silence_detected = maybe(flag())
    silence_level = maybe(real())
    tempo_lock_state = maybe(text())
    time_in_state_ms = maybe(whole())
    locked_tempo_bpm = maybe(real(0))
    confidence_metrics = maybe(part(Measures))


class Snapshot(Answer):
    """``/api/audio/snapshot``: read unsynchronised on the owner's firmware; levels without unit."""

    vu_level = real()
    update_counter = whole(0, (1 << 63) - 1)
    timestamp_us = whole()
    tempo_confidence = maybe(real())
    is_valid = maybe(flag())


class AudioMetrics(Answer):
    """``/api/audio/metrics``."""

    fps = real(0)
    frame_time_us = real(0)
    tempo_confidence = real()
    audio_update_counter = whole(0, (1 << 63) - 1)
    audio_timestamp_us = whole()


class Arrays(Answer):
    """``/api/audio/arrays``: magnitudes without unit. ``chromagram[0]`` is D#, A is 6 on the owner's firmware."""

    spectrogram = reals()
    tempi = reals()
    count = whole(1, 64)
    offset = whole(0, 64)
    stride = whole(0, 64)
    source_bins = whole(1, 64)
    chromagram = maybe(reals())


class LedFrame(Answer):
    """``/api/leds/frame``: bytes handed to the strips; unsynchronised and without a stamp on the owner's firmware."""

    count = whole(1, 160)
    limit = whole(1, 160)
    data = colours()
    seq = maybe(whole(0, UINT32))


class BeatEvent(Answer):
    """A beat; ``confidence`` 0 to 65535."""

    timestamp_us = whole()
    confidence = whole(0, 65_535)


class BeatEvents(Answer):
    """``/api/beat-events/*``: what is left in a queue that the owner's firmware empties every 5 ms (trap 4)."""

    count = whole(0, MOST_EVENTS)
    capacity = whole(0, MOST_EVENTS)
    events = rows(BeatEvent)


class Stamp(Answer):
    """Start of one transmission."""

    timestamp_us = whole()


class Fill(Answer):
    """How full a ring is."""

    count = whole()
    capacity = whole()


class LedTx(Answer):
    """``/api/led-tx/*``: use ``stamps_us``; the order told may be the wrong one (trap 5)."""

    count = whole(0, MOST_EVENTS)
    capacity = whole(0, MOST_EVENTS)
    events = rows(Stamp)

    @property
    def stamps_us(self) -> tuple[int, ...]:
        """Stamps in order of time, whatever ``order`` says, around the wrap of uint32."""
        raw = [event.timestamp_us for event in self.events]
        if not raw:
            return ()
        return tuple(sorted(raw, key=lambda t: apart_us32(t, raw[0])))

    def stamps_since(self, since_us: int) -> tuple[int, ...]:
        """Those that are not before ``since_us``: a filter that is not wrap-safe lets older ones pass, with a hole."""
        return tuple(t for t in self.stamps_us if apart_us32(t, since_us) >= 0)


class Probe(Answer):
    """``/api/latency/probe``. ``last_latency_ms`` of the owner's firmware is computing time, not a latency."""

    timestamp_us = whole()
    last_led_tx_us = maybe(whole())
    last_latency_ms = maybe(real())
    active = maybe(flag())


class Align(Answer):
    """``/api/latency/align``. Use ``distance_us``; the device's own ``delta_us`` may not be wrap-safe (trap 9)."""

    found = flag()
    t_us = maybe(whole())
    nearest_timestamp_us = maybe(whole())
    delta_us = maybe(real())

    def distance_us(self, t_us: int) -> int | None:
        """Nearest transmission minus ``t_us``, around the wrap, in µs; None when none was found."""
        if not self.found or self.nearest_timestamp_us is None:
            return None
        return apart_us32(self.nearest_timestamp_us, t_us)


class RmtChannel(Answer):
    """Counters of one channel."""

    empty = whole()
    maxgap_us = whole()


class Rmt(Answer):
    """``/api/rmt``: all zero on the owner's firmware, whatever happens (trap 6)."""

    wait_timeouts = whole()
    ch1 = part(RmtChannel)
    ch2 = part(RmtChannel)
