"""What a rig's camera can measure, and how well, from its calibration: nothing is opened or shown."""

from __future__ import annotations

import math
import sys
from pathlib import Path

from harness.errors import BadRequest
from harness.rig.camera import calibration_path
from harness.rig.camera_calibration import Calibration, load
from harness.rig.config import RigConfig, chosen_rig_dir
from harness.rig.finding import Finding

CALIBRATE = "k1hil calibrate camera --rig {name}"


def camera_findings(name: str, config: RigConfig, rig_dir: Path | None = None) -> list[Finding]:
    """The camera itself, its calibration, and what follows from it."""
    camera = config.camera
    if not camera.present:
        return [Finding("camera", "absent", "this rig has no camera")]
    device = Path(f"/dev/video{camera.device}")
    if isinstance(camera.device, int) and sys.platform == "linux" and not device.exists():
        return [Finding("camera", "problem", f"{device} is not there", "is it plugged in? k1hil rig new lists cameras")]
    found = [Finding("camera", "ok", str(camera.device))]
    path = calibration_path(chosen_rig_dir(rig_dir), name)
    if not path.is_file():
        text = "not calibrated: light, colours and latency by camera cannot be measured"
        return [*found, Finding("camera calibration", "absent", text, CALIBRATE.format(name=name))]
    try:
        calibration = load(path)
    except BadRequest as error:
        return [*found, Finding("camera calibration", "problem", error.message, CALIBRATE.format(name=name))]
    return found + calibrated_findings(calibration)


def calibrated_findings(c: Calibration) -> list[Finding]:
    """What a calibrated camera measures, to which uncertainty, and why not more."""
    usable = int(c.leds.usable.sum())
    out = [
        Finding("LED light", "ok", f"{usable} of 320 LEDs, {c.leds.pitch:.1f} px apart, {c.fps:.2f} frames/s"),
        Finding("colour", "ok", f"CIEDE2000 {c.colour.mean_de:.1f} in the mean, {c.colour.p95_de:.1f} at p95"),
    ]
    if math.isfinite(c.row_ns):
        text = f"{c.row_ns / 1e3:.2f} us a row, +- {2 * c.row_error_ns / 1e3:.2f}"
        out.append(Finding("row time", "ok", text))
    else:
        text = "unknown: the strips span too few rows, or the frame counter could not be read"
        out.append(Finding("row time", "absent", text, "turn the camera so that the strips cross the picture's rows"))
    if c.reference is not None:
        out.append(Finding("latency by camera", "ok", "absolute, against the reference LED in view"))
    else:
        text = "relative only: the constant delay of the camera's stamps is unknown without a reference LED in view"
        out.append(Finding("latency by camera", "absent", text, "see docs/camera.md, reference LED"))
    out += [Finding("camera", "ok", f"note: {text}") for text in (*c.warnings, *c.leds.notes)]
    return out
