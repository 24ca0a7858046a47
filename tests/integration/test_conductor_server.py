"""A real Conductor server: its life, the definitions as it reads them, the gate of a release, its scheduler."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
import pytest
from conductor_player import Player

from harness.conductor import jar, schedule
from harness.conductor.approval import decide, waiting
from harness.conductor.register import load, register, scaled
from harness.conductor.rest import Conductor
from harness.conductor.server import ConductorServer
from harness.errors import BadRequest, RigFault

pytestmark = pytest.mark.timeout(600)  # a server that starts on a busy machine
K1HIL = Path(sys.executable).with_name("k1hil")
COMMIT = {"repo": "k1", "commit_sha": "c" * 40}
NEW, OLD = "ab" * 32, "cd" * 32
PASS = {"verdict": "pass"}
GOOD: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("validate", "clean", "metrics", "suite", "integration", "measure", "compare", "tune"), PASS),
    **dict.fromkeys(("validate_led", "validate_audio", "nightly", "device_health", "analyse"), PASS),
    "generate": {**PASS, "pattern": "patterns/glow", "pattern_id": "glow"},
    "compile": {**PASS, "build": "build-1", "sha256": NEW},
    "store": {**PASS, "firmware": "v1", "sha256": NEW},
    "store_integration": {**PASS, "firmware": "v1-sim", "sha256": OLD},
    "deploy": {**PASS, "outcome": "deployed", "way": "ota", "last_good": "v0", "before_sha256": OLD},
    "health": {**PASS, "healthy": True, "running": NEW},
    "rollback": {**PASS, "running": OLD, "firmware": "v0"},
    "webapp_build": {**PASS, "name": "app-1"},
    "report": {**PASS, "report": "reports/r1"},
}
BUILDING = ["validate", "clean", "compile", "metrics", "store"]
ON_RIG = ["reserve", "deploy", "health"]


@pytest.fixture(scope="module")
def server(conductor: Conductor) -> Conductor:
    """The server, with the definitions and short pauses between attempts."""
    register(conductor, time_scale=0.05)
    return conductor


def played(
    server: Conductor, workflow: str, rig: str, answers: Mapping[str, Mapping[str, Any]], **inputs: Any
) -> tuple[dict[str, Any], Player]:
    """A workflow played to its end; what is not in ``answers`` goes well."""
    player = Player(server, {**GOOD, **answers})
    return player.play(server.start(workflow, {**COMMIT, **inputs}, domain=rig)), player


# ---- life


def test_server_is_the_real_one(conductor_server: ConductorServer) -> None:
    status = conductor_server.status()
    assert (status.running, status.healthy, status.version) == (True, True, jar.VERSION)
    assert conductor_server.up() == status, "a server that runs already is not started again"


def test_another_server_on_a_taken_port(conductor_server: ConductorServer, tmp_path: Path) -> None:
    with pytest.raises(RigFault, match="port is taken"):
        ConductorServer(tmp_path, conductor_server.port).up()


def test_two_ports_for_one_folder(conductor_server: ConductorServer) -> None:
    with pytest.raises(BadRequest, match="at another port"):
        ConductorServer(conductor_server.folder, 1).up()


def test_commands_start_use_and_stop_a_server(tmp_path: Path) -> None:
    environ = {**os.environ, "K1HIL_CONDUCTOR": str(tmp_path / "c")}
    environ.pop("CONDUCTOR_SERVER_URL", None)

    def k1hil(*words: str, code: int = 0) -> Any:
        done = subprocess.run([K1HIL, *words], capture_output=True, text=True, env=environ, timeout=300, check=False)
        assert done.returncode == code, f"{words}: {done.stdout}{done.stderr}"
        return json.loads(done.stdout) if code == 0 and done.stdout.startswith(("{", "[")) else done.stderr

    assert "no Conductor server runs here" in k1hil("conductor", "register", code=4)
    up = k1hil("conductor", "up", "--timeout", "280", "--json")
    try:
        assert up["healthy"] and psutil.pid_exists(up["pid"])
        assert "firmware-ci-cd" in k1hil("conductor", "register", "--time-scale", "0.05", "--json")
        given = json.dumps({"repo": "k1", "commit_sha": "c" * 40})
        started = k1hil("conductor", "start", "firmware-ci-cd", "--rig", "r", "--input", given, "--json")
        with Conductor(up["api_url"], key="", secret="") as server:
            workflow = Player(server, {**GOOD, "compile": {"verdict": "fail"}}).play(started["workflow_id"])
            assert workflow["input"]["rig"] == "r"
        assert k1hil("conductor", "show", started["workflow_id"], "--json")["status"] == "FAILED"
        assert len(k1hil("conductor", "schedule", "--rig", "r", "--json")) == 2
        assert len(k1hil("conductor", "schedule", "--rig", "r", "--off", "--json")) == 2
        assert "does not wait for anybody" in k1hil("approve", started["workflow_id"], "--by", "Ann", code=4)
        assert "refuses this" in k1hil("conductor", "start", "no-such-workflow", code=4)
    finally:
        down = k1hil("conductor", "down", "--json")
    assert down == {"ended": True} and not psutil.pid_exists(up["pid"])
    k1hil("conductor", "status", code=10)
    assert k1hil("conductor", "down", "--json") == {"ended": False}


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux: elsewhere a killed starter cannot take it along")
def test_server_of_a_killed_test_run_ends_too(conductor_server: ConductorServer, tmp_path: Path) -> None:
    starter = (
        "import sys, time\nfrom pathlib import Path\nfrom harness.conductor.server import ConductorServer\n"
        "server = ConductorServer(Path(sys.argv[1]), tied=True)\nserver.folder.mkdir(exist_ok=True)\n"
        "server._launch()\nprint(server.pid, flush=True)\ntime.sleep(60)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", starter, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    java = psutil.Process(int(child.stdout.readline()))
    deadline = time.monotonic() + 20
    while "java" not in java.name() and time.monotonic() < deadline:  # the tie is made just before Java takes over
        time.sleep(0.05)
    child.send_signal(signal.SIGKILL)
    child.wait(10)
    java.wait(20)


def test_a_damaged_download_is_thrown_away(tmp_path: Path) -> None:
    fetched = tmp_path / "server.jar"
    fetched.write_bytes(b"not it")
    with pytest.raises(RigFault, match="not the file it should be"):
        jar.check_sha256(fetched, jar.JAR_SHA256)
    assert not fetched.exists()


# ---- definitions, as the server reads them


def test_server_keeps_the_definitions(server: Conductor) -> None:
    for name, shipped in load().tasks.items():
        kept = server.task_definition(name)
        assert {k: kept[k] for k in shipped} == scaled(shipped, 0.05)
    for name in load().workflows:
        assert server.workflow_definition(name)["timeoutPolicy"] == "TIME_OUT_WF"


def test_ci_cd_that_goes_well(server: Conductor) -> None:
    workflow, player = played(server, "firmware-ci-cd", "cd1", {})
    assert workflow["status"] == "COMPLETED"
    assert player.played == [*BUILDING, *ON_RIG, "release_rig"]
    assert {r: d for r, d in player.domains.items() if d} == dict.fromkeys([*ON_RIG, "release_rig"], "cd1")
    assert (workflow["output"]["verdict"], workflow["output"]["running"]) == ("pass", NEW)
    assert player.inputs["deploy"] == {"firmware": "v1", "expected_sha256": NEW}
    assert player.inputs["health"]["expected_sha256"] == NEW


@pytest.mark.parametrize("step", ["validate", "clean", "compile", "metrics"])
@pytest.mark.parametrize("verdict", ["fail", "inconclusive", None])
def test_ci_cd_goes_on_with_pass_alone(server: Conductor, step: str, verdict: str | None) -> None:
    workflow, player = played(server, "firmware-ci-cd", "cd2", {step: {"verdict": verdict, "why": "because"}})
    assert workflow["status"] == "FAILED" and workflow["reasonForIncompletion"] == f"{step}: because"
    assert player.played == BUILDING[: BUILDING.index(step) + 1]
    assert workflow["output"]["step"] == step


@pytest.mark.parametrize("answer", [{"healthy": False, "why": "slow"}, {}, {"!status": "FAILED_WITH_TERMINAL_ERROR"}])
def test_failed_health_rolls_back_and_fails(server: Conductor, answer: dict[str, Any]) -> None:
    workflow, player = played(server, "firmware-ci-cd", "cd3", {"health": answer})
    assert workflow["status"] == "FAILED"
    assert player.played == [*BUILDING, *ON_RIG, "reserve", "rollback"]
    assert player.inputs["rollback"] == {"expected_sha256": NEW, "to": "v0", "watch_s": 10}
    assert player.domains["rollback"] == "cd3", "the sub-workflow's tasks belong to the same rig"
    assert (workflow["output"]["verdict"], workflow["output"]["running"]) == ("fail", OLD)
    health = next(t for t in workflow["tasks"] if t["referenceTaskName"] == "health")
    assert health["status"] == ("COMPLETED_WITH_ERRORS" if "!status" in answer else "COMPLETED")


def test_image_that_the_device_does_not_run_goes_to_its_health_check(server: Conductor) -> None:
    ill = {"outcome": "ill", "verdict": "fail", "last_good": "v0"}
    workflow, player = played(server, "firmware-ci-cd", "cd4", {"deploy": ill, "health": {"healthy": False}})
    assert workflow["status"] == "FAILED" and player.played[-1] == "rollback"


@pytest.mark.parametrize("outcome", ["refused", None])
def test_image_that_the_device_refused_needs_no_rollback(server: Conductor, outcome: str | None) -> None:
    refused = {"outcome": outcome, "verdict": "fail", "why": "wrong chip", "sha256": OLD}
    workflow, player = played(server, "firmware-ci-cd", "cd4", {"deploy": refused})
    assert workflow["status"] == "FAILED" and workflow["reasonForIncompletion"] == "deploy: wrong chip"
    assert player.played[-1] == "deploy" and workflow["output"]["running"] == OLD


def test_health_is_told_when_and_in_which_boot_the_image_came(server: Conductor) -> None:
    came = {**GOOD["deploy"], "deployed_at": 1.5, "boot_id": "0badcafe"}
    _, player = played(server, "firmware-ci-cd", "cd8", {"deploy": came}, project="other/fw")
    assert (player.inputs["health"]["deployed_at"], player.inputs["health"]["boot_id"]) == (1.5, "0badcafe")
    assert {player.inputs[step]["project"] for step in ("validate", "clean", "compile")} == {"other/fw"}


def test_offline_device_ends_in_a_pending_update(server: Conductor) -> None:
    pending = {"outcome": "pending", "verdict": "pending"}
    workflow, player = played(server, "firmware-ci-cd", "cd5", {"deploy": pending})
    assert (workflow["status"], workflow["output"]["verdict"]) == ("COMPLETED", "pending")
    assert player.played == [*BUILDING, "reserve", "deploy"]


def test_failure_sends_an_alert(server: Conductor) -> None:
    workflow, player = played(server, "firmware-ci-cd", "cd6", {"metrics": {"verdict": "fail", "why": "flash 71 %"}})
    alert = player.play(workflow["output"]["conductor.failure_workflow"])
    assert alert["status"] == "COMPLETED"
    told = player.inputs["alert"]
    assert told["workflowId"] == workflow["workflowId"]
    assert "flash 71 %" in told["text"]


def test_failed_task_comes_again_after_its_pause(server: Conductor) -> None:
    player = Player(server, {**GOOD, "store": {"!status": "FAILED"}})
    workflow_id = server.start("firmware-ci-cd", COMMIT, domain="cd7")
    workflow = player.play(workflow_id, until="store", attempts=3)
    first, second = [t for t in workflow["tasks"] if t["referenceTaskName"] == "store"][:2]
    assert (first["status"], second["status"], second["retryCount"]) == ("FAILED", "FAILED", 1)
    assert second["startTime"] - first["endTime"] >= 2900, "the pause is 60 s, here by 0.05"
    server.terminate(workflow_id, "seen enough")
    assert server.workflow_status(workflow_id) == "TERMINATED"


@pytest.mark.parametrize("red", ["validate_led", "validate_audio", "measure", "compare"])
def test_red_pattern_is_a_completed_workflow(server: Conductor, red: str) -> None:
    answers = {red: {"verdict": "inconclusive" if red == "compare" else "fail", "why": "dark"}}
    workflow, player = played(server, "pattern-validation", "pv1", answers, spec="name: glow")
    assert workflow["status"] == "COMPLETED"
    assert workflow["output"]["verdict"] == answers[red]["verdict"]
    assert workflow["output"]["report"] == "reports/r1", "all is measured and reported before it ends"
    assert player.played.count("deploy") == 1 and "rollback" not in player.played


def test_pattern_that_is_right(server: Conductor) -> None:
    workflow, player = played(server, "pattern-validation", "pv2", {}, spec="name: glow")
    assert (workflow["status"], workflow["output"]["verdict"]) == ("COMPLETED", "pass")
    assert player.inputs["compile"]["pattern"] == "patterns/glow"
    assert player.inputs["validate_led"]["select"].endswith(" and glow")


def test_pattern_that_does_not_compile_is_never_deployed(server: Conductor) -> None:
    workflow, player = played(server, "pattern-validation", "pv3", {"compile": {"verdict": "fail"}}, spec="x")
    assert (workflow["status"], workflow["output"]["verdict"]) == ("COMPLETED", "fail")
    assert "deploy" not in player.played


@pytest.mark.parametrize("step", ["validate", "analyse", "tune"])
def test_audio_tuning_that_fails(server: Conductor, step: str) -> None:
    workflow, player = played(server, "audio-tuning", "at1", {step: {"verdict": "fail", "why": "silence"}}, audio="a")
    assert (workflow["status"], workflow["output"]["why"]) == ("COMPLETED", "silence")
    assert player.played[-1] == step


def test_audio_tuning_that_goes_well(server: Conductor) -> None:
    workflow, player = played(server, "audio-tuning", "at2", {"tune": {**PASS, "tuning": "t1"}}, audio="a")
    assert workflow["output"]["tuning"] == "t1" and player.played == ["validate", "analyse", "tune"]


@pytest.mark.parametrize(("name", "ref"), [("nightly-regression", "nightly"), ("device-health", "device_health")])
@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_what_goes_on_by_itself_alerts_when_red(server: Conductor, name: str, ref: str, verdict: str) -> None:
    workflow, player = played(server, name, "nr1", {ref: {"verdict": verdict, "why": "red"}})
    assert (workflow["status"], workflow["output"]["verdict"]) == ("COMPLETED", verdict)
    assert ("alert" in player.played) == (verdict == "fail")


def test_a_reserved_rig_is_no_device_that_is_not_well(server: Conductor) -> None:
    skipped = {"verdict": "skipped", "skipped": True, "why": "the rig is reserved by workflow x"}
    workflow, player = played(server, "device-health", "dh0", {"device_health": skipped})
    assert (workflow["status"], workflow["output"]["verdict"]) == ("COMPLETED", "skipped")
    assert player.played == ["device_health"]


@pytest.mark.parametrize("verdict", ["pass", "fail"])
def test_update_that_waits_is_delivered_with_a_health_check(server: Conductor, verdict: str) -> None:
    waits = {"verdict": verdict, "update": "waiting", "pending": "v1", "pending_sha256": NEW}
    workflow, player = played(server, "device-health", "dh1", {"device_health": waits})
    assert (workflow["status"], workflow["output"]["delivery"], workflow["output"]["delivered"]) == (
        "COMPLETED", "pass", "v1",
    )  # fmt: skip
    assert [p for p in player.played if p != "alert"] == ["device_health", *ON_RIG, "release_rig"]
    assert player.inputs["deploy"] == {"firmware": "v1", "expected_sha256": NEW, "waiting": True}
    assert player.domains["deploy"] == player.domains["reserve"] == "dh1"


def test_update_that_makes_the_device_ill_is_taken_back(server: Conductor) -> None:
    waits = {**PASS, "update": "waiting", "pending": "v1", "pending_sha256": NEW}
    ill = {"verdict": "fail", "healthy": False, "why": "dark"}
    workflow, player = played(server, "device-health", "dh2", {"device_health": waits, "health": ill})
    assert workflow["status"] == "FAILED" and player.inputs["rollback"]["to"] == "v0"


# ---- the gate of a release


def at_the_gate(server: Conductor, rig: str, **inputs: Any) -> tuple[str, Player]:
    """A release played until it waits for a person."""
    player = Player(server, GOOD)
    given = {**COMMIT, "production_rig": f"{rig}-production", "webapp": "app", **inputs}
    workflow_id = server.start("firmware-release", given, domain=rig)
    player.play(workflow_id, until="approval")
    return workflow_id, player


def test_approved_release_ships(server: Conductor) -> None:
    workflow_id, player = at_the_gate(server, "fr1", environment="chip")
    assert player.played.count("deploy") == 1 and player.domains["deploy"] == "fr1"
    # What is tested on a virtual board is its own build; what ships is the device's.
    assert player.inputs["compile"]["also"] == player.inputs["store_integration"]["environment"] == "sim"
    assert player.inputs["store"]["environment"] == player.inputs["compile"]["environment"] == "chip"
    assert (player.inputs["store"]["keep"], player.inputs["integration"]["firmware"]) == (True, "v1-sim")
    assert player.inputs["deploy"]["firmware"] == "v1"
    assert "webapp_staging" in player.played and "webapp_production" not in player.played
    gate = next(g for g in waiting(server) if g.workflow_id == workflow_id)
    assert gate.shows["sha256"] == NEW
    url = ["--url", server.api_url, "--json"]
    done = subprocess.run(
        [K1HIL, "approve", workflow_id, "--by", "Ann Lee", "--note", "looks good", *url],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    workflow = player.play(workflow_id)
    assert (workflow["status"], workflow["output"]["approved_by"]) == ("COMPLETED", "Ann Lee")
    assert player.played.count("deploy") == 2 and player.domains["deploy"] == "fr1-production"
    assert "webapp_production" in player.played
    with pytest.raises(BadRequest, match="does not wait for anybody"):
        decide(server, workflow_id, approved=False, by="Eve")


@pytest.mark.parametrize("expires", [False, True])
def test_release_that_is_rejected_or_expires_does_not_ship(server: Conductor, expires: bool) -> None:
    # An expiry while the machine was busy could come before the rejection: each has a gate of its own.
    workflow_id, player = at_the_gate(server, "fr2", approve_within="1 seconds" if expires else "1 hours")
    if not expires:
        decide(server, workflow_id, approved=False, by="Ann", note="too loud")
    workflow = player.play(workflow_id)
    assert (workflow["status"], workflow["output"]["verdict"]) == ("TERMINATED", "rejected")
    assert workflow["output"]["by"] == (None if expires else "Ann")
    assert player.played.count("deploy") == 1 and "webapp_production" not in player.played


def test_release_with_a_red_smoke_test_never_asks(server: Conductor) -> None:
    workflow, player = played(
        server, "firmware-release", "fr3", {"suite": {"verdict": "fail", "why": "dark"}}, production_rig="x", webapp=""
    )
    assert workflow["status"] == "FAILED" and not any(t["taskType"] == "WAIT" for t in workflow["tasks"])
    assert "webapp_build" not in player.played, "no web app was wanted"


# ---- scheduler


def test_scheduler_starts_a_workflow_for_the_rig(server: Conductor) -> None:
    rig = "scheduled-rig"
    schedule.save(server, rig, cron={"device-health": "*/2 * * * * *"})
    try:
        deadline = time.monotonic() + 30
        taken: list[dict[str, Any]] = []
        while not taken and time.monotonic() < deadline:
            taken = server.poll("k1_device_health", "player", rig, 2000)
        assert taken, "nothing was started"
    finally:
        gone = schedule.remove(server, rig)
    assert gone == ["nightly_regression_scheduled_rig", "device_health_scheduled_rig"]
    workflow = server.workflow(taken[0]["workflowInstanceId"])
    assert (workflow["workflowName"], workflow["input"]["rig"]) == ("device-health", rig)
