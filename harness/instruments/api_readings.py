"""Figures taken over the HTTP API alone, refused where the device cannot know them.

The owner's firmware tells constants, stale pictures and loop counts as if they were measurements (K1 device contract,
section 0). A function here returns a figure only when the answers themselves show that it is one; else it raises
:class:`~harness.instruments.api_errors.NotMeasurable` with what to do instead. See docs/k1node1.md.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from harness.instruments.api import DeviceApi
from harness.instruments.api_answers import BeatEvent, Info
from harness.instruments.api_errors import NoIdentity, NotMeasurable
from harness.instruments.clock import never
from harness.timebase import apart_us32

# A WS2812 strip of 160 takes 4.8 ms a frame; above this rate a "frame" is a turn of a loop that sends nothing.
MOST_FPS = 210.0
# cpu_percent of a build without run-time statistics: mean of 50 x and 40 x the used share of the heap.
HEAP_AS_CPU = 0.45
LEAST_PERIODS = 8
# Far less than the 150 ms of frames that one answer holds.
STAMPS_BACK_US = 100_000
LOOK_S = 0.25
PLAY_SOUND = "play sound: in silence this firmware sends nothing to the strips"


class Stages(NamedTuple):
    """Mean times of ``n`` frames in µs. Waiting for the strip is not among them: no firmware counts it."""

    render_us: float
    quantize_us: float
    transmit_us: float
    n: int


def identity(api: DeviceApi) -> Info:
    """Which image runs there.

    Raises:
        NoIdentity: the firmware does not tell (trap 8).
    """
    info = api.info()
    if not info.image_sha256:
        raise NoIdentity(
            "the firmware does not tell over HTTP which image it is", expected="image_sha256 in /api/device/info",
            got=f"device {info.device}, {', '.join(info)}",
            remedy="note the image's SHA-256 when flashing, or read the application slot back with esptool",
        )  # fmt: skip
    return info


def _sending(api: DeviceApi, seen_us: int | None) -> int:
    """The newest transmission; refuses when it is still ``seen_us``."""
    newest = api.latency_probe().last_led_tx_us
    if newest is None or newest == seen_us:
        raise NotMeasurable(
            "the device sends no frames to its strips", expected="a newer last_led_tx_us in /api/latency/probe",
            got=f"still {newest}", evidence=str(api.client.base_url), remedy=PLAY_SOUND,
        )  # fmt: skip
    return newest


def _while_sending(api: DeviceApi) -> int:
    """The newest transmission, once another came after the first one seen."""
    first = _sending(api, None)
    api.clock.wait(never, LOOK_S)
    return _sending(api, first)


def fresh_led_frame(api: DeviceApi) -> list[str]:
    """The strip's bytes, 160 of ``RRGGBB``, while frames are being sent (trap 3). May be torn when they change.

    Raises:
        NotMeasurable: no transmission began before or after the picture was read: it is of any age.
    """
    before = _while_sending(api)
    frame = api.led_frame()
    api.clock.wait(never, LOOK_S)
    _sending(api, before)
    return frame


def still_led_frame(api: DeviceApi, timeout_s: float = 5.0) -> list[str]:
    """The strip's bytes of a pattern that stands still: two pictures, read while frames are sent, are the same.

    Raises:
        NotMeasurable: nothing is sent, or the picture keeps changing: a read may then mix two frames.
    """
    end_ns = api.clock.now_ns() + round(timeout_s * 1e9)
    last = fresh_led_frame(api)
    while api.clock.now_ns() < end_ns:
        frame = fresh_led_frame(api)
        if frame == last:
            return frame
        last = frame
    raise NotMeasurable(
        "the picture keeps changing", expected=f"two equal reads within {timeout_s:g} s",
        got="every read differs; the device does not lock its buffer while it answers",
        remedy="select a still pattern (departure, lava, twilight) and set dithering to 0",
    )  # fmt: skip


def frame_periods_us(api: DeviceApi) -> list[int]:
    """Times between transmissions that follow each other, newest last, in µs.

    From the starts of transmission after a moment shortly before now, so that neither the order the device tells nor
    its habit of returning the oldest matters (trap 5), around the wrap (trap 9).

    Raises:
        NotMeasurable: nothing is sent (trap 3), or too few stamps came.
    """
    newest = _while_sending(api)
    since = newest - STAMPS_BACK_US
    stamps = api.led_tx(since).stamps_since(since)
    periods = [apart_us32(b, a) for a, b in pairwise(stamps)]
    if len(periods) < LEAST_PERIODS:
        raise NotMeasurable(
            "too few transmissions for a period", expected=f"at least {LEAST_PERIODS + 1} stamps",
            got=str(len(stamps)), remedy="ask again; around the 71 min wrap of the device's clock one answer is short",
        )  # fmt: skip
    return periods


def frame_rate_hz(api: DeviceApi) -> float:
    """Frames sent per second, as the device averages them.

    Raises:
        NotMeasurable: the figure counts turns of a loop that sends nothing (trap 3).
    """
    fps = api.performance().fps
    if not 0 < fps <= MOST_FPS:
        raise NotMeasurable(
            "fps is no frame rate", expected=f"above 0, at most {MOST_FPS:g} (160 LEDs take 4.8 ms)", got=f"{fps:g}",
            remedy=PLAY_SOUND,
        )  # fmt: skip
    _while_sending(api)
    return fps


def stage_times(api: DeviceApi) -> Stages:
    """Mean stage times of the last frames.

    Raises:
        NotMeasurable: fewer than 64 frames exist (the ring is then read at the wrong place), or some were not sent.
    """
    told = api.frame_metrics()
    rows = told.rows
    if told.frame_count != len(rows) or len(rows) < (told.buffer_size or 64) - 1:
        raise NotMeasurable("the frame log is not full yet", expected="64 frames", got=f"{len(rows)}",
                            remedy="ask again in a second")  # fmt: skip
    unsent = sum(1 for row in rows if row.rmt_tx_us <= 0)
    if unsent:
        raise NotMeasurable(f"{unsent} of {len(rows)} frames were not sent", expected="rmt_tx_us above 0 in each",
                            got="0", remedy=PLAY_SOUND)  # fmt: skip
    means = [sum(values) / len(rows) for values in zip(*((r.render_us, r.quantize_us, r.rmt_tx_us) for r in rows),
                                                       strict=True)]  # fmt: skip
    return Stages(means[0], means[1], means[2], len(rows))


def cpu_percent(api: DeviceApi) -> float:
    """Share of time the device computes, in percent.

    Raises:
        NotMeasurable: the figure is a function of the used heap (trap 7), or not told.
    """
    told = api.performance()
    cpu, memory = told.cpu_percent, told.memory_percent
    if cpu is None or memory is None or abs(cpu - HEAP_AS_CPU * memory) < 0.01 * max(1.0, memory):
        raise NotMeasurable(
            "cpu_percent is no load", expected="a figure of its own", got=f"{cpu}, with {memory} % of the heap used",
            remedy="render_us and the frame rate say how busy the device is",
        )  # fmt: skip
    return cpu


def longest_rmt_gap_us(api: DeviceApi) -> int:
    """Longest pause of the LED peripheral within a frame, in µs.

    Raises:
        NotMeasurable: no counter of it has ever moved (trap 6).
    """
    told = api.rmt()
    counters = [told.wait_timeouts]
    for channel in (told.ch1, told.ch2):
        counters += [int(v) for v in channel.values() if isinstance(v, int)]
    if not any(counters):
        raise NotMeasurable("the RMT counters do not count", expected="one that is not 0", got="all 0",
                            remedy="look at the wire: a logic analyser on GPIO5 and GPIO4")  # fmt: skip
    return max(int(told.ch1.maxgap_us), int(told.ch2.maxgap_us))


def beats(api: DeviceApi) -> tuple[BeatEvent, ...]:
    """Beats the device has detected.

    Raises:
        NotMeasurable: its queue is empty, which says nothing: it is emptied every 5 ms (trap 4).
    """
    told = api.beat_events()
    if not told.events:
        raise NotMeasurable("the queue of beats is empty", expected="an event", got="none: the device empties it",
                            remedy="read BEAT_EVENT lines on the console, at most one a second")  # fmt: skip
    return told.events


def locked_tempo_bpm(api: DeviceApi) -> float:
    """The tempo the device has locked to, per minute.

    Raises:
        NotMeasurable: it has not locked, or never will (trap 10).
    """
    told = api.tempo()
    if told.tempo_lock_state != "LOCKED" or not told.locked_tempo_bpm:
        raise NotMeasurable(
            "no locked tempo", expected="LOCKED", got=f"{told.tempo_lock_state}, for {told.time_in_state_ms} ms",
            remedy="on firmware whose lock never moves take the strongest of top_bins (strongest_bpm)",
        )  # fmt: skip
    return told.locked_tempo_bpm


def strongest_bpm(api: DeviceApi) -> float:
    """The strongest tempo, per minute, in steps of half a beat; with sound of 25 s and more.

    Raises:
        NotMeasurable: silence, or no bin stands out at all.
    """
    told = api.tempo()
    best = max(told.top_bins, key=lambda row: row.magnitude, default=None)
    if told.silence_detected or best is None or best.magnitude <= 0:
        raise NotMeasurable("the device hears no tempo", expected="sound, and a bin above 0",
                            got=f"silence {told.silence_detected}, {len(told.top_bins)} bins",
                            remedy="play music or clicks for 25 s first")  # fmt: skip
    return best.bpm
