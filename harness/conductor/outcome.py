"""What became of a task, in the server's vocabulary: whose fault it was decides whether it is tried again.

A device that fails a test is a result: the task is COMPLETED and its verdict says ``fail``; to flash and test it three
more times would change nothing. A broken rig is FAILED, which the server retries. A request that cannot be fulfilled
is FAILED_WITH_TERMINAL_ERROR.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast, get_args

from harness.errors import K1HilError
from harness.suite.outcome import DUT, GOOD, INTERRUPTED, MISSING, RIG

Status = Literal["COMPLETED", "FAILED", "FAILED_WITH_TERMINAL_ERROR", "IN_PROGRESS"]
# The server stores every output in its database with each look at the workflow; files belong into the store.
MAX_OUTPUT_BYTES = 60_000
MAX_TEXT = 2000
MAX_REASON = 480  # the server cuts at 500 characters
MAX_ITEMS = 200
MAX_DEPTH = 8


@dataclass(frozen=True)
class Outcome:
    """A task's end, or with IN_PROGRESS that it is to be asked for again.

    Attributes:
        status: the server's word.
        output: plain values, small.
        reason: why it is not COMPLETED.
        callback_after_s: with IN_PROGRESS: until it is handed out again.
        lost: the server has given the task up meanwhile; there is nobody to report to.
    """

    status: Status
    output: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    callback_after_s: float = 0.0
    lost: bool = False

    @property
    def final(self) -> bool:
        """Whether the task is over."""
        return self.status != "IN_PROGRESS"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {"status": self.status, "output": self.output, "reason": self.reason,
                "callback_after_s": self.callback_after_s}  # fmt: skip

    @staticmethod
    def from_json(value: Mapping[str, Any]) -> Outcome:
        """The reverse.

        Raises:
            ValueError: not an outcome.
        """
        status, output = value.get("status"), value.get("output")
        if status not in get_args(Status) or not isinstance(output, dict):
            raise ValueError("not an outcome")
        later_s = float(value.get("callback_after_s", 0.0))
        return Outcome(cast(Status, status), output, str(value.get("reason", "")), later_s)


def completed(output: Mapping[str, Any], verdict: str = "pass", why: str = "") -> Outcome:
    """The work was done; ``verdict`` says how the firmware stood, ``why`` what is wrong with it."""
    return Outcome("COMPLETED", bounded({"verdict": verdict, "why": why, **output}))


def failed(reason: str, output: Mapping[str, Any] | None = None) -> Outcome:
    """The rig, or something else that may pass: to be tried again."""
    return Outcome("FAILED", bounded({"verdict": "", "why": reason, **(output or {})}), _short(reason))


def refused(reason: str, output: Mapping[str, Any] | None = None) -> Outcome:
    """It would fail in the same way again."""
    return Outcome(
        "FAILED_WITH_TERMINAL_ERROR", bounded({"verdict": "", "why": reason, **(output or {})}), _short(reason)
    )


def again_later(seconds: float, why: str) -> Outcome:
    """Nothing is wrong, but it cannot be done just now. Burns no retry."""
    return Outcome("IN_PROGRESS", {"verdict": "", "why": why}, callback_after_s=seconds)


def of_error(error: BaseException) -> Outcome:
    """What a failure means for the task: the device's is a finding, the rig's passes, all others come again."""
    text = str(error) or type(error).__name__
    if not isinstance(error, K1HilError):
        return refused(f"{type(error).__name__}: {text}", {"blame": "harness"})
    output = {"blame": error.blame, "error": error.message}
    if error.blame == "dut":
        return completed(output, "fail", text)
    return failed(text, output) if error.blame == "rig" else refused(text, output)


def of_suite(code: int) -> tuple[Status, str]:
    """Status and verdict of a suite's exit code (``docs/suite.md``); negative: ended by a signal.

    0, 1 and 11 are results. 10 (rig), 2 (interrupted) and signals may pass. 3, 4, 5 and what nobody knows will not.
    """
    if code in (GOOD, DUT, MISSING):
        return "COMPLETED", {GOOD: "pass", DUT: "fail", MISSING: "inconclusive"}[code]
    return ("FAILED" if code in (INTERRUPTED, RIG) or code < 0 else "FAILED_WITH_TERMINAL_ERROR"), ""


def bounded(output: Mapping[str, Any]) -> dict[str, Any]:
    """An output the server can take: JSON without NaN, texts and lists cut, less than 60 kB in all."""
    for items, text in ((MAX_ITEMS, MAX_TEXT), (20, 500), (5, 100)):
        cut = {str(k): _cut(v, items, text, 0) for k, v in output.items()}
        if len(json.dumps(cut)) <= MAX_OUTPUT_BYTES:
            return cut
    kept = {k: v for k, v in cut.items() if not isinstance(v, (dict, list))}
    return {**dict(list(kept.items())[:MAX_ITEMS]), "truncated": True}


def _cut(value: Any, items: int, text: int, depth: int) -> Any:
    if isinstance(value, str):
        return value if len(value) <= text else f"{value[: text - 1]}…"
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {str(k)[:text]: _cut(v, items, text, depth + 1) for k, v in list(value.items())[:items]}
    if isinstance(value, (list, tuple)):
        return [_cut(v, items, text, depth + 1) for v in value[:items]]
    return _cut(str(value), items, text, depth)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= MAX_REASON else f"{line[: MAX_REASON - 1]}…"
