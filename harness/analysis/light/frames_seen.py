"""LED frames that a camera saw: their rate, and which of those it could see singly it did not, from ``hil_counter``."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.counter import MODULUS
from harness.analysis.frames import conditions, rendered_fps
from harness.analysis.light.counter import CounterFit, Coverage, coverage, fit_counter, read_light
from harness.metric import Direction, Metric
from harness.recording import Light, Recording

Ints = npt.NDArray[np.int64]


class SeenFrames(NamedTuple):
    """What a camera tells of the frames of ``hil_counter``.

    Attributes:
        fit: rate in LED frames per second of host time, row time, readings used.
        fps_error: ± of the rate: one count over the time between the first and the last reading.
        share: of LED frames that some exposure showed alone (the coverage); 0 where exposures are longer than frames.
        covered: sequence numbers that were sent and should have been read, int64[n].
        unseen: of these, those that were not, int64[n].
        missing: camera frames that never came: the camera's own loss, none of the above.
    """

    fit: CounterFit
    fps_error: float
    share: float
    covered: Ints
    unseen: Ints
    missing: int


def frames_seen(recording: Recording) -> SeenFrames:
    """Reads the counter in a recording's camera light and follows every frame by its number.

    Numbers are counted modulo 4096; the frame records of the same recording say which turn it is, and which frames the
    device says it never sent.

    Raises:
        ValueError: no camera, or counters that cannot be read or do not lie on a line.
    """
    seen = recording.light
    if seen is None or seen.host_ns.size < 2:
        raise ValueError("the recording has no camera light")
    readings = read_light(shares(seen), known(seen))
    rows = seen.xy[..., 1]
    fit, number = fit_counter(readings, seen.host_ns, rows, rendered_fps(recording))
    exposure_ms = seen.about.get("exposure_ms")
    if exposure_ms:
        view = coverage(readings, number, fit, seen.host_ns, rows, float(exposure_ms) * 1e6)
    else:
        view = Coverage(0.0, number[:0], number[:0])  # an unknown exposure may hide any frame
    turn = _turn(recording, number)
    sent = recording.frames["seq"][recording.frames["sent"]]
    covered, unseen = (frames[np.isin(frames, sent)] for frames in (view.covered + turn, view.unseen + turn))
    span_s = float(np.ptp(seen.host_ns[readings.frame])) / 1e9
    return SeenFrames(fit, 1.0 / span_s, view.share, covered, unseen, int(seen.about.get("missing") or 0))


def shares(light: Light) -> npt.NDArray[np.float64]:
    """Light of each LED in units of its own white, colours added up: float64[n, 2, 160]; nan where unknown."""
    white = np.where(known(light), light.white.mean(axis=2), np.nan)
    return np.asarray(light.light.mean(axis=3) / white, np.float64)


def known(light: Light) -> npt.NDArray[np.bool_]:
    """bool[2, 160]: LEDs with a place in the picture and a known white."""
    placed = np.isfinite(light.xy).all(axis=2)
    return np.asarray(placed & np.isfinite(light.white).all(axis=2) & (light.white.mean(axis=2) > 0))


def seen_metrics(recording: Recording, seen: SeenFrames) -> list[Metric]:
    """``fps_seen`` and, where single frames can be told, ``frames_unseen`` with the coverage beside it."""
    about: dict[str, Any] = {
        **conditions(recording), "coverage": round(seen.share, 4), "camera_frames_missing": seen.missing,
        "residual_counts": round(seen.fit.residual, 4),
    }  # fmt: skip
    rate = round(seen.fit.fps, 4)
    near = (round(rate - seen.fps_error, 4), round(rate + seen.fps_error, 4))
    made = [_metric(recording, "fps_seen", rate, "1/s", "none", seen.fit.used, about, near)]
    if seen.covered.size:
        count = float(seen.unseen.size)
        made.append(_metric(recording, "frames_unseen", count, "", "lower", int(seen.covered.size), about, None))
    return made


def _turn(recording: Recording, number: Ints) -> int:
    """What has to be added to unwrapped counts (a multiple of 4096) so that they are sequence numbers."""
    middle = float(np.median(recording.frames["seq"])) - float(np.median(number))
    return MODULUS * round(middle / MODULUS)


def _metric(
    recording: Recording, name: str, value: float, unit: str, direction: Direction, n: int, detail: dict[str, Any],
    interval: tuple[float, float] | None,
) -> Metric:  # fmt: skip
    provenance = recording.meta.get("provenance", "simulated")
    pattern = recording.meta.get("pattern") or ""
    return Metric(name, value, unit, direction, n, "camera", provenance, ci95=interval, pattern=pattern, detail=detail)
