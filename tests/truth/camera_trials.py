"""Trials of the camera's measuring side: scenes drawn at random, the real firmware in view, truth from the event log.

The estimators get a rig and its frames; only what is written here reads the event log of the board.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.rig import FirmwareBundle, open_rig
from harness.rig.camera import need_camera
from harness.rig.camera_session import CameraSession

HEAD = 'kind = "virtual"\n[camera]\ndevice = "virtual"\n'


def random_scene(rng: np.random.Generator) -> tuple[dict[str, Any], list[int]]:
    """A ``[bench.camera]`` table, and LEDs that are dead on both strips: 2 % dead, 10 % room light, 5 % lost frames."""
    layout = str(rng.choice(["two_rows", "horizontal", "arc"]))
    level = float(rng.uniform(0.3, 0.7))
    scene = {
        "layout": layout,
        "width": 640 if layout == "two_rows" else 960, "height": 360 if layout == "two_rows" else 540,
        "fps": 30.0, "exposure_ms": float(rng.uniform(4, 12)), "readout_ms": float(rng.uniform(5, 25)),
        "rotation_deg": float(rng.uniform(-12, 12) + 180 * rng.integers(2)),
        "perspective": float(rng.uniform(0, 0.08)), "irregularity_px": float(rng.uniform(0, 0.3)),
        "reversed": bool(rng.random() < 0.5), "mirrored": bool(rng.random() < 0.5),
        "ambient": 0.1 * level, "led_level": level, "psf_px": float(rng.uniform(1.2, 1.7)),
        "drop": 0.05, "timestamp_jitter_ms": float(rng.uniform(0.2, 3.0)), "jpeg_quality": int(rng.integers(80, 96)),
        "response": str(rng.choice(["gamma", "s_curve", "linear"])),
    }  # fmt: skip
    return scene, sorted(int(v) for v in rng.choice(160, 3, replace=False))


def toml(scene: dict[str, Any], dead: list[int], camera: str = "") -> str:
    """The rig file's text; ``camera`` adds lines to its ``[camera]`` table."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in scene.items()]
    faults = f"[bench]\nfaults = {{ dead_leds = {dead} }}\n" if dead else ""
    return HEAD + camera + faults + "[bench.camera]\n" + "\n".join(lines) + "\n"


@dataclass
class MapTrial:
    """One map against the truth.

    Attributes:
        squares: sum of squared position errors of the LEDs called ok, in square pixels; count: of them.
        wrong: LEDs called ok that are somewhere else. missed: lit LEDs not called ok.
        dead_named: every dead LED was called dead, and no other one.
        seconds: of device time.
    """

    squares: float
    count: int
    wrong: int
    missed: int
    dead_named: bool
    seconds: float
    notes: tuple[str, ...]


def map_trial(folder: Path, seed: int, bundle: FirmwareBundle, scene: dict[str, Any], dead: list[int]) -> MapTrial:
    """Maps one scene with the built firmware on the virtual board."""
    (folder / "trial.toml").write_text(toml(scene, dead))
    log = folder / "events.jsonl"
    with open_rig("trial", folder, seed=seed, folder=folder / "log", event_log=log) as rig:
        rig.flash(bundle)
        found = CameraSession(rig, need_camera(rig)).map()
    true = np.array(events(log, "scene")[-1]["leds"], float)
    lit = np.ones((2, 160), bool)
    lit[:, dead] = False
    usable = found.leds.usable
    # Light cannot tell which strip is called A: both names are right, the better one is taken.
    error = min(
        (np.linalg.norm(found.leds.xy - one, axis=2) for one in (true, true[::-1])), key=lambda e: np.nanmedian(e)
    )[usable]
    named = set(found.leds.named("dead")) == {(s, i) for s in range(2) for i in dead}
    return MapTrial(
        float((error**2).sum()), int(usable.sum()), int((error > 0.5 * found.leds.pitch).sum()),
        int((lit & ~usable).sum()), named, found.seconds, found.leds.notes,
    )  # fmt: skip


def events(log: Path, kind: str) -> list[dict[str, Any]]:
    """Entries of one kind in a board's event log."""
    return [e for line in log.read_text().splitlines() if (e := json.loads(line))["kind"] == kind]
