"""Telling people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.conductor.outcome import Outcome, completed
from harness.conductor.tasks.spec import Context, text


def alert(inputs: Mapping[str, Any], context: Context) -> Outcome:
    """``k1_alert``: one message to the address of the worker's environment; without one it says that none was sent."""
    from harness.pipeline.alert import alert as send

    title = text(inputs, "title", "a workflow needs attention", 1000)
    words = [text(inputs, "text", "", 10_000)]
    words += [f"{key}: {inputs[key]}" for key in ("workflow", "workflow_id", "reason") if inputs.get(key)]
    sent = send(title, "\n".join(w for w in words if w), text(inputs, "severity", "warning", 20))
    return completed({"sent": sent.sent}, "pass", sent.why)
