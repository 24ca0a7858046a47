"""Pixels that are known to the last bit."""

import numpy as np
import pytest
from k1 import (
    GOLDEN,
    counter_picture,
    gradient_strip,
    index_pictures,
    needs_current,
    off,
    pictures,
    ramp,
    settled,
    undimmed,
)

GRADIENTS = [name for name in GOLDEN if name != "about"]


def pixels(recording):
    undimmed(recording)
    return pictures(recording)[1]


@pytest.mark.parametrize("name", GRADIENTS)
def test_formula_gives_the_published_pixels(name):
    strip = np.floor(settled(gradient_strip(GOLDEN[name]["keys"]))).astype(int)
    assert ["{:02X}{:02X}{:02X}".format(*strip[led]) for led in (0, 20, 40, 60, 79)] == GOLDEN[name]["published"]


@pytest.mark.parametrize("brightness", [1.0, pytest.param(0.5, marks=pytest.mark.long), 0.0])
@pytest.mark.parametrize("name", GRADIENTS)
def test_still_gradient(rig, record, param, name, brightness):
    exact = settled(gradient_strip(GOLDEN[name]["keys"]), brightness)
    # A value within float rounding of a whole number may be truncated either way.
    low, high = np.floor(exact - 2e-3), np.floor(exact + 2e-3)
    needs_current(rig, [high])
    param(dithering=0, brightness=brightness)
    rgb = pixels(record(None, 0.1, pattern=name, settle_s=1.0))
    wrong = off(rgb, low, high)
    assert not wrong, f"{name}: {wrong}"


def test_ramp(rig, record):
    needs_current(rig, [ramp()])
    wrong = off(pixels(record(None, 0.1, pattern="hil_ramp")), ramp(), ramp())
    assert not wrong, wrong


@pytest.mark.parametrize(
    ("color", "saturation", "wanted"),
    [(0, 1, (255, 0, 0)), (1 / 3, 1, (0, 255, 0)), (2 / 3, 1, (0, 0, 255)), (0.3, 0, (255, 255, 255))],
)
def test_solid(rig, record, param, color, saturation, wanted):
    colour = np.broadcast_to(wanted, (160, 3))
    needs_current(rig, [np.clip(colour + 1, 0, 255)])
    param(color=color, saturation=saturation)
    wrong = off(pixels(record(None, 0.1, pattern="hil_solid")), colour - 1, colour + 1)
    assert not wrong, wrong


def test_index_shows_every_bit_of_every_led_in_order(rig, record, param):
    needs_current(rig, (np.frombuffer(p, np.uint8).reshape(160, 3) for p in index_pictures()))
    param(speed=1.0)
    rgb = pixels(record(None, 2.4, pattern="hil_index"))
    wanted = index_pictures()
    strange = sum(frame.tobytes() not in wanted for frame in rgb)
    assert not strange, f"{strange} of {len(rgb)} frames are none of the 26 pictures"
    seen = [wanted.index(frame.tobytes()) for frame in rgb]
    steps = [b for a, b in zip(seen, seen[1:], strict=False) if b != a]
    assert set(seen) == set(range(26))
    assert all((b - a) % 26 == 1 for a, b in zip(steps, steps[1:], strict=False))


def test_counter_shows_the_frame_number(rig, record):
    needs_current(rig, map(counter_picture, range(4096)))
    seen = record(None, 0.5, pattern="hil_counter", streams=("frames", "pixels"))
    pixels(seen)
    for n, picture in zip(seen.pixels["seq"][3:], seen.pixels["rgb"][3:], strict=True):
        assert (picture == counter_picture(int(n))).all(), f"frame {n}"
