"""What only shows after a while."""

import pytest
from k1 import paced

from harness.analysis.frames import fps
from harness.analysis.heap import heap_metrics, heap_slope
from harness.signals import four_on_floor

LEAST_FREE = 32 << 10


@pytest.mark.needs("audio")
def test_heap_does_not_shrink(rig, record, metric, suite):
    bed = four_on_floor(120.0, min(suite.profile.soak_s, 600.0))
    seen = record(bed, suite.profile.soak_s, pattern="bloom", streams=("frames",))
    paced(seen)
    slope = heap_slope(seen)
    if slope is None:
        assert fps(seen) >= 160
        pytest.skip(f"{suite.profile.soak_s:g} s of profile {suite.profile.name} are too short for a slope of the heap")
    metric(heap_metrics(seen, slope))
    least = int(seen.frames["heap_free"].min())
    assert least > LEAST_FREE, f"only {least} bytes of heap are left: what is used up cannot shrink"
    assert slope.value > -256, f"free heap changes by {slope.value:.0f} bytes a minute"
    assert fps(seen) >= 160


def test_heap_survives_requests(rig):
    if "api" not in rig.capabilities:
        pytest.skip("no API on this rig")
    for path in ("/api/device/performance", "/api/leds/frame", "/api/audio/tempo"):
        rig.api.get(path)
    before = rig.api.performance()["memory_free_kb"]
    for _ in range(40):
        for path in ("/api/leds/frame", "/api/patterns", "/api/select", "/nothing"):
            rig.api.request("GET", path)
    assert rig.api.performance()["memory_free_kb"] >= before - 2
