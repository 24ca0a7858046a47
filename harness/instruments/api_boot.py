"""Restarts seen over the HTTP API: whether two answers come from one boot of the device.

Firmware without a boot id tells nothing but ``uptime_ms``. A device that ran through has aged as much as the host has
waited; one that restarted has not.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from harness.errors import DutFailure, RigFault
from harness.instruments.api import DeviceApi
from harness.instruments.api_errors import DeviceRestarted
from harness.instruments.clock import never
from harness.timebase import near_us32

WRAP_MS = 1 << 32
# Resolution of uptime_ms, and what a device may take between reading its clock and sending.
SLACK_MS = 100.0
# Both crystals together, generously.
SKEW = 500e-6
LOOK_S = 0.25
BACK_WITHIN_S = 30.0


class Age(NamedTuple):
    """``uptime_ms`` (uint32) as told between two moments of the host clock, in ns."""

    uptime_ms: int
    sent_ns: int
    received_ns: int


def age(api: DeviceApi) -> Age:
    """Asks the device how long it has been running."""
    before = api.clock.now_ns()
    told = api.health().uptime_ms
    return Age(told, before, api.clock.now_ns())


def restarted(first: Age, second: Age) -> bool:
    """Whether the device started anew between two answers; ``uptime_ms`` may wrap (49.7 days)."""
    aged_ms = (second.uptime_ms - first.uptime_ms) % WRAP_MS
    least_ms = (second.sent_ns - first.received_ns) / 1e6
    most_ms = (second.received_ns - first.sent_ns) / 1e6
    slack_ms = SLACK_MS + most_ms * SKEW
    return not least_ms - slack_ms <= aged_ms <= most_ms + slack_ms


def await_answer(api: DeviceApi, timeout_s: float = BACK_WITHIN_S) -> Age:
    """Waits until the device answers, through refused and broken connections.

    Raises:
        RigFault, DutFailure: what still was the matter when the time was over.
    """
    end_ns = api.clock.now_ns() + round(timeout_s * 1e9)
    while True:
        try:
            return age(api)
        except (RigFault, DutFailure):
            if api.clock.now_ns() >= end_ns:
                raise
        api.clock.wait(never, LOOK_S)


@contextmanager
def same_boot(api: DeviceApi, back_within_s: float = BACK_WITHIN_S) -> Iterator[Age]:
    """All that is asked inside comes from one boot, or nothing of it counts.

    Raises:
        DeviceRestarted: it did not; also when a request broke because of it.
        RigFault, DutFailure: as raised inside, when the device had not restarted or did not come back.
    """
    first = age(api)
    try:
        yield first
    except (RigFault, DutFailure) as error:
        try:
            second = await_answer(api, back_within_s)
        except (RigFault, DutFailure):
            raise error from None
        if restarted(first, second):
            raise _told(first, second, api) from error
        raise
    second = age(api)
    if restarted(first, second):
        raise _told(first, second, api)


def _told(first: Age, second: Age, api: DeviceApi) -> DeviceRestarted:
    return DeviceRestarted(
        "the device restarted while it was being asked",
        expected=f"an uptime of {first.uptime_ms + (second.sent_ns - first.sent_ns) // 1_000_000} ms",
        got=f"{second.uptime_ms} ms", evidence=str(api.client.base_url),
        remedy="its console tells why (rst:…); parameters and pattern are back at their defaults, set them again",
    )  # fmt: skip


def stamp_us(t_us: int, told: Age) -> int:
    """A uint32 stamp as 64-bit device time in µs, by the uptime of an answer that came within 35 min of it."""
    return near_us32(t_us, told.uptime_ms * 1000)
