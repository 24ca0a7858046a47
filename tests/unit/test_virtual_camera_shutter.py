"""Exposure windows of the virtual camera against brute-force sums over fine time steps."""

from __future__ import annotations

import numpy as np
import pytest
from camera_cases import MS, camera, shots, show

from harness.bench.camera_config import CameraConfig
from harness.bench.light_history import KEPT_NS, LED_NS, LightHistory, ReferenceLight
from harness.bench.shutter import Pwm, gathered

WHITE = (255, 255, 255)


def history(**settings: object) -> LightHistory:
    return LightHistory(CameraConfig(**settings))


def frame(drive: int) -> bytes:
    return bytes([drive]) * 480


def brute(
    changes: list[tuple[float, int]], led: int, first: float, last: float, pwm: Pwm | None, step_ns: float = 500.0
) -> float:
    """Integral of one LED's light by stepping through time: the slow and plain way."""
    t = np.arange(first + step_ns / 2, last, step_ns)
    value = np.zeros(t.size)
    for at, drive in changes:
        shown = at + (led % 160 + 1) * LED_NS
        if pwm is not None:
            cycle = 1e9 / pwm.hz[led]
            shown = pwm.phase_ns[led] + np.ceil((shown - pwm.phase_ns[led]) / cycle) * cycle
        value[t >= shown] = drive / 255.0
    if pwm is not None:
        phase = ((t - pwm.phase_ns[led]) * pwm.hz[led] * 1e-9) % 1.0
        value = (phase < value).astype(float)
    return float(value.sum() * step_ns)


@pytest.mark.parametrize("pwm_hz", [0.0, 430.0, 2000.0])
def test_gathered_light_is_the_integral_over_the_window(pwm_hz: float) -> None:
    random = np.random.default_rng(11)
    pwm = Pwm.drawn(pwm_hz, random)
    light = history()
    base = 5_000_000_000_000
    changes = []
    for k in range(20):
        at, drive = base + k * 5_300_000 + int(random.integers(0, 400_000)), int(random.integers(0, 256))
        changes.append((float(at - base), drive))
        light.add(at, 200, frame(drive), frame(drive))
    start, exposure = 31_000_000, 9_000_000.0
    opens = np.tile(np.array([0.0, 2e6, 11e6]), (320, 1))
    seen = light.between(base + start, base + start + 20_000_000, 3_000_000.0)
    got = gathered(seen, base + start, opens, exposure, pwm)
    shifted = None if pwm is None else Pwm(pwm.hz, pwm.phase_ns - base)
    for led in (0, 3, 159, 160, 250, 319):
        for row in range(3):
            first = start + opens[led, row]
            want = brute(changes, led, first, first + exposure, shifted)
            assert got[led, row, 0] == pytest.approx(want, abs=2_000.0 if pwm is None else 30_000.0)
            assert got[led, row, 1] == got[led, row, 0]


def test_latching_at_the_end_shows_all_leds_at_once() -> None:
    light = history(latch="reset", light_delay_ms=8.0)
    assert light.add(1 * MS, 280, frame(255), frame(255)) == 1 * MS + 8 * MS + 160 * LED_NS + 280_000
    light = history(light_delay_ms=8.0)
    assert light.add(1 * MS, 280, frame(255), frame(255)) == 1 * MS + 8 * MS + LED_NS


def test_short_transmissions_leave_the_rest_alone() -> None:
    light = history()
    light.add(0, 200, frame(9), frame(9))
    light.add(10 * MS, 200, bytes([200]) * 30, b"")
    newest = light.between(30 * MS, 40 * MS).rgb[-1]
    assert (newest[:10] == 200).all() and (newest[10:] == 9).all()


