"""What a demonstration or a test of whole workflows needs on one machine: a repository, served boards, workers."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx

from harness.conductor.rest import CLOSED, Conductor
from harness.errors import DutFailure, RigFault
from harness.instruments.api import DeviceApi
from harness.instruments.clock import WallClock
from harness.pipeline.tied import tied
from tools.sim_live import take_precedence

ROOT = Path(__file__).resolve().parents[1]
REPO = "k1"
STOP_S = 90.0
LOOK_EVERY_S = 0.5
NETWORK_S = 60.0
# As in rigs/sim-live.toml: the sound server of the bench, generous because a busy machine must not make gaps.
SOUND = """
[audio]
device = "pulse"
loopback = "pulse"
channels = "left"
path_ms = 10
latency_ms = 250
"""
# The render loop sleeps longer than a frame takes: it boots, shows light and answers, at a third of its frame rate.
SLOW = ("core/app.cpp", "for (;;) frame_loop().step();", "for (;;) { frame_loop().step(); hal::sleep_ms(20); }")
# Both halves of the strip run from left to right: the device is well, and what it shows is wrong.
UNMIRRORED = ("core/patterns/common.h", "leds[kCentre + 1 + h] = c;", "leds[kLeds - 1 - h] = c;")


class Repository:
    """A clone whose commits a demonstration may make: the checkout as it stands, and changes to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._git("clone", "--quiet", "--no-hardlinks", "--shared", str(ROOT), str(folder), at=ROOT)
        shutil.rmtree(folder / "firmware")
        shutil.copytree(ROOT / "firmware", folder / "firmware", ignore=shutil.ignore_patterns(".pio", "__pycache__"))
        self.good = self.commit("as it stands")

    def commit(self, words: str) -> str:
        """All changes as a commit; its SHA-1."""
        self._git("add", "--all")
        who = ("-c", "user.name=demo", "-c", "user.email=demo@localhost")
        self._git(*who, "commit", "--quiet", "--allow-empty", "--no-verify", "-m", words)
        return self._git("rev-parse", "HEAD").strip()

    def changed(self, file: str, old: str, new: str) -> str:
        """A commit on top of the good one in which a text of the firmware's sources is another; its SHA-1."""
        self._git("checkout", "--quiet", "--detach", self.good)
        path = self.folder / "firmware" / "src" / file
        text = path.read_text()
        assert text.count(old) == 1, f"{file} holds {text.count(old)} times: {old!r}"
        path.write_text(text.replace(old, new))
        return self.commit(f"changes {file}")

    def _git(self, *words: str, at: Path | None = None) -> str:
        done = subprocess.run(
            ["git", "-C", str(at or self.folder), *words], capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return done.stdout


class Lab:
    """Boards, workers and workflows in one folder.

    Args:
        client: of a server that has the definitions.
        folder: new; holds rig files, boards, store and logs.
    """

    def __init__(self, client: Conductor, folder: Path) -> None:
        self.client, self.folder = client, folder
        self.rigs = folder / "rigs"
        self.rigs.mkdir(parents=True)
        shutil.copy(ROOT / "rigs" / "sim.toml", self.rigs)
        for beside in ROOT.glob("rigs/sim.*.json"):
            shutil.copy(beside, self.rigs)
        self.repository = Repository(folder / "repo")
        self.store = folder / "store"
        self.board: dict[str, dict[str, Any]] = {}
        self._running: dict[str, subprocess.Popen[str]] = {}

    @contextmanager
    def served(self, rig: str, *, sound: bool = False) -> Iterator[dict[str, Any]]:
        """A virtual board served for a rig of this name, at free ports; what its program says of it.

        With ``sound`` it hears what its worker plays: that needs PulseAudio.
        """
        self._rig_file(rig, sound)
        words = ("bench", "--live", "--state", str(self.folder / "boards" / rig), "--for", rig)
        words = (*words, "--sound") if sound else words
        with self._process(f"board-{rig}", *words, "--rig-dir", str(self.rigs), lines=True) as process:
            take_precedence(process.pid)  # compilers run beside it; a board behind wall time judges nobody
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, self.log(f"board-{rig}")
            self.board[rig] = json.loads(line)
            yield self.board[rig]

    @contextmanager
    def worker(self, rig: str = "", *more: str) -> Iterator[None]:
        """A worker for a rig, or the one that builds, with further options; drained at the end."""
        name = rig or "build"
        who = ("--rig", rig) if rig else ("--role", "build")
        words = ("worker", *who, "--rig-dir", str(self.rigs), "--server", self.client.api_url,
                 "--store", str(self.store), "--state", str(self.folder / "workers" / name))  # fmt: skip
        hears = self.board[rig]["environment"] if rig in self.board else {}
        with self._process(f"worker-{name}", *words, *more, environment=hears):
            yield

    def start(self, workflow: str, rig: str, **inputs: Any) -> str:
        """Starts a workflow for a rig; its id."""
        return self.client.start(workflow, inputs, domain=rig)

    def finished(self, workflow_id: str, timeout_s: float = 1200.0, until: str = "") -> dict[str, Any]:
        """Waits for the end of a workflow, or until a task of a reference name is open; the workflow."""
        deadline = time.monotonic() + timeout_s
        words = "no answer yet"
        while True:
            try:
                found = self.client.workflow(workflow_id)
            except RigFault as silent:  # a busy machine, or a server that starts anew: the deadline decides
                words = str(silent)
            else:
                open_ = [t["referenceTaskName"] for t in found["tasks"] if t["status"] == "IN_PROGRESS"]
                if found["status"] in CLOSED or (until and until in open_):
                    return found
                words = told(found)
            ended = [name for name, process in self._running.items() if process.poll() is not None]
            assert not ended, f"ended by itself: {', '.join(ended)}; {words}\n{self.logs()}"
            assert time.monotonic() < deadline, f"not over in time: {words}\n{self.logs()}"
            time.sleep(LOOK_EVERY_S)

    def running(self, rig: str) -> str:
        """SHA-256 of the image that a device says it runs; asks as slowly as the device wants it.

        A board that was just switched on has its ports, but no network yet.
        """
        client = httpx.Client(base_url=self.board[rig]["http"], timeout=10.0, trust_env=False)
        deadline = time.monotonic() + NETWORK_S
        with closing(DeviceApi(client, WallClock())) as api:
            while True:
                try:
                    return str(api.info()["image_sha256"])
                except (RigFault, DutFailure):  # refused, or taken and dropped: its network is just coming up
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(LOOK_EVERY_S)

    def log(self, name: str) -> str:
        """What a process said."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-6000:]

    def logs(self) -> str:
        """What all said, the end of it."""
        return "\n".join(f"--- {path.name}\n{self.log(path.stem)}" for path in sorted(self.folder.glob("*.log")))

    def _rig_file(self, rig: str, sound: bool) -> None:
        text = (ROOT / "rigs" / "sim-served.toml").read_text() + (SOUND if sound else "")
        with ExitStack() as stack:  # all held until all are drawn: no port twice
            for port in sorted(set(re.findall(r"175\d\d", text))):
                sock = stack.enter_context(socket.socket())
                sock.bind(("127.0.0.1", 0))
                text = text.replace(port, str(sock.getsockname()[1]))
        (self.rigs / f"{rig}.toml").write_text(text)

    @contextmanager
    def _process(
        self, name: str, *words: str, lines: bool = False, environment: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith("CONDUCTOR_")}
        environ |= {"K1HIL_REPOS": f"{REPO}={self.repository.folder}", **(environment or {})}
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                tied([sys.executable, "-m", "harness.cli", *words]), cwd=ROOT, env=environ, text=True, stderr=log,
                stdout=subprocess.PIPE if lines else log, start_new_session=True,
            )  # fmt: skip
        self._running[name] = process
        try:
            yield process
        finally:
            del self._running[name]
            _end(process)


def _end(process: subprocess.Popen[str]) -> None:
    """Drains a worker or stops a board; what does not listen is told to stop at once, and then is ended."""
    for sign, patience_s in ((signal.SIGTERM, STOP_S), (signal.SIGINT, STOP_S / 3)):
        process.send_signal(sign)
        try:
            process.wait(patience_s)
            return
        except subprocess.TimeoutExpired:
            continue
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def tasks(workflow: dict[str, Any], ref: str) -> list[dict[str, Any]]:
    """All attempts at a task of a workflow."""
    return [t for t in workflow["tasks"] if t["referenceTaskName"] == ref]


def output(workflow: dict[str, Any], ref: str) -> dict[str, Any]:
    """What the last attempt at a task brought."""
    found = tasks(workflow, ref)
    assert found, f"{ref} never ran: {told(workflow)}"
    return dict(found[-1].get("outputData") or {})


def told(workflow: dict[str, Any]) -> str:
    """A workflow in short: its tasks, how they ended and why."""
    hidden = ("SWITCH", "NOOP", "TERMINATE", "JOIN", "FORK")
    lines = [f"{workflow['workflowName']} {workflow['status']} {workflow.get('reasonForIncompletion') or ''}"]
    for task in workflow["tasks"]:
        if task["taskType"] not in hidden:
            result = task.get("outputData") or {}
            why = task.get("reasonForIncompletion") or result.get("why") or ""
            lines.append(f"  {task['referenceTaskName']}: {task['status']} {result.get('verdict', '')} {why}"[:300])
    return "\n".join(lines)
