"""``k1hil conductor … | approve | reject | worker | webhook | exporter``: durable workflows on a Conductor server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console as Screen
from rich.markup import escape
from rich.table import Table

from harness.cli_results import JSON, show
from harness.errors import BadRequest, HarnessFault

if TYPE_CHECKING:
    from harness.conductor.rest import Conductor
    from harness.conductor.server import ConductorServer

conductor_app = typer.Typer(no_args_is_help=True, help="The Conductor server and its workflows.")

_screen = Screen()
FOLDER = typer.Option(Path("conductor"), "--folder", envvar="K1HIL_CONDUCTOR", help="of a local server")
URL = typer.Option(None, "--url", envvar="CONDUCTOR_SERVER_URL", help="of another server, http://HOST:PORT/api")
RIG = typer.Option("", "--rig", envvar="K1HIL_RIG", help="whose worker takes the rig tasks")
MAX_INPUT = 256 << 10
BY = typer.Option(..., "--by", help="your name; it is kept with the release")
NOTE = typer.Option("", "--note", help="why, one line")
RELEASE = typer.Argument(help="id of the workflow that waits")


def add_to(app: typer.Typer) -> None:
    """Puts these commands into ``k1hil``."""
    from harness.conductor.commands import alert, pending, worker
    from harness.conductor.commands_web import exporter, webhook

    app.add_typer(conductor_app, name="conductor")
    for command in (approve, reject, worker, pending, alert, webhook, exporter):
        app.command()(command)


def _server(folder: Path, port: int = 0) -> ConductorServer:
    from harness.conductor.server import ConductorServer

    return ConductorServer(folder, port)


def _client(folder: Path, url: str | None) -> Conductor:
    """Of the server named, else of the one that runs in the folder."""
    from harness.conductor.rest import Conductor

    if url is not None:
        return Conductor(url)
    server = _server(folder)
    if not server.pid:
        raise BadRequest(
            "no Conductor server runs here", evidence=str(server.folder),
            remedy="k1hil conductor up, or name another one: --url",
        )  # fmt: skip
    return Conductor(server.api_url)


# ---- server


@conductor_app.command("up")
def up(
    folder: Path = FOLDER,
    port: int = typer.Option(0, min=0, max=65535, help="on loopback; 0: the one of last time, else a free one"),
    timeout: float = typer.Option(120.0, min=1.0, max=3600.0, help="seconds until it must be healthy"),
    time_scale: float = typer.Option(1.0, min=0.001, max=10.0, help="of the pauses between attempts; for tests"),
    as_json: bool = JSON,
) -> None:
    """Starts a Conductor server here and gives it the definitions. The first time it is fetched: 440 MB."""
    from harness.conductor.register import register
    from harness.conductor.rest import Conductor

    status = _server(folder, port).up(timeout)
    with Conductor(status.api_url) as client:
        register(client, time_scale)
    _show_status(status.to_json(), [], as_json)
    if not as_json:
        _screen.print(f"next: export CONDUCTOR_SERVER_URL={status.api_url}; k1hil worker --rig NAME")


@conductor_app.command("down")
def down(folder: Path = FOLDER, as_json: bool = JSON) -> None:
    """Stops the server here; its workflows go on when it is started again."""
    ended = _server(folder).down()
    if as_json:
        print(json.dumps({"ended": ended}))
    else:
        _screen.print("stopped" if ended else "none ran")


@conductor_app.command("status")
def status(folder: Path = FOLDER, url: str | None = URL, as_json: bool = JSON) -> None:
    """What runs, and what waits for a person. Exit code 10 when the server here is not healthy."""
    from harness.conductor.approval import waiting
    from harness.conductor.rest import Conductor

    found: dict[str, Any] = {"api_url": url} if url else _server(folder).status().to_json()
    gates: list[dict[str, Any]] = []
    if url or found["healthy"]:
        with Conductor(str(found["api_url"])) as client:
            gates = [gate.to_json() for gate in waiting(client)]
            found["queues"] = {name: size for name, size in client.queue_sizes().items() if size and "k1_" in name}
    _show_status(found, gates, as_json)
    if not url and not found["healthy"]:
        raise typer.Exit(10)


def _show_status(found: dict[str, Any], gates: list[dict[str, Any]], as_json: bool) -> None:
    def table() -> Table:
        shown = Table("Conductor", "")
        for key, value in found.items():
            shown.add_row(key, escape(str(value)))
        for gate in gates:
            shown.add_row("waits for approval", escape(f"{gate['workflow_id']} since {gate['since']}: {gate['shows']}"))
        return shown

    show({**found, "waiting": gates}, as_json, table)


# ---- definitions and workflows


@conductor_app.command("register")
def register(
    folder: Path = FOLDER,
    url: str | None = URL,
    time_scale: float = typer.Option(1.0, min=0.001, max=10.0, help="of the pauses between attempts; for tests"),
    as_json: bool = JSON,
) -> None:
    """Checks the definitions of tasks and workflows and gives them to the server."""
    from harness.conductor.register import register as run

    _lint()
    with _client(folder, url) as client:
        names = run(client, time_scale)
    show(names, as_json, lambda: _names("registered", names))


@conductor_app.command("lint")
def lint() -> None:
    """Checks the definitions without a server."""
    _lint()
    _screen.print("the definitions are in order")


def _lint() -> None:
    from harness.conductor.lint import lint as run
    from harness.conductor.lint import registered_functions
    from harness.conductor.register import load

    problems = run(load(), registered_functions())
    if problems:
        raise HarnessFault("the definitions are not in order", got="\n".join(problems))


@conductor_app.command("start")
def start(
    workflow: str = typer.Argument(help="its name, for example firmware-ci-cd"),
    given: str = typer.Option("{}", "--input", help="its input: JSON, or @FILE"),
    rig: str = RIG,
    correlation: str = typer.Option("", "--correlation", help="a name to find it by"),
    folder: Path = FOLDER,
    url: str | None = URL,
    as_json: bool = JSON,
) -> None:
    """Starts a workflow; prints its id."""
    inputs = _parsed(given)
    domain = rig or str(inputs.get("rig", ""))
    with _client(folder, url) as client:
        workflow_id = client.start(workflow, inputs, domain=domain or None, correlation_id=correlation)
    print(json.dumps({"workflow_id": workflow_id}) if as_json else workflow_id)


def _parsed(given: str) -> dict[str, Any]:
    """The input of a workflow from the command line."""
    try:
        text = Path(given[1:]).read_text() if given.startswith("@") else given
        if len(text) > MAX_INPUT:
            raise BadRequest("this input is too big", expected=f"{MAX_INPUT} characters", got=str(len(text)))
        value = json.loads(text)
    except (OSError, ValueError) as error:
        raise BadRequest("unusable input of a workflow", expected="JSON, or @FILE", got=str(error)) from error
    if not isinstance(value, dict):
        raise BadRequest("unusable input of a workflow", expected="a JSON object", got=given[:80])
    return value


@conductor_app.command("show")
def show_workflow(
    workflow_id: str = typer.Argument(help="id of a workflow"),
    folder: Path = FOLDER,
    url: str | None = URL,
    as_json: bool = JSON,
) -> None:
    """Shows how far a workflow is: its tasks, and what became of them."""
    with _client(folder, url) as client:
        found = client.workflow(workflow_id)
    if as_json:
        print(json.dumps(found, indent=1))
        return
    shown = Table("task", "type", "status", "output")
    for task in found["tasks"]:
        if task["taskType"] in ("SWITCH", "NOOP", "JOIN", "FORK"):
            continue
        told = {k: v for k, v in (task.get("outputData") or {}).items() if isinstance(v, str | int | float) and v != ""}
        text = task.get("reasonForIncompletion") or ", ".join(f"{k} {v}" for k, v in told.items())
        shown.add_row(task["referenceTaskName"], task["taskType"], task["status"], escape(text[:200]))
    _screen.print(shown)
    why = found.get("reasonForIncompletion") or ""
    _screen.print(escape(f"{found['workflowName']} is {found['status']}{': ' if why else ''}{why}"))


@conductor_app.command("schedule")
def schedule(
    rig: str = RIG,
    off: bool = typer.Option(False, "--off", help="remove them"),
    folder: Path = FOLDER,
    url: str | None = URL,
    as_json: bool = JSON,
) -> None:
    """Lets the server start the nightly regression and the device's health by itself."""
    from harness.conductor import schedule as schedules

    if not rig:
        raise BadRequest("which rig?", remedy="--rig NAME")
    with _client(folder, url) as client:
        names = schedules.remove(client, rig) if off else schedules.save(client, rig)
    show(names, as_json, lambda: _names("removed" if off else "scheduled", names))


def _names(title: str, names: list[str]) -> Table:
    shown = Table(title)
    for name in names:
        shown.add_row(name)
    return shown


# ---- the gate of a release


def approve(
    workflow: str = RELEASE, by: str = BY, note: str = NOTE, folder: Path = FOLDER, url: str | None = URL,
    as_json: bool = JSON,
) -> None:  # fmt: skip
    """Lets a release go on into production."""
    _decide(workflow, True, by, note, folder, url, as_json)


def reject(
    workflow: str = RELEASE, by: str = BY, note: str = NOTE, folder: Path = FOLDER, url: str | None = URL,
    as_json: bool = JSON,
) -> None:  # fmt: skip
    """Ends a release before production."""
    _decide(workflow, False, by, note, folder, url, as_json)


def _decide(
    workflow: str, approved: bool, by: str, note: str, folder: Path, url: str | None, as_json: bool
) -> None:
    from harness.conductor.approval import decide

    with _client(folder, url) as client:
        decision = decide(client, workflow, approved=approved, by=by, note=note)
    if as_json:
        print(json.dumps(decision.to_json()))
    else:
        word = "approved" if approved else "rejected"
        _screen.print(escape(f"{word} by {decision.by} at {decision.at}; the server has it"))
