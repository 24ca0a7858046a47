"""Tasks as a worker's job runs them, on a store in a folder: what each calls a pass, what it does when tried anew."""

from __future__ import annotations

import importlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
from scripted_rig import make_firmware

from harness.conductor import worker
from harness.conductor.outcome import Outcome
from harness.conductor.tasks.build import clean, compile_, metrics, store
from harness.conductor.tasks.patterns import SPEC_FILE, generate_pattern
from harness.conductor.tasks.spec import Context
from harness.pipeline.artifacts import unzipped
from harness.pipeline.checkout import head_of
from harness.pipeline.commit_steps import write_record
from harness.pipeline.tuning.tune import store_result

GATE = {"status": "passed", "limit": "", "environment": "sim"}
GATES = [
    {**GATE, "name": "warnings", "got": "0", "value": 0.0}, {**GATE, "name": "flash", "got": "40 %", "value": 40.0},
    {**GATE, "name": "ram", "got": "30 %", "value": 30.0}, {**GATE, "name": "identity", "got": "1.0", "value": None},
]  # fmt: skip


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """Of a task of workflow wf1 on a build worker."""
    folder = tmp_path / "worker" / "jobs" / "1"
    folder.mkdir(parents=True)
    return Context(
        rig="", rig_dir=Path("rigs"), store_url=str(tmp_path / "store"), folder=folder, workflow="wf1", root="wf1",
        key="wf1/task/0", task_id="t1", scheduled=0.0, tell=lambda line: None,
    )  # fmt: skip


def judged(context: Context, gates: list[dict[str, Any]]) -> dict[str, Any]:
    """What ``k1_metrics`` says of a build with these gates."""
    context.build_folder.mkdir(parents=True, exist_ok=True)
    write_record(context.build_folder, {"environments": {"sim": {"status": "passed", "gates": gates}}})
    return metrics({"environment": "sim"}, context).output


