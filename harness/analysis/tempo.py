"""Tempo: as the device reports it, and as its light shows it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.analysis.pixels import light, shown
from harness.recording import Recording


def reported_bpm(recording: Recording, last_s: float = 4.0) -> float | None:
    """Median tempo of the beats reported in the last seconds of device time; None without beats there."""
    beats = [event for event in recording.events if event.get("kind") == "beat"]
    if not beats:
        return None
    end = max(int(recording.frames["t_us"][-1]) if recording.n_frames else 0, int(beats[-1]["t_us"]))
    late = [float(beat["bpm"]) for beat in beats if int(beat["t_us"]) >= end - last_s * 1e6]
    return float(np.median(late)) if late else None


def beat_times_s(recording: Recording) -> npt.NDArray[np.float64]:
    """Reported beats in seconds from the first sample of the stimulus, float64[n].

    Raises:
        ValueError: no sound or no clock fit in the recording.
    """
    fit = recording.clock_fits.get("device")
    if fit is None or recording.audio is None:
        raise ValueError("beat times need sound and a clock fit")
    stamps = [int(event["t_us"]) for event in recording.events if event.get("kind") == "beat"]
    if not stamps:
        return np.zeros(0)
    host = np.atleast_1d(fit.to_host(np.array(stamps, dtype=np.int64)))
    return np.asarray((host - recording.audio.start_ns) / 1e9, dtype=np.float64)


def light_bpm(recording: Recording, least: float = 50.0, most: float = 150.0, rate_hz: float = 200.0) -> float | None:
    """Tempo of the light: the lag at which its rises repeat best.

    The rises of mean luminance (negative steps set to 0) are resampled evenly and autocorrelated; the shortest of the
    strongest lags between both limits wins, refined by a parabola.

    Returns:
        Beats per minute, or None when nothing repeats (correlation below 0.2, or less than four seconds).
    """
    times, rgb = shown(recording)
    if len(rgb) < 16 or (times[-1] - times[0]) < 4e9:
        return None
    seconds = (times - times[0]) / 1e9
    even = np.arange(0.0, seconds[-1], 1 / rate_hz)
    level = np.interp(even, seconds, light(rgb))
    rises = np.maximum(np.diff(_running_mean(level, 5)), 0.0)
    rises = rises - rises.mean()
    power = float(rises @ rises)
    if power < 1e-12:
        return None
    lags = np.arange(int(rate_hz * 60 / most), int(np.ceil(rate_hz * 60 / least)) + 1)
    scores = np.array([rises[lag:] @ rises[:-lag] / power * rises.size / (rises.size - lag) for lag in lags])
    if scores.max() < 0.2:
        return None
    # Twice the period fits nearly as well: of the good lags that are peaks, the shortest.
    high = scores >= 0.85 * scores.max()
    peaks = np.flatnonzero(high & (scores >= np.roll(scores, 1)) & (scores >= np.roll(scores, -1)))
    best = int(peaks[0]) if peaks.size else int(np.argmax(scores))
    shift = 0.0
    if 0 < best < lags.size - 1:
        before, peak, after = scores[best - 1 : best + 2]
        curve = before - 2 * peak + after
        shift = 0.5 * (before - after) / curve if curve != 0 else 0.0
    return float(60.0 * rate_hz / (lags[best] + shift))


def _running_mean(values: npt.NDArray[np.float64], width: int) -> npt.NDArray[np.float64]:
    return np.convolve(values, np.ones(width) / width, mode="same")
