"""``k1hil worker | pending | alert``; :mod:`harness.cli_conductor` puts them into ``k1hil``."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import typer

from harness.errors import BadRequest

WORKERS_ENV = "K1HIL_WORKERS"


def worker(
    rig: str = typer.Option(None, help="the rig this worker owns; its tasks wait in a queue of that name"),
    role: str = typer.Option(None, help="build: builds and analyses, without a rig"),
    server: str = typer.Option(None, envvar="CONDUCTOR_SERVER_URL", help="http://HOST:PORT/api"),
    store: str = typer.Option(None, envvar="K1HIL_STORE", help="artifact store (default: artifacts/)"),
    state: Path = typer.Option(None, help="folder of spool and jobs (default: workers/NAME)"),
    rig_dir: Path = typer.Option(None, "--rig-dir", envvar="K1HIL_RIG_DIR", help="folder of rig files"),
    metrics_port: int = typer.Option(None, min=0, max=65535, help="show metrics for Prometheus on this port"),
    quiet: bool = typer.Option(False, help="only say what went wrong"),
) -> None:
    """Takes tasks from a Conductor server: those of one rig, or with --role build those that need none.

    SIGTERM finishes the task at hand and ends; SIGINT (Ctrl-C) ends the task too, leaves the rig safe and says so.
    """
    from harness.conductor import job, metrics
    from harness.conductor.rest import Conductor
    from harness.conductor.worker import Worker
    from harness.pipeline.artifacts import ArtifactStore
    from harness.rig.config import chosen_rig_dir, load_config

    if (rig is None) == (role is None) or role not in (None, "build"):
        raise BadRequest("what shall this worker do?", expected="either --rig NAME or --role build")
    rigs = chosen_rig_dir(rig_dir).absolute()
    if rig is not None and load_config(rig, rigs).kind == "virtual":
        raise BadRequest(
            f"rig '{rig}' is a fresh board for every run, so a worker cannot own it",
            remedy="serve one: k1hil bench --live --state DIR --for sim-served, then --rig sim-served",
        )  # fmt: skip
    home = (state or Path(os.environ.get(WORKERS_ENV, "workers")) / (rig or "build")).absolute()
    home.mkdir(parents=True, exist_ok=True)
    url = ArtifactStore(store).url
    place = job.Place(rig or "", rigs, url if "://" in url else str(Path(url).absolute()), home)
    tell = _errors_only if quiet else _tell
    served = metrics.serve(metrics_port) if metrics_port is not None else None
    try:
        with Conductor(server) as client:
            one = Worker(client, "rig" if rig else "build", place, tell=tell)
            _on_signals(one)
            code = one.run()
    finally:
        if served is not None:
            served.close()
    raise typer.Exit(code)


def alert(
    title: str = typer.Argument(help="what happened"),
    text: str = typer.Argument("", help="more about it"),
    severity: str = typer.Option("warning", help="info, warning or critical"),
) -> None:
    """Tells people: one message to the address in K1HIL_ALERT_URL (exit code 1 when there is none)."""
    from harness.pipeline.alert import alert as send

    sent = send(title, text, severity)
    print("sent" if sent.sent else f"not sent: {sent.why}")
    raise typer.Exit(0 if sent.sent else 1)


def pending(
    rig: str = typer.Option(..., help="the rig whose device is meant"),
    firmware: str = typer.Option(None, help="what it is to get, name or tag in the store (default: only show)"),
    drop: bool = typer.Option(False, help="forget the update that waits"),
    store: str = typer.Option(None, envvar="K1HIL_STORE", help="artifact store (default: artifacts/)"),
) -> None:
    """Shows, sets or drops the update that waits for a device that is away."""
    from harness.pipeline.artifacts import ArtifactStore
    from harness.pipeline.firmware_store import FirmwareStore
    from harness.pipeline.pending import PendingUpdates

    keeper = FirmwareStore(ArtifactStore(store))
    updates = PendingUpdates(keeper)
    mac = updates.mac_of(rig)
    if not mac:
        raise BadRequest(f"the store has never seen a device on rig '{rig}'", evidence=keeper.store.url)
    if firmware is not None:
        updates.put(mac, keeper.store.get("firmware", firmware), f"k1hil pending, user {os.environ.get('USER', '?')}")
    waits = updates.get(mac)
    if drop and waits is not None:
        updates.drop(mac, str(waits["image_sha256"]))
        waits = None
    print(f"{mac}: {waits['name']} {waits['image_sha256'][:12]} since {waits['at'][:19]}" if waits else f"{mac}: none")


def _on_signals(one: Any) -> None:
    """SIGTERM drains, the second one and SIGINT stop. A third ends the process as if nobody had asked: its keeper
    leaves the rig safe all the same."""
    asked = [0]
    main = threading.main_thread()

    def handler(number: int, frame: FrameType | None) -> None:
        asked[0] += 1
        if asked[0] > 2:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        if number == signal.SIGTERM and asked[0] == 1:
            one.drain()
        else:
            one.stop()

    if threading.current_thread() is main:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, handler)


def _tell(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


def _errors_only(line: str) -> None:
    if any(word in line for word in ("wait", "no answer", "refuse", "died", "NOT SAFE", "not wanted")):
        print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)
