"""What was learnt about a camera in front of a rig: one JSON file, and how to see that it holds no longer.

The file keeps positions of all LEDs, the camera's response, light at full white, the colour matrix, and a fingerprint:
the picture ``hil_ramp`` gave when all this was measured. Shown again before a test, the ramp tells whether the camera
was moved, its exposure changed, or an LED died.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.analysis.light.codes import LEDS
from harness.analysis.light.colour import ColourFit, Scale
from harness.analysis.light.ledmap import LedMap
from harness.analysis.light.response import Response
from harness.analysis.light.strips import STRIPS
from harness.analysis.light.traces import SPILL_REACH, Layout, TraceReader, layout
from harness.analysis.light.video_colour import VideoColour, wide_layout
from harness.errors import BadRequest

Floats = npt.NDArray[np.float64]
SCHEMA = 1
MAX_BYTES = 4 << 20
# Beyond these a calibration no longer holds.
MOVED_PX, CHANGED_LIGHT, CHANGED_LEDS = 0.35, 0.12, 0.05
STATES = ("ok", "dead", "doubtful", "swapped", "unseen")


@dataclass(frozen=True)
class Calibration:
    """A calibrated camera.

    Attributes:
        leds: positions and states.
        response: of the camera.
        window: width of the trace windows in pixels.
        spill: float64[2, 160, 160], see :func:`harness.analysis.light.traces.measure_spill`.
        colour: camera light to drive.
        dark: float64[2, 160, 3], light of the room in each LED's window.
        fps: camera frames per second, measured. exposure_ms: as the camera reports it, or None.
        row_ns: row time, nan when it could not be measured; row_error_ns its standard error.
        settings: of the camera as read back.
        warnings: what did not take, and what is unusual.
        ramp_light: float64[2, 160], light of the fingerprint picture; ramp_xy: float64[2, 160, 2] centres in it.
        device: which camera, which firmware: text for people.
        reference: (x, y) of the reference LED, or None.
        video: colours of still pictures; None in files that were written without.
    """

    leds: LedMap
    response: Response
    window: float
    spill: Floats
    colour: ColourFit
    dark: Floats
    fps: float
    exposure_ms: float | None
    row_ns: float
    row_error_ns: float
    settings: dict[str, float]
    warnings: tuple[str, ...]
    ramp_light: Floats
    ramp_xy: Floats
    device: dict[str, str]
    reference: tuple[float, float] | None = None
    video: VideoColour | None = None

    def wide(self) -> Layout:
        """Windows of :attr:`video`."""
        return wide_layout(self.leds.xy, self.leds.usable, self.leds.width, self.leds.height, self.leds.pitch)

    def reader(self) -> TraceReader:
        """Reads the light of the LEDs from this camera's frames."""
        where = layout(self.leds.xy, self.leds.usable, self.leds.width, self.leds.height, self.window)
        return TraceReader(where, self.response)


# ---- file ------------------------------------------------------------------------------------------


