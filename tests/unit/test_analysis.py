"""Analysis finds what was put into synthetic recordings, and nothing where nothing was put."""

from __future__ import annotations

import math

import numpy as np
import pytest
from synthetic import FIT, frames, noise, recording

from harness.analysis.bins import bin_errors, bin_frequency_hz, bin_position, centroid_led
from harness.analysis.frames import fps, frame_metrics, lost_records, sent_intervals_us
from harness.analysis.heap import heap_slope
from harness.analysis.pixels import (
    activity,
    distinct_frames,
    drift,
    light,
    lit_share,
    match_wire,
    mirror_error,
    shown,
    shown_by,
)
from harness.analysis.reactivity import reaction
from harness.analysis.stats import batch_estimate, t95, theil_sen
from harness.analysis.tempo import light_bpm, reported_bpm
from harness.recording import Recording
from harness.signals import four_on_floor, gated, pink_noise


def by_name(metrics: list) -> dict:
    return {m.name: m for m in metrics}


# ---- frames


def test_rate_and_stage_times_of_a_steady_recording() -> None:
    found = by_name(frame_metrics(recording(noise(800, 1))))
    assert found["fps"].value == pytest.approx(1e6 / 6000)
    assert found["render_us_mean"].value == 700
    assert found["frame_jitter_us_p95"].value == 0
    assert found["render_us_mean"].detail["cost_model"] == "m1"
    assert found["fps"].n == 8 and found["fps"].ci95 is not None


def test_an_interval_is_not_taken_across_a_lost_record() -> None:
    rows = frames(100)
    rows = {name: np.delete(column, [40, 41]) for name, column in rows.items()}
    made = Recording({"provenance": "simulated"}, rows)
    assert lost_records(made) == 2
    assert set(sent_intervals_us(made)) == {6000}
    assert sent_intervals_us(made).size == 96


def test_a_frame_that_was_not_sent_lengthens_the_interval() -> None:
    sent = np.ones(100, bool)
    sent[50] = False
    made = recording(noise(100, 1), sent=sent)
    assert sorted(set(sent_intervals_us(made))) == [6000, 12000]


def test_no_frames_give_no_rate() -> None:
    empty = Recording({"provenance": "simulated"})
    assert fps(empty) == 0 and frame_metrics(empty) == []


def test_batch_interval_covers_the_mean_of_an_autocorrelated_series() -> None:
    rng = np.random.default_rng(4)
    hits = 0
    for _ in range(200):
        series = np.convolve(rng.normal(size=2400), np.ones(20) / 20, mode="valid")
        estimate = batch_estimate(series, np.mean)
        hits += estimate.low <= 0 <= estimate.high
    assert hits >= 180  # nominal 190 of 200


def test_t_quantiles_against_the_table() -> None:
    assert t95(7) == 2.365 and t95(30) == pytest.approx(2.042, rel=0.01)


def test_theil_sen_ignores_outliers() -> None:
    y = 3.0 * np.arange(50)
    y[10] = 1e6
    assert theil_sen(np.arange(50), y) == pytest.approx(3.0)


# ---- pixels


def test_black_frozen_and_lit() -> None:
    black = np.zeros((50, 160, 3), np.uint8)
    assert lit_share(black) == 0 and distinct_frames(black) == 1 and activity(black) == 0 and light(black).max() == 0
    busy = noise(50, 2)
    assert lit_share(busy) == 1 and distinct_frames(busy) == 50 and activity(busy) > 5


