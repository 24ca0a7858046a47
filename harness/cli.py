"""``k1hil``: rigs, consoles, builds, recordings and baselines from the command line."""

from __future__ import annotations

import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import typer
from rich.console import Console as Screen
from rich.markup import escape
from rich.table import Table

from harness import cli_calibrate, cli_conductor, cli_deploy, cli_patterns, cli_results, cli_tune, cli_webapp
from harness.cli_results import JSON as _JSON
from harness.cli_results import RIG as _RIG
from harness.cli_results import RIG_DIR as _RIG_DIR
from harness.cli_results import show as _print
from harness.errors import BadRequest, HarnessFault, K1HilError

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Hardware-in-the-loop tests for K1 LED controllers.")
rig_app = typer.Typer(no_args_is_help=True, help="Rigs: what is plugged in, and what it can measure.")
app.add_typer(rig_app, name="rig")
cli_results.add_to(app)
cli_deploy.add_to(app)
cli_calibrate.add_to(app)
cli_patterns.add_to(app)
cli_conductor.add_to(app)
cli_tune.add_to(app)
cli_webapp.add_to(app)

_screen = Screen()


def main() -> NoReturn:
    """Entry point: typed errors become their exit code and a text on the error output."""
    try:
        code = app(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except K1HilError as error:
        print(f"k1hil: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(2)
    except Exception as error:
        # Usage errors of the option parser know how to show themselves and carry their exit code.
        show = getattr(error, "show", None)
        if show is None:
            sys.exit(_unexpected(error))
        show()
        sys.exit(4)


def _unexpected(error: Exception) -> int:
    """A fault of the harness: one line for people, the traceback in a file (K1HIL_DEBUG=1: here), exit code 3.

    Left to Python it would end with 1, which says that a device failed.
    """
    trace = "".join(traceback.format_exception(error))
    print(f"k1hil: internal error: {type(error).__name__}: {error}", file=sys.stderr)
    if os.environ.get("K1HIL_DEBUG"):
        print(trace, file=sys.stderr)
        return HarnessFault.exit_code
    try:
        with tempfile.NamedTemporaryFile("w", prefix="k1hil-", suffix=".txt", delete=False, encoding="utf-8") as file:
            file.write(trace)
        print(f"  evidence: {file.name}", file=sys.stderr)
    except OSError:
        print(trace, file=sys.stderr)
    print("  try: K1HIL_DEBUG=1 shows the traceback here; this is a fault of the harness, not of a device",
          file=sys.stderr)  # fmt: skip
    return HarnessFault.exit_code


# ---- rigs ------------------------------------------------------------------------------------------


@rig_app.command("list")
def rig_list(rig_dir: Path | None = _RIG_DIR, as_json: bool = _JSON) -> None:
    """Lists the rigs."""
    from harness.rig.config import chosen_rig_dir, load_config, rig_names

    folder = chosen_rig_dir(rig_dir)
    rows: list[dict[str, Any]] = []
    for name in rig_names(folder):
        row: dict[str, Any] = {"name": name, "file": str(folder / f"{name}.toml"), "error": ""}
        try:
            config = load_config(name, folder)
            row |= {"kind": config.kind, "simulated": config.simulated, "description": config.description}
        except BadRequest as error:
            row |= {"kind": "?", "simulated": None, "description": "", "error": error.message}
        rows.append(row)

    def table() -> Table:
        shown = Table("rig", "kind", "description")
        for row in rows:
            shown.add_row(row["name"], row["kind"], row["error"] or row["description"])
        return shown

    _print(rows, as_json, table)


@rig_app.command("check")
def rig_check(
    name: str = typer.Argument(None, envvar="K1HIL_RIG"), rig_dir: Path | None = _RIG_DIR, as_json: bool = _JSON
) -> None:
    """Says what a rig can measure here, and why not the rest. Exit code 10 when something is in the way."""
    from harness.rig.check import check
    from harness.rig.config import chosen_rig, chosen_rig_dir, load_config

    name = chosen_rig(name)
    folder = chosen_rig_dir(rig_dir)
    findings = check(name, load_config(name, folder), folder)
    mark = {"ok": "[green]yes[/]", "absent": "[yellow]no[/]", "problem": "[red]problem[/]"}

    def table() -> Table:
        shown = Table("what", "", "how", "try")
        for f in findings:
            shown.add_row(f.what, mark[f.status], escape(f.text), escape(f.remedy))
        return shown

    _print({"rig": name, "findings": [f.to_json() for f in findings]}, as_json, table)
    if any(f.status == "problem" for f in findings):
        raise typer.Exit(10)


@rig_app.command("new")
def rig_new(
    name: str = typer.Argument(None, help="name of the new rig; without it only what was found is shown"),
    board: str = typer.Option("", help="path, serial number or MAC of the board, when several are plugged in"),
    audio: str = typer.Option("", help="part of the name of the output that plays to the device"),
    pictures: Path = typer.Option(Path("reports/cameras"), help="where a frame of each camera goes"),
    rig_dir: Path | None = _RIG_DIR,
    as_json: bool = _JSON,
) -> None:
    """Finds boards, audio outputs and cameras, and writes a rig file for a board."""
    from harness.rig.config import chosen_rig_dir
    from harness.rig.new import look_around, write_rig

    found = look_around(pictures)
    written = None
    if name is not None:
        written = write_rig(name, chosen_rig_dir(rig_dir), _choose_board(found.boards, board), audio)
    if as_json:
        print(json.dumps({**found.to_json(), "written": str(written) if written else None}, indent=1))
        return
    shown = Table("found", "name", "id")
    for b in found.boards:
        shown.add_row("board", f"{b.device} {b.description}", b.serial_number)
    for a in found.audio:
        shown.add_row("audio output", a["name"], f"{a['rate_hz']} Hz")
    for c in found.cameras:
        shown.add_row("camera", f"{c['width']} x {c['height']}", c["picture"])
    _screen.print(shown)
    if found.audio_problem:
        _screen.print(f"audio: {found.audio_problem}")
    _screen.print(f"wrote {written}; next: k1hil rig check {name}" if written else "write a rig: k1hil rig new NAME")


def _choose_board(boards: list[Any], wanted: str) -> Any:
    if wanted:
        boards = [b for b in boards if wanted.lower() in (b.device.lower(), b.serial_number.lower())]
    if len(boards) != 1:
        raise BadRequest(
            "no board found" if not boards else f"{len(boards)} boards are plugged in",
            expected="one board",
            got="; ".join(f"{b.device} ({b.serial_number})" for b in boards) or "none",
            remedy="plug one in and check the cable carries data" if not boards else "say which: --board SERIAL_NUMBER",
        )
    return boards[0]


# ---- console ---------------------------------------------------------------------------------------


@app.command()
def console(
    name: str = typer.Argument(None, envvar="K1HIL_RIG"),
    firmware: Path | None = typer.Option(None, help="flash this first (a virtual board starts blank: its own build)"),
    rig_dir: Path | None = _RIG_DIR,
    as_json: bool = _JSON,
) -> None:
    """Shows the device's console and sends what is typed, line by line. Ends with Ctrl-C or end of input."""
    from harness.pipeline.talk import talk
    from harness.rig import open_rig

    with open_rig(name, rig_dir, owner="k1hil console") as rig:
        bundle = _firmware_for(rig, firmware)
        if bundle is not None:
            rig.flash(bundle)
        talk(rig, as_json)


def _firmware_for(rig: Any, firmware: Path | None) -> Any:
    """The bundle to flash: the one named; on a fresh virtual board the sim build; else none."""
    from harness.pipeline.build import build
    from harness.rig import FirmwareBundle

    if firmware is not None:
        return FirmwareBundle.load(firmware)
    return build("sim") if rig.config.kind == "virtual" else None


# ---- firmware and recordings -----------------------------------------------------------------------


@app.command()
def build(
    env: str = typer.Option("sim", help="sim or esp32-s3-devkitc-1"),
    jobs: int = typer.Option(2, help="compiler processes"),
    as_json: bool = _JSON,
) -> None:
    """Builds the firmware."""
    from harness.pipeline.build import build as run

    bundle = run(env, jobs, tell=None if as_json else print)
    if as_json:
        print(json.dumps(bundle.to_json(), indent=1))
    else:
        size = bundle.path.stat().st_size
        _screen.print(f"{bundle.path}: {bundle.project} {bundle.version}, {size} bytes, {bundle.sha256[:12]}")


@app.command()
def flash(
    firmware: Path = typer.Argument(None, help="firmware.bin, or its folder; default: the build for this rig"),
    rig: str = _RIG,
    force: bool = typer.Option(False, help="also when it runs already"),
    erase_nvs: bool = typer.Option(False, help="forget settings and network credentials"),
    rig_dir: Path | None = _RIG_DIR,
    as_json: bool = _JSON,
) -> None:
    """Flashes a rig's device and proves that it runs the image."""
    from harness.pipeline.build import built
    from harness.rig import FirmwareBundle, open_rig

    with open_rig(rig, rig_dir, owner="k1hil flash") as opened:
        default = (
            built("sim" if opened.provenance == "simulated" else "esp32-s3-devkitc-1") if firmware is None else firmware
        )
        bundle = FirmwareBundle.load(default)

        def progress(fraction: float, text: str) -> None:
            if not as_json:
                print(f"{fraction:4.0%} {text}", flush=True)

        report = opened.flash(bundle, force=force, erase_nvs=erase_nvs, progress=progress)
        result = {**report.to_json(), "identity": opened.identity.to_json()}
    if as_json:
        print(json.dumps(result, indent=1))
    else:
        how = "runs already" if report.skipped else f"flashed in {report.seconds:.1f} s"
        _screen.print(f"{bundle.project} {bundle.version} {bundle.sha256[:12]}: {how}, MAC {report.mac}")


@app.command()
def record(
    folder: Path = typer.Argument(help="new folder for the recording"),
    rig: str = _RIG,
    pattern: str = typer.Option(None, help="pattern id; default: the current one"),
    seconds: float = typer.Option(5.0, help="length"),
    stimulus: str = typer.Option(
        "music", help="music, clicks, noise, sweep, tone, latency, onset, silence, none, or a WAV or FLAC file"
    ),
    camera: bool = typer.Option(True, help="look with the camera, where the rig has a calibrated one"),
    firmware: Path | None = typer.Option(None, help="flash this first"),
    seed: int | None = typer.Option(None, help="of a virtual board's randomness"),
    rig_dir: Path | None = _RIG_DIR,
    as_json: bool = _JSON,
) -> None:
    """Records a rig while it hears a stimulus."""
    from harness.rig import open_rig

    if folder.exists():
        raise BadRequest(f"{folder} exists", remedy="name a new folder")
    sound = _stimulus(stimulus, seconds)
    with open_rig(rig, rig_dir, seed=seed, owner="k1hil record") as opened:
        bundle = _firmware_for(opened, firmware)
        if bundle is not None:
            opened.flash(bundle)
        looking = ("camera",) if camera and _looks(opened, rig_dir) else ()
        recording = opened.record(sound, seconds, ("frames", "pixels", "wire", *looking), pattern)
        recording.save(folder)
    size = sum(f.stat().st_size for f in folder.iterdir())
    summary = {"folder": str(folder), "frames": recording.n_frames, "bytes": size, "seed": recording.meta["seed"]}
    if as_json:
        print(json.dumps(summary, indent=1))
    else:
        _screen.print(f"{folder}: {recording.n_frames} frames, {size / 1e6:.1f} MB, seed {recording.meta['seed']}")


def _looks(opened: Any, rig_dir: Path | None) -> bool:
    """Whether the rig's camera can be used: calibrated, and just found unmoved.

    Raises:
        RigFault: it was moved.
    """
    from harness.rig.camera import calibration_path, recall
    from harness.rig.config import chosen_rig_dir

    if not opened.config.camera.present:
        return False
    path = calibration_path(chosen_rig_dir(rig_dir), opened.name)
    if not path.is_file():
        remedy = f"k1hil calibrate camera --rig {opened.name}"
        print(f"the camera is not calibrated, so it is left out: {remedy}", file=sys.stderr, flush=True)
        return False
    recall(opened, path)
    return True


@app.command()
def analyze(
    folder: Path = typer.Argument(help="a recording, as k1hil record or a test run keeps it"), as_json: bool = _JSON
) -> None:
    """Repeats the analysis of a recording: the same numbers as when it was taken."""
    from harness.analysis.summary import analyse
    from harness.recording import Recording

    metrics = analyse(Recording.load(folder))

    def table() -> Table:
        shown = Table("metric", "value", "unit", "95 % interval", "n", "source", "clock")
        for m in metrics:
            interval = f"{m.ci95[0]:g} … {m.ci95[1]:g}" if m.ci95 else ""
            bound = m.detail.get("clock_bound_ms")
            clock = f"± {bound:g} ms, {m.detail['trust']}" if bound is not None else ""
            shown.add_row(m.key, f"{m.value:g}", m.unit, interval, str(m.n), m.source, clock)
        return shown

    _print({"folder": str(folder), "metrics": [m.to_json() for m in metrics]}, as_json, table)


def _stimulus(name: str, seconds: float) -> Any:
    from harness import signals

    makers: dict[str, Callable[[], signals.Stimulus | None]] = {
        "music": lambda: signals.four_on_floor(120.0, seconds),
        "clicks": lambda: signals.click_track(120.0, seconds),
        "noise": lambda: signals.pink_noise(seconds),
        "sweep": lambda: signals.log_sweep(80.0, 4000.0, seconds),
        "tone": lambda: signals.tone(440.0, seconds),
        "latency": lambda: signals.latency_telegraph(seconds),
        "onset": lambda: signals.onset_after_silence(seconds - 0.8),
        "silence": lambda: signals.silence(seconds),
        "none": lambda: None,
    }
    if name.lower().endswith((".wav", ".flac")):
        return signals.load_stimulus(Path(name))
    if name not in makers:
        raise BadRequest(f"unknown stimulus '{name}'", expected=", ".join(makers) + ", or a WAV or FLAC file")
    try:
        return makers[name]()
    except ValueError as error:
        raise BadRequest(f"the stimulus '{name}' cannot be made", got=str(error)) from error


@app.command()
def bench(
    live: bool = typer.Option(False, "--live", help="serve boards on loopback until Ctrl-C"),
    boards: int = typer.Option(1, help="how many"),
    state: Path | None = typer.Option(None, help="folder that keeps the boards from run to run"),
    seed: int | None = typer.Option(None, help="default: drawn afresh"),
    firmware: Path | None = typer.Option(None, help="firmware.bin for a blank flash (default: built from source)"),
    blank: bool = typer.Option(False, "--blank", help="leave a blank flash blank"),
    sound: bool = typer.Option(False, "--sound", help="with a sound server that the boards hear"),
    user: str | None = typer.Option(None, "--for", metavar="RIG", help="at the addresses this rig's file names"),
    rig: str = _RIG,
    rig_dir: Path | None = _RIG_DIR,
) -> None:
    """Serves virtual boards for ordinary tools (esptool, curl, a browser): one line of JSON per board."""
    from harness.rig.served import serve

    if not live:
        raise BadRequest("bench needs --live", remedy="k1hil bench --live; tests run with pytest tests_hil --rig sim")
    if firmware is None and not blank:
        from harness.pipeline.build import build as build_firmware

        firmware = build_firmware("sim", tell=lambda line: print(line, file=sys.stderr, flush=True)).path
    code = serve(
        rig, rig_dir, boards=boards, state=state, seed=seed, firmware=firmware, sound=sound, user=user
    )
    raise typer.Exit(code)


if __name__ == "__main__":
    main()
