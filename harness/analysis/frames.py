"""Frame pacing and the time each stage of a frame takes, from the device's per-frame records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from harness.analysis.stats import Array, Estimate, batch_estimate
from harness.metric import Direction, Metric
from harness.recording import Columns, Recording

STAMP_US = 1.0  # resolution of the device's stamps


def sent_intervals_us(recording: Recording) -> npt.NDArray[np.int64]:
    """Device time between transmissions that follow each other without a lost record between them, int64[n].

    A frame that the device rendered but did not send (``sent`` 0) lengthens the interval: that is what an eye sees.
    """
    seq, t_us = recording.frames["seq"], recording.frames["t_us"]
    unbroken = np.concatenate(([True], np.diff(seq) == 1)) if seq.size else np.zeros(0, bool)
    piece = np.cumsum(~unbroken)
    sent = recording.frames["sent"]
    t_us, piece = t_us[sent], piece[sent]
    return np.asarray(np.diff(t_us)[np.diff(piece) == 0], dtype=np.int64)


def lost_records(recording: Recording) -> int:
    """Frame records that never arrived: holes in ``seq``."""
    seq = recording.frames["seq"]
    return int(np.maximum(np.diff(seq) - 1, 0).sum()) if seq.size > 1 else 0


def fps(recording: Recording) -> float:
    """Transmitted frames per second of device time; 0 with fewer than two frames."""
    intervals = sent_intervals_us(recording)
    return float(1e6 / intervals.mean()) if intervals.size else 0.0


def busy_us(recording: Recording) -> npt.NDArray[np.int64]:
    """Render, quantise and transmit time of each sent frame together, int64[n]."""
    f = recording.frames
    total = f["render_us"].astype(np.int64) + f["quantize_us"] + f["transmit_us"]
    return np.asarray(total[f["sent"]], dtype=np.int64)


def frame_metrics(recording: Recording) -> list[Metric]:
    """Rate, pacing, stage times and free heap of one recording. Empty when it holds no frames."""
    intervals = sent_intervals_us(recording)
    if intervals.size < 16:
        return []
    f = recording.frames
    rate = batch_estimate(intervals, lambda part: float(1e6 / part.mean()))
    jitter = batch_estimate(np.abs(intervals - np.median(intervals)), _p95)
    metrics = [
        _metric(recording, "fps", rate, "1/s", "higher"),
        _metric(recording, "frame_interval_us_p50", batch_estimate(intervals, _p50), "us", "none"),
        _metric(recording, "frame_interval_us_p99", batch_estimate(intervals, _p99), "us", "lower"),
        _metric(recording, "frame_jitter_us_p95", jitter, "us", "lower"),
    ]
    # Means, because stamps are whole microseconds: the median of a short stage moves in steps of many percent.
    for stage in ("render_us", "quantize_us", "transmit_us"):
        metrics.append(_metric(recording, f"{stage}_mean", batch_estimate(f[stage], _mean), "us", "lower"))
    metrics.append(_metric(recording, "render_us_p95", batch_estimate(f["render_us"], _p95), "us", "lower"))
    least = float(f["heap_free"].min())
    metrics.append(_metric(recording, "heap_free_least", Estimate(least, least, least, 1), "B", "higher"))
    lost = float(lost_records(recording))
    metrics.append(_metric(recording, "records_lost", Estimate(lost, lost, lost, 1), "", "lower"))
    return metrics


# A gap this many periods long is a late frame: less is jitter, twice the period a frame that is not there.
LATE_PERIODS = 1.5


# The device contract's quiet-skip: below this level for ten frames it transmits nothing, and its loop, which no strip
# holds up any more, runs several times as fast.
QUIET_LEVEL = 0.01
QUIET_FRAMES = 10
QUIET_PACE = 0.5
# When the device may still think that it is quiet: its ten frames, its own smoothing, the way of the sound.
_HUSH_S, _NOTICES_S = 0.05, 0.15


class Fates(NamedTuple):
    """What became of the frames the device rendered, told by sequence number.

    Attributes:
        late: sequence numbers of frames sent more than 1.5 periods after the one before, int64[n].
        lost: rendered and never sent although they would have changed the picture, int64[n].
        quiet: not sent because the strip already showed the same bytes, or in a quiet-skip: no fault, int64[n].
    """

    late: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int64]
    quiet: npt.NDArray[np.int64]


def fates(recording: Recording, period_us: float | None = None) -> Fates:
    """Sorts the frames of a recording.

    Args:
        period_us: what is asked of the device; default: the median time between sent frames that follow each other.
    """
    f = recording.frames
    if period_us is None:
        period_us = _period_us(f)
    quiet = _same_bytes(recording) | _quiet_skip(recording, period_us)
    lost = f["seq"][~f["sent"] & ~quiet]
    # A quiet skip leaves a pause that nobody can see: the frame after it is not late.
    shown = f["sent"] | quiet
    seq, t_us, sent = f["seq"][shown], f["t_us"][shown], f["sent"][shown]
    if seq.size < 2 or not period_us:
        return Fates(seq[:0], lost, f["seq"][quiet])
    # Where records are missing, a wait cannot be told from a frame nobody told us of.
    missing = np.isin(seq[1:] - 1, f["seq"], invert=True)
    late = (np.diff(t_us) > LATE_PERIODS * period_us) & ~missing & sent[1:]
    return Fates(seq[1:][late], lost, f["seq"][quiet])


def _period_us(f: Columns) -> float:
    """Median time between sent frames that follow each other; 0 where there are none."""
    both = f["sent"][1:] & f["sent"][:-1] & (np.diff(f["seq"]) == 1)
    return float(np.median(np.diff(f["t_us"])[both])) if both.any() else 0.0


def _same_bytes(recording: Recording) -> npt.NDArray[np.bool_]:
    """Frames not sent whose bytes are those of the last one sent, bool[n]; none where the pixels are not known."""
    f, pixels = recording.frames, recording.pixels
    quiet = np.zeros(f["seq"].size, bool)
    if f["sent"].all() or not pixels["seq"].size:
        return quiet
    row_of = {int(seq): i for i, seq in enumerate(pixels["seq"])}
    shown: int | None = None
    for i, (seq, sent) in enumerate(zip(f["seq"].tolist(), f["sent"].tolist(), strict=True)):
        row = row_of.get(seq)
        if sent:
            shown = row
        elif shown is not None and row is not None:
            quiet[i] = np.array_equal(pixels["rgb"][shown], pixels["rgb"][row])
    return quiet


def _quiet_skip(recording: Recording, period_us: float) -> npt.NDArray[np.bool_]:
    """Frames not sent in a quiet-skip, whatever their bytes, bool[n].

    Told by what a quiet-skip does: the loop runs on at least twice as fast as it sends, and there is nothing to hear.
    A frame that is dropped at the usual pace, or while sound plays, is none.
    """
    f = recording.frames
    none = np.zeros(f["seq"].size, bool)
    if f["sent"].all() or not period_us or none.size < 2:
        return none
    steps = np.diff(f["t_us"]) / np.maximum(np.diff(f["seq"]), 1)
    # The first skipped frame still waits for the strip: its own step is the one to the frame after it.
    hurried = np.append(steps, steps[-1]) < QUIET_PACE * period_us
    return np.asarray(~f["sent"] & hurried & _may_be_quiet(recording))


def _may_be_quiet(recording: Recording) -> npt.NDArray[np.bool_]:
    """Where the device may hear silence, bool[n]: by the level in its records, else by the sound that was played.

    Without either nothing was played, and nothing speaks against silence.
    """
    f = recording.frames
    n = f["seq"].size
    if "audio_level" in f:
        low = (f["audio_level"] < QUIET_LEVEL).astype(np.int64)
        run = np.convolve(low, np.ones(QUIET_FRAMES, np.int64))[:n]
        return np.asarray(run == np.minimum(np.arange(n) + 1, QUIET_FRAMES))
    fit = recording.clock_fits.get("device")
    if recording.audio is None or fit is None:
        return np.ones(n, bool)
    audio = recording.audio
    block = round(_HUSH_S * audio.rate_hz)
    padded = np.concatenate([np.abs(audio.samples), np.zeros(-audio.samples.size % block)])
    # Before and after the sound there is none.
    loud = np.concatenate([[False], padded.reshape(-1, block).mean(axis=1) >= QUIET_LEVEL, [False]])
    at = np.floor((np.asarray(fit.to_host(f["t_us"])) - audio.start_ns) / (block * 1e9 / audio.rate_hz)).astype(int) + 1
    back = range(round(_NOTICES_S / _HUSH_S) + 1)
    return np.asarray(~np.all([loud[np.clip(at - k, 0, loud.size - 1)] for k in back], axis=0))


def rendered_fps(recording: Recording) -> float:
    """Rendered frames per second of device time, sent or not, told or not; 0 with fewer than two records."""
    seq, t_us = recording.frames["seq"], recording.frames["t_us"]
    span = float(t_us[-1] - t_us[0]) if seq.size > 1 else 0.0
    return float(seq[-1] - seq[0]) * 1e6 / span if span > 0 else 0.0


def pacing_metrics(recording: Recording) -> list[Metric]:
    """Frames rendered and sent, the tail of the intervals, late and lost frames. Empty when it holds no frames."""
    intervals = sent_intervals_us(recording)
    if intervals.size < 16:
        return []
    told = fates(recording)
    values = [
        ("fps_rendered", rendered_fps(recording), "1/s", "none"),
        ("frame_interval_us_p95", float(np.percentile(intervals, 95)), "us", "lower"),
        ("frame_interval_us_max", float(intervals.max()), "us", "lower"),
        ("frames_late", float(told.late.size), "", "lower"),
        ("frames_lost", float(told.lost.size), "", "lower"),
        ("frames_quiet", float(told.quiet.size), "", "none"),
    ]
    n = recording.n_frames
    out = []
    for name, value, unit, direction in values:
        made = _metric(recording, name, Estimate(value, value, value, 1), unit, cast(Direction, direction))
        out.append(replace(made, n=n))
    return out


def _metric(recording: Recording, name: str, estimate: Estimate, unit: str, direction: Direction) -> Metric:
    return Metric(
        name,
        round(estimate.value, 4),
        unit,
        direction,
        estimate.n,
        "telemetry",
        recording.meta.get("provenance", "simulated"),
        ci95=(round(estimate.low, 4), round(estimate.high, 4)) if estimate.n > 1 else None,
        pattern=recording.meta.get("pattern") or "",
        detail=conditions(recording) | ({"resolution": STAMP_US} if unit == "us" else {}),
    )


def conditions(recording: Recording) -> dict[str, Any]:
    """What must be equal, or at least known, when two values are compared: cost model, seed, stimulus, current cap."""
    meta = recording.meta
    wanted = {
        "cost_model": meta.get("cost_model") or "",
        "seed": meta.get("seed"),
        "stimulus": (meta.get("stimulus") or {}).get("name"),
        "seconds": meta.get("seconds"),
        "led_current_limit_a": meta.get("led_current_limit_a"),
        "capped_frames": meta.get("capped_frames"),
    }
    return {key: value for key, value in wanted.items() if value is not None}


def _mean(values: Array) -> float:
    return float(values.mean())


def _p50(values: Array) -> float:
    return float(np.median(values))


def _p95(values: Array) -> float:
    return float(np.percentile(values, 95))


def _p99(values: Array) -> float:
    return float(np.percentile(values, 99))
