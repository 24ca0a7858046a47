"""What the analysis of music finds in music whose truth is known."""

import numpy as np
import pytest

from harness import signals
from harness.analysis.music import clipped_share, describe
from harness.analysis.rhythm import onset_envelope, onset_times_s, tempo
from harness.signals import Stimulus


def tempo_of(sound: Stimulus):
    return tempo(onset_envelope(sound.samples, sound.rate_hz))


@pytest.mark.parametrize("bpm", [70.0, 85.0, 100.0, 120.5, 128.0, 140.0])
@pytest.mark.parametrize("make", [signals.click_track, signals.four_on_floor])
def test_tempo_in_the_middle_of_the_range(make, bpm):
    found = tempo_of(make(bpm, 12.0))
    assert found.bpm == pytest.approx(bpm, rel=0.005)
    assert found.strength > 0.7


@pytest.mark.parametrize("bpm", [50.0, 60.0, 160.0, 175.0, 200.0])
@pytest.mark.parametrize("make", [signals.click_track, signals.four_on_floor])
def test_where_the_octave_is_a_matter_of_taste_the_truth_is_told_as_well(make, bpm):
    found = tempo_of(make(bpm, 12.0))
    if found.bpm == pytest.approx(bpm, rel=0.005):
        return
    assert found.ambiguous
    assert any(o.bpm == pytest.approx(bpm, rel=0.005) and o.weight >= 0.5 for o in found.others)
    assert found.to_json()["octave_ambiguous"] is True


def test_ambiguity_is_not_said_of_everything():
    clear = [tempo_of(signals.click_track(bpm, 12.0)).ambiguous for bpm in (70.0, 85.0, 100.0)]
    assert not any(clear)


@pytest.mark.parametrize("seed", range(8))
def test_noise_has_neither_tempo_nor_onsets(seed):
    found = describe(signals.pink_noise(12.0, seed=seed))
    assert found.tempo is None and found.onsets_s.size <= 1


@pytest.mark.parametrize(
    "sound", [signals.tone(440.0, 6.0), signals.silence(6.0), signals.log_sweep(80.0, 4000.0, 8.0)]
)
def test_what_has_no_beat_has_no_tempo(sound):
    found = describe(sound)
    assert found.tempo is None and found.onsets_s.size <= 1


def test_a_short_sound_has_no_tempo_rather_than_a_guessed_one():
    assert tempo_of(signals.click_track(120.0, 4.0)) is None
    assert onset_envelope(np.zeros(100, np.float32), 48_000).size == 0


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 96_000])
def test_tempo_does_not_depend_on_the_sample_rate(rate_hz):
    from scipy.signal import resample

    sound = signals.four_on_floor(110.0, 8.0)
    other = resample(sound.samples, round(sound.seconds * rate_hz)).astype(np.float32) * 0.5
    assert tempo(onset_envelope(other, rate_hz)).bpm == pytest.approx(110.0, rel=0.005)


def test_onsets_of_clicks_are_found_where_they_are():
    sound = signals.click_track(100.0, 8.0)
    times = onset_times_s(onset_envelope(sound.samples, sound.rate_hz))
    truth = np.array(sound.truth["onsets_s"])
    assert times.size == truth.size
    assert np.abs(times - truth).max() < 0.03


def test_onset_rate_of_music_counts_beats_and_off_beats():
    sound = signals.four_on_floor(120.0, 12.0)
    assert describe(sound).onset_rate_hz == pytest.approx(4.0, rel=0.08)  # a kick and a hat for each beat


def test_levels_of_a_sine():
    found = describe(signals.tone(1000.0, 6.0, level=0.5))
    assert found.peak_dbfs == pytest.approx(-6.02, abs=0.05)
    assert found.crest_db == pytest.approx(3.01, abs=0.1)
    assert found.range_db < 0.2 and found.clipped == 0.0 and found.silent == 0.0
    assert found.centroid_hz == pytest.approx(1000.0, rel=0.02) and found.middle > 0.99


def test_dynamics_are_the_spread_of_level():
    steps = signals.noise_levels([-40.0, -30.0, -20.0], step_s=4.0)
    assert describe(steps).range_db == pytest.approx(20.0, abs=1.0)


@pytest.mark.parametrize("frequency_hz,share", [(100.0, "bass"), (1000.0, "middle"), (8000.0, "treble")])
def test_shares_of_the_spectrum(frequency_hz, share):
    found = describe(signals.tone(frequency_hz, 5.0))
    assert getattr(found, share) > 0.98
    assert found.bass + found.middle + found.treble == pytest.approx(1.0, abs=1e-6)
    assert found.roll_off_hz == pytest.approx(frequency_hz, abs=30.0)


def test_silence_is_measured_not_divided_by():
    found = describe(signals.silence(6.0))
    assert found.silent == 1.0 and found.onset_rate_hz == 0.0 and np.isfinite(found.crest_db)


@pytest.mark.parametrize("overdrive_db,least", [(1.0, 0.2), (6.0, 0.6), (12.0, 0.8)])
def test_a_cut_off_wave_is_found(overdrive_db, least):
    assert clipped_share(signals.clipping(440.0, 2.0, overdrive_db).samples) > least


def test_a_wave_that_just_touches_full_scale_is_not_clipped():
    assert clipped_share(signals.tone(3000.0, 2.0, level=1.0).samples) == 0.0
    assert clipped_share(signals.pink_noise(2.0).samples) == 0.0
    assert clipped_share(np.zeros(0, np.float32)) == 0.0
    quiet = signals.clipping(440.0, 2.0).samples * np.float32(0.5)
    assert clipped_share(quiet) == 0.0  # turned down afterwards: not found, as documented
