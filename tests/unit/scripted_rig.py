"""A rig that does what a test's script says, in place of the real one: for tests of the plugin, not of devices.

The console is the real instrument, over a port that plays a script; time passes only by waiting.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from synthetic import noise, recording

from harness.errors import DutFailure, RigFault
from harness.instruments.console import Console
from harness.rig.bundle import FirmwareBundle
from harness.signals import Stimulus
from harness.wire.image import Segment, build_image
from harness.wire.telemetry import Identity

PATTERNS = [
    {"index": 0, "id": "still", "name": "Still", "description": "does nothing", "audio_reactive": False, "raw": False},
    {"index": 1, "id": "lively", "name": "Lively", "description": "moves", "audio_reactive": True, "raw": False},
]


class ScriptedClock:
    """Host time that passes by waiting alone; a waiter sees the device's next bytes 0.1 s later."""

    def __init__(self) -> None:
        self.ns = 0

    def now_ns(self) -> int:
        return self.ns

    def wait(self, condition: Any, timeout_s: float, *, stop: str | None = None) -> bool:
        end = self.ns + round(timeout_s * 1e9)
        while not condition():
            if self.ns >= end:
                return False
            self.ns = min(end, self.ns + 100_000_000)
        return True

    def sleep_until(self, host_ns: int) -> None:
        self.ns = max(self.ns, host_ns)


class ScriptedPort:
    """Bytes by time; ``answers`` maps what is written to what comes 0.2 s later."""

    def __init__(self, clock: ScriptedClock, answers: dict[bytes, bytes]) -> None:
        self.clock = clock
        self.answers = answers
        self.pending: list[tuple[int, bytes]] = []
        self.written: list[bytes] = []

    def say(self, text: bytes, after_s: float = 0.0) -> None:
        self.pending.append((self.clock.ns + round(after_s * 1e9), text))

    def read_stamped(self) -> list[tuple[int, bytes]]:
        due = [p for p in self.pending if p[0] <= self.clock.ns]
        self.pending = [p for p in self.pending if p[0] > self.clock.ns]
        return due

    def write(self, data: bytes) -> int:
        self.written.append(data)
        if data in self.answers:
            self.say(self.answers[data], 0.2)
        return len(data)

    def close(self) -> None:
        """Nothing to close."""


class ScriptedRig:
    """What the suite needs of a rig."""

    def __init__(self, name: str, folder: Path, seed: int | None, script: dict[str, Any]) -> None:
        self.name, self.seed, self.script = name, seed, script
        if folder:
            folder.mkdir(parents=True, exist_ok=True)
        self.provenance = script.get("provenance", "simulated")
        self.config = SimpleNamespace(kind="virtual", current_limit_a=float(script.get("limit_a", 0.0)))
        self.profile = SimpleNamespace(name="quick")
        self.clock = ScriptedClock()
        self.port = ScriptedPort(self.clock, {k.encode(): v.encode() for k, v in script.get("answers", {}).items()})
        self.console = Console(self.port, self.clock, folder / "console.log" if folder else None)
        self.capabilities = set(script.get("capabilities", ["audio", "wire", "telemetry", "flashing_light"]))
        self.cost_model = "m1"
        self.audio = SimpleNamespace() if "audio" in self.capabilities else None
        self.bundle: FirmwareBundle | None = None
        self.recorded: list[str] = []
        self.telemetry = SimpleNamespace(param=self._param, command=lambda line: self.recorded.append(line))
        self.closed = False

    @property
    def identity(self) -> Identity:
        sha = self.bundle.sha256 if self.bundle else "0" * 64
        return Identity(1, "k1-sim", "1.0", "abc", "2026-01-01T00:00:00Z", sha, "power_on", 1, "00000001",
                        "aa:bb:cc:00:00:01", "10.0.0.2", 0, "undefined", True, 5)  # fmt: skip

    def check_bench(self) -> None:
        """This bench never falls behind."""

    def _param(self, name: str, value: float) -> float:
        self.recorded.append(f"param {name}")
        return value

    def flash(self, bundle: FirmwareBundle, *, progress: Any = None) -> None:
        if "flash" in self.script:
            raise _fault(self.script["flash"])
        self.bundle = bundle
        if progress:
            progress(0.5, "Writing")

    def reset(self, kind: str = "hard") -> Identity:
        self.recorded.append(f"reset {kind}")
        return self.identity

    def record(
        self, stimulus: Stimulus | None, seconds: float, streams: Any = (), pattern: Any = None, **_: Any
    ) -> Any:
        self.recorded.append(f"record {pattern}")
        if "record" in self.script:
            raise _fault(self.script["record"])
        tap = self.script.get("tap", "good")
        seconds = min(seconds, self.script.get("longest_s", 4.0))
        made = recording(
            noise(int(seconds / 0.006), 1), pattern=pattern or "", stimulus=stimulus, wire=tap != "none"
        )
        if "capped" in self.script:
            made.meta["capped_frames"] = self.script["capped"]
        if made.wire is not None and tap == "dead":
            made.wire = {name: column[:0] for name, column in made.wire.items()}
        _spoil(made, self.script.get("device", "good"))
        return made

    def close(self) -> None:
        self.closed = True
        self.console.close()


