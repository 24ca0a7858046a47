"""Places and spots of the virtual camera, against sums and centroids worked out from the pictures themselves."""

from __future__ import annotations

import numpy as np
import pytest
from camera_cases import camera, shots, show

from harness.bench.camera_config import CameraConfig
from harness.bench.draws import Draws
from harness.bench.optics import make_spots
from harness.bench.scene import Scene, make_scene

WHITE = (255, 255, 255)


def scene(**settings: object) -> Scene:
    return make_scene(CameraConfig(**settings), Draws(3))


def test_a_spot_keeps_all_light_and_its_place() -> None:
    random = np.random.default_rng(5)
    places = random.uniform(20.0, 80.0, (200, 2))
    for sigma in (0.4, 1.0, 2.7):
        spots = make_spots(places, (sigma, sigma, sigma), 100, 100)
        n, rows = spots.rows.shape
        for light in range(0, n, 20):
            signal = np.zeros((n, rows, 3))
            signal[light] = 1.0
            picture = np.zeros(100 * 100)
            picture[spots.pixels] = spots.expose(signal)[1]
            y, x = np.divmod(np.arange(100 * 100), 100)
            total = picture.sum()
            assert total == pytest.approx(1.0, abs=1e-5)
            centre = np.array([(picture * x).sum(), (picture * y).sum()])
            # blur much below a pixel's size is seen through the pixel: the centroid moves with the phase
            assert np.abs(centre - places[light]).max() < (0.02 if sigma < 0.5 else 2e-3)
            spread = (picture * (x - centre[0]) ** 2).sum()
            if sigma >= 1.0:
                assert spread == pytest.approx(sigma**2 + 1 / 12, rel=0.01)  # the pixel adds its own width


def test_light_outside_the_picture_is_cut_off() -> None:
    spots = make_spots(np.array([[-0.5, 20.0], [-50.0, 20.0]]), (1.5,) * 3, 64, 64)
    signal = np.ones((*spots.rows.shape, 3))
    assert spots.expose(signal)[0].sum() == pytest.approx(0.5, abs=1e-4)  # half of the first spot is all that is left


@pytest.mark.parametrize("layout", ["horizontal", "vertical", "two_rows", "arc"])
def test_one_led_in_the_picture(layout: str) -> None:
    made = camera(layout=layout, psf_px=1.5, led_level=0.8, rotation_deg=7.0)
    for strip, led in ((0, 0), (0, 159), (1, 80)):
        show(made, 0, {led: WHITE} if strip == 0 else {}, {led: WHITE} if strip == 1 else {})
        picture = shots(made, 1, start_ns=20_000_000)[0][..., 1]
        y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
        total = picture.sum()
        assert total == pytest.approx(0.8 * 2 * np.pi * 1.5**2, rel=0.02)  # 8-bit steps cut the tails
        centre = np.array([(picture * x).sum(), (picture * y).sum()]) / total
        assert np.hypot(*(centre - made.scene.leds[strip, led])) < 0.03


def test_layouts_fill_the_picture_in_order() -> None:
    for layout in ("horizontal", "vertical", "two_rows", "arc"):
        places = scene(layout=layout, irregularity_px=0.0, perspective=0.0)
        steps = np.hypot(*np.moveaxis(np.diff(places.leds, axis=1), -1, 0))
        leds = places.leds.reshape(-1, 2)
        assert leds.min() > 0 and (leds < (640, 360)).all()
        assert places.pitch_px > 1.5
        assert np.median(np.abs(steps / places.pitch_px - 1.0)) < 0.15  # the inner arc is shorter
        assert np.hypot(*(leds - places.reference).T).min() > 20.0
    across = scene(layout="horizontal", irregularity_px=0.0, perspective=0.0).leds
    assert across[:, 0, 0] == pytest.approx(319.5 - 0.5 * 0.84 * 640) and np.ptp(across[0, :, 1]) < 1e-9
    assert across[1, 0, 1] - across[0, 0, 1] == pytest.approx(0.2 * 360)


def test_what_moves_the_lights() -> None:
    plain = scene(perspective=0.0, layout="vertical").leds
    turned = scene(perspective=0.0, layout="vertical", rotation_deg=180.0, irregularity_px=0.0).leds
    straight = scene(perspective=0.0, layout="vertical", irregularity_px=0.0).leds
    assert turned == pytest.approx(np.array([639.0, 359.0]) - straight, abs=1e-6)
    assert scene(perspective=0.0, layout="vertical", shift_px=(3.5, -2.0)).leds - plain == pytest.approx(
        np.broadcast_to([3.5, -2.0], plain.shape)
    )
    back = scene(perspective=0.0, layout="vertical", reversed=True, irregularity_px=0.0).leds
    assert back == pytest.approx(straight[:, ::-1])
    mirrored = scene(perspective=0.0, layout="vertical", mirrored=True, irregularity_px=0.0).leds
    assert mirrored[..., 0] == pytest.approx(639.0 - straight[..., 0], abs=1e-6)
    quarter = scene(layout="horizontal", rotation_deg=90.0, perspective=0.0, irregularity_px=0.0).leds
    assert quarter[0, 0, 1] < quarter[0, -1, 1] and np.ptp(quarter[0, :, 0]) < 1e-6  # clockwise: left goes up


def test_perspective_makes_the_far_end_smaller() -> None:
    leds = scene(layout="horizontal", perspective=0.2, irregularity_px=0.0).leds
    steps = np.hypot(*np.diff(leds[0], axis=0).T)
    assert steps.max() / steps.min() > 1.03
    assert np.abs(np.diff(steps)).max() < 0.02 * steps.mean()  # smoothly


def test_irregularity_is_as_wide_as_it_says() -> None:
    smooth = scene(irregularity_px=0.0).leds
    rms = np.sqrt(np.mean((scene(irregularity_px=0.5).leds - smooth) ** 2))
    assert rms == pytest.approx(0.5, rel=0.1)


def test_a_push_moves_the_picture() -> None:
    made = camera(psf_px=1.5, led_level=0.8)
    before = made.scene.leds.copy()
    made.move(2.0, -1.0, 0.0, now_ns=0)
    assert made.scene.leds - before == pytest.approx(np.broadcast_to([2.0, -1.0], before.shape))
    show(made, 0, {40: WHITE})
    picture = shots(made, 1, start_ns=20_000_000)[0][..., 0]
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    centre = np.array([(picture * x).sum(), (picture * y).sum()]) / picture.sum()
    assert np.hypot(*(centre - before[0, 40] - (2.0, -1.0))) < 0.03
    assert made._events.events("scene")[-1]["leds"][0][40] == pytest.approx(made.scene.leds[0, 40], abs=1e-3)
