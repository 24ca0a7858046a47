"""Typed failures: whose fault it was decides what happens next.

Only :class:`RigFault` is ever retried. Every failure says what was expected, what came, where the evidence is and
what to try next.
"""

from __future__ import annotations


class K1HilError(Exception):
    """Base of all failures of the harness.

    Args:
        message: what went wrong, one sentence.
        expected: what should have been seen.
        got: what was seen instead.
        evidence: file, address or port where the proof lies.
        remedy: what to try next.
    """

    blame = "harness"
    exit_code = 3

    def __init__(
        self, message: str, *, expected: str = "", got: str = "", evidence: str = "", remedy: str = ""
    ) -> None:
        super().__init__(message)
        self.message = message
        self.expected = expected
        self.got = got
        self.evidence = evidence
        self.remedy = remedy

    def __str__(self) -> str:
        lines = [self.message]
        for label, text in (
            ("expected", self.expected),
            ("got", self.got),
            ("evidence", self.evidence),
            ("try", self.remedy),
        ):
            if text:
                lines.append(f"  {label}: {text}")
        return "\n".join(lines)


class RigFault(K1HilError):
    """The bench is broken: port gone, no microphone, lease lost. Retried; never a verdict on the device."""

    blame = "rig"
    exit_code = 10


class DutFailure(K1HilError):
    """The device under test did wrong: panic, wrong identity after flashing, no answer although the bench works."""

    blame = "dut"
    exit_code = 1


class HarnessFault(K1HilError):
    """The harness itself is at fault: a broken invariant, a child stuck outside the model, an unreadable own file."""

    blame = "harness"
    exit_code = 3


class BadRequest(K1HilError):
    """The caller asked for something that cannot be: unknown rig, bad TOML, a file that is not a firmware image."""

    blame = "request"
    exit_code = 4


class Deadline(K1HilError):
    """A wait ran out. The caller, who knows what was awaited, turns it into a rig or a device failure."""

    blame = "harness"
