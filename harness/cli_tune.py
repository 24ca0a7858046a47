"""``k1hil tune check | analyse | run | apply``: music in, parameters out that make patterns follow it better."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import typer
from rich.console import Console as Screen
from rich.table import Table

from harness.cli_results import JSON, RIG, RIG_DIR, show
from harness.errors import BadRequest

tune_app = typer.Typer(
    no_args_is_help=True, help="Audio tuning: parameters that follow music better than the defaults."
)

_screen = Screen()
_STORE = typer.Option(None, "--store", envvar="K1HIL_STORE", help="folder or fsspec URL (default: artifacts/)")
_FILES = typer.Argument(help="WAV, FLAC or OGG files")
MAX_RESULT_BYTES = 16 << 20


def add_to(app: typer.Typer) -> None:
    """Puts these commands into ``k1hil``."""
    app.add_typer(tune_app, name="tune")


@tune_app.command("check")
def check(files: list[Path] = _FILES, as_json: bool = JSON) -> None:
    """Says whether sound files can be tuned with, and what is wrong with the others. Exit code 4 when one cannot."""
    from harness.pipeline.tuning.clips import ClipRefused, load_clip, problem_json

    rows: list[dict[str, Any]] = []
    for path in files:
        try:
            clip = load_clip(path)
            rows.append({"file": str(path), "usable": True, "seconds": round(clip.music.seconds, 2), "problems": []})
        except ClipRefused as error:
            rows.append({"file": str(path), "usable": False, "problems": problem_json(error)})

    def table() -> Table:
        shown = Table("file", "", "what", "expected", "got", "try")
        for row in rows:
            if row["usable"]:
                shown.add_row(row["file"], "[green]usable[/]", "", "", f"{row['seconds']:g} s", "")
            for p in row["problems"]:
                shown.add_row(row["file"], f"[red]{p['fault']}[/]", p["text"], p["expected"], p["got"], p["remedy"])
        return shown

    show(rows, as_json, table)
    if not all(row["usable"] for row in rows):
        raise typer.Exit(BadRequest.exit_code)


@tune_app.command("analyse")
def analyse(files: list[Path] = _FILES, as_json: bool = JSON) -> None:
    """Measures level, dynamics, spectrum, onsets and tempo of sound files."""
    from harness.pipeline.tuning.clips import load_clip

    clips = [load_clip(path) for path in files]

    def table() -> Table:
        shown = Table("file", "s", "RMS dBFS", "crest dB", "range dB", "bass", "centroid Hz", "onsets/s", "tempo BPM")
        for clip in clips:
            m = clip.music
            shown.add_row(
                clip.name, f"{m.seconds:.1f}", f"{m.rms_dbfs:.1f}", f"{m.crest_db:.1f}", f"{m.range_db:.1f}",
                f"{m.bass:.0%}", f"{m.centroid_hz:.0f}", f"{m.onset_rate_hz:.2f}", _tempo(m.tempo),
            )  # fmt: skip
        return shown

    show([clip.to_json() for clip in clips], as_json, table)


@tune_app.command("run")
def run(
    clip: list[Path] = typer.Option(..., "--clip", help="WAV, FLAC or OGG to tune with; may be given again"),
    held_out: list[Path] = typer.Option([], "--held-out", help="others to prove it with (default: three of our own)"),
    pattern: list[str] = typer.Option(
        ..., "--pattern", help="id of a pattern that reacts to sound; may be given again"
    ),
    param: list[str] = typer.Option([], "--param", help="parameter that may change (default: all that act on sound)"),
    levels: int = typer.Option(4, min=2, max=16, help="values tried of each parameter"),
    trials: int = typer.Option(4, min=1, max=16, help="trials of each clip, in the search and again in the proof"),
    seed: int = typer.Option(1, min=0, help="of the trials"),
    name: str = typer.Option("", help="of the result in the store (default: tuned- and its SHA-256)"),
    rig: str = RIG,
    firmware: Path | None = typer.Option(None, help="flash this first (a virtual board starts blank: its own build)"),
    store: str | None = _STORE,
    rig_dir: Path | None = RIG_DIR,
    as_json: bool = JSON,
) -> None:
    """Finds parameters and keeps those that beat the defaults on clips not tuned with. Exit code 1 when none does."""
    from harness.pipeline.artifacts import ArtifactStore
    from harness.pipeline.tuning.clips import house_clips, load_clip
    from harness.pipeline.tuning.tune import TUNABLE, Plan, store_result, tune
    from harness.rig import open_rig

    plan = Plan(tuple(param) or TUNABLE, levels, trials, trials, seed)
    kept = ArtifactStore(store)
    clips = [load_clip(path) for path in clip]
    proving = [load_clip(path) for path in held_out] if held_out else house_clips()
    with open_rig(rig, rig_dir, owner="k1hil tune") as opened:
        _flash(opened, firmware)
        result = tune(opened, pattern, clips, proving, plan, tell=lambda text: print(text, file=sys.stderr, flush=True))
    artifact = store_result(kept, name, result)
    show({"stored": artifact.name, **result}, as_json, lambda: _gains(result, artifact.name))
    if not any(entry["better"] for entry in result["patterns"].values()):
        raise typer.Exit(1)


@tune_app.command("apply")
def apply(
    result: str = typer.Argument(help="name or tag in the store, or a JSON file"),
    pattern: str = typer.Option(..., "--pattern", help="which of its patterns"),
    rig: str = RIG,
    store: str | None = _STORE,
    rig_dir: Path | None = RIG_DIR,
    as_json: bool = JSON,
) -> None:
    """Selects a pattern on a running device and sets its tuned parameters, over HTTP; they last until it restarts."""
    from harness.pipeline.artifacts import ArtifactStore
    from harness.pipeline.tuning.tune import apply as put
    from harness.rig import open_rig

    if result.endswith(".json"):
        found = _read(Path(result))
    else:
        kept = ArtifactStore(store)
        found = _parsed(kept.content(kept.get("tuning", result)), result)
    with open_rig(rig, rig_dir, owner="k1hil tune apply") as opened:
        taken = put(opened, found, pattern)

    def table() -> Table:
        shown = Table("parameter", "value")
        for key, value in taken.items():
            shown.add_row(key, f"{value:g}")
        return shown

    show({"pattern": pattern, "params": taken}, as_json, table)


def _flash(rig: Any, firmware: Path | None) -> None:
    from harness.pipeline.build import build
    from harness.rig import FirmwareBundle

    if firmware is not None:
        rig.flash(FirmwareBundle.load(firmware))
    elif rig.config.kind == "virtual":
        rig.flash(build("sim"))


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file() or path.stat().st_size > MAX_RESULT_BYTES:
        raise BadRequest(f"{path} is no result of a tuning", expected=f"a file of at most {MAX_RESULT_BYTES >> 20} MiB")
    return _parsed(path.read_bytes(), str(path))


def _parsed(data: bytes, name: str) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise BadRequest(f"{name} is no result of a tuning", expected="a JSON object, as k1hil tune run keeps it")
    return value


def _gains(result: dict[str, Any], stored: str) -> Table:
    shown = Table("pattern", "parameters", "default", "tuned", "gain (95 %)", "", title=f"kept as tuning/{stored}")
    for name, entry in result["patterns"].items():
        proof = entry["proof"] or {}
        params = ", ".join(f"{k}={v:g}" for k, v in entry["params"].items()) or "defaults"
        gain = f"{proof['gain']:+.3f} ({proof['low']:+.3f} … {proof['high']:+.3f})" if proof else ""
        before, after = (f"{proof[k]:.3f}" if proof else "" for k in ("default", "tuned"))
        shown.add_row(name, params, before, after, gain, "better" if entry["better"] else entry["why"])
    return shown


def _tempo(found: Any) -> str:
    if found is None:
        return "none"
    others = " or ".join(f"{o.bpm:.1f}" for o in found.others if o.weight >= 0.5)
    return f"{found.bpm:.1f}" + (f" (or {others})" if found.ambiguous else "")
