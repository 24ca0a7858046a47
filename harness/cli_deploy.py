"""``k1hil deploy | rollback | health | validate | artifacts``: firmware on its way to devices, and what is kept."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import typer
from rich.console import Console as Screen
from rich.markup import escape
from rich.table import Table

from harness.cli_results import JSON, RIG, RIG_DIR, show
from harness.errors import BadRequest

artifacts_app = typer.Typer(no_args_is_help=True, help="The artifact store: what was built, found and measured.")

_screen = Screen()
BOARDS_ENV = "K1HIL_BOARDS"
STORE = typer.Option(None, "--store", envvar="K1HIL_STORE", help="folder or fsspec URL (default: artifacts/)")
STATE = typer.Option(None, "--state", help="folder of a virtual board's flash and settings (default: boards/RIG)")
WATCH = typer.Option(10.0, "--watch", min=1.0, max=3600.0, help="seconds the device must live without panic or restart")
FPS = typer.Option(100.0, "--fps", min=0.0, max=1000.0, help="least frames a second")
HEAP = typer.Option(32.0, "--heap", min=0.0, max=8192.0, help="least free heap, KiB")
NETWORK = typer.Option(True, "--network/--no-network", help="the device must answer over HTTP")
KIND = typer.Argument(help="firmware, patterns, reports, tuning or webapp")


def add_to(app: typer.Typer) -> None:
    """Puts these commands into ``k1hil``."""
    app.add_typer(artifacts_app, name="artifacts")
    for command in (deploy, rollback, health, safe, validate):
        app.command()(command)


def board_state(rig: str | None, rig_dir: Path | None, state: Path | None) -> Path | None:
    """Where a virtual rig's board keeps its flash between commands; None on rigs whose board keeps itself."""
    from harness.rig.config import chosen_rig, chosen_rig_dir, load_config

    name = chosen_rig(rig)
    if load_config(name, chosen_rig_dir(rig_dir)).kind != "virtual":
        if state is not None:
            raise BadRequest(f"rig '{name}' keeps its own state", remedy="leave out --state")
        return None
    return state or Path(os.environ.get(BOARDS_ENV, "boards")) / name


def _open(rig: str | None, rig_dir: Path | None, state: Path | None, owner: str) -> Any:
    from harness.rig import open_rig

    return open_rig(rig, rig_dir, owner=owner, state_dir=board_state(rig, rig_dir, state))


def _firmware_store(url: str | None) -> Any:
    from harness.pipeline.artifacts import ArtifactStore
    from harness.pipeline.firmware_store import FirmwareStore

    return FirmwareStore(ArtifactStore(url))


def _limits(watch: float, fps: float, heap: float, network: bool) -> Any:
    from harness.pipeline.health import Limits

    return Limits(watch, fps, heap, network)


# ---- devices ---------------------------------------------------------------------------------------


def deploy(
    firmware: str = typer.Argument(None, help="name or tag in the store, or firmware.bin (default: build this rig's)"),
    rig: str = RIG,
    via: str = typer.Option("auto", help="auto (over the air where the device answers there), ota or serial"),
    rollback: bool = typer.Option(True, "--rollback/--no-rollback", help="demand a firmware to return to first"),
    again: bool = typer.Option(False, help="also an image that failed its health check before"),
    force: bool = typer.Option(False, help="also when it runs already"),
    watch: float = WATCH,
    fps: float = FPS,
    heap: float = HEAP,
    network: bool = NETWORK,
    state: Path | None = STATE,
    store: str | None = STORE,
    rig_dir: Path | None = RIG_DIR,
    as_json: bool = JSON,
) -> None:
    """Brings a firmware onto a device; if the device is not well with it, the one before comes back (exit code 1)."""
    import tempfile

    from harness.pipeline import deploy as pipeline

    if via not in ("auto", "ota", "serial"):
        raise BadRequest(f"unknown way '{via}'", expected="auto, ota or serial")
    keeper = _firmware_store(store)
    with _open(rig, rig_dir, state, "k1hil deploy") as opened, tempfile.TemporaryDirectory(prefix="k1hil-") as work:
        bundle = _chosen(firmware, opened.provenance == "simulated", keeper, Path(work) / "files", as_json)
        options = pipeline.Options(
            via, rollback, again, force, _limits(watch, fps, heap, network)  # type: ignore[arg-type]
        )
        result = pipeline.deploy(opened, bundle, keeper, options, tell=_teller(as_json))
    _tell_deployment(result, as_json)


def rollback(
    rig: str = RIG,
    to: str = typer.Option("", help="name or tag in the store (default: what the device ran before)"),
    watch: float = WATCH,
    fps: float = FPS,
    heap: float = HEAP,
    network: bool = NETWORK,
    state: Path | None = STATE,
    store: str | None = STORE,
    rig_dir: Path | None = RIG_DIR,
    as_json: bool = JSON,
) -> None:
    """Brings an earlier firmware back, over the air or else over serial."""
    from harness.pipeline.deploy import roll_back

    with _open(rig, rig_dir, state, "k1hil rollback") as opened:
        limits = _limits(watch, fps, heap, network)
        result = roll_back(opened, _firmware_store(store), to, limits, tell=_teller(as_json))
    _tell_deployment(result, as_json)


