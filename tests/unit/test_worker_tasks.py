"""Tasks as a worker's job runs them, on a store in a folder: what each calls a pass, what it does when tried anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.conductor.tasks.build import metrics
from harness.conductor.tasks.spec import Context
from harness.pipeline.commit_steps import write_record

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
