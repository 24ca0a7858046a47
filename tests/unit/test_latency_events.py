"""Latency of step light: known answers, and what must not count."""

import numpy as np
import pytest
from synthetic import FIT, recording

from harness.analysis.latency import (
    Switches,
    disagreement,
    expected_centroid_ms,
    latency_metrics,
    measure,
    step_events,
    switches_of,
)
from harness.analysis.latency.template import answer, edge_response
from harness.analysis.summary import analyse
from harness.signals import click_track, latency_telegraph
from harness.timebase import ClockFit, Trust


def flashes(sound, delay_ms, period_us=4000):
    """Frames that show white while the telegraph was on ``delay_ms`` ago."""
    n = round(sound.seconds * 1e6 / period_us)
    at_ms = np.arange(n) * period_us / 1e3 - delay_ms
    on = np.searchsorted(np.array(sound.truth["onsets_s"]) * 1e3, at_ms)
    off = np.searchsorted(np.array(sound.truth["offsets_s"]) * 1e3, at_ms)
    rgb = np.zeros((n, 160, 3), np.uint8)
    rgb[on > off] = 255
    return rgb


@pytest.fixture(scope="module")
def sound():
    return latency_telegraph(12.0, seed=9)


@pytest.mark.parametrize("delay_ms", [0.0, 7.0, 31.0])
def test_a_known_delay_comes_out(sound, delay_ms):
    seen = recording(flashes(sound, delay_ms), period_us=4000, stimulus=sound)
    wire, told = measure(seen)
    # A frame of 4 ms waits 2 ms on average; LED 0's bits take 0.03 ms.
    assert wire.mean.value == pytest.approx(delay_ms + 2.03, abs=0.5)
    assert wire.rise.value == pytest.approx(delay_ms + 2.03, abs=0.8) and wire.missed == 0
    assert told.mean.value == pytest.approx(wire.mean.value, abs=1e-6)
    assert wire.percentile(95, True) is None, "a percentile from fewer than 200 events"
    assert wire.trust is Trust.RELATIVE_ONLY, "nobody said that the sound's start is known"


def test_the_events_are_exact(sound):
    seen = recording(flashes(sound, 10.0), period_us=4000, stimulus=sound)
    wire, _ = measure(seen)
    at, frame_ms = switches_of(seen).at_ms, 4.0
    true = np.ceil((at + 10.0) / frame_ms) * frame_ms + 0.03 - at
    assert np.allclose(wire.events.latency_ms, true, atol=1e-6)


def test_percentiles_need_two_hundred_events():
    long = latency_telegraph(75.0, seed=2)
    wire = measure(recording(flashes(long, 5.0), period_us=4000, stimulus=long))[0]
    assert wire.rise.n >= 200 and 5.0 < wire.percentile(50, True) < wire.percentile(95, True) < 9.1


def test_missed_flashes_are_counted_and_do_not_bend_the_mean(sound):
    rgb = flashes(sound, 6.0)
    first, stop = (int(sound.truth[k][10] * 250) for k in ("onsets_s", "offsets_s"))
    rgb[first : stop + 4] = 0
    wire = measure(recording(rgb, period_us=4000, stimulus=sound))[0]
    assert wire.missed == 2 and wire.mean.value == pytest.approx(8.03, abs=0.5)


def test_dark_leds_tell_nothing_and_other_stimuli_are_refused(sound):
    assert measure(recording(np.zeros((3000, 160, 3), np.uint8), period_us=4000, stimulus=sound)) == []
    with pytest.raises(ValueError, match="latency stimulus"):
        measure(recording(np.zeros((500, 160, 3), np.uint8), stimulus=click_track(120, 3.0)))


def test_followers_stand_in_for_a_dark_led_0(sound):
    rgb = flashes(sound, 12.0)
    rgb[:, :70] = 0
    rgb[:, 90:] = 0
    seen = recording(rgb, period_us=4000, stimulus=sound)
    assert measure(seen) == []
    wire = measure(seen, followers=True)[0]
    assert wire.mean.value == pytest.approx(14.03, abs=0.5) and wire.detail["leds"] == 20


def test_a_shifted_source_is_a_disagreement(sound):
    seen = recording(flashes(sound, 8.0), period_us=4000, stimulus=sound)
    seen.clock_fits["device"] = ClockFit(FIT.offset_ns + 6e6, 1.0, 0.0, 1000.0, 8, stat_ns=1e5, asymmetry_ns=4e5)
    wire, told = measure(seen)
    apart = disagreement(wire, told)
    assert apart.found and apart.difference_ms == pytest.approx(-6.0, abs=1e-6)
    by_name = {m.name: m for m in latency_metrics(seen, [wire, told])}
    assert by_name["latency_wire_minus_telemetry"].detail["disagrees"] is True
    assert by_name["latency_mean"].source == "wire" and by_name["latency_mean"].detail["trust"] == "relative only"
    assert by_name["latency_mean_telemetry"].detail["clock_bound_ms"] == pytest.approx(0.4)
    seen.clock_fits["device"] = FIT
    assert not disagreement(*measure(seen)).found


def test_the_summary_holds_latency_only_where_the_stimulus_allows(sound):
    names = {m.name for m in analyse(recording(flashes(sound, 8.0), period_us=4000, stimulus=sound))}
    assert {"fps", "frames_late", "latency_mean", "latency_rise_mean"} <= names
    others = {m.name for m in analyse(recording(np.zeros((500, 160, 3), np.uint8)))}
    assert "latency_mean" not in others and "fps" in others


def test_centroids_are_those_of_the_contract():
    assert expected_centroid_ms(77.78) == pytest.approx(53.9, abs=0.1)
    assert expected_centroid_ms(2959.96) == pytest.approx(1.4, abs=0.05)


def test_no_frames_no_events():
    nothing = step_events(np.zeros(0), np.zeros(0), Switches(np.array([10.0]), np.array([True]), 0))
    assert nothing.latency_ms.size == 0 and nothing.missed == 1


@pytest.mark.parametrize("tau,exposure,wait", [(0.02, 4.0, 0.0), (3.0, 8.0, 10.0), (25.0, 1.0, 33.0)])
def test_the_template_is_the_integral_it_claims_to_be(tau, exposure, wait):
    waits = np.linspace(-wait / 2, wait / 2, 401) if wait else np.zeros(1)
    inner = (np.arange(400) + 0.5) / 400 * exposure
    for since in (-30.0, -3.0, 0.0, 5.0, 40.0):
        t = since + inner[None, :] - waits[:, None]
        brute = np.where(t > 0, 1 - np.exp(-np.maximum(t, 0) / tau), 0.0)
        weight = np.ones(waits.size)
        weight[[0, -1]] = 0.5 if waits.size > 1 else 1.0
        mean = float((brute.mean(axis=1) * weight).sum() / weight.sum())
        assert float(answer(np.array([since]), tau, exposure, wait)[0]) == pytest.approx(mean, abs=2e-3)


def test_many_edges_add_up():
    opens = np.linspace(0, 500, 700)
    at = np.array([50.0, 120.0, 333.0])
    alone = sum(edge_response(opens, np.array([a]), 2.0, 5.0, 6.0) for a in at)
    assert np.allclose(edge_response(opens, at, 2.0, 5.0, 6.0), alone)
    assert edge_response(opens, at, 2.0, 5.0, 6.0)[-1] == 3.0
