"""Unwrapping and clock fits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.timebase import ClockFit, SyncPair, fit_min_rtt, unwrap_us32


@given(st.lists(st.integers(-1_000_000, 2**31 - 1), min_size=1, max_size=50), st.integers(0, 2**32 - 1))
def test_unwrap_recovers_what_was_wrapped(steps, first):
    true = first + np.concatenate([[0], np.cumsum(steps)])
    got = unwrap_us32(true % 2**32)
    assert np.array_equal(got - got[0], true - true[0])
    assert got[0] == first


def test_unwrap_over_the_71_minute_wrap():
    assert unwrap_us32([4_294_967_290, 4_294_967_295, 4, 10]).tolist() == [
        4294967290,
        4294967295,
        4294967300,
        4294967306,
    ]
    assert unwrap_us32([]).size == 0
    assert unwrap_us32(np.array([5, 3], np.uint32)).tolist() == [5, 3]


def exchanges(rng, spans_s, skew, offset_ns, base_ms=0.5, tail_ms=1.0, asymmetry=0.8):
    pairs = []
    for start_s, n in spans_s:
        for i in range(n):
            out_ns = asymmetry * base_ms * 1e6 + rng.exponential(tail_ms * 1e6)
            back_ns = (1 - asymmetry) * base_ms * 1e6 + rng.exponential(tail_ms * 1e6)
            sent = offset_ns + (start_s + i * 0.0113) * 1e9
            stamp_ns = sent + out_ns
            t_us = int((stamp_ns - offset_ns) * (1 + skew) / 1000)
            pairs.append(SyncPair(int(sent), t_us, int(stamp_ns + back_ns)))
    return pairs


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("skew", [-40e-6, 0.0, 25e-6])
def test_the_interval_holds_the_truth(seed, skew):
    rng = np.random.default_rng(seed)
    offset_ns = 123_456_789_012_345
    pairs = exchanges(rng, [(0.0, 8), (10.0, 8)], skew, offset_ns)
    fit = fit_min_rtt(pairs)
    for t_us in (pairs[0].t_us, 5_000_000, pairs[-1].t_us):
        true_ns = offset_ns + t_us * 1000 / (1 + skew)
        assert abs(fit.to_host(t_us) - true_ns) <= fit.interval_ns + 1000, f"seed {seed}"
    assert abs(fit.rate - 1 / (1 + skew)) < 500e-6
    assert fit.n == 16 and fit.interval_ns < 10e6


def test_a_short_span_takes_rate_one_and_the_best_exchange():
    fit = fit_min_rtt([(1_000_000, 50, 9_000_000), (20_000_000, 12_000, 21_000_000)])
    assert fit.rate == 1.0 and fit.to_host(12_000) == 20_500_000
    assert 500_000 <= fit.interval_ns < 510_000


def test_a_wandering_clock_gets_a_wide_interval_instead_of_none():
    pairs = [(0, 0, 1000), (5_000_000_000, 5_000_500, 5_000_001_000), (10_000_000_000, 10_000_000, 10_000_001_000)]
    fit = fit_min_rtt(pairs)
    for sent, t_us, received in pairs:
        assert abs(fit.to_host(t_us) - (sent + received) / 2) <= fit.interval_ns


def test_bad_exchanges_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        fit_min_rtt([])
    with pytest.raises(ValueError, match="before it was asked"):
        fit_min_rtt([(10, 0, 9)])


def test_there_and_back():
    fit = ClockFit(1e15, 1.00002, 0.0, 0.0, 5, ref_us=4_000_000_000)
    stamps = np.array([4_000_000_000, 4_300_000_000])
    assert np.allclose(fit.to_device_us(fit.to_host(stamps)), stamps, atol=0.01)
    assert isinstance(fit.to_host(5), int)
    assert ClockFit(**fit.to_json()) == fit
