"""What a good K1 device does, in numbers: from the device contract and docs/hil-patterns.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis.frames import sent_intervals_us
from harness.analysis.pixels import at_limit, current_a, shown
from harness.suite.absent import absent

GOLDEN = json.loads((Path(__file__).parent / "golden" / "gradients.json").read_text(encoding="utf-8"))

STILL = {"departure", "lava", "twilight", "hil_solid", "hil_ramp"}  # show one picture for ever
DIM_BY_DESIGN = {"hil_ramp"}  # brightness does not act
FLOWS_IN_SILENCE = {"perlin"}
FRAME_PERIOD_US = 6000  # frame_min_period_ms at its default
LEAST_FPS = 160.0
LONGEST_GAP_US = 12_000
LEAST_INTERVALS = 16
LEAST_PICTURES_PER_S = 50.0  # far below what any device shows, far above what a dead one does
MOST_COUNTED_AROUND = 200  # frames between a recording and the two looks at the device's count of dimmed ones
LONGEST_SILENCE_S = 1.0  # before the end of a recording
WHITE_BALANCE = np.array([1.0, 0.9375, 0.84])


def pictures(recording):
    """Times [n] (ns, host) and pixels [n, 160, 3] that strip A showed: enough of them, and until the end.

    A device that shows hardly anything fails here: a picture that is not there has no other fault.
    """
    times, rgb = shown(recording)
    seconds = recording.meta["seconds"]
    least = max(1, int(LEAST_PICTURES_PER_S * seconds))
    assert len(rgb) >= least, f"hardly any picture was seen: expected at least {least} in {seconds:g} s, got {len(rgb)}"
    refuse_silence(recording, times[-1], "picture")
    return times, rgb


def paced(recording):
    """Device time between sent frames (µs) [n]. A device that sends hardly any, or stops, fails here."""
    gaps = sent_intervals_us(recording)
    assert gaps.size >= LEAST_INTERVALS, (
        f"hardly any frame was sent: expected at least {LEAST_INTERVALS} intervals between frames, "
        f"got {gaps.size} from {recording.n_frames} records, {int(recording.frames['sent'].sum())} of them sent"
    )
    last = recording.clock_fits["device"].to_host(recording.frames["t_us"][recording.frames["sent"]][-1])
    refuse_silence(recording, last, "frame")
    return gaps


def refuse_silence(recording, last_ns, what):
    """Nothing for long before the end: the device stopped, and what came before it cannot speak for it."""
    silent_s = recording.meta["seconds"] - (float(last_ns) - recording.meta["t0_ns"]) / 1e9
    assert silent_s < LONGEST_SILENCE_S, (
        f"the device stopped: expected a {what} within {LONGEST_SILENCE_S:g} s before the end, "
        f"got none for {silent_s:.2f} s"
    )


def needs_current(rig, pictures):
    """Skips where one of the pictures wanted [n, 160, 3] itself draws more than the rig lets its supply give."""
    limit_a = rig.config.current_limit_a
    if limit_a <= 0:
        return
    need_a = max(float(current_a(np.asarray(picture)[None]).max()) for picture in pictures)
    if need_a > limit_a:
        told = f"this picture draws {need_a:.2f} A, above led_current_limit_a = {limit_a:g} of rig '{rig.name}'"
        pytest.skip(absent(rig, told))


def undimmed(recording):
    """Fails a device that dims a picture its current limit lets through; see :func:`needs_current`."""
    capped = recording.meta.get("capped_frames")
    assert not capped, f"{capped} frames were dimmed although the picture draws less than the current limit"


def dimmed(rig, recording):
    """Whether the current limit dimmed the recording. What is dimmed has to draw what the limit allows."""
    limit_a, capped = rig.config.current_limit_a, recording.meta.get("capped_frames")
    rgb = shown(recording)[1]
    full = round(at_limit(rgb, limit_a) * len(rgb))
    assert not capped or capped <= full + MOST_COUNTED_AROUND, (
        f"{capped} frames were dimmed, but only {full} draw the {limit_a:g} A allowed"
    )
    return full > 0 and capped != 0


def master(brightness: float) -> float:
    """Factor of the pipeline's brightness stage, before gamma."""
    return 0.3 + 0.7 * brightness


def soft_clip(v: np.ndarray) -> np.ndarray:
    """Linear to 0.75, then 0.75 + 0.25 tanh(4 (v - 0.75))."""
    return np.where(v > 0.75, 0.75 + 0.25 * np.tanh(4 * (v - 0.75)), v)


def settled(v: np.ndarray, brightness: float = 1.0) -> np.ndarray:
    """Bytes of settled colours ``v`` [n, 3] (0-1) without dither, before truncation."""
    return 255.0 * (soft_clip(v) * WHITE_BALANCE * master(brightness)) ** 2


