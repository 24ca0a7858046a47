"""Streamed sound at the microphone: the same as a whole sound, whatever the pieces it comes in."""

import numpy as np
import pytest

from harness.bench.clock import DeviceClock
from harness.bench.draws import Draws
from harness.bench.live_air import LiveAir
from harness.bench.mic import Microphone
from harness.bench.pulse_mic import _Onsets

RATE = 48_000


def sine(hz, seconds, amplitude=0.5):
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def fed(x, seed=1):
    air, rng, at = LiveAir(RATE), np.random.default_rng(seed), 0
    while at < len(x):
        n = int(rng.integers(1, 3_000))
        air.feed(x[at : at + n])
        at += n
    return air


@pytest.mark.parametrize("hz", [100.0, 1_000.0, 5_000.0])
def test_a_tone_has_its_amplitude_and_phase(hz):
    air = fed(sine(hz, 1.0))
    position = 10_000.37 + np.arange(6_000) * 3.75001
    assert np.abs(air.at(position) - 0.5 * np.sin(2 * np.pi * hz * position / RATE)).max() < 3e-4


def test_what_the_chip_cannot_hold_does_not_alias():
    assert np.abs(fed(sine(7_000.0, 1.0, 1.0)).at(10_000 + np.arange(6_000) * 3.75)).max() < 3e-4


def test_pieces_make_no_difference():
    x = np.random.default_rng(3).normal(size=60_000).astype(np.float32) * 0.1
    position = 30_000.2 + np.arange(5_000) * 3.7
    assert np.array_equal(fed(x, 1).at(position), fed(x, 2).at(position))


def test_only_what_is_known_sounds():
    air = fed(np.ones(24_000, np.float32))
    assert 23_800 < air.known < 24_000
    beyond = air.at(air.known + np.arange(1, 100))
    assert not beyond.any() and air.at(np.array([20_000.0]))[0] == pytest.approx(1.0, abs=1e-3)


def test_the_oldest_is_forgotten_not_repeated():
    air = fed(np.concatenate([np.ones(RATE, np.float32), np.zeros(5 * RATE, np.float32)]))
    assert not air.at(np.arange(1_000.0, 2_000.0)).any()


class Steps:
    """Air whose value is the host time in seconds."""

    def at(self, first_host_ns, step_ns, n):
        return (first_host_ns + np.arange(n) * step_ns) * 1e-9


def test_words_carry_the_air_at_their_own_instants_however_time_is_sliced():
    def words(slices):
        clock = DeviceClock(200_000_000, 100.0)
        mic = Microphone(clock, 31_337, lambda b: Draws(7).stream("noise", b), 0.0, 0, [], air=Steps())
        frames = [f for end in slices for f in mic.take(end)]
        return np.concatenate([np.frombuffer(f[13:], "<i4") for f in frames]) >> 14, mic

    fine, mic = words(range(5_000_000, 400_000_001, 5_000_000))
    whole, _ = words([400_000_000])
    assert np.array_equal(fine, whole)
    expected = np.array([mic.host_of(i) for i in (0, 2_000, 5_000)]) * 1e-9 * 131_071
    assert np.abs(fine[[0, 2_000, 5_000]] - expected).max() <= 1.0


def test_onsets_and_offsets():
    x = np.zeros(RATE, np.float32)
    for first, last in ((5_000, 9_000), (9_500, 12_000), (30_000, 30_001)):
        x[first:last] = 0.5
    onsets, edges = _Onsets(), []
    for at in range(0, RATE, 960):
        edges += onsets.feed(x[at : at + 960], at)
    kinds = [(round(at), kind.split()[1]) for at, kind in edges]
    assert kinds == [(5_000, "onset"), (12_000, "offset"), (30_000, "onset"), (30_001, "offset")]
