"""How long after a sound the light changes, event by event."""

import numpy as np
import pytest

from harness.analysis.latency import (
    BANDS_HZ,
    disagreement,
    expected_centroid_ms,
    latency_metrics,
    measure,
)
from harness.metric import Metric
from harness.signals import latency_telegraph

pytestmark = [pytest.mark.needs("audio"), pytest.mark.needs("flashing_light")]

# hil_flash answers the mean of one 5 ms hop, then a frame of 6 ms and the wire: nothing in it takes longer than 20 ms.
LONGEST_MEAN_MS = 20.0
LONGEST_EVENT_MS = 50.0
# Bands that are looked at even where time is real and short.
QUICK_HZ = (250.0, 2500.0)


@pytest.fixture(scope="module")
def flashes():
    """Filled by the first test, so that all judge one recording."""
    return {}


def test_flash_latency(rig, record, metric, suite, flashes):
    seconds = max(20.0, suite.profile.audio_s)
    sound = latency_telegraph(seconds, seed=suite.seed % 100_000)
    seen = record(sound, pattern="hil_flash", streams=suite.eye.streams(rig), title="latency on hil_flash")
    found = measure(seen)
    assert found, "no source shows the edges of the sound"
    flashes["found"] = found
    metrics = latency_metrics(seen, found)
    flashes["mean"] = [m for m in metrics if m.name == "latency_mean"]
    metric([m for m in metrics if m.name != "latency_mean"])
    best = found[0]
    assert best.missed == 0, f"{best.missed} edges of the sound were not answered"
    assert best.clock_ms + best.rise.half_width > 0
    for name, mean in (("on", best.rise), ("off", best.fall)):
        assert 0.0 < mean.value < LONGEST_MEAN_MS, f"light goes {name} {mean.value:.1f} ms after the sound"
    slowest = float(best.events.latency_ms.max())
    assert slowest < LONGEST_EVENT_MS, f"one event took {slowest:.1f} ms"


@pytest.mark.judged
def test_flash_latency_against_the_baseline(rig, suite, metric, flashes):
    seconds = max(20.0, suite.profile.audio_s)

    def run():
        count = len(taken)
        sound = latency_telegraph(seconds, seed=(suite.seed + count) % 100_000)
        board = suite.own_board(rig, count)
        seen = board.record(sound, sound.seconds, suite.eye.streams(board), pattern="hil_flash")
        found = measure(seen)
        assert found, "no source shows the edges of the sound"
        taken.append([m for m in latency_metrics(seen, found) if m.name == "latency_mean"])
        return taken[-1]

    taken = [flashes["mean"]] if "mean" in flashes else []
    while len(taken) < suite.profile.repeats:
        run()
    verdicts = metric.judge(taken, more=run)
    assert verdicts, "no mean latency was measured"
    worse = [f"{v.key}: {v.reason}" for v in verdicts if v.fails]
    assert not worse, "; ".join(worse)


def test_sources_agree(flashes):
    """Light on the wire and light as reported are the same light, within what the clocks leave open."""
    found = flashes.get("found") or []
    if len(found) < 2:
        pytest.skip("this rig sees the light in one way only")
    for other in found[1:]:
        apart = disagreement(found[0], other)
        assert not apart.found, (
            f"{found[0].source} and {other.source} differ by {apart.difference_ms:.2f} ms, "
            f"{apart.allowed_ms:.2f} ms can be explained"
        )


@pytest.mark.parametrize(
    "band_hz", [pytest.param(hz, marks=[] if hz in QUICK_HZ else pytest.mark.long) for hz in BANDS_HZ]
)
def test_spectrum_latency_per_band(record, metric, param, suite, band_hz):
    """The pattern spectrum answers each band; low ones later, because a semitone needs a long look back."""
    param(audio_responsiveness=1.0, softness=0.0)
    sound = latency_telegraph(6.0, carrier_hz=band_hz, seed=suite.seed % 100_000)
    seen = record(sound, pattern="spectrum", title=f"latency on spectrum at {band_hz:g} Hz")
    found = measure(seen, followers=True)
    assert found, f"no LED follows a tone of {band_hz:g} Hz"
    best = found[0]
    centroid = expected_centroid_ms(band_hz)
    detail = {"expected_centroid_ms": round(centroid, 2), "clock_bound_ms": round(best.clock_ms, 4), **best.detail}
    rise = best.rise
    metric(Metric(f"latency_{band_hz:.0f}hz_rise_mean", round(rise.value, 3), "ms", "lower", rise.n, best.source,
                  seen.meta["provenance"], ci95=(round(rise.low, 3), round(rise.high, 3)), pattern="spectrum",
                  detail=detail))  # fmt: skip
    assert np.isfinite(best.rise.value)
    assert -5.0 < best.rise.value < centroid + LONGEST_EVENT_MS, (
        f"light {best.rise.value:.1f} ms after a tone of {band_hz:g} Hz; its Goertzel bin explains {centroid:.1f} ms"
    )
