"""What happens once: commands, brightness, the first sound after silence, a still picture's colours and centre."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from synthetic import FIT, OFFSET_NS, recording

from harness.analysis.commands import brightness_curve, brightness_metrics, command_latency, command_metrics
from harness.analysis.latency.results import LED_MS
from harness.analysis.light.still import centre, centre_metrics, colour_metrics, still_colour
from harness.analysis.onset import onset_after_silence, onset_metrics
from harness.recording import Light, Recording
from harness.signals import onset_after_silence as silence_then_tone
from harness.signals import tone

PERIOD_MS = 6.0
START_MS = 1000.0  # of the first frame, after OFFSET_NS


def commanded(levels: list[float], delays_ms: list[float], curve: Any = lambda x: x) -> Recording:
    """A strip of one grey that takes each level so long after its command; a frame shows what holds at its start."""
    spacing_ms = 371.0
    n = round((spacing_ms * len(levels) + 600) / PERIOD_MS)
    at = np.arange(n) * PERIOD_MS
    sent = 150.0 + spacing_ms * np.arange(len(levels))
    level = np.full(n, 1.0)
    for when, delay, value in zip(sent, delays_ms, levels, strict=True):
        level[at >= when + delay] = value
    grey = np.round(255 * np.array([curve(v) for v in level])).astype(np.uint8)
    seen = recording(np.broadcast_to(grey[:, None, None], (n, 160, 3)).copy(), pattern="hil_solid")
    t0 = seen.meta["t0_ns"]
    seen.meta["commands"] = [
        {"sent_ns": round(t0 + when * 1e6), "answered_ns": round(t0 + when * 1e6) + 4_000_000,
         "what": {"brightness": value}} for when, value in zip(sent, levels, strict=True)
    ]  # fmt: skip
    return seen


LEVELS = [0.25, 0.75, 0.0, 1.0, 0.5, 1.0, 0.25, 0.75]


def test_a_command_is_timed_to_the_frame_that_shows_it() -> None:
    delays = [20.0, 31.0, 44.0, 12.0, 26.0, 37.0, 55.0, 18.0]
    found = command_latency(commanded(LEVELS, delays))
    assert found is not None and found.missed == 0 and found.answer_ms == pytest.approx(4.0)
    late = found.latency_ms - np.array(delays) - LED_MS
    assert (late >= -1e-6).all() and (late < PERIOD_MS).all()
    assert found.mean.low < found.mean.value < found.mean.high and found.source == "wire" and found.clock_ms == 0.0


def test_a_later_light_moves_the_result_by_as_much() -> None:
    means = [command_latency(commanded(LEVELS, [20.0 + d] * 8)).mean.value for d in (0.0, 30.0, 120.0)]  # type: ignore[union-attr]
    assert np.diff(means) == pytest.approx([30.0, 90.0], abs=0.01)


def test_a_command_without_an_answer_is_missed_not_timed() -> None:
    seen = commanded(LEVELS, [20.0] * 8)
    third = seen.meta["commands"][2]
    seen.meta["commands"].insert(3, {**third, "sent_ns": third["sent_ns"] + 180_000_000})
    found = command_latency(seen)
    assert found is not None and found.missed == 1 and found.mean.n == 8
    names = {m.name: m for m in command_metrics(seen, found)}
    assert names["commands_missed"].value == 1 and names["command_to_light_ms_mean"].ci95 is not None
    seen.meta["commands"] = []
    with pytest.raises(ValueError, match="nothing was asked"):
        command_latency(seen)
    assert command_latency(commanded([1.0] * 8, [20.0] * 8)) is None, "light that never moves cannot be timed"


@pytest.mark.parametrize("exponent", [1.0, 2.0, 2.2])
def test_the_brightness_curve_has_its_exponent(exponent: float) -> None:
    seen = commanded(LEVELS, [20.0] * 8, lambda v: v**exponent)
    curve = brightness_curve(seen)
    assert curve is not None and curve.level.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0] and curve.source == "wire"
    assert curve.exponent == pytest.approx(exponent, abs=0.03)
    assert curve.apart(curve.level**exponent) < 0.003
    apart = {m.name: m.value for m in brightness_metrics(seen, curve, curve.level)}["brightness_apart"]
    assert apart == pytest.approx(abs(0.5**exponent - 0.5), abs=0.02) or apart > 0.15 or exponent == 1.0


def test_a_curve_needs_levels_and_light() -> None:
    with pytest.raises(ValueError, match="three different levels"):
        brightness_curve(commanded([0.5, 1.0] * 4, [20.0] * 8))
    assert brightness_curve(commanded(LEVELS, [20.0] * 8, lambda v: 0.0)) is None


def answering(dead_ms: float, rise_ms: float, *, to: float = 0.6, wobble: float = 0.0) -> Recording:
    """A strip that lies at 0.1, stays there for ``dead_ms`` after the sound, then climbs for ``rise_ms``."""
    sound = silence_then_tone()
    n = round(sound.seconds * 1e3 / PERIOD_MS)
    since = np.arange(n) * PERIOD_MS + LED_MS - 5200.0
    drive = 0.1 + (to - 0.1) * np.clip((since - dead_ms) / rise_ms, 0, 1)
    drive[since < 0] += wobble * np.sin(np.arange((since < 0).sum()))
    grey = np.round(255 * drive).astype(np.uint8)
    return recording(np.broadcast_to(grey[:, None, None], (n, 160, 3)).copy(), pattern="vu", stimulus=sound)


@pytest.mark.parametrize(("dead_ms", "rise_ms"), [(3.0, 1.0), (20.0, 60.0), (45.0, 120.0)])
def test_dead_time_and_first_onset(dead_ms: float, rise_ms: float) -> None:
    seen = answering(dead_ms, rise_ms)
    found = onset_after_silence(seen)
    assert found is not None and found.silence_s == 5.2 and found.frame_ms == pytest.approx(PERIOD_MS)
    # A frame shows what holds at its start; the light must leave its band by a fiftieth of its step.
    assert -0.01 <= found.dead_ms - dead_ms <= PERIOD_MS + 0.03 * rise_ms
    # A byte is a twohundredth of the step.
    assert -0.01 <= found.first_ms - (dead_ms + rise_ms / 2) <= PERIOD_MS + 0.01 * rise_ms
    assert {m.name: m.ci95 for m in onset_metrics(seen, found)} == {"onset_dead_ms": None, "onset_first_ms": None}


def test_what_light_does_by_itself_is_no_answer() -> None:
    found = onset_after_silence(answering(30.0, 1.0, wobble=0.05))
    assert found is not None and found.dead_ms >= 29.9
    assert onset_after_silence(answering(30.0, 1.0, to=0.1)) is None
    assert onset_after_silence(answering(30.0, 1.0, to=0.14, wobble=0.05)) is None
    sparse = answering(30.0, 1.0)
    assert sparse.wire is not None
    sparse.wire = {name: column[::40] for name, column in sparse.wire.items()}
    assert onset_after_silence(sparse) is None, "too few frames to tell"
    short = recording(np.zeros((300, 160, 3), np.uint8), stimulus=tone(1000.0, 1.0))
    with pytest.raises(ValueError, match="5 s of silence"):
        onset_after_silence(short)


def still(profile: Any, noise: float = 0.0, lost: int = 0, seed: int = 4) -> Recording:
    """A camera's view of a still picture, uint8[160, 3]; white is 1, every LED alike."""
    rgb = np.broadcast_to(np.round(profile).astype(np.uint8), (8, 160, 3)).copy()
    drive = np.broadcast_to(np.asarray(profile) / 255.0, (8, 2, 160, 3)).astype(np.float32)
    if noise:
        drive = drive + np.random.default_rng(seed).normal(0, noise, (1, 2, 160, 3)).astype(np.float32)
    drive = np.array(drive)
    drive[:, :, :lost] = np.nan
    at = OFFSET_NS + np.arange(8) * 33_000_000
    xy = np.zeros((2, 160, 2))
    seen = recording(rgb, pattern="lava")
    light = Light(at, at, np.arange(8), drive, np.zeros((8, 2, 160), bool), xy, np.ones((2, 160, 3)),
                  np.zeros((2, 160, 3, 2)), np.eye(3))  # fmt: skip
    return replace(seen, light=light)