def save(calibration: Calibration, path: Path) -> None:
    """Writes the file, whole or not at all."""
    text = json.dumps(to_json(calibration), allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        work.write_text(text + "\n", encoding="utf-8")
        work.replace(path)
    finally:
        work.unlink(missing_ok=True)


def load(path: Path) -> Calibration:
    """Reads a file back.

    Raises:
        BadRequest: no calibration, of another schema, or damaged.
    """
    if not path.is_file():
        raise BadRequest(f"there is no camera calibration {path}", remedy="k1hil calibrate camera")
    if path.stat().st_size > MAX_BYTES:
        raise BadRequest(f"{path} is too large for a calibration", expected=f"at most {MAX_BYTES} bytes")
    try:
        head = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadRequest(f"{path} is not JSON", got=str(error)) from error
    if not isinstance(head, dict) or head.get("schema") != SCHEMA or head.get("kind") != "camera calibration":
        raise BadRequest(f"{path} is not a camera calibration of schema {SCHEMA}", remedy="k1hil calibrate camera")
    try:
        return _from_json(head)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise BadRequest(f"{path} is damaged", got=repr(error), remedy="k1hil calibrate camera") from error


def to_json(c: Calibration) -> dict[str, Any]:
    """Plain values; unknown numbers are null."""
    near = np.array([[[_at(c.spill[s, i], i + k) for k in range(-SPILL_REACH, SPILL_REACH + 1)] for i in range(LEDS)]
                     for s in range(STRIPS)])  # fmt: skip
    return {
        "kind": "camera calibration", "schema": SCHEMA, "device": c.device,
        "width": c.leds.width, "height": c.leds.height, "strips": c.leds.strips,
        "pitch": c.leds.pitch, "spot": _number(c.leds.spot), "window": c.window,
        "xy": _rows(c.leds.xy, 4), "state": [list(row) for row in c.leds.state], "notes": list(c.leds.notes),
        "response": {"table": _rows(c.response.table, 6), "highest": list(c.response.highest),
                     "residual": c.response.residual},
        "spill": _rows(near, 5),
        "colour": {"white": _rows(c.colour.scale.white, 6), "tone": _rows(c.colour.scale.tone, 5),
                   "matrix": _rows(c.colour.matrix, 6),
                   "mean_de": c.colour.mean_de, "p95_de": c.colour.p95_de, "samples": c.colour.samples,
                   "refused": c.colour.refused},
        "dark": _rows(c.dark, 6), "fps": c.fps, "exposure_ms": c.exposure_ms, "row_ns": _number(c.row_ns),
        "row_error_ns": _number(c.row_error_ns), "settings": c.settings, "warnings": list(c.warnings),
        "fingerprint": {"light": _rows(c.ramp_light, 6), "xy": _rows(c.ramp_xy, 4)},
        "reference": list(c.reference) if c.reference else None,
        "video": _video_rows(c.video) if c.video else None,
    }  # fmt: skip


def _video_rows(video: VideoColour) -> dict[str, Any]:
    return {
        "level": _rows(video.level, 6), "curve": _rows(video.curve, 3), "dark": _rows(video.dark, 3),
        "matrix": _rows(video.matrix, 6), "mean_de": video.mean_de, "p95_de": video.p95_de,
    }  # fmt: skip


def _video(rows: dict[str, Any] | None) -> VideoColour | None:
    if rows is None:
        return None
    level = _array(rows["level"], (-1,))
    return VideoColour(
        level, _array(rows["curve"], (level.size, STRIPS, LEDS, 3)), _array(rows["dark"], (STRIPS, LEDS, 3)),
        _array(rows["matrix"], (3, 3)), float(rows["mean_de"]), float(rows["p95_de"]),
    )  # fmt: skip


def _from_json(head: dict[str, Any]) -> Calibration:
    xy = _array(head["xy"], (STRIPS, LEDS, 2))
    state = tuple(tuple(str(s) for s in row) for row in head["state"])
    if [len(row) for row in state] != [LEDS] * STRIPS or any(s not in STATES for row in state for s in row):
        raise ValueError("states do not fit")
    leds = LedMap(
        xy, state, tuple(map(str, head["notes"])), float(head["pitch"]), _float(head["spot"]), int(head["strips"]),
        int(head["width"]), int(head["height"]),
    )  # fmt: skip
    table = head["response"]
    high = [float(v) for v in table["highest"]]
    response = Response(_array(table["table"], (3, 256)), (high[0], high[1], high[2]), float(table["residual"]))
    near = _array(head["spill"], (STRIPS, LEDS, 2 * SPILL_REACH + 1))
    spill = np.zeros((STRIPS, LEDS, LEDS))
    for k in range(-SPILL_REACH, SPILL_REACH + 1):
        i = np.arange(max(-k, 0), min(LEDS - k, LEDS))
        spill[:, i, i + k] = near[:, i, k + SPILL_REACH]
    fit = head["colour"]
    colour = ColourFit(
        Scale(_array(fit["white"], (STRIPS, LEDS, 3)), _array(fit["tone"], (STRIPS, LEDS, 3, 2))),
        _array(fit["matrix"], (3, -1)), float(fit["mean_de"]),
        float(fit["p95_de"]), int(fit["samples"]), int(fit["refused"]),
    )  # fmt: skip
    exposure, reference, mark = head["exposure_ms"], head["reference"], head["fingerprint"]
    return Calibration(
        leds, response, float(head["window"]), spill, colour, _array(head["dark"], (STRIPS, LEDS, 3)),
        float(head["fps"]), None if exposure is None else float(exposure), _float(head["row_ns"]),
        _float(head["row_error_ns"]), {str(k): float(v) for k, v in head["settings"].items()},
        tuple(map(str, head["warnings"])), _array(mark["light"], (STRIPS, LEDS)), _array(mark["xy"], (STRIPS, LEDS, 2)),
        {str(k): str(v) for k, v in head["device"].items()},
        (float(reference[0]), float(reference[1])) if reference else None, _video(head.get("video")),
    )  # fmt: skip


def _at(row: Floats, i: int) -> float:
    return float(row[i]) if 0 <= i < row.size else 0.0


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _float(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def _rows(array: Floats, digits: int) -> Any:
    """Nested lists, rounded, with None for what is unknown."""
    plain = np.round(np.asarray(array, np.float64), digits)
    objects = plain.astype(object)
    objects[~np.isfinite(plain)] = None
    return objects.tolist()


def _array(rows: Any, shape: tuple[int, ...]) -> Floats:
    array = np.array(rows, dtype=np.float64)  # None becomes nan
    if array.ndim != len(shape) or any(want not in (-1, got) for want, got in zip(shape, array.shape, strict=True)):
        raise ValueError(f"an array of shape {array.shape} where {shape} is needed")
    return array


# ---- does it still hold? ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """What the fingerprint picture says now.

    Attributes:
        holds: whether the calibration may be used.
        shift_px: largest shift of a quarter of the LEDs.
        light: median light over what it was.
        changed: share of LEDs whose light differs from the others' change.
        text: one sentence.
    """

    holds: bool
    shift_px: float
    light: float
    changed: float
    text: str


def compare(calibration: Calibration, light: Floats, xy: Floats) -> Check:
    """Compares the fingerprint picture with that of the calibration.

    Args:
        light: float64[2, 160], light of ``hil_ramp`` now. xy: float64[2, 160, 2], centres in it now.
    """
    usable = calibration.leds.usable & np.isfinite(calibration.ramp_light)
    strong = usable & (calibration.ramp_light > 0.25 * np.nanmax(np.where(usable, calibration.ramp_light, np.nan)))
    ratio = light[strong] / calibration.ramp_light[strong]
    usual = float(np.median(ratio)) if ratio.size else 0.0
    changed = float((np.abs(ratio / max(usual, 1e-9) - 1) > 2 * CHANGED_LIGHT).mean()) if ratio.size else 1.0
    shift = _largest_shift(xy - calibration.ramp_xy, strong)
    reasons = []
    if shift > MOVED_PX or changed > CHANGED_LEDS:
        reasons.append(f"the camera or the strips moved ({shift:.2f} px; {changed:.0%} of the LEDs look different)")
    if abs(usual - 1) > CHANGED_LIGHT:
        reasons.append(f"the picture is {usual:.2f} times as bright as it was (exposure, gain, supply?)")
    text = "; ".join(reasons) or f"unchanged: shift {shift:.2f} px, light {usual:.2f}"
    return Check(not reasons, shift, usual, changed, text)


def _largest_shift(moved: Floats, strong: npt.NDArray[np.bool_]) -> float:
    """Largest median shift of a quarter: both halves of both strips, so that a turn shows as well."""
    shifts = []
    for strip in range(STRIPS):
        for part in (slice(0, LEDS // 2), slice(LEDS // 2, LEDS)):
            chosen = moved[strip, part][strong[strip, part]]
            chosen = chosen[np.isfinite(chosen).all(axis=1)]
            if len(chosen) >= 5:
                shifts.append(float(np.linalg.norm(np.median(chosen, axis=0))))
    return max(shifts, default=float("inf"))
