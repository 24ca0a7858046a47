"""Specifications all the way: C++, firmware, a device, light, a verdict."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from harness import signals
from harness.analysis.frames import fps
from harness.analysis.pixels import lit_share, mirror_error, shown
from harness.errors import DutFailure
from harness.pipeline.patterns.generate import Generated, build_generated, generate_specs
from harness.pipeline.patterns.judge import Check, Outcome, judge_layer, outcome
from harness.pipeline.patterns.spec import FADERS, Layer, PatternSpec, load_spec
from harness.recording import Recording
from harness.rig import open_rig
from harness.rig.config import chosen_rig, chosen_rig_dir, load_config
from harness.rig.rig import Rig
from harness.rig.seeds import fresh_seed
from harness.signals.bands import band_steps

# What would blur or hide a single layer; everything else stands at its default.
BARE = {"softness": 0.0, "brightness_floor": 0.0}
STEP_S = 0.4
LEAST_REPEATS = 4
WHOLE_S = 1.5
CLICK_BPM = 120.0
CLICK_S = 14.0  # a tempo is sure after some seconds; the rest is looked at
LEAST_FPS = 100.0
RESULT_FILE = "trial.json"
CHIP_ENV = "esp32-s3-devkitc-1"


@dataclass(frozen=True)
class PatternResult:
    """One pattern: every check, and the worst of them as the verdict."""

    id: str
    verdict: Outcome
    checks: list[Check]
    spec_sha256: str

    @property
    def failures(self) -> list[Check]:
        """What was wrong."""
        return [c for c in self.checks if c.passed is False]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        checks = [c.to_json() for c in self.checks]
        return {"id": self.id, "verdict": self.verdict, "spec_sha256": self.spec_sha256, "checks": checks}


@dataclass(frozen=True)
class Trial:
    """What became of the specifications.

    Attributes:
        verdict: ``fail`` if any pattern failed, ``inconclusive`` if any was, else ``pass``.
        firmware_sha256: of the image that ran.
        image: that image.
        seed: of stimuli and of a virtual board.
    """

    verdict: Outcome
    patterns: list[PatternResult]
    rig: str
    provenance: Literal["simulated", "hardware"]
    seed: int
    firmware_sha256: str
    image: Path
    generated: Generated
    seconds: dict[str, float] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "verdict": self.verdict, "patterns": [p.to_json() for p in self.patterns], "rig": self.rig,
            "provenance": self.provenance, "seed": self.seed, "firmware_sha256": self.firmware_sha256,
            "image": str(self.image), "generated": self.generated.to_json(), "seconds": self.seconds,
        }  # fmt: skip


def try_patterns(
    specs: Sequence[PatternSpec | Path],
    out_dir: Path,
    *,
    rig: str | None = None,
    rig_dir: Path | None = None,
    seed: int | None = None,
    root: Path | None = None,
    tell: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
    keep_recordings: bool = False,
) -> Trial:
    """Generates, builds, flashes, records and judges; the result also lies in ``out_dir/trial.json``.

    Args:
        specs: specifications, or their files; all go into one firmware.
        out_dir: sources in ``source/``, firmware in ``firmware/``.
        rig: default ``K1HIL_RIG``, else ``sim``.
        rig_dir: folder of rig files.
        seed: of stimuli and of a virtual board; default drawn afresh.
        root: checkout; default: the one around the working directory.
        tell: gets a line about every step.
        cancel: ends a build when set.
        keep_recordings: also writes every recording to ``recordings/``.

    Raises:
        SpecInvalid: a mistake in a specification.
        BuildFailed: the generated source does not compile.
        DutFailure, RigFault: the device or the rig is at fault.
    """
    say = tell or (lambda _line: None)
    read = [load_spec(Path(s)) if isinstance(s, Path | str) else s for s in specs]
    name = chosen_rig(rig)
    config = load_config(name, chosen_rig_dir(rig_dir))
    seed = fresh_seed() if seed is None else seed
    started = time.monotonic()
    generated = generate_specs(read, out_dir / "source", root=root)
    say(f"generated {len(read)} patterns in {generated.folder}")
    env = "sim" if config.simulated else CHIP_ENV
    bundle = build_generated(generated, out_dir / "firmware", env=env, root=root, cancel=cancel)
    built_s = time.monotonic() - started
    say(f"built {bundle.path} ({bundle.sha256[:12]}) in {built_s:.0f} s")
    kept = out_dir / "recordings" if keep_recordings else None
    simulated_seed = seed if config.kind == "virtual" else None
    with open_rig(name, rig_dir, folder=out_dir / "logs", seed=simulated_seed, owner="k1hil pattern try") as opened:
        opened.flash(bundle)
        results = []
        for spec in read:
            results.append(_try_one(opened, spec, seed, kept))
            say(_line(results[-1]))
        provenance = opened.provenance
    seconds = {"build": round(built_s, 1), "judge": round(time.monotonic() - started - built_s, 1)}
    trial = Trial(_worst([r.verdict for r in results]), results, name, provenance, seed, bundle.sha256, bundle.path,
                  generated, seconds)  # fmt: skip
    _write(out_dir / RESULT_FILE, trial)
    return trial


def _worst(verdicts: Sequence[Outcome]) -> Outcome:
    return "fail" if "fail" in verdicts else "inconclusive" if "inconclusive" in verdicts else "pass"


def _line(result: PatternResult) -> str:
    wrong = [f"layer {c.layer} {c.name} {c.measured:g} {c.unit}" for c in result.failures if c.measured is not None]
    tail = f"; wrong: {', '.join(wrong)}" if wrong else ""
    return f"{result.id}: {result.verdict}, {len(result.checks)} checks{tail}"


def _write(path: Path, trial: Trial) -> None:
    new = path.with_name(path.name + ".new")
    new.write_text(json.dumps(trial.to_json(), indent=1) + "\n", encoding="utf-8")
    os.replace(new, path)


def _try_one(rig: Rig, spec: PatternSpec, seed: int, kept: Path | None) -> PatternResult:
    rig.telemetry.command("reset")
    for name, value in BARE.items():
        rig.telemetry.param(name, value)
    _raise_only(rig, None)
    checks = _whole(rig, spec, kept)
    for number, layer in enumerate(spec.layers, 1):
        _raise_only(rig, number)
        recordings = _record_layer(rig, spec, number, layer, seed)
        if kept is not None:
            for what, recording in recordings.items():
                recording.save(kept / f"{spec.id}-{number}-{what}")
        checks += judge_layer(spec, number, recordings)
    rig.telemetry.command("reset")
    return PatternResult(spec.id, outcome(checks), checks, spec.sha256)


def _raise_only(rig: Rig, number: int | None) -> None:
    """The fader of one layer at its default, the others down; None: all at their default."""
    for n in range(1, FADERS + 1):
        rig.telemetry.param(f"custom_param_{n}", 0.5 if number in (None, n) else 0.0)


def _whole(rig: Rig, spec: PatternSpec, kept: Path | None) -> list[Check]:
    """All layers together, under music: lit, mirrored, in time, listed as listening or not."""
    music = signals.four_on_floor(120.0, WHOLE_S)
    recording = rig.record(music, WHOLE_S, pattern=spec.id)
    if kept is not None:
        recording.save(kept / f"{spec.id}-whole")
    rgb = shown(recording)[1]
    lit, mirror, rate = lit_share(rgb), float(mirror_error(rgb)), fps(recording)
    declared = _declared(rig, spec.id)
    return [
        Check("lit share", 0, round(lit, 4), 1.0, 0.5, "", lit >= 0.5, "frames with any light"),
        Check("mirror error", 0, mirror, 0.0, 1.0, "byte", mirror <= 1.0, "dither"),
        Check("frames per second", 0, round(rate, 1), LEAST_FPS, 0.0, "1/s", rate >= LEAST_FPS, "at least"),
        Check("declared reactive", 0, float(declared), float(spec.reactive), 0.0, "", declared == spec.reactive),
    ]  # fmt: skip


def _declared(rig: Rig, pattern: str) -> bool:
    """What the device's own list says."""
    for row in rig.api.patterns():
        if row.get("id") == pattern:
            return bool(row.get("audio_reactive"))
    raise DutFailure(f"the device does not list the pattern '{pattern}'", evidence="/api/patterns")


def _record_layer(rig: Rig, spec: PatternSpec, number: int, layer: Layer, seed: int) -> dict[str, Recording]:
    own = int(np.random.default_rng([seed, number, *spec.id.encode()]).integers(1 << 31))
    longest = 1.3 * layer.swell.period_s if layer.swell else 0.0
    repeats = max(LEAST_REPEATS, int(np.ceil(longest / (4 * STEP_S))))
    tones = band_steps(repeats, STEP_S, seed=own)
    found = {"bands": rig.record(tones, tones.seconds, pattern=spec.id)}
    if any(b.source == "beat" for b in layer.audio):
        clicks = signals.click_track(CLICK_BPM, CLICK_S)
        found["clicks"] = rig.record(clicks, clicks.seconds, pattern=spec.id)
    return found
