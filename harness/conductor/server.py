"""A real Conductor server on this machine: one Java process, embedded SQLite, loopback only."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import psutil
from filelock import FileLock, Timeout

from harness.conductor import jar
from harness.errors import BadRequest, RigFault
from harness.pipeline.tied import tied

HOST = "127.0.0.1"
RECORD = "server.json"
LOG = "server.log"
ASK_EVERY_S = 0.25
STOP_TIMEOUT_S = 20.0
LOCK_TIMEOUT_S = 180.0
TAIL_LINES = 15
# The compiler that optimises most is left out and the heap bounded: it starts in 14 s on two cores, in 400 MB.
JVM = ("-XX:TieredStopAtLevel=1", "-Xmx512m", "--enable-native-access=ALL-UNNAMED", "-Djava.awt.headless=true")


@dataclass(frozen=True)
class Status:
    """What runs in a folder. ``pid`` 0: nothing."""

    running: bool
    healthy: bool
    pid: int
    api_url: str
    version: str
    folder: str

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return dict(self.__dict__)


class ConductorServer:
    """A server whose database, log and process number live in one folder.

    Starting it again in the same folder goes on with the same workflows at the same address.

    Args:
        folder: made when absent.
        port: TCP port on loopback; 0: the one of last time, else a free one.
        tied: ends with the process that started it, even when that is killed. For tests; ``k1hil conductor up``
            leaves the server running.
    """

    def __init__(self, folder: Path, port: int = 0, *, tied: bool = False) -> None:
        if not 0 <= port < 65536:
            raise BadRequest("unusable port", expected="0 to 65535", got=str(port))
        self.folder = Path(folder).resolve()
        self._wanted_port = port
        self._tied = tied
        self._child: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()

    # ---- addresses

    @property
    def port(self) -> int:
        """The port of the server that runs or ran here; 0 when none ever did."""
        return int(self._record().get("port", 0)) or self._wanted_port

    @property
    def url(self) -> str:
        """Of the process itself, for ``/health`` and ``/actuator/prometheus``."""
        return f"http://{HOST}:{self.port}"

    @property
    def api_url(self) -> str:
        """What clients and workers are given."""
        return f"{self.url}/api"

    @property
    def pid(self) -> int:
        """Of the running server; 0 when none runs."""
        process = self._process()
        return process.pid if process is not None else 0

    # ---- life

    def up(self, timeout_s: float = 120.0) -> Status:
        """Starts the server, unless it runs already, and waits until it is healthy.

        Raises:
            BadRequest: what it needs is not installed, or another server runs here at another port.
            RigFault: it ended, or was not healthy in time; it is gone then.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock():
            if self._process() is not None:
                if self._wanted_port not in (0, self.port):
                    raise BadRequest(
                        "a server runs in this folder at another port", expected=str(self._wanted_port),
                        got=str(self.port), evidence=str(self.folder), remedy="k1hil conductor down",
                    )  # fmt: skip
            else:
                self._launch()
            self._await_health(timeout_s)
        return self.status()

    def down(self, timeout_s: float = STOP_TIMEOUT_S) -> bool:
        """Stops the server in order, or else by force; False when none ran."""
        if not self.folder.exists():
            return False
        with self._lock():
            return self._end(timeout_s)

    def kill(self) -> None:
        """Ends the server as a power cut would, for tests of what survives it."""
        process = self._process()
        if process is not None:
            process.kill()
            self._gone(process, STOP_TIMEOUT_S)

    def status(self) -> Status:
        """What runs here."""
        pid = self.pid
        version, healthy = "", False
        if pid:
            healthy = self._healthy()
            version = self._version() if healthy else ""
        return Status(pid != 0, healthy, pid, self.api_url if pid else "", version, str(self.folder))

    # ---- process

    def _launch(self) -> None:
        port = self._choose_port()
        command = [str(jar.java()), *JVM, "-jar", str(jar.server_jar()), *self._settings(port)]
        if self._tied:
            command = tied(command)
        with (self.folder / LOG).open("wb") as log:
            child = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                start_new_session=True,
            )  # fmt: skip
        self._child = child
        record = {"pid": child.pid, "started": psutil.Process(child.pid).create_time(), "port": port}
        work = self.folder / f".{RECORD}.new"
        work.write_text(json.dumps(record))
        work.replace(self.folder / RECORD)

    def _settings(self, port: int) -> list[str]:
        database = self.folder / "conductor.db"
        settings = {
            "server.address": HOST,
            "server.port": port,
            "spring.datasource.url": f"jdbc:sqlite:{database}?busy_timeout=15000&journal_mode=WAL",
            "spring.main.banner-mode": "off",
            "conductor.db.type": "sqlite",
            "conductor.queue.type": "sqlite",
            "conductor.indexing.type": "sqlite",
            "conductor.workflow-execution-lock.type": "local_only",
            "conductor.app.ownerEmailMandatory": "false",
            "conductor.app.taskExecutionPostponeDuration": "5s",
            "conductor.integrations.ai.enabled": "false",
            "conductor.enable.ui.serving": "false",
            "management.health.elasticsearch.enabled": "false",  # else its own health check says DOWN
            # Running workflows and queue depths for Prometheus: else from two minutes on, of new definitions after ten.
            "conductor.workflow-monitor.stats.initial-delay": 10_000,
            "conductor.workflow-monitor.stats.delay": 15_000,
            "conductor.workflow-monitor.metadata-refresh-interval": 1,
        }
        return [f"--{name}={value}" for name, value in settings.items()]

    def _choose_port(self) -> int:
        wanted = self._wanted_port or int(self._record().get("port", 0))
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, wanted))
            except OSError as error:
                raise RigFault(
                    "the Conductor server's port is taken", got=str(error), evidence=f"{HOST}:{wanted}",
                    remedy="stop the other program, or name another port",
                ) from error  # fmt: skip
            return int(probe.getsockname()[1])

    def _await_health(self, timeout_s: float) -> None:
        deadline = time.monotonic() + timeout_s
        while not self._healthy():
            if self._process() is None:
                raise RigFault(
                    "the Conductor server ended while it started", got=self._tail(), evidence=str(self.folder / LOG)
                )
            if time.monotonic() > deadline:
                tail = self._tail()
                self._end(STOP_TIMEOUT_S)
                raise RigFault(
                    "the Conductor server did not become healthy", expected=f"within {timeout_s:g} s", got=tail,
                    evidence=str(self.folder / LOG), remedy="is the machine overloaded, or the disk full?",
                )  # fmt: skip
            time.sleep(ASK_EVERY_S)

    def _healthy(self) -> bool:
        try:
            return bool(httpx.get(f"{self.url}/health", timeout=5.0, trust_env=False).json()["healthy"])
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    def _version(self) -> str:
        try:
            return httpx.get(f"{self.api_url}/version", timeout=5.0, trust_env=False).text.strip()[:40]
        except httpx.HTTPError:
            return ""

    def _end(self, timeout_s: float) -> bool:
        process = self._process()
        if process is None:
            return False
        process.send_signal(signal.SIGTERM)
        if not self._gone(process, timeout_s):
            process.kill()
            if not self._gone(process, timeout_s):
                raise RigFault("the Conductor server does not end", evidence=f"process {process.pid}")
        return True

    def _gone(self, process: psutil.Process, timeout_s: float) -> bool:
        try:
            if self._child is not None and self._child.pid == process.pid:
                self._child.wait(timeout_s)
            else:
                process.wait(timeout_s)
        except (subprocess.TimeoutExpired, psutil.TimeoutExpired):
            return False
        return True

    def _process(self) -> psutil.Process | None:
        """The server's process: the number alone proves nothing, another program may have got it since."""
        record = self._record()
        try:
            process = psutil.Process(int(record["pid"]))
            same = abs(process.create_time() - float(record["started"])) < 1.0
            return process if same and process.status() != psutil.STATUS_ZOMBIE else None
        except (psutil.Error, KeyError, ValueError, TypeError):
            return None

    def _record(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.folder / RECORD).read_text()))
        except (OSError, ValueError, TypeError):
            return {}

    @contextmanager
    def _lock(self) -> Iterator[None]:
        try:
            with FileLock(str(self.folder / ".lock"), timeout=LOCK_TIMEOUT_S):
                yield
        except Timeout as error:
            raise RigFault("somebody else starts or stops this server", evidence=str(self.folder)) from error

    def _tail(self) -> str:
        try:
            lines = (self.folder / LOG).read_text(errors="replace").splitlines()
        except OSError:
            return ""
        return "\n".join(line[:300] for line in lines[-TAIL_LINES:])
