"""What a worker tells Prometheus: tasks, builds, deploys, verdicts, leases.

The functions of this module count into one registry per process, which :func:`serve` shows at ``/metrics``. The
server's own metrics say how long a task took with queue and retries; these say what it was for: which environment,
which rig, which verdict.

Label values come from outside (environments of any project by path), so their length and number are bounded: an
unbounded label set would fill the memory of worker and Prometheus.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from threading import Thread
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, start_http_server

from harness.errors import RigFault

# Tasks last from a REST call to a night. The client library's own buckets end at ten seconds.
TASK_BUCKETS_S = (1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0)
# A warm host build takes seconds, a cold one with toolchain and framework ten minutes.
BUILD_BUCKETS_S = (2.0, 5.0, 10.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0)
# Over the air some 10 s, over serial up to a minute, with the health watch after it.
DEPLOY_BUCKETS_S = (5.0, 10.0, 15.0, 20.0, 30.0, 45.0, 60.0, 90.0, 120.0, 180.0, 300.0, 600.0)
VERDICTS = ("pass", "fail", "inconclusive")
DEPLOY_PATHS = ("ota", "serial")
OUTCOMES = ("success", "failure")
# What a build worker announces: the environments of our own firmware.
OUR_ENVIRONMENTS = ("sim", "esp32-s3-devkitc-1", "esp32-s3-devkitc-1-ota")
MOST_LABEL_VALUES = 100
MOST_LABEL_CHARS = 64
OTHER = "other"


class WorkerMetrics:
    """The metrics of one worker process.

    Args:
        registry: where they live; tests give each their own.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._seen: dict[str, set[str]] = {}
        self._tasks = Counter(
            "k1_worker_tasks", "Tasks that ended, by the status the worker reports.", ["task_type", "status"],
            registry=registry,
        )  # fmt: skip
        self._task_s = Histogram(
            "k1_worker_task_duration_seconds", "Wall time of a task in the worker.", ["task_type"],
            buckets=TASK_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self._builds = Counter(
            "k1_firmware_builds", "Builds, by environment and outcome.", ["status", "environment"], registry=registry
        )
        self._build_s = Histogram(
            "k1_firmware_build_duration_seconds", "Wall time of one environment's build.", ["environment"],
            buckets=BUILD_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self._flash = Gauge(
            "k1_firmware_flash_used_ratio", "Share of the slot the newest build takes.", ["environment"],
            registry=registry,
        )  # fmt: skip
        self._ram = Gauge(
            "k1_firmware_ram_used_ratio", "Share of the RAM the newest build takes before start.", ["environment"],
            registry=registry,
        )  # fmt: skip
        self._deploys = Counter(
            "k1_firmware_deploys", "Deploys, by way (ota or serial) and outcome.", ["rig", "path", "status"],
            registry=registry,
        )  # fmt: skip
        self._deploy_s = Histogram(
            "k1_firmware_deploy_duration_seconds", "Wall time of a deploy with its health watch.", ["rig", "path"],
            buckets=DEPLOY_BUCKETS_S, registry=registry,
        )  # fmt: skip
        self._verdicts = Counter(
            "k1_rig_verdicts", "Verdicts of suites run on a rig.", ["rig", "verdict"], registry=registry
        )
        self._lease = Gauge(
            "k1_rig_lease_held", "1 while this worker holds the rig's lease, else 0.", ["rig"], registry=registry
        )
        self._spooled = Gauge(
            "k1_worker_spooled_results", "Results that wait for the server to take them.", registry=registry
        )
        self._polled = Gauge(
            "k1_worker_last_poll_timestamp_seconds", "Unix time of the last poll the server answered.",
            registry=registry,
        )  # fmt: skip

    def announce(
        self, *, rigs: Iterable[str] = (), environments: Iterable[str] = (), task_types: Iterable[str] = ()
    ) -> None:
        """Shows every counter of these at zero: a counter that first appears at 1 has no increase for Prometheus."""
        for rig in rigs:
            for verdict in VERDICTS:
                self._verdicts.labels(self._label("rig", rig), verdict)
            for path in DEPLOY_PATHS:
                self._deploy_s.labels(self._label("rig", rig), path)
                for status in OUTCOMES:
                    self._deploys.labels(self._label("rig", rig), path, status)
            self._lease.labels(self._label("rig", rig)).set(0)
        for environment in environments:
            self._build_s.labels(self._label("environment", environment))
            for status in OUTCOMES:
                self._builds.labels(status, self._label("environment", environment))
        for task_type in task_types:
            self._task_s.labels(self._label("task_type", task_type))
            for status in ("COMPLETED", "FAILED", "FAILED_WITH_TERMINAL_ERROR"):
                self._tasks.labels(self._label("task_type", task_type), status)

    def task_done(self, task_type: str, status: str, seconds: float) -> None:
        """One task ended with a status of the server's vocabulary (``COMPLETED``, ``FAILED`` …)."""
        name = self._label("task_type", task_type)
        self._tasks.labels(name, self._label("task_status", status)).inc()
        self._task_s.labels(name).observe(max(0.0, seconds))

    def build(self, environment: str, status: str, seconds: float) -> None:
        """One environment was built; ``status`` is success, failure or unavailable."""
        self.announce(environments=[environment])  # both outcomes, so that a share of them can be drawn
        name = self._label("environment", environment)
        self._builds.labels(self._label("build_status", status), name).inc()
        self._build_s.labels(name).observe(max(0.0, seconds))

    def sizes(self, environment: str, flash_ratio: float | None, ram_ratio: float | None) -> None:
        """How full slot and RAM are with the newest build, 0 to 1; None: not known, the former value stays."""
        name = self._label("environment", environment)
        for gauge, ratio in ((self._flash, flash_ratio), (self._ram, ram_ratio)):
            if ratio is not None:
                gauge.labels(name).set(ratio)

    def deploy(self, rig: str, path: str, status: str, seconds: float) -> None:
        """A deploy ended; ``path`` is ota or serial (none: it ran already), ``status`` success or failure."""
        name, way = self._label("rig", rig), self._label("path", path)
        self._deploys.labels(name, way, self._label("deploy_status", status)).inc()
        self._deploy_s.labels(name, way).observe(max(0.0, seconds))

    def verdict(self, rig: str, verdict: str) -> None:
        """A suite on a rig came to a verdict."""
        self._verdicts.labels(self._label("rig", rig), self._label("verdict", verdict)).inc()

    def lease(self, rig: str, held: bool) -> None:
        """The rig's lease was taken or given back."""
        self._lease.labels(self._label("rig", rig)).set(1 if held else 0)

    def spooled(self, count: int) -> None:
        """So many results wait on disk for the server."""
        self._spooled.set(count)

    def polled(self) -> None:
        """The server answered a poll just now."""
        self._polled.set(time.time())

    def _label(self, kind: str, value: str) -> str:
        """A label value of bounded length; beyond the hundredth of its kind all are ``other``."""
        text = "".join(c if c.isprintable() else "?" for c in value[:MOST_LABEL_CHARS]) or OTHER
        seen = self._seen.setdefault(kind, set())
        if text not in seen and len(seen) >= MOST_LABEL_VALUES:
            return OTHER
        seen.add(text)
        return text


@dataclass(frozen=True)
class Served:
    """A running ``/metrics`` page."""

    server: WSGIServer
    thread: Thread

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.server.server_port)

    def close(self) -> None:
        """Stops it and waits until it has stopped."""
        self.server.shutdown()
        self.server.server_close()
        self.thread.join(5)


def serve(port: int, address: str = "127.0.0.1", registry: CollectorRegistry | None = None) -> Served:
    """Shows the metrics of this process at ``http://ADDRESS:PORT/metrics``, in a thread of its own.

    Args:
        port: 0 takes a free one.
        registry: default that of this module's functions.

    Raises:
        RigFault: the port is taken.
    """
    try:
        server, thread = start_http_server(port, addr=address, registry=registry or REGISTRY)
    except OSError as error:
        raise RigFault(
            "the metrics page cannot be opened", expected=f"{address}:{port} free", got=str(error),
            remedy="one port for each worker: --metrics-port",
        ) from error  # fmt: skip
    return Served(server, thread)


REGISTRY = CollectorRegistry()
_shared = WorkerMetrics(REGISTRY)
announce = _shared.announce
task_done = _shared.task_done
build = _shared.build
sizes = _shared.sizes
deploy = _shared.deploy
verdict = _shared.verdict
lease = _shared.lease
spooled = _shared.spooled
polled = _shared.polled
