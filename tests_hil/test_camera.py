"""What a camera in front of the strips sees: every place its own number, every frame its light, every pattern alive."""

import numpy as np
import pytest
from k1 import STILL, pictures

from harness.analysis.frames import fates, rendered_fps
from harness.analysis.light.agreement import agreement, agreement_metrics
from harness.analysis.light.codes import STEPS, NotShown, speed_for
from harness.analysis.light.frames_seen import frames_seen, seen_metrics
from harness.analysis.light.geometry import geometry, geometry_metrics
from harness.analysis.light.still import centre, centre_metrics, colour_metrics, still_colour
from harness.instruments.flashing import STROBOSCOPIC
from harness.signals import four_on_floor

pytestmark = [pytest.mark.needs("camera"), pytest.mark.usefixtures("camera")]

STEP_S = 0.1
# A step in which the camera lost its frame is one nobody saw: then another take decides.
TAKES = 3
# The strips' light against their bytes, as shares of full white: a calibrated camera is better by far.
LEAST_LIGHT = 0.004
LEAST_CHANGE = 0.01


def read(measure, *what):
    """A measure of the light. The camera was checked before: light that shows nothing is the device's doing."""
    try:
        return measure(*what)
    except NotShown as error:
        raise AssertionError(f"expected the light of the pattern that the device says it shows, got: {error}") from None


@pytest.mark.needs("flashing_light")
def test_every_place_shows_its_own_number(rig, record, param, metric):
    """Order, mirror, count and dead LEDs, told from light alone."""
    param(speed=speed_for(STEP_S), brightness=1.0)
    for _ in range(TAKES):
        seen = record(None, STEP_S * (STEPS + 3), pattern="hil_index", streams=("frames", "camera"), settle_s=0.1)
        found = read(geometry, seen.light, STEP_S)
        if not found.faults() or not seen.light.about["missing"]:
            break
    metric(geometry_metrics(seen, found))
    assert found.answering + found.dark.sum() + found.unknown.sum() > 300, "most places cannot be read"
    assert not found.faults(), "; ".join(found.faults())


@pytest.mark.needs("flashing_light")
def test_frames_sent_are_frames_seen(record, param, metric):
    """The numbers in the light are those of the frame records: none is missing that the camera could have seen."""
    param(brightness=1.0)
    film = record(None, 6.0, pattern="hil_counter", streams=("frames", "camera"))
    seen = read(frames_seen, film)
    metric(seen_metrics(film, seen))
    told = rendered_fps(film)
    assert abs(seen.fit.fps - told) <= 0.002 * told + seen.fps_error, (
        f"the light shows {seen.fit.fps:.2f} frames/s, the device tells of {told:.2f}"
    )
    assert not seen.unseen.size, f"{seen.unseen.size} of {seen.covered.size} frames in view were not seen"
    assert not fates(film).lost.size, "frames were rendered and never sent"


def test_light_is_what_the_device_says(rig, watched, metric, pattern):
    """A strip that stays dark, freezes or shows other light than the bytes handed to it."""
    flashes = pattern in STROBOSCOPIC
    if flashes and "flashing_light" not in rig.capabilities:
        pytest.skip(f"{pattern} flashes; allow_flashing is off for this rig")
    seen = watched(four_on_floor(120.0, 0.8))
    pictures(seen)
    found = agreement(seen)
    metric(agreement_metrics(seen, found))
    if pattern in STILL:
        colour, folded = still_colour(seen), centre(seen)
        metric([*(colour_metrics(seen, colour) if colour else []), *(centre_metrics(seen, folded) if folded else [])])
    assert np.isfinite(found.apart)
    if found.said > LEAST_LIGHT:
        assert found.seen > 0.5 * found.said, f"light of {found.seen:.4f} where the bytes ask for {found.said:.4f}"
    if found.said_change > LEAST_CHANGE:
        assert found.seen_change > 0.4 * found.said_change, "the light is frozen while the bytes change"
    # Light that flashes within a camera frame is sampled by chance: only all of it together can be compared.
    assert flashes or found.apart < LEAST_LIGHT + 0.15 * found.said, (
        f"LEDs shine {found.apart:.4f} of full white beside their bytes, which ask for {found.said:.4f}"
    )
