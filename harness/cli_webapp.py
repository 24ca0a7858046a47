"""``k1hil webapp build | deploy | rollback``: npm projects into the store, and from there onto a static site."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from rich.console import Console as Screen
from rich.table import Table

from harness.cli_results import JSON, show

webapp_app = typer.Typer(no_args_is_help=True, help="Web apps: build, deploy to a static site, roll back.")

_screen = Screen()
_STORE = typer.Option(None, "--store", envvar="K1HIL_STORE", help="folder or fsspec URL (default: artifacts/)")
_SITE = typer.Option(..., "--site", envvar="K1HIL_SITE", help="folder of the site; the web server serves its 'current'")


def add_to(app: typer.Typer) -> None:
    """Puts these commands into ``k1hil``."""
    app.add_typer(webapp_app, name="webapp")


@webapp_app.command("build")
def build(
    project: Path = typer.Argument(help="folder with package.json and package-lock.json"),
    output: str = typer.Option("", help="folder the build writes (default: dist, build or out)"),
    install_scripts: bool = typer.Option(True, help="let installed packages run their scripts"),
    cache: Path | None = typer.Option(None, envvar="K1HIL_NPM_CACHE", help="npm's cache, kept from build to build"),
    commit: str = typer.Option("", help="noted with the build"),
    minutes: float = typer.Option(10.0, min=0.1, max=120.0, help="deadline of each of both steps"),
    store: str | None = _STORE,
    as_json: bool = JSON,
) -> None:
    """Runs npm ci and npm run build on a copy of a project; keeps what comes out."""
    from harness.pipeline.artifacts import ArtifactStore
    from harness.pipeline.webapp import build as run
    from harness.pipeline.webapp import store_build

    kept = ArtifactStore(store)
    made = run(
        project, output, install_scripts=install_scripts, cache=cache, tell=None if as_json else print,
        install_limit_s=60 * minutes, build_limit_s=60 * minutes,
    )  # fmt: skip
    artifact = store_build(kept, made, commit)
    if as_json:
        print(json.dumps(artifact.to_json(), indent=1))
    else:
        _screen.print(f"{artifact.name}: {len(made.files)} files, {artifact.bytes} bytes, in {kept.url}")


@webapp_app.command("deploy")
def deploy(
    name: str = typer.Argument(help="name or tag in the store (k1hil artifacts list webapp)"),
    site: Path = _SITE,
    keep: int = typer.Option(5, min=2, max=1000, help="releases kept to return to, the live one among them"),
    store: str | None = _STORE,
    as_json: bool = JSON,
) -> None:
    """Makes a stored build the live release of a site, in one step."""
    from harness.pipeline.artifacts import ArtifactStore
    from harness.pipeline.webapp_site import deploy as run

    _told(run(ArtifactStore(store), name, site, keep).to_json(), as_json)


@webapp_app.command("rollback")
def rollback(site: Path = _SITE, as_json: bool = JSON) -> None:
    """Returns a site to the release before the live one, in one step."""
    from harness.pipeline.webapp_site import rollback as run

    _told(run(site).to_json(), as_json)


def _told(result: dict[str, object], as_json: bool) -> None:
    def table() -> Table:
        shown = Table("site", "live", "before", "")
        change = "changed" if result["changed"] else "was live already"
        shown.add_row(str(result["site"]), str(result["live"]), str(result["previous"]) or "nothing", change)
        return shown

    show(result, as_json, table)
