"""Response, light traces and colour, on a scene whose light is known."""

import time

import numpy as np
import pytest
from light_scene import Scene

from harness.analysis.light.colour import fit_scale
from harness.analysis.light.ledmap import map_leds
from harness.analysis.light.response import fit_response
from harness.analysis.light.steps import changed_pixels, cut_steps
from harness.analysis.light.traces import TraceReader, layout, measure_spill, read_steps, take_out_spill

LEVELS = np.array([0, 3, 8, 20, 40, 70, 110, 160, 210, 255]) / 255
DYES = np.array([[1.0, 0.1, 0.02], [0.08, 0.95, 0.15], [0.02, 0.12, 0.9]])


def ramp():
    level = np.round(255 * np.arange(40) / 39) / 255
    drive = np.zeros((160, 3))
    for group, channels in enumerate(([0], [1], [2], [0, 1, 2])):
        drive[40 * group : 40 * group + 40, channels] = level[:, None]
    return drive


class Dyed(Scene):
    """A scene whose sensor colours overlap."""

    def still(self, drive, n=6):
        light = self.linear(np.broadcast_to(drive, (2, 160, 3)) @ DYES.T)
        return np.mean([self.picture(light) for _ in range(n)], axis=0)

    def white(self, lit):
        return self.linear(np.broadcast_to(lit.astype(float)[None, :, None], (2, 160, 3)) @ DYES.T)


@pytest.fixture(scope="module")
def bench():
    scene = Dyed(np.random.default_rng(7), dead=0.01, peak=0.6)
    pictures = {level: scene.still(np.full(3, level)) for level in LEVELS}
    pixels = changed_pixels(pictures[0.0].astype(np.float32), pictures[1.0].astype(np.float32))
    stamps, values = zip(*((ns, pixels.of(f)) for ns, f in scene.index_video(0.16, 8.4)), strict=True)
    steps = cut_steps(np.array(stamps), np.array(values), 0.16)
    return scene, pictures, pixels, steps, map_leds(steps, pixels)


def measured(bench):
    scene, pictures, pixels, steps, found = bench
    response = fit_response(LEVELS, np.stack([pictures[v].reshape(-1, 3)[pixels.at][:, ::-1] for v in LEVELS]))
    reader = TraceReader(layout(found.xy, found.usable, found.width, found.height, 1.2), response)
    spill = measure_spill(read_steps(reader, steps, pixels), found.xy, found.usable)
    dark, _ = reader.read_mean(pictures[0.0])

    def own(picture):
        light, clipped = reader.read_mean(picture)
        return take_out_spill((light - dark)[None], spill)[0].astype(float), clipped

    lit = [own(pictures[v]) for v in LEVELS[1:]]
    scale = fit_scale(
        np.stack([light for light, _ in lit]),
        np.repeat(LEVELS[1:, None], 160, axis=1),
        np.stack([clipped | ~found.usable for _, clipped in lit]),
    )
    return response, reader, own, scale


@pytest.mark.parametrize("seed", [7, 8, 11])
def test_response_of_a_gamma_camera(seed):
    """Whatever the noise draws: it is another with the processor's way to compute a power."""
    scene = Dyed(np.random.default_rng(seed), dead=0.01, peak=0.6)
    pictures = {level: scene.still(np.full(3, level)) for level in LEVELS}
    pixels = changed_pixels(pictures[0.0].astype(np.float32), pictures[1.0].astype(np.float32))
    response = fit_response(LEVELS, np.stack([pictures[v].reshape(-1, 3)[pixels.at][:, ::-1] for v in LEVELS]))
    # Light is counted from darkness: curves are compared from the darkest value on.
    dark = int(pictures[0.0].min()) + 8
    at = np.arange(dark, int(min(response.highest)))
    true, found = ((at / 255) ** 2.2 - (dark / 255) ** 2.2), response.table[:, at] - response.table[:, [dark]]
    assert np.abs(found / found[:, -1:] - true / true[-1]).max() < 0.01
    assert (np.diff(response.table, axis=1) >= 0).all()


def test_clipped_video_gives_no_response(bench):
    _, pictures, pixels, _, _ = bench
    values = np.stack([pictures[v].reshape(-1, 3)[pixels.at] for v in LEVELS])
    with pytest.raises(ValueError, match="change the exposure"):
        fit_response(LEVELS, np.where(values > 30, 255, 0))


def test_traces_are_fast(bench):
    scene = bench[0]
    reader = measured(bench)[1]
    frame = np.zeros((scene.height, scene.width, 3), np.uint8)
    reader.read(frame)
    started = time.process_time()
    for _ in range(200):
        reader.read(frame)
    assert 200 / (time.process_time() - started) > 1000
