"""The whole way of a firmware on this machine alone: a Conductor server, workers and virtual boards.

Five workflows, each held to what it must come to: a commit that is good, a pattern from its specification, a commit
whose firmware boots but is not well, a pattern test that is red, and a release that waits for a person.
"""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from harness.conductor.approval import decide, waiting
from harness.conductor.register import register
from harness.conductor.rest import Conductor
from harness.conductor.server import ConductorServer
from harness.pipeline.artifacts import ArtifactStore
from harness.pipeline.firmware_store import image_sha256
from tools.conductor_lab import REPO, SLOW, UNMIRRORED, Lab, output, tasks, told

RIG, PRODUCTION = "demo", "demo-production"
WATCH_S = 3
CI_CD = ("validate", "clean", "compile", "metrics", "store", "reserve", "deploy", "health", "release_rig")
PATTERN = ("generate", "clean", "compile", "store", "reserve", "deploy", "health", "validate_led", "validate_audio",
           "measure", "release_rig", "compare", "report")  # fmt: skip
SPEC = """\
schema: 1
id: demo_glow
name: Demo glow
description: A ring of colours that turns and swells with the loudness
palette:
  - {at: 0, colour: "#FF2000"}
  - {at: 0.33, colour: "#20FF00"}
  - {at: 0.66, colour: "#0020FF"}
layers:
  - shape: wave
    level: 0.8
    length_leds: 40
    colour: {from: 0, to: 1}
    motion: {travel_leds_per_s: 30}
    audio:
      - {source: loudness, drives: level, amount: 0.8}
"""
# A part of the suite, briefly, is enough to show the way; the shipped selections and profile take longer.
PARTS = {"profile": "quick", "led": "pattern_lit or pattern_mirrored", "audio": "pattern_reacts",
         "figures": "frame_fits"}  # fmt: skip


