"""``k1hil calibrate camera``: positions, response and colours of a rig's camera, kept beside the rig's file."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console as Screen
from rich.markup import escape

from harness.cli_results import JSON, RIG, RIG_DIR

if TYPE_CHECKING:
    from harness.rig.camera_calibration import Calibration

_screen = Screen()


def camera(
    rig: str = RIG,
    picture: Path | None = typer.Option(None, help="where the overlay picture goes (default: beside the file)"),
    check: bool = typer.Option(False, "--check", help="only look whether the calibration still holds"),
    seed: int | None = typer.Option(None, help="of a virtual board's randomness"),
    rig_dir: Path | None = RIG_DIR,
    as_json: bool = JSON,
) -> None:
    """Finds all LEDs in the camera's picture and learns how light becomes video. Takes about 40 s of device time."""
    from harness.pipeline.build import build
    from harness.rig import open_rig
    from harness.rig.camera import calibrate, calibration_path, recall
    from harness.rig.config import chosen_rig, chosen_rig_dir

    name, folder = chosen_rig(rig), chosen_rig_dir(rig_dir)
    path = calibration_path(folder, name)
    with open_rig(name, folder, seed=seed, owner="k1hil calibrate camera") as opened:
        if opened.config.kind == "virtual":
            opened.flash(build("sim"))
        if check:
            found = recall(opened, path)
            print(json.dumps(asdict(found)) if as_json else found.text)
            return

        def progress(text: str) -> None:
            if not as_json:
                print(text, flush=True)

        calibration, lit = calibrate(opened, path, progress)
    from harness.report.overlay import write_overlay

    picture = picture or path.with_suffix(".png")
    write_overlay(picture, lit, calibration.leds)
    result = summary(calibration) | {"file": str(path), "picture": str(picture)}
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        _show(result)


def summary(c: Calibration) -> dict[str, Any]:
    """What a calibration says, in plain values."""
    states = {s: len(c.leds.named(s)) for s in ("ok", "dead", "doubtful", "swapped", "unseen")}
    return {
        "leds": states, "notes": list(c.leds.notes), "warnings": list(c.warnings),
        "pitch_px": round(c.leds.pitch, 2), "fps": round(c.fps, 3),
        "row_us": round(c.row_ns / 1e3, 2) if math.isfinite(c.row_ns) else None,
        "colour_mean_de": round((c.video or c.colour).mean_de, 2),
        "colour_p95_de": round((c.video or c.colour).p95_de, 2),
        "reference_led": list(c.reference) if c.reference else None,
    }  # fmt: skip


def _show(result: dict[str, Any]) -> None:
    leds = ", ".join(f"{n} {state}" for state, n in result["leds"].items() if n)
    row = "unknown (strips span too few rows)" if result["row_us"] is None else f"{result['row_us']} us"
    _screen.print(f"LEDs: {leds}; {result['pitch_px']} px apart; camera {result['fps']} frames/s, row time {row}")
    _screen.print(f"colour: CIEDE2000 mean {result['colour_mean_de']}, p95 {result['colour_p95_de']} on unseen colours")
    for text in result["notes"] + result["warnings"]:
        _screen.print(f"[yellow]{escape(text)}[/]")
    _screen.print(f"wrote {result['file']} and {result['picture']}")
