"""Holds the definitions against the rules of the house, without a server. What a server accepts can still be wrong:
an empty ``joinOn`` waits for nobody, a workflow without a time-out policy is only ever warned of its limit."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.conductor.register import Definitions, every_task, in_order
from harness.conductor.routing import BUILD_TASKS, RIG_TASKS
from harness.errors import HarnessFault

RETRIES = {"retryCount": 3, "retryLogic": "EXPONENTIAL_BACKOFF", "retryDelaySeconds": 60}
PAUSES_S = (60, 120, 240)
LEAST_SILENCE_S = 120  # longer than a restart of the server takes, or every restart would cost an attempt
UNRESERVED = frozenset({"k1_reserve", "k1_release_rig", "k1_device_health"})  # the last looks on when nobody else does
KNOWN_TYPES = frozenset({"SIMPLE", "SWITCH", "FORK_JOIN", "JOIN", "SUB_WORKFLOW", "TERMINATE", "WAIT", "NOOP"})
HELPERS = frozenset({"firmware-delivery", "workflow-failed"})  # started by other workflows only, which send the alert
_REFERENCE = re.compile(r"\$\{([^}]*)\}")
_INPUT = re.compile(r"workflow\.input\.([A-Za-z0-9_]+)")
_OUTPUT = re.compile(r"([A-Za-z0-9_]+)\.output\.[A-Za-z0-9_.]+")


def lint(definitions: Definitions, registered: Mapping[str, float] | None = None) -> list[str]:
    """What is wrong with the definitions, one line each; empty when nothing is.

    Args:
        definitions: to check.
        registered: the task types that the worker has a function for, with the seconds it gives them; None: not
            checked.
    """
    found = [problem for task in definitions.tasks.values() for problem in _task_definition(task)]
    for workflow in definitions.workflows.values():
        found += [f"{workflow['name']}: {p}" for p in _workflow(workflow, definitions)]
    found += _agreement(definitions, registered)
    try:
        in_order(definitions.workflows)
    except HarnessFault as error:
        found.append(str(error))
    for schedule in definitions.schedules:
        name = schedule.get("startWorkflowRequest", {}).get("name")
        if name not in definitions.workflows:
            found.append(f"schedule {schedule.get('name')}: starts unknown workflow {name}")
        if len(str(schedule.get("cronExpression", "")).split()) != 6:
            found.append(f"schedule {schedule.get('name')}: a time has six fields, seconds first")
    return found


def registered_functions() -> dict[str, float]:
    """The task types that the worker has a function for, and the seconds after which it ends them."""
    from harness.conductor.tasks import TASKS

    return {name: spec.limit_s for name, spec in TASKS.items()}


def _agreement(definitions: Definitions, registered: Mapping[str, float] | None) -> Iterator[str]:
    """Definitions, routing and worker know the same task types."""
    defined, routed = set(definitions.tasks), {*RIG_TASKS, *BUILD_TASKS}
    used = {t["name"] for w in definitions.workflows.values() for t in every_task(w) if t["type"] == "SIMPLE"}
    pairs = [("used in a workflow", used, "without a task definition", defined),
             ("defined", defined, "used nowhere", used),
             ("defined", defined, "routed nowhere", routed),
             ("routed", routed, "not defined", defined)]  # fmt: skip
    if registered is not None:
        pairs += [("defined", defined, "without a function in the worker", set(registered)),
                  ("a function of the worker", set(registered), "not defined", defined)]  # fmt: skip
    for what, those, lack, others in pairs:
        for name in sorted(those - others):
            yield f"task {name}: {what}, but {lack}"
    for name in sorted(defined & set(registered or {})):
        if (registered or {})[name] >= definitions.tasks[name]["timeoutSeconds"]:
            yield f"task {name}: the worker would end it no earlier than the server gives it up"


def _task_definition(task: dict[str, Any]) -> Iterator[str]:
    name = f"task {task.get('name')}"
    for key, wanted in RETRIES.items():
        if task.get(key) != wanted:
            yield f"{name}: {key} is {task.get(key)!r}, not {wanted!r}"
    silence, attempt, total = (int(task.get(k) or 0) for k in
                               ("responseTimeoutSeconds", "timeoutSeconds", "totalTimeoutSeconds"))  # fmt: skip
    if silence < LEAST_SILENCE_S:
        yield f"{name}: responseTimeoutSeconds is {silence}, under {LEAST_SILENCE_S}"
    if not silence <= attempt <= total:
        yield f"{name}: not responseTimeoutSeconds <= timeoutSeconds <= totalTimeoutSeconds"
    if total < 4 * attempt + sum(PAUSES_S):
        yield f"{name}: totalTimeoutSeconds leaves no room for four attempts and their pauses"
    if task.get("timeoutPolicy") != "RETRY":
        yield f"{name}: timeoutPolicy is {task.get('timeoutPolicy')!r}, not 'RETRY'"
    if task.get("pollTimeoutSeconds") or task.get("concurrentExecLimit"):
        yield f"{name}: a poll time-out or a limit at a time would burn the retries of a busy rig"


def _workflow(workflow: dict[str, Any], definitions: Definitions) -> Iterator[str]:
    if workflow.get("timeoutPolicy") != "TIME_OUT_WF" or not workflow.get("timeoutSeconds"):
        yield "needs timeoutPolicy TIME_OUT_WF and timeoutSeconds"
    yield from _failure_workflow(workflow, definitions)
    tasks = every_task(workflow)
    refs = [t["taskReferenceName"] for t in tasks]
    yield from (f"reference name {r} is there twice" for r in sorted({r for r in refs if refs.count(r) > 1}))
    for task in tasks:
        yield from (f"{task['taskReferenceName']}: {p}" for p in _task(task, set(refs), definitions))
    yield from _references(workflow, set(refs))
    yield from _reservation([t["name"] for t in tasks if t["type"] == "SIMPLE"])
    yield from _gates(tasks)


def _failure_workflow(workflow: dict[str, Any], definitions: Definitions) -> Iterator[str]:
    name = workflow.get("failureWorkflow")
    if workflow["name"] in HELPERS:
        return
    failure = definitions.workflows.get(name or "")
    if failure is None:
        yield f"its failure workflow {name} is not defined"
    elif not any(t["name"] == "k1_alert" for t in every_task(failure)):
        yield f"its failure workflow {name} sends no alert"


def _task(task: dict[str, Any], refs: set[str], definitions: Definitions) -> Iterator[str]:
    kind = task["type"]
    if kind == "HUMAN":
        yield "HUMAN takes the workflow from the server's sweeper; use WAIT"
    elif kind not in KNOWN_TYPES:
        yield f"type {kind} is not one of {', '.join(sorted(KNOWN_TYPES))}"
    if kind == "WAIT" and not task.get("inputParameters", {}).get("duration"):
        yield "WAIT without a duration never expires"
    if kind == "JOIN" and (not task.get("joinOn") or not refs.issuperset(task["joinOn"])):
        yield "joinOn is empty (that waits for nobody) or names an unknown task"
    if kind == "SUB_WORKFLOW":
        if task["subWorkflowParam"]["name"] not in definitions.workflows:
            yield f"starts unknown workflow {task['subWorkflowParam']['name']}"
        if task.get("retryCount") != 0:
            yield "a sub-workflow needs retryCount 0: its own tasks retry"
    if kind == "SIMPLE" and task["name"] in RIG_TASKS:
        if task["name"] not in UNRESERVED and "expected_sha256" not in task.get("inputParameters", {}):
            yield "a rig task needs expected_sha256"


def _reservation(names: list[str]) -> Iterator[str]:
    """A rig is reserved before the first task that touches it, and not given back before the last."""
    touching = [i for i, name in enumerate(names) if name in RIG_TASKS and name not in UNRESERVED]
    if not touching:
        return
    if "k1_reserve" not in names[: touching[0]]:
        yield f"{names[touching[0]]} comes before k1_reserve"
    if "k1_release_rig" in names[: touching[-1]]:
        yield f"{names[touching[-1]]} comes after k1_release_rig"


def _references(workflow: dict[str, Any], refs: set[str]) -> Iterator[str]:
    """Every ``${…}`` names an input of the workflow or the output of one of its tasks."""
    inputs = {*workflow.get("inputParameters", []), "failedWorkflow"}
    for expression in sorted(set(_REFERENCE.findall(str(workflow["tasks"]) + str(workflow.get("outputParameters"))))):
        asked, told = _INPUT.match(expression), _OUTPUT.fullmatch(expression)
        if asked:
            if asked[1] not in inputs:
                yield f"${{{expression}}} is no input of it"
        elif expression != "workflow.workflowId" and (told is None or told[1] not in refs):
            yield f"${{{expression}}} names no task of it"
    for name in workflow.get("inputTemplate", {}):
        if name not in inputs:
            yield f"the default {name} is no input of it"


def _gates(tasks: list[dict[str, Any]]) -> Iterator[str]:
    """Only ``pass`` goes on after a verdict, only ``true`` after a health check or an approval; else it ends."""
    for task in tasks:
        if task["type"] != "SWITCH":
            continue
        value = str(task.get("inputParameters", {}).get("value", ""))
        only = next((go for tail, go in (("verdict}", "pass"), ("approved}", "true")) if value.endswith(tail)), None)
        if value == "${health.output.healthy}":
            only = "true"
        if only is None:
            continue
        others = {case: branch for case, branch in task["decisionCases"].items() if case != only}
        otherwise = {**others, "else": task.get("defaultCase", [])}
        if not task["decisionCases"].get(only):
            yield f"{task['taskReferenceName']}: an empty case '{only}' would fall through to the default"
        for case, branch in otherwise.items():
            if not branch or (branch[-1]["type"] != "TERMINATE" and branch[-1]["name"] != "k1_alert"):
                yield f"{task['taskReferenceName']}: the case '{case}' does not end the workflow"