class Demo:
    """One demonstration; every step raises when it does not come to what it must."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.commit = {"repo": REPO, "branch": "", "author": "demo", "watch_s": WATCH_S}
        self.good = ""

    def good_commit(self) -> None:
        """Validated, built, stored, sent over the air, well: and store, task and device tell the same SHA-256."""
        done = self._run("firmware-ci-cd", commit_sha=self.lab.repository.good, **self.commit)
        self._all_ran(done, CI_CD)
        assert (done["status"], done["output"]["verdict"]) == ("COMPLETED", "pass"), told(done)
        self.good = self._same_sha256(done)

    def pattern(self) -> None:
        """From a specification to its verdict on the device."""
        done = self._run("pattern-validation", commit_sha=self.lab.repository.good, spec=SPEC, **self.commit, **PARTS)
        self._all_ran(done, PATTERN)
        assert done["status"] == "COMPLETED", told(done)
        self._same_sha256(done)

    def ill_firmware(self) -> None:
        """It boots, answers and shows light, but too slowly: the firmware before runs again, the workflow failed."""
        before = self.lab.running(RIG)
        bad = self.lab.repository.changed(*SLOW)
        done = self._run("firmware-ci-cd", commit_sha=bad, **self.commit)
        self._all_ran(done, (*CI_CD[:-1], "rollback"))
        assert done["status"] == "FAILED", told(done)
        assert output(done, "health")["healthy"] is False
        back = self.lab.client.workflow(tasks(done, "rollback")[0]["subWorkflowId"])
        assert (back["workflowName"], back["status"]) == ("firmware-rollback", "COMPLETED"), told(back)
        assert self.lab.running(RIG) == before != output(done, "store")["sha256"]

    def red_pattern_test(self) -> None:
        """A device that is well and a test that is red: no failure of the workflow, and no second flash."""
        red = self.lab.repository.changed(*UNMIRRORED)
        done = self._run("pattern-validation", commit_sha=red, spec=SPEC, **self.commit, **PARTS)
        assert (done["status"], done["output"]["verdict"]) == ("COMPLETED", "fail"), told(done)
        assert output(done, "validate_led")["verdict"] == "fail"
        assert len(tasks(done, "deploy")) == 1 and not tasks(done, "rollback")
        assert self.lab.running(RIG) == output(done, "store")["sha256"], "what is red stays to be looked at"

    def release(self) -> None:
        """It waits for a person, and then goes to the second board."""
        with self.lab.served(PRODUCTION), self.lab.worker(PRODUCTION):
            self._release()

    def _release(self) -> None:
        old = self.lab.running(PRODUCTION)
        inputs = {**self.commit, "production_rig": PRODUCTION, "smoke": "test_identity", "integration": "test_identity"}
        started = self.lab.start("firmware-release", RIG, commit_sha=self.lab.repository.good, **inputs)
        asks = self.lab.finished(started, until="approval")
        assert asks["status"] == "RUNNING" and self.lab.running(PRODUCTION) == old, told(asks)
        assert [g.workflow_id for g in waiting(self.lab.client)] == [started]
        decide(self.lab.client, started, approved=True, by="Demo Person", note="shown")
        done = self.lab.finished(started)
        print(told(done), flush=True)
        assert (done["status"], done["output"]["approved_by"]) == ("COMPLETED", "Demo Person"), told(done)
        assert self.lab.running(PRODUCTION) == output(done, "store")["sha256"]

    def _run(self, workflow: str, **inputs: Any) -> dict[str, Any]:
        done = self.lab.finished(self.lab.start(workflow, RIG, **inputs))
        print(told(done), flush=True)
        return done

    def _all_ran(self, done: dict[str, Any], refs: tuple[str, ...]) -> None:
        missing = [ref for ref in refs if not tasks(done, ref)]
        assert not missing, f"never ran: {missing}\n{told(done)}\n{self.lab.logs()}"

    def _same_sha256(self, done: dict[str, Any]) -> str:
        stored = ArtifactStore(str(self.lab.store)).get("firmware", output(done, "store")["firmware"])
        told_by = {
            "store": image_sha256(stored),
            "compile": output(done, "compile")["sha256"],
            "health": output(done, "health")["running"],
            "device": self.lab.running(RIG),
        }
        assert len(set(told_by.values())) == 1, told_by
        print(f"  the same image everywhere: {told_by['device'][:16]}", flush=True)
        return told_by["device"]


def run(folder: Path, server: ConductorServer, steps: list[str]) -> None:
    """Runs steps of the demonstration on a server that is up."""
    with ExitStack() as stack:
        client = stack.enter_context(Conductor(server.api_url, key="", secret=""))
        register(client, time_scale=0.05)
        lab = Lab(client, folder)
        stack.enter_context(lab.served(RIG, sound=True))
        stack.enter_context(lab.worker(RIG))
        stack.enter_context(lab.worker())
        demo = Demo(lab)
        for step in steps:
            began = time.monotonic()
            print(f"== {step.replace('_', ' ')}", flush=True)
            getattr(demo, step)()
            print(f"== {step.replace('_', ' ')}: as it must be, {time.monotonic() - began:.0f} s", flush=True)


STEPS = ["good_commit", "pattern", "ill_firmware", "red_pattern_test", "release"]


def main() -> int:
    """The demonstration; names of steps on the command line pick some."""
    steps = sys.argv[1:] or STEPS
    if not set(steps) <= set(STEPS):
        print(f"unknown step; there are: {' '.join(STEPS)}", file=sys.stderr)
        return 4
    with tempfile.TemporaryDirectory(prefix="k1hil-demo-") as work:
        with ConductorServer(Path(work) / "conductor", tied=True) as server:
            print(f"Conductor {server.status().version} at {server.api_url}", flush=True)
            run(Path(work) / "lab", server, steps)
    print("the demonstration came to what it must")
    return 0


if __name__ == "__main__":
    sys.exit(main())
