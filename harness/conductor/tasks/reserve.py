"""Taking and giving back a rig for a whole workflow. These run inside the worker: they touch no device."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from harness.conductor.outcome import Outcome, again_later, completed, failed
from harness.conductor.tasks.spec import Context, either, flag, number
from harness.errors import HarnessFault

ASK_AGAIN_S = 5.0
DAY_S = 86400.0


def reserve(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_reserve``: the rig for this workflow and its sub-workflows; waits without burning retries."""
    seconds = number(either(inputs, "expires_s", "seconds"), "expires_s", 4 * 3600.0, 60.0, 7 * DAY_S)
    wait_s = number(inputs, "wait_s", 3600.0, 0.0, DAY_S)
    required = flag(inputs, "required", True)
    if context.reservation is None:
        raise HarnessFault("a reservation needs a rig")
    held = context.reservation.take(context.root, seconds)
    if held is not None:
        until = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(held.expires))
        context.tell(f"rig {context.rig} reserved for workflow {context.root} until {until}")
        output = {"reserved": True, "rig": context.rig, "until": until, "expires": until, "reservation": context.root}
        return completed(output)
    other = context.reservation.holder()
    why = f"rig '{context.rig}' is reserved by workflow {other.workflow if other else '(just released)'}"
    waited_s = time.time() - context.scheduled
    if waited_s < wait_s:
        return again_later(min(ASK_AGAIN_S, max(1.0, wait_s - waited_s)), why)
    if required:
        return failed(f"{why}, for {waited_s:.0f} s now", {"reserved": False})
    return completed({"reserved": False, "rig": context.rig, "until": ""}, "skipped", why)


def release(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_release_rig``: the rig is free for others. Nothing when this workflow does not hold it (any more)."""
    if context.reservation is None:
        raise HarnessFault("a reservation needs a rig")
    released = context.reservation.release(context.root)
    context.tell(f"rig {context.rig} {'released' if released else 'was not held by this workflow'}")
    return completed({"released": released, "rig": context.rig})
