"""Tasks of a worker whose work is real: what they bring home, what they refuse, and what a second attempt does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import soundfile
from test_deploy_served import ROOT, rig_files, served

from harness import signals
from harness.baseline.history import History
from harness.conductor import job
from harness.conductor.tasks import TASKS
from harness.conductor.tasks.audio import audio_analyse, audio_tune, audio_validate
from harness.conductor.tasks.spec import Context
from harness.conductor.tasks.suite import nightly
from harness.conductor.tasks.webapp import webapp_build, webapp_deploy
from harness.errors import BadRequest
from harness.pipeline.build import build
from harness.rig import open_rig

SHORT_SUITE = "def test_who(rig):\n    assert rig.identity.sha256\n"


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Of a task on a worker for the rig ``rigs``, whose folder is ``rigs/``."""
    folder = tmp_path / "worker" / "jobs" / "1"
    folder.mkdir(parents=True)
    return Context(
        rig="rigs", rig_dir=tmp_path / "rigs", store_url=str(tmp_path / "store"), folder=folder, workflow="wf1",
        root="wf1", key="wf1/task/0", task_id="t1", scheduled=0.0, tell=print,
    )  # fmt: skip


def again(context: Context) -> Context:
    """The next attempt at the same task: another folder, another task id."""
    folder = context.folder.with_name(str(int(context.folder.name) + 1))
    folder.mkdir()
    return replace(context, folder=folder, task_id="t2")


def short_suite(folder: Path, tests: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkout with a suite of its own beside the served rig ``rigs``."""
    (folder / "rigs").mkdir()
    rig_files(folder / "rigs")
    shutil.copyfile(ROOT / "conftest.py", folder / "conftest.py")
    (folder / "tests_hil").mkdir()
    (folder / "tests_hil" / "test_short.py").write_text(tests)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("K1HIL_HISTORY", raising=False)


def test_a_night_tests_what_the_device_runs(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rigs, store = context.rig_dir, context.firmware
    short_suite(tmp_path, SHORT_SUITE, monkeypatch)
    with served(rigs):
        bundle = build("sim")
        with open_rig("rigs", rigs) as rig:
            rig.flash(bundle)
            boots = rig.identity.boot_count
        with pytest.raises(BadRequest, match="the store does not have what the device runs"):
            nightly({}, context)
        store.put(bundle, "v1")
        with pytest.raises(BadRequest, match="runs another image than this task is about"):
            nightly({"expected_sha256": "ab" * 32}, context)
        one = nightly({}, context)
        two = nightly({"expected_sha256": bundle.sha256}, again(context))
        with open_rig("rigs", rigs) as rig:
            assert rig.identity.boot_count == boots, "nothing was flashed"
    for outcome, suffix in ((one, ""), (two, "-2")):
        output = outcome.output  # nothing is judged in so short a night: that is no pass
        assert (outcome.status, output["verdict"], output["exit_code"]) == ("COMPLETED", "inconclusive", 11), output
        assert output["sha256"] == bundle.sha256
        assert output["report"] == f"nightly-{context.short_key}{suffix}"
        assert output["trend"] == f"trend-{context.short_key}{suffix}"
        assert store.store.find("reports", output["report"]) is not None
    with History(tmp_path / "worker" / "history.sqlite") as history:
        assert len(history.runs("rigs")) == 2, "one history of all nights"


def test_a_night_without_a_device_needs_a_firmware(context: Context) -> None:
    with pytest.raises(BadRequest, match="no device of its own"):
        nightly({}, replace(context, rig="sim", rig_dir=ROOT / "rigs"))


def test_a_clip_is_checked_analysed_and_tuned_to(context: Context, tmp_path: Path) -> None:
    """The three tasks of ``audio-tuning``, with as few trials as there can be."""
    store, clips = context.firmware.store, {}
    for name, sound in (("good", signals.four_on_floor(120.0, 6.0)), ("cut", signals.clipping(300.0, 6.0))):
        soundfile.write(tmp_path / f"{name}.wav", sound.samples, 48_000)
        clips[name] = store.put("tuning", name, tmp_path / f"{name}.wav")
    cut = audio_validate({"audio": "cut"}, context)
    assert (cut.status, cut.output["verdict"]) == ("COMPLETED", "fail") and "clipping" in str(cut.output["problems"])
    asked = {"audio": "tuning/good", "audio_sha256": clips["good"].sha256}
    well = audio_validate(asked, context).output
    assert well["verdict"] == "pass" and well["seconds"] == 6.0
    with pytest.raises(BadRequest, match="another file than was uploaded"):
        audio_validate({**asked, "audio_sha256": "ab" * 32}, context)
    heard = audio_analyse(asked, context).output
    assert heard["verdict"] == "pass" and heard["tempo_bpm"] == pytest.approx(120.0, abs=1.0)
    few = {**asked, "patterns": ["octave"], "levels": 2, "trials": 1}
    tuned = audio_tune(few, replace(context, rig_dir=ROOT / "rigs"))
    assert tuned.output["verdict"] == "pass" and set(tuned.output["gains"]) == {"octave"}
    kept = json.loads(store.content(store.get("tuning", tuned.output["tuning"])))
    assert kept["patterns"]["octave"]["params"] == tuned.output["gains"]["octave"]["params"]


@pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed (apt install npm)")
def test_a_web_app_goes_from_its_commit_to_staging(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A project without dependencies, whose build is a line of JavaScript: needs no network."""
    write = "import fs from 'node:fs'; fs.mkdirSync('dist', {recursive: true});"
    head = {"name": "bare", "version": "1.0.0"}
    files = {
        "build.mjs": f"{write} fs.writeFileSync('dist/index.html', 'K1');",
        "package.json": json.dumps({**head, "scripts": {"build": "node build.mjs"}}),
        "package-lock.json": json.dumps({**head, "lockfileVersion": 3, "requires": True, "packages": {"": head}}),
    }
    clone = tmp_path / "clone"
    (clone / "panel").mkdir(parents=True)
    for name, text in files.items():
        (clone / "panel" / name).write_text(text)
    who = ["-c", "user.name=n", "-c", "user.email=e@x"]
    for words in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=clone, check=True)
    monkeypatch.setenv("K1HIL_REPOS", f"app={clone}")
    monkeypatch.setenv("K1HIL_SITES", str(tmp_path / "sites"))
    built = webapp_build({"repo": "app", "project": "panel"}, context).output
    assert built["verdict"] == "pass" and built["files"] == 1
    live = webapp_deploy({"name": built["name"], "target": "staging"}, context).output
    assert (live["verdict"], live["live"], live["previous"]) == ("pass", built["name"], "")
    assert (tmp_path / "sites" / "staging" / "current" / "index.html").read_text() == "K1"
    with pytest.raises(BadRequest, match="no such project"):
        webapp_build({"repo": "app", "project": "../.."}, context)
    with pytest.raises(BadRequest, match="unknown target"):
        webapp_deploy({"name": built["name"], "target": "../staging"}, context)


