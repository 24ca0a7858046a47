"""What the light does after a command: how long it takes, and how bright it gets.

A recording keeps when each command was sent and answered (``meta["commands"]``), on the host's clock, the same that the
light is told on: no clock of the device takes part where the rig has a tap on its strips.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.analysis.frames import conditions
from harness.analysis.latency.results import LED_MS
from harness.analysis.light.seen import drive_of
from harness.analysis.pixels import LUMINANCE, light, luminance, shown
from harness.analysis.stats import Estimate, t95
from harness.metric import Direction, Metric
from harness.recording import Recording

Floats = npt.NDArray[np.float64]

# The level before a command, and the one it brings about, in the last stretch before it and before the next one.
_SETTLED_MS = 60.0
# After the last command light is waited for as long as this.
_LAST_MS = 300.0
# A command that moves light by less than this share of the usual step was not answered.
_LEAST_STEP = 0.3
# A camera's stamps may be late by so much; pictures until then may show the light before the command.
_CAMERA_MS = 200.0
_LEAST_LEVEL = 0.1


class CommandLatency(NamedTuple):
    """From sending a command to LED 0 passing the middle of the step it asks for, ms.

    Attributes:
        latency_ms: of each answered command, float64[n]; mean with its 95 % interval.
        answer_ms: until the device had answered, median over all commands.
        missed: commands the light did not answer before the next one.
        clock_ms: bound on what a device clock may add (0 from a tap).
        source: ``wire`` or ``telemetry``.
    """

    latency_ms: Floats
    mean: Estimate
    answer_ms: float
    missed: int
    clock_ms: float
    source: str


def command_latency(recording: Recording) -> CommandLatency | None:
    """Times each command that changes the light; None when the light answers fewer than three.

    Raises:
        ValueError: no commands, or no pixels.
    """
    sent_ms, answered_ms = _instants(recording)
    at_ns, rgb = shown(recording)
    if not at_ns.size:
        raise ValueError("the recording has no pixels")
    origin = int(recording.meta["t0_ns"])
    at_ms, level = (at_ns - origin) / 1e6 + LED_MS, luminance(rgb)[:, 0].astype(np.float64)
    ends = np.append(sent_ms[1:], min(sent_ms[-1] + _LAST_MS, at_ms[-1]))
    before, after = (np.array([_settled(at_ms, level, at) for at in edge]) for edge in (sent_ms, ends))
    step = after - before
    usual = float(np.nanmedian(np.abs(step)))
    found = np.full(sent_ms.size, np.nan)
    for k, (at, end) in enumerate(zip(sent_ms, ends, strict=True)):
        if usual > 0 and abs(step[k]) >= _LEAST_STEP * usual:
            inside = (at_ms > at) & (at_ms < end)
            past = (level - (before[k] + after[k]) / 2) * np.sign(step[k]) >= 0
            hits = np.flatnonzero(inside & past)
            found[k] = at_ms[hits[0]] - at if hits.size else np.nan
    good = found[np.isfinite(found)]
    if good.size < 3:
        return None
    half = t95(good.size - 1) * float(good.std(ddof=1)) / good.size**0.5
    mean = float(good.mean())
    tapped = recording.wire is not None and recording.wire["host_ns"].size > 0
    fit = recording.clock_fits.get("device")
    clock_ms = 0.0 if tapped or fit is None else (fit.asymmetry_ns + fit.stat_ns) / 1e6
    return CommandLatency(
        good, Estimate(mean, mean - half, mean + half, int(good.size)), float(np.median(answered_ms - sent_ms)),
        int(sent_ms.size - good.size), clock_ms, "wire" if tapped else "telemetry",
    )  # fmt: skip


def command_metrics(recording: Recording, found: CommandLatency) -> list[Metric]:
    """Mean, longest, and how many were not answered."""
    about = {
        "clock_bound_ms": round(found.clock_ms, 4), "answer_ms": round(found.answer_ms, 3),
        "each_ms": found.latency_ms.round(3).tolist(),
    }  # fmt: skip
    n, longest = found.mean.n, float(found.latency_ms.max())
    interval = (round(found.mean.low, 4), round(found.mean.high, 4))
    made = _Maker(recording, found.source, about)
    return [
        made("command_to_light_ms_mean", round(found.mean.value, 4), "ms", "lower", n, interval),
        made("command_to_light_ms_max", round(longest, 4), "ms", "lower", n),
        made("commands_missed", float(found.missed), "", "lower", n + found.missed),
    ]


class BrightnessCurve(NamedTuple):
    """Light at each commanded brightness, relative to that at the highest.

    Attributes:
        level: float64[k], brightness asked for, ascending; light: float64[k], 1 at the last.
        exponent: slope of log light over log level, of levels above 0.1; half_width: of its 95 % interval.
        source: ``camera``, ``wire`` or ``telemetry``.
    """

    level: Floats
    light: Floats
    exponent: float
    half_width: float
    source: str

    def apart(self, wanted: Floats) -> float:
        """Largest distance from a wanted curve (light at each level, 1 at the last), in full light."""
        return float(np.abs(self.light - wanted).max())


def brightness_curve(recording: Recording, *, camera: bool = True) -> BrightnessCurve | None:
    """Light settled after each command that sets ``brightness``; None when the strip stays dark.

    Args:
        camera: read the light itself where a camera saw it; otherwise the bytes.

    Raises:
        ValueError: fewer than three different levels were asked for, or nothing shows the light.
    """
    sent_ms, _ = _instants(recording)
    asked = [float(row["what"].get("brightness", np.nan)) for row in recording.meta["commands"]]
    seen = _camera_light(recording) if camera else None
    at_ms, level, source = _byte_light(recording) if seen is None else (*seen, "camera")
    wait_ms = _CAMERA_MS if source == "camera" else _SETTLED_MS
    values: dict[float, list[float]] = {}
    for brightness, at, end in zip(asked, sent_ms, np.append(sent_ms[1:], at_ms[-1]), strict=True):
        inside = (at_ms >= max(at + wait_ms, end - wait_ms)) & (at_ms < end) & np.isfinite(level)
        if np.isfinite(brightness) and inside.any():
            values.setdefault(brightness, []).append(float(np.median(level[inside])))
    if len(values) < 3:
        raise ValueError("a brightness curve needs at least three different levels that were shown")
    asked_levels = np.array(sorted(values))
    got = np.array([np.mean(values[b]) for b in asked_levels])
    if got[-1] <= 0.002:
        return None
    share = got / got[-1]
    fit = (asked_levels > _LEAST_LEVEL) & (share > 0)
    x, y = np.log(asked_levels[fit] / asked_levels[-1]), np.log(share[fit])
    slope = float(x @ y / (x @ x)) if fit.sum() > 1 else np.nan
    if not np.isfinite(slope):
        return None
    free = max(int(fit.sum()) - 2, 1)
    half = t95(free) * float(np.sqrt(((y - slope * x) ** 2).sum() / free / (x @ x)))
    return BrightnessCurve(asked_levels, share, slope, half, source)


def brightness_metrics(recording: Recording, curve: BrightnessCurve, wanted: Floats) -> list[Metric]:
    """Exponent of the curve, and how far it is from the wanted one; ``detail`` holds both curves."""
    about = {
        "level": curve.level.round(4).tolist(), "light": curve.light.round(5).tolist(),
        "wanted": np.asarray(wanted).round(5).tolist(),
    }  # fmt: skip
    made, n = _Maker(recording, curve.source, about), curve.level.size
    interval = (round(curve.exponent - curve.half_width, 4), round(curve.exponent + curve.half_width, 4))
    return [
        made("brightness_exponent", round(curve.exponent, 4), "", "none", n, interval),
        made("brightness_apart", round(curve.apart(wanted), 5), "", "lower", n),
    ]


def _instants(recording: Recording) -> tuple[Floats, Floats]:
    rows = recording.meta.get("commands") or []
    if not rows:
        raise ValueError("nothing was asked of the device while it was recorded")
    origin = int(recording.meta["t0_ns"])
    told = np.array([[row["sent_ns"] - origin, row["answered_ns"] - origin] for row in rows]) / 1e6
    return told[:, 0], told[:, 1]


def _settled(at_ms: Floats, level: Floats, before_ms: float) -> float:
    first, last = np.searchsorted(at_ms, (before_ms - _SETTLED_MS, before_ms))
    return float(np.median(level[first:last])) if last > first else float("nan")


def _byte_light(recording: Recording) -> tuple[Floats, Floats, str]:
    at_ns, rgb = shown(recording)
    if not at_ns.size:
        raise ValueError("the recording has neither camera light nor pixels")
    tapped = recording.wire is not None and recording.wire["host_ns"].size > 0
    at_ms = (at_ns - int(recording.meta["t0_ns"])) / 1e6
    return at_ms, light(rgb).astype(np.float64), "wire" if tapped else "telemetry"


def _camera_light(recording: Recording) -> tuple[Floats, Floats] | None:
    """Mean light of the LEDs that were never clipped; None without a camera, or where half of them were."""
    if recording.light is None or not recording.light.host_ns.size:
        return None
    drive = drive_of(recording.light) @ LUMINANCE.astype(np.float64)
    good = np.isfinite(drive).all(axis=0)
    if good.mean() < 0.5:
        return None
    return (recording.light.host_ns - int(recording.meta["t0_ns"])) / 1e6, drive[:, good].mean(axis=1)


class _Maker:
    """Metrics of one recording and source."""

    def __init__(self, recording: Recording, source: str, about: dict[str, Any]) -> None:
        self._meta = recording.meta
        self._source = source
        self._about = {**conditions(recording), **about}

    def __call__(
        self, name: str, value: float, unit: str, direction: Direction, n: int,
        interval: tuple[float, float] | None = None,
    ) -> Metric:  # fmt: skip
        provenance = self._meta.get("provenance", "simulated")
        pattern = self._meta.get("pattern") or ""
        return Metric(
            name, value, unit, direction, n, self._source, provenance, ci95=interval, pattern=pattern,
            detail=self._about,
        )  # fmt: skip
