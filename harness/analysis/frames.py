"""Frame pacing and the time each stage of a frame takes, from the device's per-frame records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from harness.analysis.stats import Array, Estimate, batch_estimate
from harness.metric import Direction, Metric
from harness.recording import Recording

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


class Fates(NamedTuple):
    """What became of the frames the device rendered, told by sequence number.

    Attributes:
        late: sequence numbers of frames sent more than 1.5 periods after the one before, int64[n].
        lost: rendered and never sent although they would have changed the picture, int64[n].
        quiet: not sent because the strip already showed the same bytes: no fault, int64[n].
    """

    late: npt.NDArray[np.int64]
    lost: npt.NDArray[np.int64]
    quiet: npt.NDArray[np.int64]


def fates(recording: Recording, period_us: float | None = None) -> Fates:
    """Sorts the frames of a recording.

    Args:
        period_us: what is asked of the device; default: the median interval.
    """
    f = recording.frames
    quiet = _quiet(recording)
    lost = f["seq"][~f["sent"] & ~quiet]
    # A quiet skip leaves a pause that nobody can see: the frame after it is not late.
    shown = f["sent"] | quiet
    seq, t_us = f["seq"][shown], f["t_us"][shown]
    steps = np.diff(t_us)
    if not steps.size:
        return Fates(seq[:0], lost, f["seq"][quiet])
    period = float(np.median(steps)) if period_us is None else period_us
    # Where records are missing, a wait cannot be told from a frame nobody told us of.
    missing = np.isin(seq[1:] - 1, f["seq"], invert=True)
    late = (steps > LATE_PERIODS * period) & ~missing
    return Fates(seq[1:][late], lost, f["seq"][quiet])


def _quiet(recording: Recording) -> npt.NDArray[np.bool_]:
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
        ("frame_interval_us_p95", float(np.percentile(intervals, 95)), "us", "none"),
        ("frame_interval_us_max", float(intervals.max()), "us", "none"),
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
