"""``k1hil exporter``: one Prometheus target per device, which fails when the device does not answer.

Prometheus finds the devices at ``/targets`` (HTTP service discovery) and scrapes each at ``/probe?rig=NAME``, so that
``up{rig="NAME"}`` is the device's own. Callers name a rig that was allowed at the start, never an address.

A suite must not meet another client's requests: the device has rate limits over all clients and four connections.
While somebody on this machine holds the rig's lease the device is therefore left alone, and the page says so
(``k1_device_in_use``).
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from harness.conductor.device_metrics import Reading, page
from harness.errors import BadRequest, DutFailure, K1HilError, RigFault
from harness.instruments.api import ApiError, DeviceApi
from harness.instruments.clock import WallClock
from harness.rig import lease as leases
from harness.rig.config import load_config, rig_names
from harness.rig.opening import lease_key
from harness.rig.secrets import api_headers

# Prometheus gives a scrape ten seconds; the answer has to be there before.
VISIT_LIMIT_S = 8.0
ANSWER_TIMEOUT_S = 3.0
# Two Prometheus servers, or a person beside one, share a visit this young.
SHARED_FOR_S = 1.0
BACKLOG = 64


@dataclass(frozen=True)
class Device:
    """A device that may be asked.

    Attributes:
        rig: its name.
        base_url: of its API.
        lease: key of the rig's lease.
        mac: what it has to report, lower case; "": any.
    """

    rig: str
    base_url: str
    lease: str
    mac: str = ""


def devices(names: list[str], rig_dir: Path) -> dict[str, Device]:
    """The devices of these rigs; without names all rigs of the folder that have an address.

    Raises:
        BadRequest: unknown rig, a mistake in its file, or no address in it.
    """
    found = {}
    for name in names or rig_names(rig_dir):
        try:
            config = load_config(name, rig_dir)
            if not config.api.base_url:
                raise BadRequest(
                    f"rig '{name}' has no address to ask", expected="base_url in [api]",
                    evidence=str(rig_dir / f"{name}.toml"), remedy="write the device's address there",
                )  # fmt: skip
        except BadRequest:
            if names:
                raise
            continue  # of a whole folder, those that can be asked
        mac = config.dut.mac or config.console.mac or config.flash.mac or ""
        found[name] = Device(name, config.api.base_url, lease_key(name, config, None), mac)
    if not found:
        raise BadRequest("no rig to watch", expected="a rig with base_url in [api]", evidence=str(rig_dir))
    return found


class Watcher:
    """Visits one device at a time, and no more often than it has to.

    Args:
        device: whom to ask.
        lease_folder: where leases are; None: the user's.
        client: makes the HTTP client of one visit; for tests of broken networks.
    """

    def __init__(
        self, device: Device, lease_folder: Path | None = None, client: Callable[[str], httpx.Client] | None = None
    ) -> None:
        self.device = device
        self._lease_folder = lease_folder
        self._client = client or _client
        self._lock = threading.Lock()
        self._last: tuple[float, Reading] | None = None

    def read(self) -> Reading:
        """The device's figures.

        Raises:
            RigFault: no connection, or another device answers at this address.
            DutFailure: no sound answer, or not in time.
        """
        if not self._lock.acquire(timeout=VISIT_LIMIT_S):
            raise DutFailure("the visit before has not ended", expected=f"within {VISIT_LIMIT_S} s")
        try:
            now = time.monotonic()
            if self._last is not None and now - self._last[0] < SHARED_FOR_S:
                return self._last[1]
            self._last = None
            reading = self._visit()
            self._last = (time.monotonic(), reading)
            return reading
        finally:
            self._lock.release()

    def _visit(self) -> Reading:
        if leases.holder(self.device.lease, self._lease_folder):
            return Reading(in_use=True)
        started = time.monotonic()
        with self._client(self.device.base_url) as client:
            api = DeviceApi(client, WallClock())
            health = api.health()
            told: dict[str, Mapping[str, Any]] = {}
            asks: dict[str, Callable[[], dict[str, Any]]] = {
                "info": api.info, "performance": api.performance, "probe": api.latency_probe,
                "pattern": api.current_pattern,
            }  # fmt: skip
            for name, ask in asks.items():
                if time.monotonic() - started > VISIT_LIMIT_S - ANSWER_TIMEOUT_S:
                    raise DutFailure("the device answers too slowly", expected=f"all within {VISIT_LIMIT_S} s")
                told[name] = _if_there(ask)
        mac = str(told["info"].get("mac", "")).lower()
        if self.device.mac and mac and mac != self.device.mac:
            raise RigFault(
                "another device is at this address", expected=self.device.mac, got=mac[:40],
                evidence=self.device.base_url, remedy="correct base_url or mac in the rig's file",
            )  # fmt: skip
        return Reading(False, time.monotonic() - started, health, told["performance"], told["info"], told["probe"],
                       told["pattern"])  # fmt: skip


def _client(url: str) -> httpx.Client:
    """The key comes from the environment; a device that has none pays no heed to it."""
    return httpx.Client(base_url=url, timeout=ANSWER_TIMEOUT_S, headers=api_headers())


def _if_there(ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """An answer, or nothing where this firmware has no such endpoint."""
    try:
        return ask()
    except ApiError as error:
        if error.status == 404:
            return {}
        raise


def application(found: Mapping[str, Device], lease_folder: Path | None = None) -> Starlette:
    """The exporter: ``/targets``, ``/probe?rig=NAME``, and ``/metrics`` about itself."""
    registry = CollectorRegistry()
    visits = Counter("k1_exporter_visits", "Visits to devices, by what came of them.", ["rig", "result"],
                     registry=registry)  # fmt: skip
    for name in found:
        for result in ("answered", "in_use", "failed"):
            visits.labels(name, result)
    watchers = {name: Watcher(device, lease_folder) for name, device in found.items()}

    def targets(request: Request) -> Response:
        return JSONResponse([{"targets": [name], "labels": {"rig": name}} for name in watchers])

    def probe(request: Request) -> Response:
        watcher = watchers.get(request.query_params.get("rig", ""))
        if watcher is None:
            return PlainTextResponse(f"unknown rig; known: {', '.join(watchers)}\n", 404)
        try:
            reading = watcher.read()
        except K1HilError as error:
            visits.labels(watcher.device.rig, "failed").inc()
            return PlainTextResponse(f"{error}\n", 503)
        visits.labels(watcher.device.rig, "in_use" if reading.in_use else "answered").inc()
        return Response(page(reading), media_type=CONTENT_TYPE_LATEST)

    def own(request: Request) -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return Starlette(routes=[Route("/targets", targets), Route("/probe", probe), Route("/metrics", own)])


def run(names: list[str], rig_dir: Path, port: int, address: str = "127.0.0.1") -> None:
    """Serves the exporter until SIGINT or SIGTERM.

    Raises:
        BadRequest: see :func:`devices`.
        RigFault: the port is taken.
    """
    serve_app(application(devices(names, rig_dir)), port, address)


def serve_app(app: Starlette, port: int, address: str) -> None:
    """Serves an application until SIGINT or SIGTERM, with bounds on what a client may hold.

    Raises:
        RigFault: the port is taken.
    """
    config = uvicorn.Config(
        app, host=address, port=port, log_level="warning", access_log=False, limit_concurrency=32, backlog=BACKLOG,
        timeout_keep_alive=5, h11_max_incomplete_event_size=16 << 10, server_header=False, proxy_headers=False,
        lifespan="off", timeout_graceful_shutdown=10,
    )  # fmt: skip
    try:
        sock = config.bind_socket()
    except SystemExit as error:  # uvicorn ends the process of whoever asks for a taken port
        raise RigFault(
            "the port cannot be opened", expected=f"{address}:{port} free", remedy="--port another"
        ) from error
    for number in (signal.SIGINT, signal.SIGTERM):
        # uvicorn ends in order, then raises the signal again for whoever was there before it: that end is a good one.
        signal.signal(number, lambda *_: None)
    with sock:
        sock.listen(BACKLOG)  # who reads the address may connect at once
        print(f"http://{address}:{sock.getsockname()[1]}", flush=True)
        uvicorn.Server(config).run(sockets=[sock])
