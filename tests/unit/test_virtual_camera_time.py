"""Frame times, drops, repeatability and the event log of the virtual camera."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from camera_cases import MS, camera, show

from harness.bench.camera import BACKLOG_NS, VirtualCamera

S = 1_000 * MS


def stamps(made: VirtualCamera, seconds: float) -> np.ndarray:
    """Time stamps of all frames, without the work of rendering."""
    made.start(0)
    out = []
    while made.upcoming().delivery_ns <= seconds * S:
        exposure = made.upcoming()
        if not exposure.dropped:
            out.append(exposure.stamp_ns)
        made._index, made._next, made._last_stamp_ns = exposure.index + 1, None, exposure.stamp_ns
    return np.array(out, np.int64)


def test_frames_come_at_their_rate_with_the_camera_s_own_crystal() -> None:
    for skew_ppm in (0.0, 300.0):
        got = stamps(camera(fps=60.0, skew_ppm=skew_ppm), 50.0)
        period = np.diff(got).mean()
        assert period == pytest.approx(1e9 / 60.0 * (1 + skew_ppm * 1e-6), rel=1e-7)
        assert len(got) == pytest.approx((50.0 - 0.035) * 60, abs=1)  # the last ones are still on their way


def test_stamps_jitter_and_lie_off_by_what_was_asked() -> None:
    made = camera(timestamp_jitter_ms=0.5, timestamp_offset_ms=7.0, frame_jitter_ms=0.0)
    made.start(0)
    first = made._origin_ns
    got = stamps(made, 60.0)
    residual = got - (made._origin_ns + np.arange(len(got)) * made._period_ns)
    assert first > 0 and residual.mean() / MS == pytest.approx(7.0, abs=0.05)
    assert residual.std() / MS == pytest.approx(0.5, rel=0.1)
    assert (np.diff(got) > 0).all()


def test_the_offset_is_drawn_when_not_given() -> None:
    offsets = [camera(seed, timestamp_offset_ms=None)._offset_ns / MS for seed in range(40)]
    assert 0.0 <= min(offsets) < 8.0 and 25.0 < max(offsets) <= 1000 / 30
    skews = [camera(seed, skew_ppm=None).skew_ppm for seed in range(40)]
    assert -50.0 <= min(skews) < -25.0 and 25.0 < max(skews) <= 50.0


def test_drops_are_as_frequent_as_asked_and_leave_gaps() -> None:
    got = stamps(camera(drop=0.05, fps=100.0, exposure_ms=2.0, readout_ms=5.0), 40.0)
    lost = 4_000 - len(got)
    assert 150 <= lost <= 250  # 200 expected, 3.6 standard deviations
    gaps = np.rint(np.diff(got) / 1e7).astype(int)
    assert (gaps - 1).sum() == pytest.approx(lost, abs=3) and gaps.max() <= 6


def test_one_seed_gives_the_same_bytes_however_frames_are_taken() -> None:
    def digest(seed: int, step_ns: int) -> str:
        noisy = {"read_noise": 0.003, "full_well_e": 5_000.0, "ambient": 0.02}
        made = camera(seed, drop=0.1, skew_ppm=None, jpeg_quality=85, **noisy)
        made.start(0)
        out = hashlib.sha256()
        lit = 0
        for now in range(step_ns, 1 * S + 1, step_ns):
            while lit <= now:
                show(made, lit, {lit // (6 * MS) % 160: (lit % 251, 99, 255)})
                lit += 6 * MS
            for frame in made.frames(now):
                out.update(frame.host_ns.to_bytes(8, "little") + frame.image.tobytes())
        return out.hexdigest()

    assert digest(5, 50 * MS) == digest(5, 500 * MS)
    assert digest(5, 250 * MS) != digest(6, 250 * MS)


def test_a_frame_is_there_once_it_has_arrived_and_once_only() -> None:
    made = camera(delivery_ms=20.0, exposure_ms=5.0, readout_ms=10.0)
    assert made.take(10 * S) is None  # no stream
    made.start(0)
    due = made.upcoming().delivery_ns
    assert due == made.upcoming().start_ns + 35 * MS
    assert made.take(due - 1) is None
    frame = made.take(due)
    assert frame is not None and frame.host_ns == due - 35 * MS
    assert made.take(due) is None
    made.stop()
    assert made.take(10 * S) is None


def test_frames_nobody_takes_are_lost_and_counted() -> None:
    made = camera()
    made.start(0)
    first = made.upcoming().start_ns
    frame = made.take(60 * S)
    assert frame is not None and frame.host_ns >= 60 * S - BACKLOG_NS
    assert made.lost == pytest.approx((frame.host_ns - first) / made._period_ns, abs=1)


def test_a_setting_holds_for_later_frames_only() -> None:
    made = camera(exposure_ms=8.0)
    made.start(0)
    assert made.set("exposure_ms", 2.0, now_ns=500 * MS)
    upcoming = made.upcoming()
    assert upcoming.start_ns >= 500 * MS and upcoming.exposure_ns == 2 * MS
    assert upcoming.start_ns - 500 * MS < 34 * MS


def test_time_that_jumps_restarts_the_stream() -> None:
    made = camera()
    show(made, 0, {5: (255, 0, 0)})
    made.start(0)
    made.time_jumped(1_000 * S, epoch=1)
    assert 1_000 * S <= made.upcoming().start_ns < 1_000 * S + 34 * MS
    frame = made.develop()
    assert frame is not None and frame.image[..., 2].max() > 100  # what shone goes on shining


def test_the_log_tells_the_truth_and_only_the_log() -> None:
    made = camera(light_delay_ms=8.0, drop=0.2, timestamp_offset_ms=3.0)
    for k in range(300):
        show(made, k * 6 * MS, {0: (k % 256, 0, 1)})
    made.start(0)
    taken = list(made.frames(1 * S))
    made.stop()
    log = made._events
    photons = log.events("photons")
    at = [ns for event in photons for ns in event["at_ns"]]
    assert at == [k * 6 * MS + 8 * MS + 30_000 for k in range(300)]
    assert photons[0]["led0"][7] == [7, 0, 1]
    (frames,) = log.events("camera frames")
    kept = [stamp for stamp, dropped in zip(frames["stamp_ns"], frames["dropped"], strict=True) if not dropped]
    assert kept == [frame.host_ns for frame in taken] and any(frames["dropped"])
    offsets = np.array(frames["stamp_ns"]) - np.array(frames["start_ns"])
    assert (offsets == 3 * MS).all()
    assert log.events("camera")[0]["line_ns"] == pytest.approx(15e6 / 360)
    assert np.shape(log.events("scene")[0]["leds"]) == (2, 160, 2)
