"""The line from samples to time: drawn by early blocks, unmoved by late ones, true over loss and drift."""

import numpy as np
import pytest

from harness.bench.sample_clock import SampleClock

RATE, BLOCK = 48_000, 960


def run(clock, blocks, *, ppm=0.0, seed=1, delay_ms=0.05, busy=0.05, split=0.0, lose_at=None, lost=0):
    """Feeds blocks of a sink that is ``ppm`` fast; yields (error of the line in ms, samples found lost)."""
    rng = np.random.default_rng(seed)
    index, played = 0, 0
    for k in range(blocks):
        if k == lose_at:
            played += lost
        due = 1e12 + played / RATE * 1e9 * (1 - ppm * 1e-6)
        late = rng.exponential(delay_ms * 1e6) + (rng.random() < busy) * rng.uniform(0, 40e6)
        found = clock.add(index, int(due + late))
        index += found
        if clock.known:
            yield (clock.time_ns(index) - due) / 1e6, found
        if rng.random() < split:  # the rest of the block comes with the first part
            clock.add(index + 300, int(due + late + 100_000))
        index, played = index + BLOCK, played + BLOCK


@pytest.mark.parametrize("ppm", [0.0, 56.0, -30.0])
@pytest.mark.parametrize("split", [0.0, 0.1])
def test_follows_the_sink(ppm, split):
    errors = np.array([e for e, _ in run(SampleClock(RATE), 2_000, ppm=ppm, split=split)])
    assert np.abs(errors[:500]).max() < 0.4, "while it learns the rate"
    assert np.abs(errors[1_200:]).max() < 0.06
    assert np.abs(np.diff(errors)).max() < 0.01, "the line has a step"


def test_a_busy_machine_loses_nothing():
    found = [lost for _, lost in run(SampleClock(RATE), 2_000, delay_ms=2.0, busy=0.5)]
    assert sum(found) == 0


@pytest.mark.parametrize("lost", [480, 4_800])
def test_lost_samples_are_counted_once_and_the_line_stays_true(lost):
    seen = list(run(SampleClock(RATE), 2_000, lose_at=500, lost=lost))
    assert sum(n for _, n in seen) == pytest.approx(lost, abs=30)
    assert abs(seen[-1][0]) < 0.1


def test_both_ways_agree():
    clock = SampleClock(RATE)
    list(run(clock, 500, ppm=40.0))
    assert clock.index_at(clock.time_ns(123_456)) == pytest.approx(123_456, abs=1e-3)
