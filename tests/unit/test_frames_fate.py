"""What became of each frame, by sequence number; and frame numbers read from light."""

import numpy as np
import pytest
from synthetic import recording

from harness import signals
from harness.analysis.counter import read_counters, seen_frames, unwrap_counters
from harness.analysis.frames import fates, pacing_metrics, rendered_fps


def test_late_lost_and_quiet_frames_are_told_apart():
    n = 400
    rgb = np.random.default_rng(3).integers(0, 255, (n, 160, 3), dtype=np.uint8)
    sent = np.ones(n, bool)
    sent[[50, 51, 200]] = False
    rgb[200] = rgb[199]  # nothing new to show
    seen = recording(rgb, sent=sent)
    seen.frames["t_us"][300:] += 3500  # a stall of 3.5 ms at a period of 6 ms
    seen.pixels["t_us"] = seen.frames["t_us"]
    told = fates(seen)
    assert told.lost.tolist() == [50, 51] and told.quiet.tolist() == [200] and told.late.tolist() == [52, 300]
    values = {m.name: m.value for m in pacing_metrics(seen)}
    assert (values["frames_late"], values["frames_lost"], values["frames_quiet"]) == (2, 2, 1)
    assert values["frame_interval_us_max"] == 18_000


SKIPPED = slice(100, 600)


def skipping(rgb=None, *, pace_us=1500, loud=False, **columns):
    """800 frames of which 500 are not sent: the loop then runs at ``pace_us``; sound plays throughout, or stops."""
    step = np.full(800, 6000)
    # The first skipped frame still waits for the strip.
    step[SKIPPED.start + 1 : SKIPPED.stop + 1] = pace_us
    sent = np.ones(800, bool)
    sent[SKIPPED] = False
    samples = np.sin(np.arange(48_000 * 6) * 0.1).astype(np.float32) * 0.3
    if not loud:
        samples[round(48_000 * 0.4) : round(48_000 * 1.36)] = 0  # to the 600th frame
    sound = signals.Stimulus("hush", samples, 48_000, {})
    given = rgb if rgb is not None else np.zeros((800, 160, 3), np.uint8)
    return recording(given, sent=sent, t_us=1_000_000 + np.cumsum(step), stimulus=sound, **columns)


CHANGING = np.random.default_rng(5).integers(0, 255, (800, 160, 3), dtype=np.uint8)


@pytest.mark.parametrize("rgb", [CHANGING, np.zeros_like(CHANGING)], ids=["changing", "still"])
@pytest.mark.parametrize("pixels", [True, False])
def test_a_quiet_skip_is_neither_late_nor_lost(rgb, pixels):
    seen = skipping(rgb)
    if not pixels:
        seen.pixels = {name: column[:0] for name, column in seen.pixels.items()}
    told = fates(seen)
    assert told.quiet.tolist() == list(range(100, 600)) and not told.lost.size and not told.late.size
    seen.audio = None  # nothing was played: nothing speaks against silence
    assert fates(seen).quiet.size == 500


def test_a_stall_beside_a_quiet_skip_is_late():
    seen = skipping(CHANGING)
    seen.frames["t_us"][700:] += 4000
    assert fates(seen).late.tolist() == [700] and fates(seen, period_us=6000.0).late.tolist() == [700]


def test_frames_dropped_at_the_usual_pace_are_lost():
    assert fates(skipping(CHANGING, pace_us=6000)).lost.size == 500


def test_frames_dropped_while_sound_plays_are_lost_however_fast():
    told = fates(skipping(CHANGING, loud=True))
    assert told.lost.tolist() == list(range(100, 600)) and not told.quiet.size


def test_the_level_in_the_records_decides_where_there_is_one():
    level = np.full(800, 0.3)
    level[85:600] = 0.005
    assert fates(skipping(CHANGING, loud=True, audio_level=level)).quiet.size == 500
    level[85:300] = 0.3
    told = fates(skipping(CHANGING, audio_level=level))
    assert told.lost.tolist() == list(range(100, 309)), "ten quiet frames come before the first that may be skipped"


def test_missing_records_are_not_late_frames():
    seen = recording(period_us=6000)
    keep = np.ones(100, bool)
    keep[40:43] = False
    seen.frames = {k: v[keep] for k, v in seen.frames.items()}
    assert fates(seen).late.size == 0 and rendered_fps(seen) == pytest.approx(1e6 / 6000)


def test_nothing_false_in_a_hundred_thousand_frames_and_nothing_missed():
    rng = np.random.default_rng(8)
    n = 100_000
    seen = recording(np.zeros((1, 160, 3), np.uint8))
    step = np.full(n, 6000) + rng.integers(-900, 900, n)
    late = np.sort(rng.choice(np.arange(10, n), 500, replace=False))
    step[late] = 9200
    lost = np.setdiff1d(
        rng.choice(np.arange(10, n - 1), 300, replace=False), np.concatenate([late, late - 1, late + 1])
    )
    sent = np.ones(n, bool)
    sent[lost] = False
    seen.frames = {"seq": np.arange(n), "t_us": np.cumsum(step), "sent": sent}
    seen.pixels["seq"] = np.zeros(0, np.int64)
    told = fates(seen, period_us=6000.0)
    assert np.array_equal(told.lost, lost)
    after_lost = np.setdiff1d(lost + 1, lost)
    assert np.setdiff1d(late, told.late).size == 0, "a late frame was missed"
    assert np.setdiff1d(told.late, np.concatenate([late, after_lost, lost + 2, lost + 3])).size == 0, (
        "a false late frame"
    )


def counter(n):
    number = np.asarray(n) % 4096
    code = number ^ (number >> 1)
    fields = np.zeros((number.size, 16))
    fields[:, 0] = 1
    for bit in range(12):
        fields[:, 2 + bit] = (code >> bit) & 1
    fields[:, 14] = 1 - fields[:, 2:14].sum(axis=1) % 2
    fields[:, 15] = number & 1
    return np.tile(np.repeat(fields, 2, axis=1), (1, 5))


def test_counters_are_read_and_mixtures_are_not():
    numbers = np.arange(4000, 4300)
    light = counter(numbers)
    assert np.array_equal(read_counters(0.2 + 3.0 * light), np.tile((numbers % 4096)[:, None], (1, 5)))
    mixed = 0.5 * light[:-1] + 0.5 * light[1:]
    assert (read_counters(mixed) == -1).all()
    noisy = light + np.random.default_rng(2).normal(0, 0.08, light.shape)
    got = read_counters(noisy)
    right = got == (numbers % 4096)[:, None]
    assert right.mean() > 0.95 and (right | (got == -1)).all(), "a wrong number"
    assert (read_counters(np.zeros((3, 160))) == -1).all()


def test_counters_unwrap_through_pauses():
    true = np.concatenate([np.arange(4090, 4100), np.arange(9000, 9010)])
    at_ns = (true * 6e6).astype(np.int64)
    assert np.array_equal(unwrap_counters(true % 4096, at_ns, 166.0, first_seq=4000), true)


def test_unseen_frames_exclude_what_could_not_be_seen():
    sent = np.arange(1000, 2000)
    shown = np.setdiff1d(sent, [1100, 1500, 1501])
    seen = seen_frames(shown, (shown * 5e6).astype(np.int64), sent)
    assert seen.unseen.tolist() == [1100, 1500, 1501] and seen.fps == pytest.approx(200.0) and seen.covered == 1000
    blind = np.isin(sent, [1500, 1501])
    assert seen_frames(shown, (shown * 5e6).astype(np.int64), sent, blind=blind).unseen.tolist() == [1100]