def test_drift_sees_motion_but_not_dither() -> None:
    still = np.full((400, 160, 3), 100, np.uint8)
    still[::2] += 1
    assert drift(still, 50) < 0.2
    ramp = np.repeat(np.arange(400) // 4, 480).reshape(400, 160, 3).astype(np.uint8)
    assert drift(ramp, 50) == pytest.approx(12.5, abs=0.5)


def test_mirror_error_finds_a_shift_by_one_led() -> None:
    half = np.linspace(250, 10, 80).astype(np.uint8)
    strip = np.concatenate([half[::-1], half])
    good = np.repeat(strip, 3).reshape(1, 160, 3)
    assert mirror_error(good) == 0
    assert mirror_error(np.roll(good, 1, axis=1)) > 3


def test_luminance_weights() -> None:
    green = np.zeros((1, 160, 3), np.uint8)
    green[..., 1] = 255
    assert float(light(green)[0]) == pytest.approx(0.7152, abs=1e-4)


def test_wire_and_telemetry_agree_or_not() -> None:
    made = recording(noise(200, 3))
    match = match_wire(made)
    assert (match.compared, match.unseen, match.different, match.strips_differ) == (200, 0, 0, 0)
    made.pixels["rgb"] = made.pixels["rgb"].copy()
    made.pixels["rgb"][7, 0, 0] ^= 1
    made.wire["rgb"][9, 1, 3, 2] ^= 1
    made.wire = {name: np.delete(column, 20, axis=0) for name, column in made.wire.items()}
    match = match_wire(made)
    assert (match.unseen, match.different, match.strips_differ) == (1, 1, 1)


def test_a_dead_wire_leaves_every_reported_frame_unseen() -> None:
    dead, mute = recording(noise(200, 3)), recording(noise(200, 3))
    dead.wire = {name: column[:0] for name, column in dead.wire.items()}
    assert match_wire(dead)[:2] == (200, 200)
    mute.pixels = {name: column[:0] for name, column in mute.pixels.items()}
    assert match_wire(mute)[:2] == (0, 0)


def test_shown_uses_telemetry_when_there_is_no_wire() -> None:
    made = recording(noise(20, 3), wire=False)
    times, rgb = shown(made)
    assert np.array_equal(times, FIT.to_host(made.frames["t_us"])) and np.array_equal(rgb, made.pixels["rgb"])


def test_the_source_of_pixels_is_where_they_come_from() -> None:
    tapped, untapped, silent = recording(noise(20, 3)), recording(noise(20, 3), wire=False), recording(noise(20, 3))
    silent.wire = {name: column[:0] for name, column in silent.wire.items()}
    assert shown_by(tapped) == shown_by(tapped, tapped) == "wire"
    assert shown_by(untapped) == shown_by(silent) == shown_by(tapped, untapped) == shown_by() == "telemetry"


# ---- reactivity


def stimulus(seed: int):
    return gated(four_on_floor(120.0, 9.7), 24, 0.4, seed=seed)


def follower(stim, strength: float, seed: int = 1):
    """Pictures that brighten by ``strength`` while the stimulus is loud, over an animation of their own."""
    n = 1600
    loud = np.repeat(stim.truth["loud"], 4000 // 60)
    level = np.pad(loud, (20, n), mode="edge")[:n].astype(float)
    drift_ = 40 + 15 * np.sin(np.arange(n) / 90.0)
    value = drift_ + strength * level
    grain = np.random.default_rng(seed).normal(0, 8, (n, 160, 3))
    return np.clip(value[:, None, None] + grain, 0, 255).astype(np.uint8)


def test_a_light_that_follows_the_sound_is_found() -> None:
    stim = stimulus(5)
    found = reaction(recording(follower(stim, 60.0), stimulus=stim))
    assert found.p < 1e-3 and found.strength > 0.5


def test_an_animation_alone_is_no_reaction_in_the_stated_share_of_cases() -> None:
    ps = []
    for seed in range(40):
        stim = stimulus(seed)
        ps.append(reaction(recording(follower(stim, 0.0, seed), stimulus=stim), shuffles=400).p)
    assert sum(p < 0.05 for p in ps) <= 6  # expected 2 of 40
    assert min(ps) > 0.0


def test_a_dark_strip_does_not_react() -> None:
    stim = stimulus(1)
    assert reaction(recording(np.zeros((1600, 160, 3), np.uint8), stimulus=stim)) == (1.0, 0.0, "none", 24)


def test_a_reaction_needs_a_gated_stimulus() -> None:
    with pytest.raises(ValueError, match="gated"):
        reaction(recording(noise(100, 1), stimulus=pink_noise(1.0)))


def test_gated_sound_is_loud_where_it_says() -> None:
    stim = stimulus(3)
    step = round(0.4 * stim.rate_hz)
    rms = [float(np.sqrt(np.mean(stim.samples[i * step : (i + 1) * step] ** 2))) for i in range(24)]
    loud = np.array(stim.truth["loud"])
    assert loud.sum() == 12
    assert np.mean(np.array(rms)[loud]) > 10 * np.mean(np.array(rms)[~loud])


# ---- tempo


@pytest.mark.parametrize("bpm", [60.0, 96.0, 120.0, 140.0])
def test_tempo_of_pulsing_light(bpm: float) -> None:
    t = np.arange(1600) * 0.006
    level = 20 + 200 * np.exp(-((t * bpm / 60) % 1.0) * 8)
    rgb = np.repeat(level, 480).reshape(-1, 160, 3).astype(np.uint8)
    assert light_bpm(recording(rgb)) == pytest.approx(bpm, rel=0.01)


def test_no_tempo_in_noise_or_darkness() -> None:
    assert light_bpm(recording(np.zeros((1600, 160, 3), np.uint8))) is None
    assert light_bpm(recording(noise(1600, 9))) is None


def test_reported_tempo_is_that_of_the_last_beats() -> None:
    made = recording(noise(2000, 1))
    tempi = [90.0] * 8 + [120.0] * 16
    made.events = [{"kind": "beat", "t_us": 1_000_000 + i * 500_000, "bpm": bpm} for i, bpm in enumerate(tempi)]
    assert reported_bpm(made) == 120.0
    made.events = []
    assert reported_bpm(made) is None


# ---- bins and heap


def test_bins_are_semitones_from_77_78_hz() -> None:
    assert bin_position(77.78) == 0 and bin_position(bin_frequency_hz(30)) == pytest.approx(30)
    spectra = [np.eye(64)[31], np.eye(64)[43]]
    assert np.round(bin_errors([440.0, 880.0], spectra), 1).tolist() == [1.0, 1.0]


def test_centroid_is_folded_at_the_middle() -> None:
    lum = np.zeros(160)
    lum[[80 + 20, 79 - 20]] = 1
    assert centroid_led(lum) == 20
    assert math.isnan(centroid_led(np.zeros(160)))


@pytest.mark.parametrize("leak", [0.0, 16.0])
def test_heap_slope_is_bytes_per_minute(leak: float) -> None:
    n = 20_000
    free = 200_000 - leak * np.arange(n)
    free[np.random.default_rng(1).integers(0, n, 400)] -= 3000
    slope = heap_slope(recording(noise(n, 1, 2) if n < 1 else np.zeros((n, 160, 3), np.uint8), heap_free=free))
    assert slope is not None and slope.value == pytest.approx(-leak * 1e4, abs=leak * 100 + 40)
    assert slope.low <= -leak * 1e4 + 1 and slope.high >= -leak * 1e4 - leak * 200 - 1


def test_a_short_recording_has_no_heap_slope() -> None:
    assert heap_slope(recording(noise(5 * 167 + 590, 1, 2))) is None
    assert heap_slope(Recording({"provenance": "simulated"})) is None
