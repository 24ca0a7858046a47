"""Stimuli are what their truth says."""

import numpy as np
import pytest

from harness import signals
from harness.signals import RATE_HZ, Stimulus


def test_tone_has_its_frequency_and_level():
    tone = signals.tone(440.0, 1.0, level=0.5)
    spectrum = np.abs(np.fft.rfft(tone.samples))
    assert np.argmax(spectrum) == pytest.approx(440, abs=1)
    assert np.abs(tone.samples).max() == pytest.approx(0.5, rel=1e-3)
    assert tone.seconds == 1.0 and tone.rate_hz == RATE_HZ


def test_tone_steps_stand_where_the_truth_says():
    steps = signals.tone_steps([220.0, 880.0], step_s=0.5, gap_s=0.1)
    for step in steps.truth["steps"]:
        part = steps.samples[round(step["start_s"] * RATE_HZ) : round(step["stop_s"] * RATE_HZ)]
        assert np.argmax(np.abs(np.fft.rfft(part))) / (part.size / RATE_HZ) == pytest.approx(
            step["frequency_hz"], abs=2.1
        )
    gap = steps.samples[round(0.5 * RATE_HZ) + 1 : round(0.6 * RATE_HZ) - 1]
    assert not gap.any()


def test_click_track_onsets():
    track = signals.click_track(120.0, 5.0)
    onsets = np.array(track.truth["onsets_s"])
    assert np.allclose(np.diff(onsets), 0.5, atol=1 / RATE_HZ) and len(onsets) == 10
    loud = np.abs(track.samples) > 0.05
    for onset in onsets:
        at = round(onset * RATE_HZ)
        assert not loud[max(0, at - 100) : at].any() and loud[at : at + 480].any()


def test_pink_noise_falls_three_decibel_per_octave():
    noise = signals.pink_noise(20.0, 0.1, seed=3)
    power = np.abs(np.fft.rfft(noise.samples)) ** 2
    frequency = np.fft.rfftfreq(noise.samples.size, 1 / RATE_HZ)
    bands = [power[(frequency >= low) & (frequency < 2 * low)].mean() for low in (100, 200, 400, 800, 1600)]
    assert np.allclose(10 * np.log10(np.array(bands[:-1]) / bands[1:]), 3.0, atol=0.7)
    assert np.sqrt(np.mean(noise.samples**2)) == pytest.approx(0.1, rel=0.02)


def test_sweep_passes_its_geometric_middle_halfway():
    sweep = signals.log_sweep(100.0, 1600.0, 4.0)
    middle = sweep.samples[round(1.95 * RATE_HZ) : round(2.05 * RATE_HZ)]
    assert np.argmax(np.abs(np.fft.rfft(middle))) * 10 == pytest.approx(400, abs=20)


def test_music_is_reproducible_and_within_full_scale():
    one, two, other = (signals.four_on_floor(128.0, 4.0, seed=s) for s in (1, 1, 2))
    assert np.array_equal(one.samples, two.samples) and not np.array_equal(one.samples, other.samples)
    assert np.abs(one.samples).max() == pytest.approx(0.8, abs=1e-3)
    assert np.allclose(np.diff(one.truth["onsets_s"]), 60 / 128, atol=1 / RATE_HZ)


def test_mixed_says_where_each_part_starts():
    both = signals.mixed("both", [signals.silence(1.0), signals.tone(440.0, 0.5)])
    assert [p["start_s"] for p in both.truth["parts"]] == [0.0, 1.0]
    assert both.seconds == 1.5


def test_clipping_and_wrong_types_are_refused():
    with pytest.raises(ValueError, match="full scale"):
        Stimulus("loud", np.full(4, 1.5, np.float32))
    with pytest.raises(ValueError, match="float32"):
        Stimulus("wide", np.zeros(4))
