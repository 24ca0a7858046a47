"""Reads the definitions and gives them to a server."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from harness.conductor.rest import Conductor
from harness.errors import BadRequest, HarnessFault

TASKS_FILE = "tasks.json"
SCHEDULES_FILE = "schedules.json"
LEAST_SCALE, MOST_SCALE = 0.001, 10.0


@dataclass(frozen=True)
class Definitions:
    """All of them, as the JSON files hold them.

    Attributes:
        tasks: task definitions by task type.
        workflows: workflow definitions by name.
        schedules: what is started when; without the rig, which comes in with :mod:`harness.conductor.schedule`.
    """

    tasks: dict[str, dict[str, Any]] = field(default_factory=dict)
    workflows: dict[str, dict[str, Any]] = field(default_factory=dict)
    schedules: list[dict[str, Any]] = field(default_factory=list)


@cache
def load() -> Definitions:
    """The shipped definitions. Not to be changed by callers: copy first.

    Raises:
        HarnessFault: a file is not JSON, or not named like the workflow in it.
    """
    found = Definitions()
    folder = resources.files("harness.conductor.definitions")
    for file in sorted((f for f in folder.iterdir() if f.name.endswith(".json")), key=lambda f: f.name):
        try:
            value = json.loads(file.read_text())
        except ValueError as error:
            raise HarnessFault("a definition is not JSON", got=str(error), evidence=file.name) from error
        if file.name == TASKS_FILE:
            found.tasks.update({task["name"]: task for task in value})
        elif file.name == SCHEDULES_FILE:
            found.schedules.extend(value)
        elif value.get("name") != file.name.removesuffix(".json"):
            got = str(value.get("name"))
            raise HarnessFault("a definition is not named like its file", got=got, evidence=file.name)
        else:
            found.workflows[value["name"]] = value
    return found


def scaled(task: dict[str, Any], time_scale: float) -> dict[str, Any]:
    """A task definition whose pauses between attempts are shortened, for tests. Its limits stay: they guard real work.

    Args:
        task: as shipped.
        time_scale: factor on ``retryDelaySeconds``; the server counts whole seconds, at least one.
    """
    if not LEAST_SCALE <= time_scale <= MOST_SCALE:
        raise BadRequest("unusable time scale", expected=f"{LEAST_SCALE:g} to {MOST_SCALE:g}", got=f"{time_scale:g}")
    return {**task, "retryDelaySeconds": max(1, round(task["retryDelaySeconds"] * time_scale))}


def in_order(workflows: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Workflows such that each comes after those that it starts itself."""
    ordered: list[dict[str, Any]] = []
    open_: set[str] = set()

    def visit(name: str) -> None:
        definition = workflows.get(name)
        if definition is None or definition in ordered:
            return
        if name in open_:
            raise HarnessFault("workflows start each other in a circle", got=name)
        open_.add(name)
        for task in every_task(definition):
            if task["type"] == "SUB_WORKFLOW":
                visit(task["subWorkflowParam"]["name"])
        if "failureWorkflow" in definition:
            visit(definition["failureWorkflow"])
        ordered.append(definition)

    for name in workflows:
        visit(name)
    return ordered


def every_task(definition: dict[str, Any]) -> list[dict[str, Any]]:
    """All tasks of a workflow, those in branches too, in the order of the file."""
    found: list[dict[str, Any]] = []

    def collect(tasks: list[dict[str, Any]]) -> None:
        for task in tasks:
            found.append(task)
            for branch in [*task.get("decisionCases", {}).values(), *task.get("forkTasks", [])]:
                collect(branch)
            collect(task.get("defaultCase", []))
            collect(task.get("loopOver", []))

    collect(definition["tasks"])
    return found


def register(server: Conductor, time_scale: float = 1.0) -> list[str]:
    """Gives a server all task and workflow definitions, replacing what it has of the same name; the names.

    Raises:
        BadRequest: the server finds a definition wrong.
        RigFault: it does not answer.
    """
    definitions = load()
    for task in definitions.tasks.values():
        server.register_task(scaled(task, time_scale))
    ordered = in_order(definitions.workflows)
    for workflow in ordered:
        server.register_workflow(workflow)
    return [*definitions.tasks, *(w["name"] for w in ordered)]
