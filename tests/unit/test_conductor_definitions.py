"""The definitions as shipped: in order by the house's rules; and every rule notices when it is broken."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from harness.conductor import schedule
from harness.conductor.approval import decide
from harness.conductor.lint import PAUSES_S, lint, registered_functions
from harness.conductor.register import Definitions, every_task, in_order, load, register, scaled
from harness.conductor.rest import Conductor
from harness.conductor.routing import BUILD_TASKS, RIG_TASKS, rig_domain
from harness.errors import BadRequest, HarnessFault, RigFault

URL = "http://127.0.0.1:9/api"
SEVEN = {"firmware-ci-cd", "pattern-validation", "firmware-release", "audio-tuning", "firmware-rollback",
         "nightly-regression", "device-health"}  # fmt: skip


@pytest.fixture
def definitions() -> Definitions:
    """A copy that a test may break."""
    return copy.deepcopy(load())


def task(definitions: Definitions, workflow: str, ref: str) -> dict[str, Any]:
    """A task of a workflow, to be changed in place."""
    return next(t for t in every_task(definitions.workflows[workflow]) if t["taskReferenceName"] == ref)


def test_shipped_definitions_are_in_order() -> None:
    assert lint(load(), registered_functions()) == []
    assert set(load().workflows) >= SEVEN


def test_shipped_pauses_are_one_two_and_four_minutes() -> None:
    for one in load().tasks.values():
        pauses = tuple(one["retryDelaySeconds"] * 2**attempt for attempt in range(one["retryCount"]))
        assert pauses == PAUSES_S, one["name"]


def test_scale_shortens_pauses_and_nothing_else() -> None:
    one = load().tasks["k1_suite"]
    assert scaled(one, 0.05) == {**one, "retryDelaySeconds": 3}
    assert scaled(one, 0.001)["retryDelaySeconds"] == 1
    for unusable in (0.0, -1.0, 11.0, float("nan")):
        with pytest.raises(BadRequest):
            scaled(one, unusable)


def test_ci_cd_has_its_eight_steps_in_order() -> None:
    steps = [t["taskReferenceName"] for t in every_task(load().workflows["firmware-ci-cd"])]
    eight = ["validate", "clean", "compile", "metrics", "store", "deploy", "health", "rollback"]
    assert [s for s in steps if s in eight] == eight


def _set(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda thing: thing.__setitem__(key, value)


TASK_FAULTS = {
    "retryCount": _set("retryCount", 2),
    "retryLogic": _set("retryLogic", "FIXED"),
    "retryDelaySeconds": _set("retryDelaySeconds", 30),
    "responseTimeoutSeconds": _set("responseTimeoutSeconds", 60),
    "<= timeoutSeconds": _set("timeoutSeconds", 100),
    "four attempts": lambda t: t.__setitem__("totalTimeoutSeconds", t["timeoutSeconds"] + 1),
    "timeoutPolicy": lambda t: t.pop("timeoutPolicy"),
    "poll time-out": _set("pollTimeoutSeconds", 60),
    "limit at a time": _set("concurrentExecLimit", 1),
}


@pytest.mark.parametrize("words", TASK_FAULTS)
def test_lint_of_a_task_definition(definitions: Definitions, words: str) -> None:
    TASK_FAULTS[words](definitions.tasks["k1_compile"])
    assert any(words in line and "k1_compile" in line for line in lint(definitions))


WORKFLOW_FAULTS: dict[str, Callable[[Definitions], Any]] = {
    "needs timeoutPolicy": lambda d: d.workflows["firmware-ci-cd"].pop("timeoutPolicy"),
    "failure workflow": lambda d: d.workflows["firmware-ci-cd"].pop("failureWorkflow"),
    "sends no alert": lambda d: d.workflows["workflow-failed"]["tasks"].clear(),
    "is there twice": lambda d: task(d, "firmware-ci-cd", "clean").update(taskReferenceName="validate"),
    "use WAIT": lambda d: task(d, "firmware-release", "approval").update(type="HUMAN"),
    "never expires": lambda d: task(d, "firmware-release", "approval")["inputParameters"].pop("duration"),
    "waits for nobody": lambda d: task(d, "firmware-release", "builds_done").update(joinOn=[]),
    "unknown workflow": lambda d: task(d, "firmware-ci-cd", "rollback")["subWorkflowParam"].update(name="other"),
    "needs retryCount 0": lambda d: task(d, "firmware-ci-cd", "rollback").pop("retryCount"),
    "needs expected_sha256": lambda d: task(d, "firmware-ci-cd", "health")["inputParameters"].pop("expected_sha256"),
    "is no input": lambda d: d.workflows["firmware-ci-cd"]["inputParameters"].remove("commit_sha"),
    "names no task": lambda d: task(d, "firmware-ci-cd", "deploy")["inputParameters"].update(x="${stored.output.y}"),
    "the default": lambda d: d.workflows["firmware-ci-cd"]["inputTemplate"].update(other=1),
    "is not one of": lambda d: task(d, "firmware-ci-cd", "after_compile").update(type="HTTP"),
    "the case 'inconclusive' does not end": lambda d: task(d, "firmware-ci-cd", "compile_passed")[
        "decisionCases"].update(inconclusive=[{"name": "x", "taskReferenceName": "x", "type": "NOOP"}]),
    "the case 'else' does not end": lambda d: task(d, "firmware-ci-cd", "compile_passed")["defaultCase"].clear(),
    "an empty case 'pass'": lambda d: task(d, "firmware-ci-cd", "compile_passed")["decisionCases"].update({"pass": []}),
    "an empty case 'true'": lambda d: task(d, "firmware-ci-cd", "healthy")["decisionCases"].update({"true": []}),
    "before k1_reserve": lambda d: d.workflows["firmware-ci-cd"]["tasks"].remove(task(d, "firmware-ci-cd", "reserve")),
    "after k1_release_rig": lambda d: d.workflows["firmware-ci-cd"]["tasks"].insert(
        0, {**task(d, "firmware-ci-cd", "release_rig"), "taskReferenceName": "early"}),
    "without a task definition": lambda d: d.tasks.pop("k1_compile"),
    "used nowhere": lambda d: d.tasks.update(k1_other={**d.tasks["k1_compile"], "name": "k1_other"}),
    "routed nowhere": lambda d: d.tasks.update(k1_other={**d.tasks["k1_compile"], "name": "k1_other"}),
    "in a circle": lambda d: d.workflows["firmware-rollback"]["tasks"].append(
        {**task(d, "firmware-ci-cd", "rollback"),
         "subWorkflowParam": {"name": "firmware-ci-cd", "version": 1}}),
    "starts unknown": lambda d: d.schedules[0]["startWorkflowRequest"].update(name="other"),
    "six fields": lambda d: d.schedules[0].update(cronExpression="0 2 * * *"),
}  # fmt: skip


@pytest.mark.parametrize("words", WORKFLOW_FAULTS)
def test_lint_of_a_workflow(definitions: Definitions, words: str) -> None:
    WORKFLOW_FAULTS[words](definitions)
    assert any(words in line for line in lint(definitions)), lint(definitions)


def test_lint_wants_a_function_for_every_task(definitions: Definitions) -> None:
    known = dict.fromkeys(definitions.tasks, 60.0)
    assert lint(definitions, known) == []
    missing = {name: limit for name, limit in known.items() if name != "k1_store"}
    assert lint(definitions, missing) == ["task k1_store: defined, but without a function in the worker"]
    assert lint(definitions, {**known, "k1_x": 1.0}) == ["task k1_x: a function of the worker, but not defined"]


def test_lint_wants_the_worker_to_end_a_task_before_the_server(definitions: Definitions) -> None:
    limits = {**dict.fromkeys(definitions.tasks, 60.0), "k1_suite": definitions.tasks["k1_suite"]["timeoutSeconds"]}
    late = "task k1_suite: the worker would end it no earlier than the server gives it up"
    assert lint(definitions, limits) == [late]


def test_workflows_are_registered_after_those_they_start() -> None:
    names = [w["name"] for w in in_order(load().workflows)]
    assert sorted(names) == sorted(load().workflows)
    assert names.index("firmware-rollback") < names.index("firmware-delivery") < names.index("firmware-release")
    assert names.index("workflow-failed") < names.index("firmware-rollback")


def test_rig_tasks_go_to_the_rig_and_no_other() -> None:
    assert set(rig_domain("bench1")) == set(RIG_TASKS)
    assert set(rig_domain("bench1").values()) == {"bench1"}
    assert not set(RIG_TASKS) & set(BUILD_TASKS)


def test_schedules_of_a_rig() -> None:
    nightly, health = schedule.for_rig("bench-1", cron={"device-health": "0 0 * * * *"})
    assert nightly["name"] == "nightly_regression_bench_1"
    assert nightly["startWorkflowRequest"]["input"] == {"rig": "bench-1"}
    assert nightly["startWorkflowRequest"]["taskToDomain"] == rig_domain("bench-1")
    assert nightly["runCatchupScheduleInstances"] is False
    assert health["cronExpression"] == "0 0 * * * *"


# ---- the client, against answers that a server may give


class Script:
    """A server of written answers: (method, path) -> status and body; what it was asked is kept."""

    def __init__(self, answers: dict[tuple[str, str], tuple[int, Any]]) -> None:
        self.answers = answers
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        status, body = self.answers[request.method, request.url.path.removeprefix("/api")]
        content = body if isinstance(body, str) else json.dumps(body)
        return httpx.Response(status, text=content)


def client(script: Callable[[httpx.Request], httpx.Response], **keys: str) -> Conductor:
    return Conductor(URL, key=keys.get("key", ""), secret=keys.get("secret", ""), transport=httpx.MockTransport(script))


@pytest.mark.parametrize(
    ("status", "body", "error", "words"),
    [
        (404, {"message": "no such workflow"}, BadRequest, "no such workflow"),
        (400, {"validationErrors": [{"path": "tasks", "message": "is empty"}], "message": "wrong"}, BadRequest,
         "tasks: is empty"),
        (401, {"message": "who?"}, BadRequest, "CONDUCTOR_AUTH_KEY"),
        (429, "later", RigFault, "429"),
        (503, "<html>", RigFault, "503"),
        (200, "<html>", RigFault, "not the answer of a Conductor server"),
        (200, [1], RigFault, "an object"),
    ],
)  # fmt: skip
def test_answers_become_typed_errors(status: int, body: Any, error: type[Exception], words: str) -> None:
    with client(Script({("GET", "/workflow/w1"): (status, body)})) as server, pytest.raises(error) as caught:
        server.workflow("w1")
    assert words in str(caught.value)


def test_a_server_that_is_not_there() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with client(refuse) as server, pytest.raises(RigFault, match="does not answer"):
        server.queue_sizes()


@pytest.mark.parametrize("url", ["ftp://host/api", "http://host:1", "host/api", "http://host/api?x=1"])
def test_unusable_addresses(url: str) -> None:
    with pytest.raises(BadRequest):
        Conductor(url)


def test_ids_do_not_climb_out_of_their_path() -> None:
    script = Script({("GET", "/workflow/../metadata/workflow"): (200, {})})
    with client(script) as server:
        server.workflow("../metadata/workflow")
        assert script.asked[0].url.raw_path.startswith(b"/api/workflow/..%2Fmetadata%2Fworkflow")
        for unusable in ("", ".", ".."):
            with pytest.raises(BadRequest):
                server.workflow(unusable)


def test_password_of_a_proxy_stays_out_of_errors() -> None:
    transport = httpx.MockTransport(lambda r: httpx.Response(500, text="broken"))
    with Conductor("http://ann:hunter2@host/api", key="", secret="", transport=transport) as server:
        with pytest.raises(RigFault) as caught:
            server.queue_sizes()
    assert "hunter2" not in str(caught.value)


def test_key_and_secret_get_a_token_once() -> None:
    script = Script({("POST", "/token"): (200, {"token": "t0k"}), ("GET", "/tasks/queue/all"): (200, {"a:b": 2})})
    with client(script, key="k", secret="s") as server:
        assert server.queue_sizes() == {"a:b": 2} == server.queue_sizes()
    assert [r.url.path for r in script.asked] == ["/api/token", "/api/tasks/queue/all", "/api/tasks/queue/all"]
    assert script.asked[1].headers["X-Authorization"] == "t0k"
    assert json.loads(script.asked[0].content) == {"keyId": "k", "keySecret": "s"}


def test_start_names_the_rig_and_its_queue() -> None:
    script = Script({("POST", "/workflow"): (200, "id-1")})
    with client(script) as server:
        assert server.start("firmware-ci-cd", {"repo": "k1"}, domain="bench1", correlation_id="c") == "id-1"
    body = json.loads(script.asked[0].content)
    assert body["input"] == {"repo": "k1", "rig": "bench1"}
    assert body["taskToDomain"] == rig_domain("bench1")
    assert body["correlationId"] == "c"


def test_a_definition_that_the_server_refuses_is_not_registered() -> None:
    tasks, wrong = {("POST", "/metadata/taskdefs"): (200, "")}, {"message": "wrong"}
    script = Script({**tasks, ("POST", "/metadata/workflow/validate"): (400, wrong)})
    with client(script) as server, pytest.raises(BadRequest, match="refuses this"):
        register(server)
    assert not any(r.url.path == "/api/metadata/workflow" for r in script.asked)


# ---- the gate of a release


def release(status: str = "RUNNING", gate: str = "IN_PROGRESS", output: dict[str, Any] | None = None) -> dict[str, Any]:
    wait = {"taskType": "WAIT", "status": gate, "taskId": "t1", "referenceTaskName": "approval",
            "outputData": output or {}}  # fmt: skip
    return {"workflowId": "w1", "workflowName": "firmware-release", "status": status, "tasks": [wait]}


@pytest.mark.parametrize("by", ["", " ann", "ann\nbob", "a" * 81, "<b>", "ann; rm"])
def test_unusable_names_of_who_decides(by: str) -> None:
    with client(Script({})) as server, pytest.raises(BadRequest, match="unusable name"):
        decide(server, "w1", approved=True, by=by)


@pytest.mark.parametrize("workflow", [release("COMPLETED"), release(gate="COMPLETED", output={"by": "eve"})])
def test_nothing_to_decide(workflow: dict[str, Any]) -> None:
    script = Script({("GET", "/workflow/w1"): (200, workflow)})
    with client(script) as server, pytest.raises(BadRequest, match="does not wait for anybody"):
        decide(server, "w1", approved=True, by="Ann Lee")
    assert all(r.method == "GET" for r in script.asked)


class Gatekeeper(Script):
    """Answers 200 to a decision, as the real server does to all; the task then holds ``kept``, or what was sent."""

    def __init__(self, kept: dict[str, Any] | None = None, status: str = "COMPLETED") -> None:
        taken = {("POST", "/tasks/w1/approval/COMPLETED"): (200, "")}
        super().__init__({("GET", "/workflow/w1"): (200, release()), **taken})
        self.kept, self.status = kept, status

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/api/tasks/t1":
            return super().__call__(request)
        sent = json.loads(next(r for r in self.asked if r.method == "POST").content)
        return httpx.Response(200, json={"status": self.status, "outputData": sent if self.kept is None else self.kept})


def test_a_decision_is_proven() -> None:
    with client(Gatekeeper()) as server:
        decided = decide(server, "w1", approved=False, by="Ann Lee", note="too\nloud")
    assert (decided.approved, decided.by, decided.note, decided.ref) == (False, "Ann Lee", "too loud", "approval")


def test_a_decision_that_came_too_late() -> None:
    eve = {"approved": True, "by": "Eve", "at": "", "note": ""}
    with client(Gatekeeper(eve)) as server, pytest.raises(BadRequest, match="faster"):
        decide(server, "w1", approved=False, by="Ann")


def test_a_decision_that_the_server_forgot() -> None:
    times = iter(range(0, 1000, 6))
    with client(Gatekeeper({}, "IN_PROGRESS")) as server, pytest.raises(RigFault, match="did not take"):
        decide(server, "w1", approved=True, by="Ann", clock=lambda: float(next(times)))


def test_definitions_that_cannot_be_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr("harness.conductor.register.resources.files", lambda package: tmp_path)
    (tmp_path / "one.json").write_text('{"name": "other", "tasks": []}')
    with pytest.raises(HarnessFault, match="not named like its file"):
        load.__wrapped__()
    (tmp_path / "one.json").write_text("{")
    with pytest.raises(HarnessFault, match="not JSON"):
        load.__wrapped__()