def _spoil(made: Any, device: str) -> None:
    """What a device of that kind leaves in a recording."""
    if device == "unsent":
        made.frames["sent"][:] = False
    if device in ("unsent", "dark"):
        made.pixels = {name: column[:0] for name, column in made.pixels.items()}
        if made.wire is not None:
            made.wire = {name: column[:0] for name, column in made.wire.items()}
    if device == "stops":
        made.meta["seconds"] += 3.0


def _fault(word: str) -> Exception:
    return {"rig": RigFault, "dut": DutFailure}[word](f"{word} broke", expected="all well", remedy="mend it")


def make_firmware(folder: Path) -> Path:
    """A sound image with its companions and manifest; nothing in it runs."""
    folder.mkdir(parents=True)
    image = build_image([Segment(0x3F400020, b"\0" * 256)], 0x40000000)
    (folder / "firmware.bin").write_bytes(image)
    for name in ("bootloader.bin", "partitions.bin", "boot_app0.bin"):
        (folder / name).write_bytes(b"\xff")
    manifest = {"schema": 1, "sha256": image[-32:].hex(), "patterns": PATTERNS, "cost_model": "m1", "git": "abc"}
    (folder / "firmware.manifest.json").write_text(json.dumps(manifest))
    return folder


def install() -> None:
    """Called by the inner run's conftest: the suite opens a scripted rig instead of a real one, and must not build."""
    from harness.suite import session

    script = json.loads(os.environ.get("RIG_SCRIPT", "{}"))

    def open_scripted(name: str, rig_dir: Path, *, profile: str, folder: Path, seed: int | None, owner: str) -> Any:
        Path(os.environ["RIG_OPENED"]).open("a").write(f"{name} {profile} {seed}\n")
        if "open" in script:
            raise _fault(script["open"])
        return ScriptedRig(name, folder, seed, script)

    def no_build(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("these tests bring their own firmware")

    session.open_rig = open_scripted  # type: ignore[assignment]
    session.build = no_build


@pytest.fixture
def suite_project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A project with the plugin, a virtual rig and a firmware; ``run(tests, *arguments, **script)`` runs its suite."""
    (pytester.path / "rigs").mkdir()
    (pytester.path / "rigs" / "sim.toml").write_text('kind = "virtual"\n')
    make_firmware(pytester.path / "fw")
    opened = pytester.path / "opened.txt"
    opened.touch()
    monkeypatch.setenv("RIG_OPENED", str(opened))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[2])]))
    for name in ("K1HIL_RIG", "K1HIL_RIG_DIR", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeconftest('pytest_plugins = ["harness.plugin"]\nimport scripted_rig\nscripted_rig.install()\n')
    pytester.makeini("[pytest]\njunit_logging = system-out\naddopts = --strict-markers\n")
    (pytester.path / "tests_hil").mkdir()

    def run(
        tests: str,
        *arguments: str,
        firmware: bool = True,
        folder: str = "tests_hil",
        apart: bool = False,
        **script: Any,
    ) -> Any:
        """``apart``: in a process of its own, for what would disturb this one."""
        monkeypatch.setenv("RIG_SCRIPT", json.dumps(script))
        (pytester.path / folder).mkdir(exist_ok=True)
        (pytester.path / folder / "test_it.py").write_text(tests)
        given = ["--rig-dir", "rigs", *(["--firmware", "fw"] if firmware else [])]
        everything = ["-p", "no:conductor-agents-testing", "-p", "no:cacheprovider", folder, *given, *arguments]
        if apart:
            return pytester.runpytest_subprocess(*everything, timeout=60)
        return pytester.runpytest_inprocess(*everything)

    run.path = pytester.path  # type: ignore[attr-defined]
    run.opened = lambda: opened.read_text().splitlines()  # type: ignore[attr-defined]
    return run
