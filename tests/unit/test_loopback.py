"""Marks, the tape of a loopback, and exchanges that prove a jump of time."""

import numpy as np
import pytest

from harness.instruments.pilot import find, mark
from harness.instruments.tape import HEAD_S, TAIL_S, Tape
from harness.rig.steady import jump_ns
from harness.timebase import SyncPair

MARK = mark()


def heard(delay, noise=0.01, seed=1, level=1.0):
    n = 8_192
    x = np.zeros(n)
    x[1_000 : 1_000 + MARK.size] = MARK * level
    shifted = np.fft.irfft(np.fft.rfft(x) * np.exp(-2j * np.pi * np.fft.rfftfreq(n) * delay), n)
    return (shifted + np.random.default_rng(seed).normal(size=n) * noise).astype(np.float32)


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.25, 0.5, 0.77])
@pytest.mark.parametrize("level", [1.0, 0.1, -1.0])
def test_a_mark_is_found_to_a_fraction_of_a_sample(delay, level):
    assert find(heard(delay, 0.01 * abs(level), level=level), MARK) == pytest.approx(1_000 + delay, abs=0.02)


def test_noise_silence_and_torn_marks_are_no_marks():
    assert find(np.random.default_rng(2).normal(size=9_000).astype(np.float32), MARK) is None
    assert find(np.zeros(9_000, np.float32), MARK) is None
    assert find(np.zeros(100, np.float32), MARK) is None
    assert find(heard(0.0), mark(falling=True)) is None
    assert find(np.insert(heard(0.0), 1_900, np.zeros(240, np.float32)), MARK) is None


def test_a_long_tape_keeps_its_ends_and_its_times():
    tape, rate = Tape(48_000), 48_000
    seconds, rng = 60, np.random.default_rng(1)
    x = rng.normal(size=(seconds * rate, 2)).astype(np.float32)
    jitter = lambda: int(rng.normal() * 2e6)  # noqa: E731
    for first in range(0, len(x), 1_000):
        at = round(first * 1e9 / rate)
        tape.add(first, x[first : first + 1_000], at + 90_000_000, at + jitter(), at + 341_000_000 + jitter())
    done = tape.cut()
    assert np.array_equal(done.channel(1, 500, 4_000), x[500:4_500, 1])
    assert np.array_equal(done.channel(0, len(x) - 3_000, 9_000), x[-3_000:, 0])
    assert done.channel(0, 20 * rate, 1_000).size == 0
    assert sum(len(b) for b in done._blocks) <= (HEAD_S + TAIL_S) * rate + 3_000
    assert done.captured_ns(10_000.5) == pytest.approx(10_000.5e9 / rate, abs=1.2e6)
    assert done.played_ns(0) == pytest.approx(341e6, abs=1.2e6)
    assert tape.channel(0, 0, 100).size == 0


def exchanges(jump_ms=0.0, ppm=30.0, seed=1):
    rng = np.random.default_rng(seed)
    pairs = []
    for at in [*np.arange(8) * 0.02, *(10.0 + np.arange(8) * 0.02)]:
        stood = jump_ms * 1e6 if at > 5 else 0.0  # so long the device stood still
        out, back = rng.exponential(2e6) + 3e5, rng.exponential(2e6) + 3e5
        device_us = round((at * 1e9 * (1 + ppm * 1e-6) - stood) / 1e3)
        pairs.append(SyncPair(round(at * 1e9 - out), device_us, round(at * 1e9 + back)))
    return pairs


@pytest.mark.parametrize("seed", range(20))
def test_one_clock_never_jumps(seed):
    assert jump_ns(exchanges(ppm=400.0 if seed % 2 else -40.0, seed=seed)) == 0
    assert jump_ns(exchanges(seed=seed)[:1]) == 0


@pytest.mark.parametrize("seed", range(20))
def test_a_standstill_is_proven_but_for_the_round_trip_and_the_crystal(seed):
    proven = jump_ns(exchanges(jump_ms=60.0, ppm=0.0, seed=seed)) / 1e6
    assert 45.0 < proven <= 60.0
