"""Tasks as a worker's job runs them, on a store in a folder: what each calls a pass, what it does when tried anew."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
from scripted_rig import make_firmware

from harness.conductor.tasks.build import metrics, store
from harness.conductor.tasks.patterns import SPEC_FILE, generate_pattern
from harness.conductor.tasks.spec import Context
from harness.pipeline.artifacts import unzipped
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


@pytest.mark.parametrize("name", ["warnings", "flash", "ram", "identity"])
@pytest.mark.parametrize("how", ["unavailable", "absent"])
def test_what_nobody_measured_is_no_pass(context: Context, name: str, how: str) -> None:
    unknown = {**GATE, "name": name, "got": "nothing tells it", "value": None, "status": "unavailable"}
    gates = [unknown if g["name"] == name else g for g in GATES if how == "unavailable" or g["name"] != name]
    context.build_folder.mkdir(parents=True)
    write_record(context.build_folder, {"environments": {"sim": {"status": "passed", "gates": gates}}})
    output = metrics({"environment": "sim"}, context).output
    assert output["verdict"] == "inconclusive" and f"{name}: not measured" in output["why"]
    write_record(context.build_folder, {"environments": {"sim": {"status": "passed", "gates": GATES}}})
    assert metrics({"environment": "sim"}, context).output["verdict"] == "pass"
    big = [{**g, "value": 99.0} if g["name"] == "ram" else g for g in GATES]
    write_record(context.build_folder, {"environments": {"sim": {"status": "passed", "gates": big}}})
    assert metrics({"environment": "sim"}, context).output["verdict"] == "fail"


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