def health(
    rig: str = RIG,
    watch: float = WATCH,
    fps: float = FPS,
    heap: float = HEAP,
    network: bool = NETWORK,
    state: Path | None = STATE,
    rig_dir: Path | None = RIG_DIR,
    as_json: bool = JSON,
) -> None:
    """Says whether a device is well (exit code 1 when not)."""
    from harness.pipeline.health import check_health

    with _open(rig, rig_dir, state, "k1hil health") as opened:
        found = check_health(opened, None, _limits(watch, fps, heap, network))
    _show_health(found, as_json)
    raise typer.Exit(0 if found.healthy else 1)


def safe(rig: str = RIG, rig_dir: Path | None = RIG_DIR, as_json: bool = JSON) -> None:
    """Leaves a rig safe: silent, its device out of the boot loader and running (what workers do after a task broke)."""
    from harness.pipeline.safe_state import make_safe

    with _open(rig, rig_dir, None, "k1hil safe") as opened:
        found = make_safe(opened)

    def table() -> Table:
        shown = Table("image", "version", "")
        shown.add_row(found.sha256[:16], escape(found.version), "had to be reset" if found.reset else "answered")
        return shown

    show(found.to_json(), as_json, table)


def _chosen(firmware: str | None, simulated: bool, store: Any, folder: Path, quiet: bool) -> Any:
    """The bundle a command names: a file, something in the store, or a fresh build for this kind of device."""
    from harness.pipeline.build import build
    from harness.rig import FirmwareBundle

    if firmware is None:
        return build("sim" if simulated else "esp32-s3-devkitc-1", tell=None if quiet else print)
    if Path(firmware).exists():
        return FirmwareBundle.load(Path(firmware))
    return store.load(store.store.get("firmware", firmware), folder)


def _teller(quiet: bool) -> Any:
    return (lambda text: None) if quiet else lambda text: print(text, flush=True)


def _tell_deployment(result: Any, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.to_json(), indent=1))
    else:
        if result.health is not None:
            _show_health(result.health, False)
        how = {"none": "ran already", "ota": "over the air", "serial": "over serial"}[result.way]
        back = {"": "", "harness": ", rolled back", "device": ", the device rolled back by itself"}[result.rolled_back]
        back = "" if result.healthy else back
        word = "healthy" if result.healthy else "not healthy"
        _screen.print(escape(f"{result.name} {result.sha256[:12]}: {how}, {word}{back}; runs {result.running[:12]}"))
    raise typer.Exit(0 if result.healthy else 1)


def _show_health(found: Any, as_json: bool) -> None:
    def table() -> Table:
        shown = Table("check", "", "expected", "got")
        for c in found.checks:
            shown.add_row(c.name, "[green]well[/]" if c.ok else "[red]ill[/]", escape(c.expected), escape(c.got))
        return shown

    show(found.to_json(), as_json, table)
    if not as_json:
        for panic in found.panics:
            _screen.print(escape("\n  ".join([panic["words"], *panic["decoded"]])))


# ---- builds ----------------------------------------------------------------------------------------


def validate(
    project: Path = typer.Argument(None, help="a PlatformIO project (default: this firmware)"),
    env: list[str] = typer.Option([], "--env", help="only these environments (default: all)"),
    flash_limit: float = typer.Option(70.0, min=1.0, max=100.0, help="most of a slot, percent"),
    ram_limit: float = typer.Option(70.0, min=1.0, max=100.0, help="most of the RAM taken before start, percent"),
    warnings: int = typer.Option(0, min=0, help="most compiler warnings"),
    dirty: bool = typer.Option(False, help="also a tree with uncommitted changes"),
    jobs: int = typer.Option(2, min=1, max=64, help="compiler processes"),
    as_json: bool = JSON,
) -> None:
    """Builds every environment afresh and holds tree, style, warnings and sizes against their limits."""
    from harness.pipeline.validate import Limits
    from harness.pipeline.validate import validate as run

    gates = Limits(flash_limit, ram_limit, warnings, clean_tree=not dirty)
    found = run(project, env, gates, jobs=jobs, tell=None if as_json else print)

    def table() -> Table:
        shown = Table("gate", "environment", "", "limit", "got")
        mark = {"passed": "[green]passed[/]", "failed": "[red]failed[/]", "unavailable": "[yellow]unavailable[/]"}
        for g in found.gates:
            shown.add_row(g.name, g.environment, mark[g.status], escape(g.limit), escape(g.got))
        return shown

    show(found.to_json(), as_json, table)
    raise typer.Exit(0 if found.passed else 1)


# ---- store -----------------------------------------------------------------------------------------