def test_the_past_is_kept_for_half_a_minute_and_what_shines_for_ever() -> None:
    light = history()
    light.add(0, 200, frame(7), frame(7))
    assert (light.between(10**15, 10**15 + MS).rgb == 7).all()
    for k in range(9_000):
        light.add(10 * MS + k * 5 * MS, 200, frame(k % 256), frame(k % 256))
    newest = 10 * MS + 8_999 * 5 * MS
    assert light.oldest_ns() <= newest - KEPT_NS
    assert len(light._change) < 32_768
    at = newest - KEPT_NS + 2 * MS
    seen = light.between(at, at + MS)
    assert seen.rgb[-1][0, 0] == ((at - 10 * MS) // (5 * MS)) % 256


def test_a_step_in_light_shows_at_row_dependent_times() -> None:
    """LEDs 0 of both strips light up at one instant; the upper one is read earlier and has gathered less."""
    made = camera(
        layout="two_rows", readout_ms=30.0, exposure_ms=2.0, fps=30.0, height=360, psf_px=0.8, led_level=0.9,
        irregularity_px=0.0, perspective=0.0,
    )  # fmt: skip
    top, bottom = made.scene.leds[0, 0], made.scene.leds[1, 0]
    line_ns = 30 * MS / 360
    # Sweep the step over the readout: each LED must light up once its own rows are open after the step.
    made.start(0)
    origin = made.upcoming().start_ns
    for step_ms in np.arange(0.0, 32.0, 1.7):
        fresh = camera(
            layout="two_rows", readout_ms=30.0, exposure_ms=2.0, fps=30.0, height=360, psf_px=0.8, led_level=0.9,
            irregularity_px=0.0, perspective=0.0,
        )  # fmt: skip
        show(fresh, origin + round(step_ms * MS) - LED_NS, {0: WHITE}, {0: WHITE})
        picture = shots(fresh, 1)[0][..., 1]
        for x, y in (top, bottom):
            row, column = round(float(y)), round(float(x))
            spot = picture[row, column - 4 : column + 5].sum()
            full = 0.9 * 2 * np.pi * 0.8**2 * _row_share(row, float(y), 0.8)
            open_ms = np.clip((row * line_ns / MS + 2.0 - step_ms) / 2.0, 0.0, 1.0)
            assert spot / full == pytest.approx(open_ms, abs=0.02)


def _row_share(row: int, centre: float, sigma: float) -> float:
    fine = np.linspace(row - 0.5, row + 0.5, 2_001)
    density = np.exp(-0.5 * ((fine - centre) / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    return float(density.mean())


def test_a_global_shutter_knows_no_rows() -> None:
    made = camera(layout="vertical", readout_ms=0.0, exposure_ms=4.0, psf_px=1.0, latch="reset", irregularity_px=0.0)
    made.start(0)
    at = made.upcoming().start_ns + 2 * MS - 160 * LED_NS - 200_000  # half way through the exposure
    show(made, at, dict.fromkeys(range(0, 160, 16), (128, 128, 128)))
    frame = made.develop()
    assert frame is not None
    picture = frame.image[..., 2] / 255.0
    want = 0.5 * 2 * np.pi * (128 / 255) * 0.5
    for led in range(0, 160, 16):
        x, y = made.scene.leds[0, led].round().astype(int)
        assert picture[y - 4 : y + 5, x - 4 : x + 5].sum() == pytest.approx(want, rel=0.06)


def test_twice_the_exposure_is_twice_the_light() -> None:
    sums = []
    for exposure_ms in (3.0, 6.0, 12.0):
        made = camera(exposure_ms=12.0, led_level=0.9, psf_px=2.0)
        assert made.set("exposure_ms", exposure_ms, now_ns=0)
        show(made, 0, {10: WHITE, 60: WHITE})
        sums.append(shots(made, 1, start_ns=20 * MS)[0].sum())
    assert sums[1] / sums[0] == pytest.approx(2.0, rel=0.02) and sums[2] / sums[1] == pytest.approx(2.0, rel=0.02)


def test_the_reference_led_rectifies_its_channel() -> None:
    config = CameraConfig(reference_highpass_hz=0.0, reference_on=0.0, reference_full=1.0)
    light = ReferenceLight(config)
    t = np.arange(48_000) / 48_000
    sound = 0.8 * np.sin(2 * np.pi * 400 * t)
    light.add(sound.astype(np.float32), 48_000, 7_000_000)
    # windows of whole cycles of 2.5 ms: the half-wave mean of a sine is 1/pi of its amplitude
    first = np.array([107e6, 0.0, 992e6, 1_200e6])
    got = light.integral(0.0, first, np.array([307e6, 7e6, 1_107e6, 1_300e6]))
    assert got == pytest.approx(np.array([200e6, 0.0, 15e6, 0.0]) * 0.8 / np.pi, rel=1e-3)
    light.cut(207_000_000)
    assert light.integral(0.0, np.array([250e6]), np.array([300e6]))[0] == 0.0
    assert light.integral(0.0, np.array([157e6]), np.array([257e6]))[0] == pytest.approx(50e6 * 0.8 / np.pi, rel=1e-3)


def test_the_output_capacitor_lets_a_carrier_through_and_no_level() -> None:
    light = ReferenceLight(CameraConfig())
    light.add(np.full(48_000, 0.9, np.float32), 48_000, 0)
    early, late = light.integral(0.0, np.array([0.0, 500e6]), np.array([5e6, 505e6]))
    assert early == pytest.approx(5e6, rel=0.01) and late == 0.0


def test_pieces_that_follow_on_are_one_signal() -> None:
    random = np.random.default_rng(2)
    sound = random.uniform(-1, 1, 96_000).astype(np.float32)
    whole, pieces = ReferenceLight(CameraConfig()), ReferenceLight(CameraConfig())
    whole.add(sound, 48_000, 1_000)
    for i in range(0, sound.size, 960):
        pieces.add(sound[i : i + 960], 48_000, 1_000 + i * 1_000_000 // 48)
    a = np.arange(0.0, 1.9e9, 33e6)
    assert pieces.integral(0.0, a, a + 20e6) == pytest.approx(whole.integral(0.0, a, a + 20e6), rel=1e-6)
