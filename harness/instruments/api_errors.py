"""What can go wrong with the device's HTTP API, by whose fault it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.errors import BadRequest, DutFailure

SHOWN_CHARS = 300
# Names of networks and their passwords are credentials; the owner's firmware tells the first in several answers.
_SECRET_FIELDS = frozenset({"ssid", "password", "pass"})


class ApiError(DutFailure):
    """The device answered with an error object.

    Attributes:
        status: HTTP status.
        code: the contract's error word (``missing_field``, ``pattern_not_found`` …), "" when the body is no error
            object.
        body: the parsed body.
    """

    def __init__(self, message: str, *, status: int, code: str, body: Any, got: str, remedy: str = "") -> None:
        super().__init__(message, got=got, remedy=remedy)
        self.status = status
        self.code = code
        self.body = body


class RateLimited(ApiError):
    """429 still, after waiting as long as the device asked, several times."""


class EndpointAbsent(ApiError):
    """404 for the path itself: this firmware has no such endpoint, or not with this method."""


class KeyRefused(BadRequest):
    """The device asks for an API key, and was given none or another one."""


class BadAnswer(DutFailure):
    """The answer is not what HTTP or the contract promises: no JSON, no object, a missing field, a wrong kind."""


class Shadowed(BadAnswer):
    """Another endpoint answered: the owner's firmware matches paths by their beginning, first come first served."""


class Truncated(BadAnswer):
    """The device left out the end of its answer because its buffer was full."""


class DeviceRestarted(DutFailure):
    """The device restarted while it was being asked: answers of two boots do not belong together."""


class NotMeasurable(BadRequest):
    """This firmware, or the state it is in, gives no such figure; what it tells instead would be wrong."""


class NoIdentity(NotMeasurable):
    """The firmware does not tell over HTTP which image it is."""


def shown(answer: Any) -> str:
    """An answer for an error's text: bounded, names of networks and passwords replaced by stars."""
    return str(_masked(answer))[:SHOWN_CHARS]


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: "***" if name in _SECRET_FIELDS else _masked(inner) for name, inner in value.items()}
    return [_masked(inner) for inner in value] if isinstance(value, list) else value
