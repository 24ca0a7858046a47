"""Tasks of a worker whose work is real: what they bring home, what they refuse, and what a second attempt does."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from test_deploy_served import ROOT, rig_files, served

from harness.baseline.history import History
from harness.conductor.tasks.spec import Context
from harness.conductor.tasks.suite import nightly
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


def test_a_night_tests_what_the_device_runs(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rigs = context.rig_dir
    rigs.mkdir()
    rig_files(rigs)
    shutil.copyfile(ROOT / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "tests_hil").mkdir()
    (tmp_path / "tests_hil" / "test_short.py").write_text(SHORT_SUITE)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.delenv("K1HIL_HISTORY", raising=False)
    store = context.firmware
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
