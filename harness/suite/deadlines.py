"""How long one test may take. The end of that time is no finding about a device: its own waits all end far sooner."""

from __future__ import annotations

import os
from collections.abc import Iterable

import pytest

from harness.baseline.gate import FRESH_RUNS
from harness.errors import HarnessFault
from harness.rig.config import RigConfig
from harness.rig.profile import Profile
from harness.rig.record import ATTEMPTS

# Building, flashing and drawing take what they take; no test of a quick run comes near it.
MARGIN_S = 600.0
# The latency stimulus is never shorter, whatever the profile.
SHORTEST_LATENCY_S = 20.0
# pytest-timeout's failure has no type of its own.
_TOLD = "from pytest-timeout"


class TestTimeout(HarnessFault):
    """A test did not end in the time that all its recordings together may take."""

    __test__ = False


def item_timeout_s(profile: Profile, config: RigConfig) -> float:
    """Wall seconds after which a test hangs: twice what the longest legitimate one needs, and a margin.

    The longest is the soak, or all recordings that a verdict may ask for, each on a board of its own or after a boot.
    On a physical rig a recording whose sound was spoiled is taken again. A second of virtual time is reckoned as one of
    wall time; it takes a fraction of that, and a busy machine stretches it.
    """
    boot_s = config.dut.boot_timeout_s
    runs = profile.repeats + FRESH_RUNS
    recorded_s = max(profile.soak_s, runs * max(SHORTEST_LATENCY_S, profile.audio_s, profile.record_s))
    attempts = ATTEMPTS if config.kind == "physical" else 1
    longest_s = attempts * recorded_s + max(runs, profile.boots) * boot_s
    return MARGIN_S + config.flash.timeout_s + 2 * longest_s


def give_timeouts(items: Iterable[pytest.Item], config: pytest.Config, seconds: float) -> None:
    """Marks the tests that say nothing of their own, unless a time was given on the command line."""
    if not config.pluginmanager.hasplugin("timeout"):
        return
    if config.getoption("timeout", None) is not None or "PYTEST_TIMEOUT" in os.environ:
        return
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(seconds))


def typed(error: BaseException) -> BaseException:
    """pytest-timeout's failure as what it is; any other error as it came."""
    if not isinstance(error, pytest.fail.Exception) or _TOLD not in str(error):
        return error
    return TestTimeout(
        "the test did not end in time", expected="an end long before", got=str(error),
        remedy="the traceback shows what it waited for; a busy machine: --timeout SECONDS gives all tests more",
    )  # fmt: skip
