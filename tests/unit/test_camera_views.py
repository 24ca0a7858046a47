"""What a recording's camera light says of order, dead LEDs and of light beside bytes: films made by hand."""

import numpy as np
import pytest
from synthetic import FIT, recording

from harness.analysis.light.agreement import agreement
from harness.analysis.light.frames_seen import frames_seen
from harness.analysis.light.geometry import geometry
from harness.recording import Light

LEDS, STEP_S, FPS = 160, 0.1, 30.0
MASKS = (0x5B, 0x6D, 0x8E, 0xF0)


def light(levels: np.ndarray, host_ns: np.ndarray | None = None, **about: object) -> Light:
    """Camera light [n, 2, 160] in grey: white is 1, the scale has no curve."""
    n = len(levels)
    times = np.rint(np.arange(n) / FPS * 1e9).astype(np.int64) if host_ns is None else host_ns
    xy = np.stack(np.broadcast_arrays(np.linspace(10, 600, LEDS), np.array([[100.0], [200.0]])), axis=-1)
    tone = np.zeros((2, LEDS, 3, 2))
    return Light(
        times, times, np.arange(n), np.repeat(levels[..., None], 3, axis=3).astype(np.float32),
        np.zeros(levels.shape, bool), xy, np.ones((2, LEDS, 3)), tone, np.eye(3), None, dict(about),
    )  # fmt: skip


def index_film(rng: np.random.Generator) -> np.ndarray:
    """Light [n, 2, 160] of hil_index as docs/hil-patterns.md has it, from some moment in the cycle on."""
    led = np.arange(LEDS)
    gray = led ^ (led >> 1)
    bits = [(gray >> b) & 1 for b in range(8)] + [[bin(g & m).count("1") & 1 for g in gray] for m in MASKS]
    steps = [np.ones(LEDS), np.zeros(LEDS)]
    for bit in np.array(bits):
        steps += [bit, 1 - bit]
    at = np.floor((np.arange(100) / FPS / STEP_S + rng.uniform(0, 26)) % 26).astype(int)
    film = np.repeat(np.array(steps)[at][:, None], 2, axis=1)
    return film + rng.normal(0, 0.03, film.shape)


def test_every_place_its_own_number():
    found = geometry(light(index_film(np.random.default_rng(1))), STEP_S)
    assert found.answering == 320 and not found.faults()


def test_dead_and_exchanged_leds_are_named():
    film = index_film(np.random.default_rng(2))
    film[:, 0, [17, 93]] = 0.0
    film[:, 1, [40, 41]] = film[:, 1, [41, 40]]
    found = geometry(light(film), STEP_S)
    assert found.answering == 318
    assert found.faults() == ["strip A: dark LED 17, 93", "strip B: 2 LEDs out of order, at 40 shows 41"]


def test_a_strip_fed_from_its_other_end():
    film = index_film(np.random.default_rng(3))
    film[:, 1] = film[:, 1, ::-1]
    assert geometry(light(film), STEP_S).faults() == ["strip B runs from the other end"]


def test_places_the_calibration_does_not_know_are_no_fault():
    seen = light(index_film(np.random.default_rng(4)))
    seen.xy[0, 5] = np.nan
    found = geometry(seen, STEP_S)
    assert found.unknown.sum() == 1 and found.answering == 319 and not found.faults()


def test_another_pattern_is_refused():
    still = np.full((100, 2, LEDS), 0.5) + np.random.default_rng(5).normal(0, 0.02, (100, 2, LEDS))
    with pytest.raises(ValueError):
        geometry(light(still), STEP_S)


def shown_and_seen(seen: np.ndarray) -> object:
    """A recording whose bytes breathe between 0 and 200, and whose camera saw ``seen`` [n, 2, 160]."""
    level = np.rint(100 + 100 * np.sin(np.arange(200) / 15)).astype(np.uint8)
    made = recording(np.repeat(np.repeat(level[:, None, None], LEDS, axis=1), 3, axis=2))
    start = int(FIT.to_host(np.array([made.frames["t_us"][0]]))[0])
    made.light = light(seen, start + np.rint(np.arange(len(seen)) / FPS * 1e9).astype(np.int64))
    return made


def breathing(n: int = 36) -> np.ndarray:
    course = (100 + 100 * np.sin(np.arange(n) / FPS / 0.006 / 15)) / 255
    return np.repeat(np.repeat(course[:, None, None], 2, axis=1), LEDS, axis=2)


def test_light_as_the_bytes_have_it():
    found = agreement(shown_and_seen(breathing()))
    assert found.leds == 320 and found.apart < 0.02
    assert found.seen_change == pytest.approx(found.said_change, rel=0.1)


def test_dark_and_frozen_light_stand_out():
    dark = agreement(shown_and_seen(np.zeros((36, 2, LEDS))))
    assert dark.seen < 0.01 * dark.said and dark.apart == pytest.approx(dark.said, rel=0.01)
    frozen = agreement(shown_and_seen(np.full((36, 2, LEDS), 100 / 255)))
    assert frozen.seen == pytest.approx(frozen.said, rel=0.05) and frozen.seen_change < 0.01 * frozen.said_change


def test_without_a_camera_there_is_nothing_to_say():
    for measure in (agreement, frames_seen):
        with pytest.raises(ValueError, match="no camera light"):
            measure(recording(np.zeros((100, LEDS, 3), np.uint8)))
