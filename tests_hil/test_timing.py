"""Frames come often enough, evenly, and take no more time than they did."""

import numpy as np
from k1 import FRAME_PERIOD_US, LEAST_FPS, LONGEST_GAP_US

from harness.analysis.frames import busy_us, fps, frame_metrics, lost_records, sent_intervals_us
from harness.metric import Metric

JUDGED = {"render_us_mean", "quantize_us_mean", "fps", "heap_free_least"}


def averaged(lists):
    """Metrics of several recordings as their means; n counts recordings then."""
    first = lists[0]
    if len(lists) == 1:
        return first
    out = []
    for same in zip(*lists, strict=True):
        m = same[0]
        value = float(np.mean([x.value for x in same]))
        out.append(Metric(m.name, value, m.unit, m.direction, len(same), m.source, m.provenance,
                          pattern=m.pattern, detail=m.detail))  # fmt: skip
    return out


def test_frame_rate(shows, metric):
    metric([m for m in averaged([frame_metrics(r) for r in shows]) if m.name not in JUDGED])
    assert min(fps(r) for r in shows) >= LEAST_FPS


def test_frame_jitter(shows):
    for recording in shows:
        gaps = sent_intervals_us(recording)
        assert np.percentile(np.abs(gaps - np.median(gaps)), 95) < 1000, "frames come unevenly"
        assert gaps.max() < LONGEST_GAP_US, "a frame came late"


def test_frame_fits_its_budget(shows):
    for recording in shows:
        assert np.percentile(busy_us(recording), 99) <= FRAME_PERIOD_US


def test_telemetry_is_complete(shows):
    for recording in shows:
        assert lost_records(recording) == 0
        assert recording.frames["sent"].all(), "frames were rendered but not sent"


def test_metrics_against_the_baseline(shows, metric):
    verdicts = metric.judge([m for m in averaged([frame_metrics(r) for r in shows]) if m.name in JUDGED])
    worse = [f"{v.key}: {v.why}" for v in verdicts if v.word == "regressed"]
    assert not worse, "; ".join(worse)


def test_frame_period_parameter(record, param):
    for period_ms in (8.0, 20.0):
        param(frame_min_period_ms=period_ms)
        seen = record(None, 1.0, pattern="departure", streams=("frames",), settle_s=0.2)
        assert abs(np.median(sent_intervals_us(seen)) / 1000 - period_ms) < 0.15
