"""71 minutes and 35 seconds after power-on, 32-bit microseconds start over. Nobody may notice."""

import numpy as np
import pytest
from k1 import pictures

from harness.analysis.pixels import light, lit_share
from harness.analysis.tempo import reported_bpm
from harness.signals import four_on_floor
from harness.timebase import WRAP_US

pytestmark = pytest.mark.needs("audio", "sim")
BEFORE_S = 7.0


@pytest.mark.long
def test_light_and_tempo_survive_the_clock_wrap(rig, record):
    music = four_on_floor(120.0, 18.0)
    rig.telemetry.select("pulse")
    rig.telemetry.command(f"clock {WRAP_US - round(BEFORE_S * 1e6)}")
    seen = record(music, pattern="pulse", title="pulse across the 71 min 35 s wrap")

    times, rgb = pictures(seen)
    stamps = seen.frames["t_us"]
    assert stamps[0] < WRAP_US < stamps[-1], "the recording does not cross the wrap"
    assert (np.diff(stamps) > 0).all() and np.diff(stamps).max() < 20_000, "stamps jump"
    age_us = stamps - seen.frames["audio_us"]
    assert (age_us >= 0).all() and age_us.max() < 100_000, "frames think their sound is old"

    across = seen.clock_fits["device"].to_host(WRAP_US)
    before, after = rgb[times < across], rgb[times > across + 200_000_000]
    assert lit_share(after) == 1.0, "dark after the wrap"
    assert light(after).mean() > 0.5 * light(before).mean(), "dimmer after the wrap"
    assert after.std(axis=0).mean() > 0.4 * before.std(axis=0).mean(), "the light stands still after the wrap"

    beats = np.array([e["t_us"] for e in seen.events if e["kind"] == "beat"])
    assert (beats > WRAP_US + 1_000_000).sum() >= 8, "no beats after the wrap"
    assert reported_bpm(seen) == pytest.approx(120.0, rel=0.03)


def test_api_stamps_are_32_bit_and_agree(rig):
    probe, sound = rig.api.latency_probe(), rig.api.audio_snapshot()
    assert 0 <= probe["last_led_tx_us"] < WRAP_US and 0 <= sound["timestamp_us"] < WRAP_US
    ahead = (sound["timestamp_us"] - probe["last_led_tx_us"]) % WRAP_US
    assert min(ahead, WRAP_US - ahead) < 2_000_000, "light and sound stamps are far apart"
    assert 0 <= probe["last_latency_ms"] < 100
    aligned = rig.api.get("/api/latency/align", t_us=probe["last_led_tx_us"])
    assert aligned["found"] and abs(aligned["delta_us"]) < 1_000_000
