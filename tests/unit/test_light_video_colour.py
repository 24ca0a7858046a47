"""Colours of still pictures from sums of video: the curve each LED wrote, the sums' windows, the way to disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_report_summary import watched

from harness.analysis.light.seen import still_drive
from harness.analysis.light.video_colour import fit_video_colour, light_of, video_sums, wide_layout
from harness.errors import HarnessFault
from harness.recording import Recording, Video

LEVEL = np.array([0.012, 0.03, 0.06, 0.11, 0.18, 0.28, 0.42, 0.6, 0.8, 1.0])
DYES = np.array([[1.0, 0.1, 0.02], [0.08, 0.95, 0.15], [0.02, 0.12, 0.9]])
DYES = DYES / DYES.sum(axis=1, keepdims=True)


def video_of(light: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """A camera with gamma 2.2, and LEDs that are not equally bright."""
    return 30.0 + gain * np.maximum(light, 0.0) ** (1 / 2.2)


@pytest.fixture
def gain() -> np.ndarray:
    return np.random.default_rng(3).uniform(100, 190, (2, 160, 3))


def test_light_comes_back_through_each_leds_own_curve(gain: np.ndarray) -> None:
    curve = video_of(LEVEL[:, None, None, None], gain) - 30.0
    curve[:, 0, 5] = np.nan
    true = np.random.default_rng(4).uniform(0.012, 1.0, (20, 2, 160, 3))
    found = light_of(video_of(true, gain) - 30.0, LEVEL, curve)
    assert np.isnan(found[:, 0, 5]).all() and np.isfinite(np.delete(found[:, 0], 5, axis=1)).all()
    known = np.isfinite(found)
    assert np.abs(found - true)[known].max() < 0.004
    knots = light_of(curve, LEVEL, curve)
    assert np.nanmax(np.abs(knots - LEVEL[:, None, None, None])) < 1e-4
    beyond = light_of(np.stack([curve[-1] * 1.1, -curve[0]]), LEVEL, curve)
    assert (beyond[0][np.isfinite(beyond[0])] > 1.0).all() and (beyond[1][np.isfinite(beyond[1])] < 0.0).all()


def test_fit_undoes_mixed_dyes_and_refuses_what_was_clipped(gain: np.ndarray) -> None:
    random = np.random.default_rng(5)
    drive = np.concatenate([np.repeat(LEVEL[:, None, None], 160, 1).repeat(3, 2), random.uniform(0, 1, (24, 160, 3))])
    sums = video_of(np.repeat((drive @ DYES.T)[:, None], 2, axis=1), gain)
    dark = np.full((2, 160, 3), 30.0)
    refused = np.zeros(sums.shape[:3], bool)
    refused[15, :, 40:60] = True
    sums[15, :, 40:60] = 255.0
    fit = fit_video_colour(LEVEL, sums[:10], dark, sums, drive, refused)
    assert np.abs(fit.matrix - np.linalg.inv(DYES)).max() < 0.02 and fit.mean_de < 0.3
    test = random.uniform(0.02, 1, (2, 160, 3))
    found = fit.drive(video_of(np.repeat((test[:1] @ DYES.T)[:, None], 2, axis=1), gain))
    assert np.abs(found[0] - test[0]).max() < 0.02
    with pytest.raises(ValueError, match="colour samples"):
        fit_video_colour(LEVEL, sums[:10], dark, sums, drive, np.ones_like(refused))
    with pytest.raises(ValueError, match="levels"):
        fit_video_colour(np.zeros(10), sums[:10], dark, sums, drive, refused)


@pytest.mark.parametrize("turn", [0.0, 0.7, np.pi / 2])
def test_a_sum_does_not_change_when_colour_runs_over_pixels(turn: float) -> None:
    along = np.array([np.cos(turn), np.sin(turn)])
    xy = np.array([160, 160]) + (np.arange(160) - 80)[:, None] * 1.0 * along
    xy = np.stack([xy, xy + np.array([-along[1], along[0]]) * 40])
    where = wide_layout(xy, np.ones((2, 160), bool), 320, 320, 6.0)
    rows, columns = np.mgrid[0:320, 0:320]
    spots = np.zeros((320, 320))
    for x, y in xy[:, ::6].reshape(-1, 2):
        spots += np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 1.3**2))
    sharp = np.stack([20 + 0 * spots, 20 + 40 * spots, 20 + 120 * spots], axis=-1)
    half = sharp.reshape(160, 2, 160, 2, 3).mean(axis=(1, 3)).repeat(2, 0).repeat(2, 1)
    inner = slice(12, 150, 6)
    a, b = (video_sums(where, p)[0][:, inner] - 20 for p in (sharp, half))
    assert np.abs(b / np.where(a > 1, a, np.nan) - 1)[..., 0].max() < 0.06, "red"
    assert not video_sums(where, sharp)[1].any()
    bright = sharp.copy()
    bright[160, 160] = 255
    clipped = video_sums(where, bright)[1]
    assert clipped.any() and clipped.sum() < 24


def test_video_survives_the_disk_and_gives_colours(tmp_path: Path, gain: np.ndarray) -> None:
    made = watched()
    curve = video_of(LEVEL[:, None, None, None], gain) - 30.0
    wanted = np.full((2, 160, 3), 0.28)
    sums = video_of(wanted, gain).astype(np.float32)
    video = Video(sums, np.zeros_like(sums), LEVEL, curve, np.full((2, 160, 3), 30.0), np.eye(3))
    assert made.light is not None
    made.light = replace(made.light, video=video)
    back = Recording.load(made.save(tmp_path / "r"))
    assert back.light is not None and back.light.video is not None
    assert np.array_equal(back.light.video.curve, curve)
    assert np.abs(still_drive(back.light) - 0.28).max() < 1e-3
    assert np.array_equal(still_drive(back.light), still_drive(made.light))
    made.light = replace(made.light, video=replace(video, dark=np.zeros((2, 3))))
    with pytest.raises(HarnessFault):
        Recording.load(made.save(tmp_path / "r"))
