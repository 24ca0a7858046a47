"""Frames come often enough, evenly, and take no more time than they did."""

import numpy as np
import pytest
from k1 import FRAME_PERIOD_US, LEAST_FPS, LONGEST_GAP_US, paced

from harness.analysis.frames import busy_us, fps, frame_metrics, lost_records, pacing_metrics
from harness.metric import pooled

JUDGED = {"render_us_mean", "quantize_us_mean", "fps", "heap_free_least"}


def judged(recording):
    paced(recording)
    found = [m for m in frame_metrics(recording) if m.name in JUDGED]
    assert {m.name for m in found} == JUDGED, f"expected {sorted(JUDGED)}, got {sorted(m.name for m in found)}"
    return found


def test_frame_rate(shows, metric):
    for recording in shows:
        paced(recording)
    metric([m for m in pooled([frame_metrics(r) for r in shows]) if m.name not in JUDGED])
    metric(pooled([pacing_metrics(r) for r in shows]))
    assert min(fps(r) for r in shows) >= LEAST_FPS


def test_frame_jitter(shows):
    for recording in shows:
        gaps = paced(recording)
        assert np.percentile(np.abs(gaps - np.median(gaps)), 95) < 1000, "frames come unevenly"
        assert gaps.max() < LONGEST_GAP_US, "a frame came late"


def test_frame_fits_its_budget(shows):
    for recording in shows:
        paced(recording)
        assert np.percentile(busy_us(recording), 99) <= FRAME_PERIOD_US


def test_telemetry_is_complete(shows):
    for recording in shows:
        assert recording.n_frames, "expected frame records, got none"
        assert lost_records(recording) == 0
        assert recording.frames["sent"].all(), "frames were rendered but not sent"


@pytest.mark.judged
def test_metrics_against_the_baseline(shows, another_show, metric):
    verdicts = metric.judge([judged(r) for r in shows], more=lambda: judged(another_show()))
    assert len(verdicts) == len(JUDGED), f"expected a verdict on each of {sorted(JUDGED)}, got {len(verdicts)}"
    worse = [f"{v.key}: {v.reason}" for v in verdicts if v.fails]
    assert not worse, "; ".join(worse)


def test_frame_period_parameter(record, param):
    for period_ms in (8.0, 20.0):
        param(frame_min_period_ms=period_ms)
        seen = record(None, 1.0, pattern="departure", streams=("frames",), settle_s=0.2)
        assert abs(np.median(paced(seen)) / 1000 - period_ms) < 0.15
