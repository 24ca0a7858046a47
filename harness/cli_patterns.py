"""``k1hil pattern …``: patterns from specifications (docs/patterns.md)."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import typer
from rich.table import Table

from harness.cli_results import JSON, RIG, RIG_DIR, show
from harness.errors import BadRequest

pattern_app = typer.Typer(no_args_is_help=True, help="Patterns from YAML specifications: checked, generated, measured.")
EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 11}
_SPECS = typer.Argument(..., help="specification files (YAML)", metavar="SPEC.yaml…")


def add_to(app: typer.Typer) -> None:
    """Puts these commands into ``k1hil``."""
    app.add_typer(pattern_app, name="pattern")


@pattern_app.command("new")
def new(
    file: Path = typer.Argument(..., help="file to write, for example firmware/patterns/my_glow.yaml"),
    as_json: bool = JSON,
) -> None:
    """Writes a specification to start from; the file's name becomes the pattern's id."""
    from harness.pipeline.patterns.spec import parse_spec

    words = file.stem.replace("_", " ").capitalize()
    text = _TEMPLATE.replace("{id}", file.stem).replace("{name}", words)
    parse_spec(text, file.name)
    try:
        with open(file, "x", encoding="utf-8") as made:
            made.write(text)
    except FileExistsError as error:
        raise BadRequest(f"{file} exists", remedy="choose another name") from error
    except OSError as error:
        raise BadRequest(f"cannot write {file}", got=str(error)) from error
    show({"file": str(file)}, as_json, lambda: _rows(["written"], [[str(file)]]))


@pattern_app.command("check")
def check(specs: list[Path] = _SPECS, as_json: bool = JSON) -> None:
    """Says whether specifications are sound; every mistake with its line."""
    from harness.pipeline.patterns.spec import load_spec

    read = [load_spec(path) for path in specs]
    found = [{"file": str(p), "id": s.id, "layers": len(s.layers), "reactive": s.reactive, "sha256": s.sha256}
             for p, s in zip(specs, read, strict=True)]  # fmt: skip
    columns = ["file", "id", "layers", "reactive"]
    show(found, as_json, lambda: _rows(columns, [[str(row[c]) for c in columns] for row in found]))


@pattern_app.command("generate")
def generate(
    specs: list[Path] = _SPECS,
    out: Path = typer.Option(Path("build/patterns"), "--out", help="folder for sources and firmware"),
    build: bool = typer.Option(False, "--build", help="also build a firmware that holds them"),
    env: str = typer.Option("sim", "--env", help="build environment"),
    as_json: bool = JSON,
) -> None:
    """Makes the C++ of specifications, and with --build a firmware."""
    from harness.pipeline.patterns.generate import build_generated
    from harness.pipeline.patterns.generate import generate as make

    made = make(specs, out / "source")
    told: dict[str, Any] = made.to_json()
    if build:
        bundle = build_generated(made, out / "firmware", env=env)
        told["firmware"] = bundle.to_json()
    rows = [[s.id, str(p)] for s, p in zip(made.specs, made.sources, strict=True)]
    if build:
        rows.append(["firmware", str(told["firmware"]["path"])])
    show(told, as_json, lambda: _rows(["pattern", "file"], rows))


@pattern_app.command("try")
def try_(
    specs: list[Path] = _SPECS,
    out: Path = typer.Option(Path("build/patterns"), "--out", help="folder for sources, firmware and result"),
    seed: int | None = typer.Option(None, "--seed", help="of stimuli and virtual board (default: drawn afresh)"),
    keep: bool = typer.Option(False, "--keep-recordings", help="keep every recording"),
    rig: str = RIG,
    rig_dir: Path | None = RIG_DIR,
    as_json: bool = JSON,
) -> None:
    """Builds specifications into a firmware, runs it on a rig and measures whether they are kept.

    Exit code 0 when they are, 1 when one is not, 11 when something specified could not be measured.
    """
    from harness.pipeline.patterns.trial import try_patterns

    cancel = threading.Event()
    tell = None if as_json else typer.echo
    trial = try_patterns(
        list(specs), out, rig=rig, rig_dir=rig_dir, seed=seed, tell=tell, cancel=cancel, keep_recordings=keep
    )

    def table() -> Table:
        shown = Table("pattern", "layer", "check", "measured", "specified", "within", "", title=f"seed {trial.seed}")
        for result in trial.patterns:
            for c in result.checks:
                verdict = {True: "ok", False: "WRONG", None: "not measured"}[c.passed]
                measured = "-" if c.measured is None else f"{c.measured:g} {c.unit}"
                shown.add_row(result.id, str(c.layer or "all"), c.name, measured, f"{c.expected:g}", f"{c.tolerance:g}",
                              verdict)  # fmt: skip
        return shown

    show(trial.to_json(), as_json, table)
    if not as_json:
        typer.echo(f"{trial.verdict}: {os.path.join(out, 'trial.json')}")
    raise typer.Exit(EXIT_CODES[trial.verdict])


def _rows(columns: list[str], rows: list[list[str]]) -> Table:
    shown = Table(*columns)
    for row in rows:
        shown.add_row(*row)
    return shown


_TEMPLATE = """\
schema: 1
id: {id}
name: {name}
description: A wave that runs outwards and swells with the bass
palette:                       # a ring: the last colour leads back to the first
  - {at: 0.0, colour: "#FF3C00"}
  - {at: 0.5, colour: "#1450FF"}
layers:                        # up to three, added up; docs/patterns.md describes every word
  - shape: wave
    length_leds: 40
    level: 0.8
    colour: {from: 0.0, to: 0.3}
    motion: {travel_leds_per_s: 25}
    audio:
      - {source: bass, drives: level, amount: 0.6, envelope: {attack_s: 0.02, release_s: 0.3}}
"""