def gradient_strip(keys: list[list[Any]]) -> np.ndarray:
    """Colours [160, 3] of a still gradient: keys (position, RRGGBB) from the centre (0) to the ends (1)."""
    at = np.array([k[0] for k in keys])
    rgb = np.array([[int(k[1][i : i + 2], 16) for i in (0, 2, 4)] for k in keys]) / 255
    place = np.arange(80) / 79
    half = np.stack([np.interp(place, at, rgb[:, c]) for c in range(3)], axis=1)
    return np.concatenate([half[::-1], half])


def ramp() -> np.ndarray:
    """hil_ramp: four groups of 40 LEDs, red, green, blue, white, level round(255 k / 39)."""
    level = np.round(255 * np.arange(40) / 39).astype(np.uint8)
    strip = np.zeros((160, 3), np.uint8)
    for group, channels in enumerate(([0], [1], [2], [0, 1, 2])):
        strip[40 * group : 40 * group + 40, channels] = level[:, None]
    return strip


def index_words() -> np.ndarray:
    """hil_index: twelve bits per LED, Gray code of its index and four parities, bool[12, 160]."""
    led = np.arange(160)
    gray = led ^ (led >> 1)
    bits = [(gray >> b) & 1 for b in range(8)]
    bits += [np.array([bin(int(g) & mask).count("1") & 1 for g in gray]) for mask in (0x5B, 0x6D, 0x8E, 0xF0)]
    return np.array(bits).astype(bool)


def index_pictures() -> list[bytes]:
    """The 26 pictures of hil_index in order: all, none, then each bit and its complement."""
    steps = [np.ones(160, bool), np.zeros(160, bool)]
    for bit in index_words():
        steps += [bit, ~bit]
    return [np.repeat(np.where(step, 255, 0).astype(np.uint8), 3).tobytes() for step in steps]


def counter_picture(n: int) -> np.ndarray:
    """hil_counter: frame number ``n`` as uint8[160, 3]."""
    number = n % 4096
    code = number ^ (number >> 1)
    fields = [1, 0, *((code >> b) & 1 for b in range(12))]
    fields += [1 - bin(code).count("1") % 2, number & 1]
    copy = np.repeat(np.array(fields, np.uint8) * 255, 2)
    return np.repeat(np.tile(copy, 5), 3).reshape(160, 3)


def spectrum_bin(led_from_centre: float) -> float:
    """Bin shown at a place of the pattern spectrum: bin b is at b × 79/63."""
    return led_from_centre * 63 / 79


def travel_leds_per_s(at_s: np.ndarray, level: np.ndarray, starts_s: list[float]) -> float:
    """How fast light runs outwards after bursts of sound.

    Between two places of the half strip lies the time from one to the other first reaching half of its brightest; the
    median over the bursts counts.

    Args:
        at_s: times of the frames [n]; level: luminance [n, 160].
        starts_s: when the bursts begin, evenly spaced.
    """
    near, far = 10, 40
    half, step = level[:, 80:], starts_s[1] - starts_s[0]
    delays = []
    for start in starts_s:
        inside = (at_s >= start) & (at_s < start + step)
        reached = []
        for place in (near, far):
            course = half[inside, place - 2 : place + 3].mean(axis=1)
            course = course - course.min()
            reached.append(at_s[inside][int(np.argmax(course > 0.5 * course.max()))])
        delays.append(reached[1] - reached[0])
    delay_s = float(np.median(delays))
    return (far - near) / delay_s if delay_s else np.inf


OCTAVE_LEDS = 80 / 12  # a note of the pattern octave on a half strip


def drive_of(byte: np.ndarray) -> np.ndarray:
    """What a byte of the red channel was before gamma at full brightness; exact below the shoulder (0.75)."""
    return np.sqrt((byte + 0.5) / 255.0)


def off(rgb: np.ndarray, low: np.ndarray, high: np.ndarray) -> str:
    """Which LEDs of frames [n, 160, 3] leave ``low`` to ``high`` [160, 3], in one line; "" when none does."""
    shape = rgb.shape
    wrong = (rgb < np.broadcast_to(low, shape)) | (rgb > np.broadcast_to(high, shape))
    leds = np.flatnonzero(wrong.any(axis=(0, 2)))
    if not leds.size:
        return ""
    led = int(leds[0])
    frame = int(np.flatnonzero(wrong[:, led].any(axis=1))[0])
    bounds = (np.broadcast_to(np.clip(b, 0, 255), shape)[frame, led].astype(int).tolist() for b in (low, high))
    wanted = " to ".join(dict.fromkeys(map(str, bounds)))
    got = rgb[frame, led].tolist()
    return f"{leds.size} of {shape[1]} LEDs are off; the first, LED {led}, is {got}, wanted {wanted}"