@artifacts_app.command("list")
def artifacts_list(
    kind: str = typer.Argument(None, help="firmware, patterns, reports, tuning or webapp (default: all)"),
    store: str | None = STORE,
    as_json: bool = JSON,
) -> None:
    """Lists what the store holds, newest first."""
    from harness.pipeline.artifacts import KINDS, ArtifactStore

    keeper = ArtifactStore(store)
    kinds = [_kind(kind)] if kind else list(KINDS)
    tags: dict[str, list[str]] = {}
    for tag, target in keeper.tags().items():
        tags.setdefault(target, []).append(tag)
    deployed = _firmware_store(store).all_deployed()
    rows = []
    for artifact in (a for k in kinds for a in keeper.all(k)):
        key = f"{artifact.kind}/{artifact.name}"
        is_deployed = artifact.kind == "firmware" and artifact.name in deployed
        rows.append({**artifact.to_json(), "tags": tags.get(key, []), "deployed": is_deployed})

    def table() -> Table:
        shown = Table("kind", "name", "bytes", "stored", "created", "tags", "")
        for r in rows:
            sizes = (f"{r['bytes']}", f"{r['stored_bytes']}", r["created"][:19])
            shown.add_row(r["kind"], r["name"], *sizes, " ".join(r["tags"]), "deployed" if r["deployed"] else "")
        return shown

    show(rows, as_json, table)


@artifacts_app.command("get")
def artifacts_get(
    kind: str = KIND,
    name: str = typer.Argument(help="name or tag"),
    output: Path = typer.Argument(help="new file; a new folder for firmware and reports"),
    store: str | None = STORE,
) -> None:
    """Takes something out of the store, checked."""
    from harness.pipeline.artifacts import unzipped

    if output.exists():
        raise BadRequest(f"{output} exists", remedy="name a new file or folder")
    keeper = _firmware_store(store)
    artifact = keeper.store.get(_kind(kind), name)
    if artifact.kind == "firmware":
        keeper.load(artifact, output)
    elif artifact.encoding == "zip":
        for path, data in unzipped(keeper.store.content(artifact)).items():
            (output / path).parent.mkdir(parents=True, exist_ok=True)
            (output / path).write_bytes(data)
    else:
        work = output.with_name(f".{output.name}.new")
        work.write_bytes(keeper.store.content(artifact))
        work.replace(output)
    _screen.print(escape(f"{output}: {artifact.name}, {artifact.bytes} bytes, {artifact.sha256[:12]}"))


@artifacts_app.command("put")
def artifacts_put(
    kind: str = KIND,
    source: Path = typer.Argument(help="file or folder; for firmware firmware.bin or its folder"),
    name: str = typer.Option("", help="default: version and commit of firmware, else the file's name"),
    store: str | None = STORE,
    as_json: bool = JSON,
) -> None:
    """Puts something into the store. A name never changes its content."""
    from harness.rig import FirmwareBundle

    keeper = _firmware_store(store)
    if _kind(kind) == "firmware":
        artifact = keeper.put(FirmwareBundle.load(source), name)
    else:
        artifact = keeper.store.put(_kind(kind), name or source.stem, source)
    if as_json:
        print(json.dumps(artifact.to_json(), indent=1))
    else:
        _screen.print(escape(f"{artifact.file}: {artifact.stored_bytes} bytes, {artifact.sha256[:12]}"))


@artifacts_app.command("tag")
def artifacts_tag(
    tag: str = typer.Argument(help="the tag, for example v1.0.0"),
    name: str = typer.Argument(None, help="what it names"),
    kind: str = typer.Option("firmware", help="firmware, patterns, reports or tuning"),
    remove: bool = typer.Option(False, help="remove the tag instead"),
    store: str | None = STORE,
) -> None:
    """Tags something, which keeps it for good. Tags never move."""
    from harness.pipeline.artifacts import ArtifactStore

    keeper = ArtifactStore(store)
    if remove:
        keeper.untag(tag)
    elif name is None:
        raise BadRequest("what is to be tagged?", remedy=f"k1hil artifacts tag {tag} NAME")
    else:
        keeper.tag(_kind(kind), name, tag)


@artifacts_app.command("gc")
def artifacts_gc(
    keep: int = typer.Option(10, min=1, max=100_000, help="newest of each kind to keep"),
    dry_run: bool = typer.Option(False, "--dry-run", help="only say what would go"),
    store: str | None = STORE,
    as_json: bool = JSON,
) -> None:
    """Removes what is old and neither tagged nor on a device."""
    from harness.pipeline.artifacts import ArtifactStore
    from harness.pipeline.retention import collect

    done = collect(ArtifactStore(store), keep, dry_run=dry_run)
    names = [f"{a.kind}/{a.name}" for a in done.removed]
    if as_json:
        print(json.dumps({"removed": names, "kept": done.kept, "bytes": done.bytes, "dry_run": dry_run}))
        return
    word = "would remove" if dry_run else "removed"
    _screen.print(escape("\n".join([*names, f"{word} {len(names)} ({done.bytes} bytes), {done.kept} are left"])))


def _kind(kind: str) -> Any:
    from harness.pipeline.artifacts import KINDS

    if kind not in KINDS:
        raise BadRequest(f"unknown kind of artifact '{kind}'", expected=", ".join(KINDS))
    return kind
