"""The parameter speed changes what it should, the right way round."""

import numpy as np
import pytest
from k1 import pictures, travel_leds_per_s

from harness.analysis.pixels import activity, luminance
from harness.signals import four_on_floor, mixed, silence, tone

pytestmark = [pytest.mark.needs("audio"), pytest.mark.long]
SLOW, FAST = 0.1, 0.9


@pytest.fixture
def at_speed(record, param):
    """Records a pattern at a speed."""

    def take(pattern, speed, stimulus, seconds, **others):
        param(speed=speed, **others)
        return record(stimulus, seconds, pattern=pattern, settle_s=0.4)

    return take


def changes(recording):
    return activity(pictures(recording)[1])


@pytest.mark.parametrize(("name", "least"), [("breathe", 2.0), ("perlin", 2.0), ("hil_index", 3.0)])
def test_faster_flow(at_speed, name, least):
    slow, fast = (changes(at_speed(name, speed, None, 2.5, dithering=0)) for speed in (SLOW, FAST))
    assert fast > least * slow, f"change per frame {slow:.3f} at {SLOW}, {fast:.3f} at {FAST}"


@pytest.mark.parametrize(("name", "slowest", "span"), [("pulse", 40, 160), ("bloom", 20, 100)])
def test_waves_run_at_their_speed(at_speed, name, slowest, span):
    sound = mixed("bursts", [tone(600.0, 0.25), silence(1.25)] * 4)
    for speed in (0.5, 1.0):
        # Without glow and dither the wave stands out of the dark even where it has nearly faded.
        seen = at_speed(name, speed, sound, 6.0, softness=0, dithering=0, brightness_floor=0)
        times, rgb = pictures(seen)
        bursts = [part["start_s"] for part in sound.truth["parts"][::2]]
        measured = travel_leds_per_s((times - seen.audio.start_ns) / 1e9, luminance(rgb), bursts)
        assert measured == pytest.approx(slowest + span * speed, rel=0.15)


def test_vu_peak_falls_at_its_speed(at_speed):
    sound = mixed("burst", [tone(500.0, 0.6), silence(2.0)])
    late = {}
    for speed in (0.0, 1.0):
        seen = at_speed("vu", speed, sound, 1.6, dithering=0, softness=0)
        level = luminance(pictures(seen)[1])[:, 80:]
        lit = level > 1.5 * np.median(level[-1])
        reach = np.where(lit.any(axis=1), 79 - np.argmax(lit[:, ::-1], axis=1), 0)
        late[speed] = float(reach[-20:].mean())
    assert late[0.0] > late[1.0] + 8, f"peak mark at LED {late[0.0]:.0f} (slow) and {late[1.0]:.0f} (fast)"


def test_metronome_strike_lasts_longer_at_low_speed(at_speed):
    sound = four_on_floor(120.0, 14.0)
    centre = {}
    for speed in (0.0, 1.0):
        seen = at_speed("metronome", speed, sound, 14.0)
        level = luminance(pictures(seen)[1])[-800:, 78:82].mean(axis=1)
        centre[speed] = float(np.mean(level > 0.5 * level.max()))
    assert centre[0.0] > 1.5 * centre[1.0], centre
