"""``k1hil reports | baseline | history | nightly``: what became of runs, and what is accepted of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer
from rich.console import Console as Screen
from rich.table import Table

from harness.errors import BadRequest

reports_app = typer.Typer(no_args_is_help=True, help="Results of earlier runs.")
baseline_app = typer.Typer(no_args_is_help=True, help="Accepted metrics of a rig.")
history_app = typer.Typer(no_args_is_help=True, help="Every run so far, with its metrics.")

_screen = Screen()
RIG_DIR = typer.Option(None, "--rig-dir", envvar="K1HIL_RIG_DIR", help="folder of rig files (default: rigs/)")
JSON = typer.Option(False, "--json", help="for programs")
RIG = typer.Option(None, "--rig", envvar="K1HIL_RIG", help="rig (default: sim)")
_REPORTS = typer.Option(Path("reports"), "--reports", envvar="K1HIL_REPORTS", help="folder of reports")


def add_to(app: typer.Typer) -> None:
    """Puts these commands into ``k1hil``."""
    app.add_typer(reports_app, name="reports")
    app.add_typer(baseline_app, name="baseline")
    app.add_typer(history_app, name="history")
    app.command("nightly")(nightly)


def show(value: Any, as_json: bool, table: Callable[[], Table]) -> None:
    """A result for programs or for people."""
    if as_json:
        print(json.dumps(value, indent=1))
    else:
        _screen.print(table())


@reports_app.command("prune")
def reports_prune(
    keep: int = typer.Option(10, min=0, help="newest runs to keep"),
    folder: Path = typer.Option(Path("reports"), help="folder of reports"),
    as_json: bool = JSON,
) -> None:
    """Removes the reports of old runs."""
    from harness.report.folder import prune

    removed = prune(folder, keep)
    show([str(p) for p in removed], as_json, lambda: _names("removed", [p.name for p in removed]))


@baseline_app.command("collect")
def baseline_collect(
    rig: str = RIG,
    runs: int = typer.Option(30, min=1, max=100, help="runs, each with a seed and a boot of its own"),
    profile: str = typer.Option("quick", help="quick, standard or nightly"),
    firmware: Path | None = typer.Option(None, help="firmware.bin or its folder (default: build from source)"),
    jobs: int = typer.Option(1, min=1, max=16, help="runs at a time; only virtual rigs can do several"),
    reports: Path = _REPORTS,
    accept_reason: str = typer.Option("", "--accept", metavar="REASON", help="also accept them, with this reason"),
    rig_dir: Path | None = RIG_DIR,
    as_json: bool = JSON,
) -> None:
    """Runs what is judged, and nothing else, so often that a baseline can be accepted."""
    from harness.baseline.accept import accept
    from harness.pipeline.collect import collect
    from harness.rig.config import chosen_rig, chosen_rig_dir

    name, folder = chosen_rig(rig), chosen_rig_dir(rig_dir)
    tell = None if as_json else print
    found = collect(name, folder, runs=runs, profile=profile, firmware=firmware, jobs=jobs, reports=reports, tell=tell)
    accepted = accept(found, folder, reason=accept_reason) if accept_reason else None
    if as_json:
        written = str(accepted.path) if accepted else None
        print(json.dumps({"runs": [str(p) for p in found], "accepted": written}, indent=1))
    elif accepted is None:
        _screen.print(f"next: k1hil baseline accept {found[0].parent}/* --reason WHY")
    else:
        _screen.print(_accepted_table(accepted.samples))


@baseline_app.command("accept")
def baseline_accept(
    runs: list[Path] = typer.Argument(help="run folders, for example reports/latest; 30 make a baseline"),
    reason: str = typer.Option(..., help="why, for whoever reads the difference"),
    force: bool = typer.Option(False, help="also runs in which the device failed tests"),
    exact: bool = typer.Option(False, "--exact", help="only metrics that are alike in all of at least 10 runs"),
    rig_dir: Path | None = RIG_DIR,
    as_json: bool = JSON,
) -> None:
    """Makes the metrics of finished runs the accepted ones of their rig."""
    from harness.baseline.accept import accept
    from harness.rig.config import chosen_rig_dir

    accepted = accept(runs, chosen_rig_dir(rig_dir), reason=reason, force=force, exact=exact)
    rows = [asdict(s) for s in accepted.samples]
    show({"file": str(accepted.path), "metrics": rows}, as_json, lambda: _accepted_table(accepted.samples))


@baseline_app.command("show")
def baseline_show(
    name: str = typer.Argument(None, envvar="K1HIL_RIG"), rig_dir: Path | None = RIG_DIR, as_json: bool = JSON
) -> None:
    """Shows the accepted metrics of a rig."""
    from harness.baseline.store import Baseline, baseline_path
    from harness.rig.config import chosen_rig, chosen_rig_dir

    name = chosen_rig(name)
    path = baseline_path(chosen_rig_dir(rig_dir), name)
    sets = Baseline.load(path, name).sets
    if as_json:
        print(json.dumps({"file": str(path), "sets": [asdict(s) for s in sets]}, indent=1))
        return
    for s in sets:
        _screen.print(f"profile {s.profile}; {', '.join(f'{k} {v}' for k, v in s.fingerprint.items())}")
        for entry in s.log:
            _screen.print(f"  {entry.on}: {entry.reason} ({entry.runs} runs of {entry.firmware})")
        _screen.print(_accepted_table(list(s.samples.values())))
    if not sets:
        _screen.print(f"{path}: nothing accepted; k1hil baseline collect")


def _accepted_table(samples: list[Any]) -> Table:
    table = Table("metric", "median", "unit", "runs", "least", "most")
    for s in samples:
        ends = ("exact", "") if s.alike else (f"{min(s.values):g}", f"{max(s.values):g}")
        table.add_row(s.key, f"{s.median:g}", s.unit, str(len(s.values)), *ends)
    return table


# ---- history ---------------------------------------------------------------------------------------

_DB = typer.Option(None, "--file", envvar="K1HIL_HISTORY", help="the history (default: reports/history.sqlite)")


def _history(file: Path | None) -> Any:
    from harness.baseline.history import History, history_path

    path = file or history_path(Path("reports"))
    if not path.is_file():
        raise BadRequest(f"there is no history {path}", remedy="run the suite first, or name it: --file")
    return History(path)


@history_app.command("list")
def history_list(
    rig: str | None = typer.Option(None, "--rig", help="only of this rig"),
    limit: int = typer.Option(20, min=1, max=100_000, help="newest runs to show"),
    file: Path | None = _DB,
    as_json: bool = JSON,
) -> None:
    """Lists the newest runs."""
    with _history(file) as history:
        runs = history.runs(rig, limit)

    def table() -> Table:
        shown = Table("id", "started", "rig", "profile", "firmware", "failed", "exit", "seed")
        for r in runs:
            identity = f"{r.version} {r.image[:8]}"
            seed = "" if r.seed is None else str(r.seed)
            shown.add_row(
                str(r.id), r.started[5:16], r.rig, r.profile, identity, f"{r.failed}/{r.tests}", str(r.exit_code), seed
            )
        return shown

    show([r.to_json() for r in runs], as_json, table)


@history_app.command("trend")
def history_trend(
    metric: str = typer.Argument(help="pattern/name or name, for example pulse/render_us_mean"),
    rig: str = RIG,
    profile: str = typer.Option("quick", help="quick, standard or nightly"),
    limit: int = typer.Option(30, min=1, max=100_000, help="newest runs to show"),
    file: Path | None = _DB,
    as_json: bool = JSON,
) -> None:
    """Shows one metric over the runs that may be compared with the newest one of the rig."""
    from harness.rig.config import chosen_rig

    name = chosen_rig(rig)
    pattern, _, which = metric.rpartition("/")
    with _history(file) as history:
        newest = next((r for r in history.runs(name, 1000) if r.profile == profile and r.fingerprint), None)
        if newest is None:
            raise BadRequest(f"the history has no run of rig '{name}' with profile {profile}")
        points = history.trend(name, pattern, which, fingerprint=newest.fingerprint, profile=profile, limit=limit)

    def table() -> Table:
        shown = Table("run", "started", "version", "value", "runs", "verdict")
        for p in points:
            shown.add_row(str(p.run), p.started, p.version, f"{p.value:g}", str(len(p.samples)), p.verdict)
        return shown

    show([asdict(p) for p in points], as_json, table)


@history_app.command("export")
def history_export(
    output: Path = typer.Argument(help="new file: one line of JSON per run, with all metrics and values"),
    rig: str | None = typer.Option(None, "--rig", help="only of this rig"),
    file: Path | None = _DB,
) -> None:
    """Writes the history to a file that any program can read."""
    if output.exists():
        raise BadRequest(f"{output} exists", remedy="name a new file")
    work = output.with_name(f".{output.name}.new")
    with _history(file) as history, work.open("w", encoding="utf-8") as target:
        count = 0
        for run in history.export(rig):
            target.write(json.dumps(run) + "\n")
            count += 1
    work.replace(output)
    _screen.print(f"{output}: {count} runs")


@history_app.command("prune")
def history_prune(
    keep: int = typer.Option(..., min=0, help="newest runs to keep, of each rig"),
    rig: str | None = typer.Option(None, "--rig", help="only of this rig"),
    file: Path | None = _DB,
    as_json: bool = JSON,
) -> None:
    """Removes old runs for good."""
    with _history(file) as history:
        removed, left = history.prune(keep, rig), history.count()
    if as_json:
        print(json.dumps({"removed": removed, "left": left}))
    else:
        _screen.print(f"removed {removed} runs, {left} are left")


def _names(title: str, names: list[str]) -> Table:
    table = Table(title)
    for name in names:
        table.add_row(name)
    return table


# ---- nightly ---------------------------------------------------------------------------------------


def nightly(
    rig: str = RIG,
    wait_min: float = typer.Option(120.0, "--wait", min=0.0, max=1440.0, help="minutes to wait for a rig in use"),
    firmware: Path | None = typer.Option(None, help="firmware.bin or its folder (default: build from source)"),
    profile: str = typer.Option("nightly", help="quick, standard or nightly"),
    reports: Path = _REPORTS,
    rig_dir: Path | None = RIG_DIR,
) -> None:
    """All patterns, repeats and the long run; history, trend and report; the suite's exit code."""
    from harness.pipeline.nightly import nightly as run
    from harness.rig.config import chosen_rig, chosen_rig_dir

    name, folder = chosen_rig(rig), chosen_rig_dir(rig_dir)
    result = run(name, folder, wait_s=60 * wait_min, firmware=firmware, profile=profile, reports=reports, tell=print)
    raise typer.Exit(result.exit_code)
