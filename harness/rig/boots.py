"""Waiting for a device to boot, and telling what kept it from it."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import DutFailure
from harness.instruments.clock import HostClock
from harness.instruments.telemetry import Telemetry
from harness.wire.telemetry import Identity

# Without a boot sentence for so long (its port re-enumerated meanwhile), the device is asked who it is.
ASK_AGAIN_S = 2.0


@dataclass(frozen=True)
class Before:
    """What was known before the reset.

    Attributes:
        seen: identity sentences so far.
        boot_id: of the boot that ended; "" when unknown.
        at: position in the console log.
    """

    seen: int
    boot_id: str
    at: int


def await_boot(telemetry: Telemetry, clock: HostClock, before: Before, timeout_s: float) -> Identity:
    """The first ID of a new boot. A device whose port re-enumerated may have spoken unheard: then it is asked.

    Raises:
        DutFailure: none in time, or only sentences with the boot id of the boot before.
    """
    console = telemetry.console
    deadline_ns = clock.now_ns() + round(timeout_s * 1e9)

    def booted() -> bool:
        console.pump()
        return _new_boot(telemetry, before) is not None

    while (left_ns := deadline_ns - clock.now_ns()) > 0:
        if clock.wait(booted, min(ASK_AGAIN_S, left_ns / 1e9), stop="console"):
            break
        console.send("id")
    identity = _new_boot(telemetry, before)
    if identity is None:
        raise _no_boot(telemetry, before, timeout_s)
    return identity


def _new_boot(telemetry: Telemetry, before: Before) -> Identity | None:
    return next((i for _, i in telemetry.identities()[before.seen :] if i.boot_id != before.boot_id), None)


def _no_boot(telemetry: Telemetry, before: Before, timeout_s: float) -> DutFailure:
    console = telemetry.console
    since = telemetry.identities()[before.seen :]
    if since:
        return DutFailure(
            "after a reset the device still tells the boot id it had before",
            expected=f"an ID sentence with a boot id other than {before.boot_id}",
            got=f"{len(since)} with it, the last with boot count {since[-1][1].boot_count};{console.tail(before.at)}",
            evidence=str(console.log_path),
            remedy="either the reset line does not reach EN, or the firmware draws no fresh boot id",
        )
    return DutFailure(
        "the device did not boot",
        expected=f"an ID sentence within {timeout_s:g} s of reset",
        got=console.tail(before.at),
        evidence=str(console.log_path),
        remedy="a panic or a refused image shows in the text above; a blank board needs flashing first",
    )
