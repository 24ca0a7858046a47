"""A camera on its stand: what stays from run to run, when it is looked at again, and whose fault a wrong picture is."""

from types import SimpleNamespace

import numpy as np
import pytest

from harness.bench.camera import VirtualCamera
from harness.bench.camera_config import CameraConfig
from harness.bench.draws import Draws
from harness.bench.events import EventLog
from harness.bench.sensor import Sensor
from harness.errors import DutFailure
from harness.rig.pictures import refuse_other_pictures
from harness.suite import eye as eyes
from harness.suite.eye import CHECKED_S, Eye

SMALL = {"width": 96, "height": 64, "psf_px": 0.8}


def camera(tmp_path, seed, scene_seed):
    config = CameraConfig(scene_seed=scene_seed, **SMALL)
    return VirtualCamera(config, Draws(seed), EventLog(tmp_path / f"{seed}-{scene_seed}.jsonl"))


def test_the_scene_stays_and_the_clock_does_not(tmp_path):
    one, other, elsewhere = (camera(tmp_path, *seeds) for seeds in ((1, 7), (2, 7), (1, 8)))
    assert np.array_equal(one.scene.leds, other.scene.leds)
    assert np.array_equal(one.scene.brightness, other.scene.brightness)
    assert one.skew_ppm != other.skew_ppm
    assert not np.array_equal(one.scene.leds, elsewhere.scene.leds) and one.skew_ppm == elsewhere.skew_ppm


def test_room_light_and_hot_pixels_belong_to_the_scene():
    config = CameraConfig(**SMALL)
    room = [Sensor(config, Draws(run), Draws(scene))._room for run, scene in ((1, 7), (2, 7), (1, 8), (7, 7))]
    assert np.array_equal(room[0], room[1]) and not np.array_equal(room[0], room[2])
    assert np.array_equal(room[3], Sensor(config, Draws(7))._room)  # without a scene of its own: the run's


def ramp(top):
    """What hil_ramp reports when a supply limit dims it to ``top``."""
    level = np.round(np.round(255 * np.arange(40) / 39) * top / 255)
    rgb = np.zeros((160, 3))
    for group, channels in enumerate(([0], [1], [2], [0, 1, 2])):
        rgb[40 * group : 40 * group + 40, channels] = level[:, None]
    return rgb.astype(np.uint8)


def test_a_dimmed_ramp_is_a_ramp():
    """No error is the assertion: the next test shows that there can be one."""
    for top in (255, 128, 60):
        refuse_other_pictures(np.zeros((160, 3), np.uint8), ramp(top))


@pytest.mark.parametrize("fault", ["lit", "black", "reversed", "gamma"])
def test_a_device_that_shows_something_else_is_its_own_fault(fault):
    dark, shown = np.zeros((160, 3), np.uint8), ramp(255)
    if fault == "lit":
        dark[:] = 60
    elif fault == "black":
        shown[:] = 0
    elif fault == "reversed":
        shown = shown[::-1]
    else:
        shown = np.round((shown / 255.0) ** 1.1 * 255).astype(np.uint8)
    with pytest.raises(DutFailure):
        refuse_other_pictures(dark, shown)


def test_the_camera_is_looked_at_again_after_a_while(tmp_path, monkeypatch):
    checks = []
    (tmp_path / "one.camera.json").write_text("{}")
    clock = SimpleNamespace(ns=0)
    config = SimpleNamespace(camera=SimpleNamespace(present=True), current_limit_a=0.0)
    rig = SimpleNamespace(name="one", config=config, calibration=None, clock=SimpleNamespace(now_ns=lambda: clock.ns))

    def recall(asked, path):
        checks.append(path.name)
        asked.calibration = "calibration"

    monkeypatch.setattr(eyes, "recall", recall)
    eye = Eye(tmp_path)
    for at_s, wanted in ((0, 1), (CHECKED_S - 1, 1), (CHECKED_S + 1, 2), (CHECKED_S + 5, 2)):
        clock.ns = round(at_s * 1e9)
        assert eye.look(rig) == "calibration" and len(checks) == wanted
    assert eye.streams(rig)[-1] == "camera"
    blind = SimpleNamespace(name="two", config=config, calibration=None, clock=rig.clock)
    assert eye.look(blind) is None and "camera" not in eye.streams(blind)
    with pytest.raises(pytest.skip.Exception, match="without calibration"):
        eye.need(blind)