@pytest.mark.parametrize("step", ["clean", "compile", "metrics", "store"])
def test_no_step_leaves_a_worktree_behind(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Red or stored: the folder goes, and the clone forgets it."""
    clone = tmp_path / "clone"
    (clone / "firmware").mkdir(parents=True)
    (clone / "firmware" / "platformio.ini").write_text("[env:here]\nplatform = none\n")
    if step == "clean":
        (clone / "firmware" / "left.o").write_text("x")
    who = ["-c", "user.name=n", "-c", "user.email=e@x"]
    for words in (["init", "-q"], ["add", "-f", "."], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=clone, check=True)
    monkeypatch.setenv("K1HIL_REPOS", f"k1={clone}")
    inputs = {"repo": "k1", "commit_sha": head_of("k1"), "environment": "here"}
    cleaned = clean(inputs, context)
    assert worktrees(clone) == (1 if step == "clean" else 2)
    if step == "clean":
        assert cleaned.output["verdict"] == "fail"
    elif step == "compile":  # no such platform here
        assert compile_(inputs, context).output["verdict"] == "fail"
    elif step == "metrics":
        write_record(context.build_folder, {"environments": {"here": {"status": "passed", "gates": []}}})
        assert metrics(inputs, context).output["verdict"] == "inconclusive"
    else:
        make_firmware(context.build_folder / "build" / "here")
        write_record(context.build_folder, {"environments": {"here": {"status": "passed"}}})
        assert store(inputs, context).output["verdict"] == "pass"
    assert worktrees(clone) == 1 and not context.build_folder.exists()


def worktrees(clone: Path) -> int:
    done = subprocess.run(["git", "worktree", "list"], cwd=clone, check=True, capture_output=True, text=True)
    return len(done.stdout.splitlines())


@pytest.mark.parametrize("name", ["warnings", "flash", "ram", "identity"])
@pytest.mark.parametrize("how", ["unavailable", "absent"])
def test_what_nobody_measured_is_no_pass(context: Context, name: str, how: str) -> None:
    unknown = {**GATE, "name": name, "got": "nothing tells it", "value": None, "status": "unavailable"}
    gates = [unknown if g["name"] == name else g for g in GATES if how == "unavailable" or g["name"] != name]
    output = judged(context, gates)
    assert output["verdict"] == "inconclusive" and f"{name}: not measured" in output["why"]
    assert judged(context, GATES)["verdict"] == "pass"
    assert judged(context, [{**g, "value": 99.0} if g["name"] == "ram" else g for g in GATES])["verdict"] == "fail"


SPEC = """\
schema: 1
id: unit_glow
name: Unit glow
description: A ring of colours that turns
palette:
  - {at: 0, colour: "#FF2000"}
  - {at: 0.5, colour: "#0020FF"}
layers:
  - shape: wave
    level: 0.8
    length_leds: 40
    colour: {from: 0, to: 1}
    motion: {travel_leds_per_s: 30}
"""


def test_another_comment_or_template_is_another_file(context: Context, monkeypatch: pytest.MonkeyPatch) -> None:
    first = generate_pattern({"spec": SPEC}, context).output
    assert first["verdict"] == "pass" and generate_pattern({"spec": SPEC}, context).output == first
    noted = generate_pattern({"spec": f"# why\n{SPEC}"}, context).output
    assert noted["spec_sha256"] == first["spec_sha256"] and noted["pattern"] != first["pattern"]
    generate = importlib.import_module("harness.pipeline.patterns.generate")
    rendered = generate.render_pattern
    monkeypatch.setattr(generate, "render_pattern", lambda spec: rendered(spec) + "// a newer template\n")
    newer = generate_pattern({"spec": SPEC}, context).output
    assert newer["verdict"] == "pass" and newer["pattern"] not in (first["pattern"], noted["pattern"])
    assert generate_pattern({"spec_name": first["pattern"]}, context).output["pattern"] == newer["pattern"]


def test_a_pattern_is_kept_as_source_and_binary(context: Context) -> None:
    work = context.build_folder
    made = generate_pattern({"spec": SPEC}, context).output
    image = (make_firmware(work / "build" / "sim") / "firmware.bin").read_bytes()
    (work / SPEC_FILE).write_text(SPEC)
    (work / "pattern").mkdir()
    (work / "pattern" / "unit_glow.cpp").write_text("int x;\n")
    write_record(work, {"environments": {"sim": {"status": "passed"}}, "pattern": made["pattern"]})
    output = store({"environment": "sim"}, context).output
    kept = context.firmware.store.get("patterns", output["pattern"])
    assert (kept.details["pattern"], kept.details["firmware"]) == ("unit_glow", output["firmware"])
    files = unzipped(context.firmware.store.content(kept))
    assert files == {"firmware.bin": image, "unit_glow.cpp": b"int x;\n", SPEC_FILE: SPEC.encode()}


def test_a_firmware_without_a_pattern_leaves_none(context: Context) -> None:
    make_firmware(context.build_folder / "build" / "sim")
    write_record(context.build_folder, {"environments": {"sim": {"status": "passed"}}})
    assert store({"environment": "sim"}, context).output["pattern"] == ""
    assert context.firmware.store.all("patterns") == []


def test_a_second_attempt_at_a_tuning_is_another_result(context: Context) -> None:
    told = {"created": "1", "rig": "sim", "patterns": {"pulse": {"params": {}}}}
    names = {store_result(context.firmware.store, "", {**told, "created": t}).name for t in ("1", "2", "2")}
    assert len(names) == 2


@pytest.mark.parametrize(
    ("name", "output", "counted"),
    [
        ("k1_deploy", {"verdict": "pass", "outcome": "deployed", "way": "ota", "seconds": 9.0},
         [("deploy", "bench", "ota", "success", 9.0)]),
        ("k1_deploy", {"verdict": "fail", "outcome": "ill", "way": "serial", "seconds": 2.0},
         [("deploy", "bench", "serial", "failure", 2.0)]),
        ("k1_deploy", {"verdict": "pending", "outcome": "pending", "way": "none"}, []),
        ("k1_deploy", {"verdict": "skipped", "outcome": "superseded"}, []),
        ("k1_suite", {"verdict": "fail"}, [("verdict", "bench", "fail")]),
        ("k1_nightly", {"verdict": "inconclusive"}, [("verdict", "bench", "inconclusive")]),
    ],
)  # fmt: skip
def test_what_is_counted_of_an_outcome(
    name: str, output: dict, counted: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple] = []
    for what in ("deploy", "verdict"):
        monkeypatch.setattr(worker.metrics, what, lambda *words, what=what: seen.append((what, *words)))
    worker._count(name, "bench", Outcome("COMPLETED", output))
    assert seen == counted
