"""A board that is off gets its update at the check-in after it is back: real server, real worker, real board."""

from __future__ import annotations

from pathlib import Path

import pytest
from conductor_lab import Lab, lab_rig
from test_deploy_served import served

from harness.conductor.register import register
from harness.conductor.rest import Conductor
from harness.pipeline.artifacts import Artifact
from harness.pipeline.build import build
from harness.pipeline.firmware_store import image_sha256
from harness.pipeline.pending import PendingUpdates
from harness.rig import FirmwareBundle, open_rig

pytestmark = pytest.mark.timeout(900)  # a board in wall time: on a busy machine everything takes its time


def through(lab: Lab, workflow: str, **inputs: object) -> dict:
    """A workflow at its end."""
    return lab.finished(lab.client.start(workflow, {"watch_s": 2, **inputs}, domain=lab.rig), 300.0)


def deliver(lab: Lab, artifact: Artifact) -> dict:
    return through(lab, "firmware-delivery", firmware=artifact.name, sha256=image_sha256(artifact))


def test_a_board_that_was_off_gets_the_newest_update(
    conductor: Conductor, extended: FirmwareBundle, tmp_path: Path
) -> None:
    register(conductor, time_scale=0.05)
    lab_rig(tmp_path)
    lab = Lab(conductor, tmp_path)
    updates = PendingUpdates(lab.store)
    old, new = lab.store.put(build("sim"), "old"), lab.store.put(extended, "new")
    try:
        with lab.worker():
            with served(tmp_path) as board, open_rig(lab.rig, tmp_path) as rig:
                rig.flash(lab.store.load(old, tmp_path / "old"))
                lab.store.note_deployed(board["mac"], old)
                updates.note_rig(lab.rig, board["mac"])
            for artifact, superseded in ((old, ""), (new, "old")):
                away = deliver(lab, artifact)
                assert (away["status"], away["output"]["verdict"]) == ("COMPLETED", "pending"), lab.log()
                assert lab.task(away["workflowId"], "deploy")["outputData"]["superseded"] == superseded
            with served(tmp_path):
                done = through(lab, "device-health")
                assert (done["status"], done["output"]["delivery"]) == ("COMPLETED", "pass"), lab.log()
                assert done["output"]["delivered"] == "new" and updates.get(board["mac"]) is None
                record = lab.store.deployed(board["mac"])
                assert record is not None and record["previous"]["name"] == "old", "its health was seen"
                with open_rig(lab.rig, tmp_path) as rig:
                    assert rig.api.info()["image_sha256"] == extended.sha256
                # What another update has replaced meanwhile is not brought any more.
                late = through(lab, "firmware-delivery", firmware="old", sha256=image_sha256(old), waiting=True)
                assert (late["status"], late["output"]["verdict"]) == ("COMPLETED", "superseded"), lab.log()
                assert through(lab, "device-health")["output"]["delivery"] is None
                # But where it has landed before that, in an attempt that died, its health is still to be seen.
                updates.put(board["mac"], old, "somebody else")
                landed = through(lab, "firmware-delivery", firmware="new", sha256=extended.sha256, waiting=True)
                assert (landed["status"], landed["output"]["verdict"]) == ("COMPLETED", "pass"), lab.log()
                waits = updates.get(board["mac"])
                assert waits is not None and waits["name"] == "old" and updates.drop(board["mac"], image_sha256(old))
                # A person brings the one before back, without a word of which image is ill.
                back = through(lab, "firmware-rollback")
                assert (back["status"], back["output"]["running"]) == ("COMPLETED", image_sha256(old)), lab.log()
    finally:
        lab.kill_all()
