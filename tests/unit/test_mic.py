"""The microphone against arithmetic: amplitude, delay, drift, aliasing, noise and independence of slicing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.bench import link
from harness.bench.clock import DeviceClock
from harness.bench.draws import Draws
from harness.bench.mic import CHIP_RATE_HZ, MicFaults, Microphone, Sound, make_sound
from harness.errors import BadRequest


def microphone(
    *sounds: Sound, boot_ns: int = 0, skew_ppm: float = 0.0, first_ns: int = 0, rms: float = 0.0, dc: int = 0
) -> Microphone:
    clock = DeviceClock(boot_ns, skew_ppm)
    return Microphone(clock, first_ns, lambda b: Draws(7).stream("noise", b), rms, dc, list(sounds), MicFaults())


def values(mic: Microphone, first: int, n: int) -> NDArray[np.float64]:
    return (mic.render(first, n) >> 14) / 131_071.0


def sine(hz: float, seconds: float, rate: float, amplitude: float = 0.5) -> NDArray[np.float32]:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("hz", [100.0, 1_000.0, 3_000.0])
def test_tone_has_its_amplitude_and_phase_at_its_instant(rate: int, hz: float) -> None:
    start_ns, first_ns = 123_456_789, 31_337
    mic = microphone(make_sound(sine(hz, 0.5, rate), rate, start_ns), first_ns=first_ns)
    index = np.arange(3_000, 6_000)
    t = (first_ns + index * link.SAMPLE_NS - start_ns) * 1e-9
    want = 0.5 * np.sin(2 * np.pi * hz * t)
    assert np.abs(values(mic, 3_000, 3_000) - want).max() < (1e-3 if rate < 12_800 else 2e-4)


def test_band_edge_is_kept() -> None:
    mic = microphone(make_sound(sine(5_500.0, 0.5, 48_000), 48_000, 0))
    assert np.abs(values(mic, 2_000, 2_000)).max() == pytest.approx(0.5, rel=0.005)


def test_what_the_chip_cannot_hold_does_not_alias() -> None:
    mic = microphone(make_sound(sine(7_000.0, 0.5, 48_000, 1.0), 48_000, 0))
    assert np.abs(values(mic, 2_000, 2_000)).max() < 3e-4


def test_crystal_error_moves_the_sampling_instants() -> None:
    skew_ppm, hz = 200.0, 1_000.0
    mic = microphone(make_sound(sine(hz, 10.0, 48_000), 48_000, 0), boot_ns=5_000_000, skew_ppm=skew_ppm)
    index = np.arange(100_000, 101_000)
    t_host = 0.005 + index / CHIP_RATE_HZ / (1 + skew_ppm * 1e-6)
    assert np.abs(values(mic, 100_000, 1_000) - 0.5 * np.sin(2 * np.pi * hz * t_host)).max() < 2e-4
    wrong = 0.005 + index / CHIP_RATE_HZ  # 1.6 ms away after 7.8 s: the test can tell
    assert np.abs(values(mic, 100_000, 1_000) - 0.5 * np.sin(2 * np.pi * hz * wrong)).max() > 0.1


def test_click_arrives_when_it_should() -> None:
    click = np.zeros(4_800, dtype=np.float32)
    click[0] = 1.0
    mic = microphone(make_sound(click, 48_000, 1_000_000_000), first_ns=0)
    x = values(mic, 12_500, 700)
    centre = 12_500 + (np.arange(700) * x**2).sum() / (x**2).sum()
    assert centre * link.SAMPLE_NS == pytest.approx(1_000_000_000, abs=8_000)  # 8 us


def test_sounds_add_up_and_end() -> None:
    mic = microphone(make_sound(sine(500.0, 0.2, 48_000), 48_000, 0), make_sound(sine(500.0, 0.2, 48_000), 48_000, 0))
    assert np.abs(values(mic, 640, 640)).max() == pytest.approx(1.0, abs=1e-3)
    assert np.abs(values(mic, 4_000, 640)).max() == 0.0


def test_noise_and_offset() -> None:
    mic = microphone(rms=1e-3, dc=-6640)
    steps = mic.render(0, 40_000) >> 14
    assert steps.mean() == pytest.approx(-6640, abs=5)
    assert steps.std() == pytest.approx(131.07, rel=0.02)
    assert (mic.render(0, 100) & 0x3FFF == 0).all()


def test_full_scale_is_clipped_not_wrapped() -> None:
    mic = microphone(make_sound(np.full(48_000, 4.0, dtype=np.float32), 48_000, 0))
    words = mic.render(3_000, 100)
    assert (words == 131_071 << 14).all()


def frames_to_words(frames: list[bytes]) -> tuple[int, bytes]:
    parts = [body for _, body in link.split_frames(b"".join(frames))]
    first = int.from_bytes(parts[0][:8], "little")
    at = first
    for body in parts:
        assert int.from_bytes(body[:8], "little") == at
        at += (len(body) - 8) // 4
    return first, b"".join(body[8:] for body in parts)


def test_slicing_of_time_changes_nothing() -> None:
    seed = 99
    rng = np.random.default_rng(seed)
    sound = make_sound(sine(440.0, 3.0, 48_000), 48_000, 10_000_000)
    end_ns = 2_500_000_000
    whole = frames_to_words(list(microphone(sound, rms=1e-3, first_ns=777).take(end_ns)))
    mic, frames, now = microphone(sound, rms=1e-3, first_ns=777), [], 0
    while now < end_ns:
        now = min(end_ns, now + int(rng.integers(1, 60_000_000)))
        frames += list(mic.take(now))
    assert frames_to_words(frames) == whole, f"seed {seed}"
    assert len(whole[1]) == 4 * ((end_ns - 777) // link.SAMPLE_NS + 1)


def test_a_sound_added_late_does_not_change_what_was_sent() -> None:
    mic = microphone(rms=1e-3)
    before = frames_to_words(list(mic.take(100_000_000)))
    mic.sounds.append(make_sound(sine(440.0, 1.0, 48_000), 48_000, 120_000_000))
    mic.refresh()
    after = frames_to_words(list(mic.take(200_000_000)))
    assert after[0] == len(before[1]) // 4
    x = np.frombuffer(after[1], dtype="<i4") / 2.0**31
    assert np.abs(x[:180]).max() < 0.01 < 0.3 < np.abs(x[400:]).max()


def test_faults() -> None:
    mic = microphone(rms=1e-3, dc=-6640)
    mic.faults.muted = True
    first, data = frames_to_words(list(mic.take(100_000_000)))
    assert first == 0 and set(data) == {0}
    mic.faults.unplugged = True
    assert list(mic.take(200_000_000)) == []
    mic.faults.unplugged = mic.faults.muted = False
    mic.refresh()
    first, data = frames_to_words(list(mic.take(300_000_000)))
    assert first == 200_000_000 // link.SAMPLE_NS + 1 and any(data)


@pytest.mark.parametrize("bad", [np.zeros((10, 2)), np.zeros(0), np.array([np.nan])])
def test_unusable_sounds_are_refused(bad: NDArray[np.float32]) -> None:
    with pytest.raises(BadRequest):
        make_sound(bad, 48_000, 0)
    with pytest.raises(BadRequest):
        make_sound(np.zeros(10, dtype=np.float32), 1.0, 0)
