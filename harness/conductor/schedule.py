"""What the server starts by itself: the nightly regression and the device's health, one schedule per rig."""

from __future__ import annotations

from typing import Any

from harness.conductor.register import load
from harness.conductor.rest import Conductor
from harness.conductor.routing import rig_domain
from harness.errors import BadRequest

MOST_PREVIEW = 20


def for_rig(rig: str, *, cron: dict[str, str] | None = None) -> list[dict[str, Any]]:
    """The shipped schedules, made for one rig.

    Args:
        rig: its name is input and queue of what is started.
        cron: other times by workflow: six fields, seconds first.
    """
    made = []
    for schedule in load().schedules:
        request = schedule["startWorkflowRequest"]
        made.append(
            {
                **schedule,
                "name": schedule_name(schedule["name"], rig),
                "cronExpression": (cron or {}).get(request["name"], schedule["cronExpression"]),
                "startWorkflowRequest": {**request, "input": {"rig": rig}, "taskToDomain": rig_domain(rig)},
                "paused": False,
                "runCatchupScheduleInstances": False,  # a server that was down over night starts no heap of old runs
            }
        )
    return made


def schedule_name(workflow: str, rig: str) -> str:
    """What a rig's schedule of a workflow is called on the server (letters, digits and underscores)."""
    return f"{workflow}_{rig}".replace("-", "_")


def save(server: Conductor, rig: str, *, cron: dict[str, str] | None = None) -> list[str]:
    """Makes or replaces the schedules of a rig, and proves it by reading them back; their names.

    Raises:
        BadRequest: an unusable time.
    """
    wanted = for_rig(rig, cron=cron)
    for schedule in wanted:
        server.save_schedule(schedule)
    there = {str(s["name"]): s for s in server.schedules()}
    for schedule in wanted:
        got = there.get(schedule["name"])
        if got is None:
            raise BadRequest("the server did not keep a schedule", expected=schedule["name"], got=", ".join(there))
    return [s["name"] for s in wanted]


def remove(server: Conductor, rig: str) -> list[str]:
    """Removes the schedules of a rig; the names of those that were there."""
    there = {str(s["name"]) for s in server.schedules()}
    gone = [name for name in (s["name"] for s in for_rig(rig)) if name in there]
    for name in gone:
        server.delete_schedule(name)
    return gone
