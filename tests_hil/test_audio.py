"""The device hears what is played."""

import numpy as np
import pytest
from k1 import pictures, spectrum_bin

from harness.analysis.bins import bin_frequency_hz, bin_position, centroid_led
from harness.analysis.pixels import luminance, shown_by
from harness.analysis.tempo import light_bpm, reported_bpm
from harness.metric import Metric
from harness.signals import click_track, pink_noise, tone, tone_steps

pytestmark = pytest.mark.needs("audio")


def test_tones_light_their_bins(record, metric):
    wanted = [30, 36, 42, 48, 54, 60]
    sound = tone_steps([bin_frequency_hz(b) for b in wanted], step_s=0.5, gap_s=0.1)
    seen = record(sound, pattern="spectrum", title="tone steps on spectrum")
    times, rgb = pictures(seen)
    level, at_s = luminance(rgb), (times - seen.audio.start_ns) / 1e9
    found = []
    for step in sound.truth["steps"]:
        middle = (at_s > step["start_s"] + 0.25) & (at_s < step["stop_s"])
        picture = level[middle].mean(axis=0)
        half = picture[80:] + picture[79::-1]
        found.append(spectrum_bin(float(np.argmax(half))))
    errors = np.array(found) - wanted
    mean = round(float(errors.mean()), 3)
    provenance = seen.meta["provenance"]
    metric(Metric("tone_bin_error_mean", mean, "bins", "none", len(wanted), shown_by(seen), provenance))
    assert np.abs(errors).max() <= 2.0, f"bins {np.round(found, 1).tolist()} instead of {wanted}"
    assert np.ptp(errors) <= 2.5, "the bins are stretched"


def test_api_hears_the_same_tone(rig):
    rig.audio.play(tone(1000.0, 1.5))
    rig.clock.wait(lambda: False, 0.8)
    heard = rig.api.get("/api/audio/arrays", count=64, stride=1)["spectrogram"]
    assert len(heard) == 64
    assert abs(int(np.argmax(heard)) - bin_position(1000.0)) <= 2


def test_spectrum_light_moves_outwards_with_pitch(record):
    sound = tone_steps([440.0, 880.0, 1760.0], step_s=0.5, gap_s=0.1)
    seen = record(sound, pattern="spectrum")
    times, rgb = pictures(seen)
    level, at_s = luminance(rgb), (times - seen.audio.start_ns) / 1e9
    glow = np.percentile(level, 20, axis=0)
    places = [
        centroid_led(np.maximum(level[(at_s > s["start_s"] + 0.25) & (at_s < s["stop_s"])].mean(axis=0) - glow, 0))
        for s in sound.truth["steps"]
    ]
    assert places[0] < places[1] < places[2], f"centres of light {np.round(places, 1).tolist()}"


@pytest.mark.parametrize("bpm", [pytest.param(90.0, marks=pytest.mark.long), 128.0])
def test_tempo_of_a_click_track(record, metric, rig, suite, bpm):
    seconds = max(suite.profile.audio_s, 12.0)
    seen = record(click_track(bpm, seconds), pattern="pulse", title=f"clicks at {bpm:g} BPM on pulse")
    pictures(seen)
    reported, shining, told = reported_bpm(seen), light_bpm(seen), rig.api.tempo()
    assert reported is not None, "no beat was reported"
    metric(Metric(f"tempo_error_{bpm:g}", round(abs(reported - bpm), 3), "1/min", "lower", 1, "telemetry",
                  seen.meta["provenance"]))  # fmt: skip
    assert reported == pytest.approx(bpm, rel=0.03)
    assert shining == pytest.approx(bpm, rel=0.03), "the light beats at another tempo"
    assert told["top_bins"][0]["bpm"] == pytest.approx(bpm, rel=0.03)


@pytest.mark.long
@pytest.mark.reset("hard")
def test_noise_has_no_tempo(record, rig, suite):
    seen = record(pink_noise(8.0, seed=suite.seed % 1000), pattern="pulse", streams=("frames",))
    assert rig.api.tempo()["tempo_confidence"] < 0.4
    assert sum(e["kind"] == "beat" for e in seen.events) <= 4


def test_audio_frames_are_counted(rig):
    before, began = rig.api.audio_snapshot()["update_counter"], rig.clock.now_ns()
    rig.audio.play(pink_noise(1.2))
    rig.clock.wait(lambda: False, 1.0)
    heard, passed_s = rig.api.audio_snapshot()["update_counter"] - before, (rig.clock.now_ns() - began) / 1e9
    assert heard == pytest.approx(200 * passed_s, rel=0.05), "hops of 5 ms are lost or invented"


def test_flash_answers_sound_within_two_frames(record, metric):
    sound = click_track(120.0, 2.0, level=0.9)
    seen = record(sound, pattern="hil_flash", title="clicks on hil_flash")
    times, rgb = pictures(seen)
    lit = rgb.any(axis=(1, 2))
    first = times[1:][lit[1:] & ~lit[:-1]]
    onsets = seen.audio.start_ns + np.array(sound.truth["onsets_s"]) * 1e9
    delays = [float(first[first > o].min() - o) / 1e6 for o in onsets if (first > o).any()]
    assert len(delays) == len(onsets), "a click gave no flash"
    assert max(delays) < 25.0, f"flash {max(delays):.1f} ms after its click"