def hill(middle: float) -> Any:
    """A picture made from its centre outwards."""
    away = np.abs(np.arange(160) - middle) / 80
    return np.stack([200 * (1 - away), 40 + 120 * away, 30 + 50 * np.cos(7 * away)], axis=1).clip(0, 255)


@pytest.mark.parametrize("middle", [79.5, 80.0, 79.0, 77.3])
def test_the_centre_is_found_to_a_fraction_of_an_led(middle: float) -> None:
    clean = still(hill(middle))
    exact = centre(clean)
    assert exact is not None and exact.led == pytest.approx(middle, abs=0.05) and (exact.half < 0.1).all()
    assert (exact.apart > 0.005).all() == (abs(middle - 79.5) > 1)
    names = {m.name: m.value for m in centre_metrics(clean, exact)}
    assert names["mirror_apart"] == pytest.approx(max(exact.apart), abs=1e-5)
    told = [centre(still(hill(middle), noise=0.004, seed=seed)) for seed in range(40)]
    inside = [np.abs(t.led - middle) <= t.half for t in told if t is not None]
    assert len(inside) == 40 and 0.88 <= np.mean(inside) <= 1.0, "the interval holds the true place"
    assert np.mean([t.half for t in told if t is not None]) < 0.5


def test_an_even_or_lopsided_picture_has_no_centre() -> None:
    ramp = np.broadcast_to(np.arange(160)[:, None], (160, 3))
    assert centre(still(np.full((160, 3), 120), noise=0.01)) is None
    assert centre(still(ramp)) is None
    assert centre(still(hill(79.5), lost=20)) is None, "too few LEDs are seen"
    with pytest.raises(ValueError, match="no camera light"):
        centre(recording(np.zeros((8, 160, 3), np.uint8)))


def test_colours_of_a_still_picture() -> None:
    seen = still(hill(79.5))
    exact = still_colour(seen)
    assert exact is not None and exact.mean < 0.2 and exact.measured == 320
    assert seen.light is not None
    redder = replace(seen.light, light=seen.light.light * np.array([1.1, 1.0, 1.0], np.float32))
    off = still_colour(replace(seen, light=redder))
    assert off is not None and off.mean > 1.0
    assert {m.name for m in colour_metrics(seen, off)} == {"colour_error_mean", "colour_error_p95"}
    assert still_colour(still(hill(79.5), lost=20)) is None, "too few LEDs are seen"
    moving = still(hill(79.5))
    moving.pixels["rgb"][3:] //= 2
    assert still_colour(moving) is None, "a moving picture has no colour of its own"


def test_the_clock_of_these_recordings_is_the_hosts() -> None:
    assert FIT.to_host(1_000_000) == OFFSET_NS + START_MS * 1e6
