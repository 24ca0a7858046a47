"""Response, noise, colour and controls of the virtual camera."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from camera_cases import MS, camera, shots, show
from pydantic import ValidationError

from harness.bench.camera_config import CameraConfig
from harness.bench.camera_controls import Controls
from harness.bench.sensor import response_curve

WHITE = (255, 255, 255)


def test_light_of_many_leds_adds_up() -> None:
    made = camera(layout="horizontal", led_level=0.2, psf_px=1.2)  # spots overlap
    singles = []
    for led in (50, 51, 52):
        show(made, 0, {led: WHITE})
        singles.append(shots(made, 1, 20 * MS)[0])
        show(made, 0, {})
    show(made, 0, {50: WHITE, 51: WHITE, 52: WHITE})
    together = shots(made, 1, 20 * MS)[0]
    assert np.abs(together - sum(singles)).max() <= 2.1 / 255  # rounding of four pictures


def test_dyes_overlap_as_the_matrix_says() -> None:
    matrix = ((1.0, 0.2, 0.0), (0.1, 0.9, 0.15), (0.0, 0.25, 0.8))
    made = camera(crosstalk=matrix, led_level=0.7, psf_px=2.0)
    for channel in range(3):
        rgb = tuple(255 if c == channel else 0 for c in range(3))
        show(made, 0, {80: rgb})  # type: ignore[dict-item]
        seen = shots(made, 1, 20 * MS)[0].sum(axis=(0, 1))
        total = 0.7 * 2 * np.pi * 2.0**2
        assert seen / total == pytest.approx(np.array(matrix)[:, channel], abs=0.02)


def test_over_exposure_clips_where_it_must() -> None:
    made = camera(led_level=4.0, psf_px=2.0)
    show(made, 0, {80: WHITE})
    picture = shots(made, 1, 20 * MS)[0]
    assert picture.max() == 1.0 and (picture[..., 0] == 1.0).sum() > 20
    radius = 2.0 * np.sqrt(2 * np.log(4.0))  # where the spot falls below saturation
    assert (picture[..., 0] == 1.0).sum() == pytest.approx(np.pi * radius**2, rel=0.15)


@pytest.mark.parametrize(
    "settings",
    [
        {"response": "linear"}, {"response": "gamma", "gamma": 2.2},
        {"response": "s_curve", "gamma": 2.0, "s_curve": 0.5},
    ],
)  # fmt: skip
def test_response_curves_rise_from_black_to_white(settings: dict[str, Any]) -> None:
    curve = response_curve(CameraConfig(**settings)).astype(int)
    assert curve[0] == 0 and curve[-1] == 255 and (np.diff(curve) >= 0).all()
    middle = 0.5 if settings["response"] == "linear" else 0.5 ** (1 / settings["gamma"])
    if settings["response"] == "s_curve":
        middle = 0.5 * middle + 0.5 * (3 * middle**2 - 2 * middle**3)
    assert curve[32768] == pytest.approx(255 * middle, abs=0.6)


def test_noise_is_shot_noise_plus_read_noise_everywhere() -> None:
    made = camera(
        ambient=0.25, ambient_texture=0.0, read_noise=0.01, full_well_e=2_000.0, led_level=0.0, layout="horizontal"
    )
    made.scene.leds[0, 0] = (100.0, 100.0)
    pictures = np.stack(shots(made, 40))
    assert made._sensor is not None and made._sensor._lit is not None
    lit = made._sensor._lit
    mask = np.zeros(pictures.shape[1:3], bool)
    mask.flat[lit.spots.pixels] = True
    for channel, warmth in enumerate((1.1, 1.0, 0.8)):
        level = 0.25 * warmth
        rms = np.sqrt(0.01**2 + level / 2_000.0)
        for where in (mask, ~mask):
            values = pictures[:, where, channel]
            assert values.mean() == pytest.approx(level, rel=0.01)
            assert values.std() == pytest.approx(np.sqrt(rms**2 + (1 / 255) ** 2 / 12), rel=0.03)
    # no two frames alike, and the noise of lit pixels knows nothing of the frame before
    assert len({picture.tobytes() for picture in pictures}) == 40
    steps = pictures[1:, mask, 1] - pictures[:-1, mask, 1]
    assert steps.std() == pytest.approx(np.sqrt(2) * pictures[:, mask, 1].std(), rel=0.03)


def test_the_room_is_as_bright_and_uneven_as_it_says() -> None:
    made = camera(ambient=0.2, ambient_texture=0.3, reference_led=False)
    picture = shots(made, 1)[0]
    assert picture.mean() == pytest.approx(0.2 * (1.1 + 1.0 + 0.8) / 3, rel=0.03)
    assert picture[..., 1].std() / picture[..., 1].mean() == pytest.approx(0.3, rel=0.4)


def test_corners_are_darker_and_hot_pixels_stay() -> None:
    made = camera(ambient=0.5, ambient_texture=0.0, vignetting=0.4, hot_pixels=30)
    first, second = shots(made, 2)
    assert first[180, 320, 1] == pytest.approx(0.5, abs=0.01) and first[0, 0, 1] == pytest.approx(0.3, abs=0.01)
    smooth = cv2.medianBlur((first[..., 1] * 255).astype(np.uint8), 3) / 255.0
    hot = first[..., 1] - smooth > 0.05
    assert 20 <= hot.sum() <= 30 and (second[..., 1][hot] - smooth[hot] > 0.05).all()


@pytest.mark.parametrize("layout", ["horizontal", "two_rows", "arc"])
def test_packing_bands_is_jpeg_of_the_whole_picture(layout: str) -> None:
    settings = {"layout": layout, "led_level": 0.8, "ambient": 0.05, "read_noise": 0.004, "rotation_deg": 5.0}
    raw, packed = camera(**settings, jpeg_quality=85), camera(**settings, jpeg_quality=85)
    frames = []
    for made, pack in ((raw, False), (packed, True)):
        show(made, 0, {led: (255, led, 40) for led in range(0, 160, 9)})
        made.start(20 * MS)
        frames.append(made.develop(pack))
    assert frames[0] is not None and frames[1] is not None and frames[0].host_ns == frames[1].host_ns
    assert packed._sensor is not None and packed._sensor._lit is not None
    _, data = cv2.imencode(".jpg", frames[0].image, [cv2.IMWRITE_JPEG_QUALITY, 85])
    whole = cv2.imdecode(data, cv2.IMREAD_COLOR).reshape(-1, 3).astype(int)
    got = frames[1].image.reshape(-1, 3).astype(int)
    lit = packed._sensor._lit.spots.pixels
    assert (got[lit] == whole[lit]).all()  # exactly, where the LEDs are
    assert np.abs(got - whole).mean() < 0.2  # elsewhere only colour at the edges of bands differs
    assert np.abs(whole - frames[0].image.reshape(-1, 3)).mean() > 0.5


def test_controls_read_back_what_took() -> None:
    controls = Controls(CameraConfig(ignores_sets=("gain",), fps=50.0, readout_ms=10.0))
    assert controls.set("exposure_ms", 50.0) and controls.get("exposure_ms") == 20.0  # a frame is no longer
    assert controls.set("gain", 4.0) and controls.get("gain") == 1.0
    assert controls.set("width", 1280.0) and controls.get("width") == 640.0
    assert controls.set("auto_exposure", 1.0) and controls.set("exposure_ms", 3.0)
    assert controls.get("exposure_ms") == 20.0
    assert not controls.set("zoom", 2.0) and controls.get("zoom") is None
    assert not controls.set("focus", float("nan")) and controls.get("focus") == 30.0
    assert controls.set("focus", 90.0) and controls.defocus_px == pytest.approx(3.0)
    assert controls.set("auto_focus", 1.0) and controls.get("focus") == 30.0


def test_gain_white_balance_and_focus_do_what_they_are_for() -> None:
    def total(**sets: float) -> np.ndarray:
        made = camera(led_level=0.1, psf_px=2.0)
        show(made, 0, {80: WHITE})
        for prop, value in sets.items():
            assert made.set(prop, value, now_ns=0)
        picture = shots(made, 1, 20 * MS)[0]
        return np.append(picture.sum(axis=(0, 1)), picture.max())

    plain = total()
    assert total(gain=4.0)[:3] / plain[:3] == pytest.approx(4.0, rel=0.1)  # 8 bits cut the tails of the weaker one
    warm = total(white_balance_k=7_200.0)
    assert warm[0] > 1.3 * plain[0] and warm[1] > 1.15 * plain[1] and warm[2] == pytest.approx(plain[2], rel=0.02)
    soft = total(focus=80.0)
    assert soft[3] < 0.6 * plain[3]


def test_automatics_settle() -> None:
    made = camera(ambient=0.02, ambient_texture=0.1, auto_exposure=True, auto_white_balance=True, response="gamma")
    pictures = shots(made, 80)
    assert pictures[-1].mean() * 255 == pytest.approx(60.0, abs=12.0) and pictures[0].mean() * 255 < 50.0
    first, last = pictures[0].mean(axis=(0, 1)), pictures[-1].mean(axis=(0, 1))
    assert abs(last[0] / last[2] - 1.0) < 0.5 * abs(first[0] / first[2] - 1.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"exposure_ms": 40.0}, {"readout_ms": 34.0}, {"psf_px": 0.05}, {"psf_px": (1.0, 1.0, 50.0)},
        {"layout": "heart"}, {"reference_on": 0.6}, {"zoom": 1}, {"fps": 0.0}, {"ignores_sets": ("zoom",)},
    ],
)  # fmt: skip
def test_impossible_cameras_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CameraConfig(**wrong)


def test_every_setting_is_explained() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "bench-camera.md").read_text(encoding="utf-8")
    assert [name for name in CameraConfig.model_fields if f"`{name}`" not in page] == []
