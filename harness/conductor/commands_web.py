"""``k1hil webhook`` and ``k1hil exporter``, for :mod:`harness.cli_conductor` to register."""

from __future__ import annotations

from pathlib import Path

import typer

LOOPBACK = "127.0.0.1"
WEBHOOK_PORT, EXPORTER_PORT = 9670, 9650
ADDRESS = typer.Option(LOOPBACK, help="where to listen; others than this machine come through a proxy")


def webhook(
    config: Path = typer.Option(Path("deploy/webhook.toml"), "--config", envvar="K1HIL_WEBHOOK", help="what is let in"),
    server: str | None = typer.Option(None, "--server", envvar="CONDUCTOR_SERVER_URL", help="http://HOST:PORT/api"),
    state: Path = typer.Option(Path("webhook"), "--state", help="folder of what was taken already"),
    store: str | None = typer.Option(None, "--store", envvar="K1HIL_STORE", help="artifact store for uploads"),
    port: int = typer.Option(WEBHOOK_PORT, min=0, max=65535),
    address: str = ADDRESS,
) -> None:
    """Starts workflows for pushes and tags on GitHub, and for uploaded sound; secrets are in the environment."""
    from harness.conductor.webhook import ServerStarter, run

    run(config, ServerStarter(server), state, port, address=address, store=store)


def exporter(
    rig: list[str] = typer.Option([], "--rig", help="only these rigs (default: all with an address)"),
    rig_dir: Path | None = typer.Option(None, "--rig-dir", envvar="K1HIL_RIG_DIR", help="folder of rig files"),
    port: int = typer.Option(EXPORTER_PORT, min=0, max=65535),
    address: str = ADDRESS,
) -> None:
    """Shows devices to Prometheus, one target each, which fails when the device does not answer."""
    from harness.conductor.exporter import run
    from harness.rig.config import chosen_rig_dir

    run(rig, chosen_rig_dir(rig_dir), port, address)