class Silence:
    """A server on which everything goes on."""

    def task(self, task_id: str) -> dict[str, Any]:
        return {"status": "IN_PROGRESS"}

    def workflow(self, workflow_id: str, *, tasks: bool = True) -> dict[str, Any]:
        return {"status": "RUNNING"}

    def update(self, result: Mapping[str, Any]) -> None:
        """Taken."""

    def add_log(self, task_id: str, line: str) -> None:
        """Taken."""


ENDLESS = """\
import subprocess, time
def test_endless(rig):
    rig.identity
    apart = subprocess.Popen(["sleep", "3217"], start_new_session=True)
    open({path!r}, "w").write(str(apart.pid))
    time.sleep(3000)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: elsewhere nobody inherits what is left")
def test_a_killed_keeper_leaves_nothing_running_and_the_rig_safe(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when memory runs out: the suite, in a session of its own, and what that started have lost their keeper."""
    rigs, told = context.rig_dir, tmp_path / "pid"
    short_suite(tmp_path, ENDLESS.format(path=str(told)), monkeypatch)
    place = job.Place("rigs", rigs, context.store_url, tmp_path / "worker")
    task = {"taskId": "t1", "workflowInstanceId": "wf1", "referenceTaskName": "nightly", "inputData": {}}
    spec, folder = TASKS["k1_nightly"], tmp_path / "worker" / "jobs" / "k"
    family: list[psutil.Process] = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while not (told.is_file() and told.read_text()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        (keeper,) = [p for p in psutil.Process().children() if "harness.conductor.keeper" in p.cmdline()]
        family.extend([keeper, *keeper.children(recursive=True)])
        keeper.kill()

    with served(rigs):
        bundle = build("sim")
        context.firmware.put(bundle, "v1")
        with open_rig("rigs", rigs) as rig:
            rig.flash(bundle)
        killer = threading.Thread(target=kill)
        killer.start()
        described = job.describe(task, spec, place, "wf1")
        outcome = job.run_kept(task, spec, described, folder, Silence(), "w", threading.Event())
        killer.join()
        assert outcome.status == "FAILED" and "the rig is safe" in outcome.reason, outcome
        apart = int(told.read_text())
        assert apart in {p.pid for p in family} and len(family) >= 4, "keeper, work, suite, and what it started"
        assert not [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]
        with open_rig("rigs", rigs) as rig:
            assert rig.identity.sha256 == bundle.sha256
