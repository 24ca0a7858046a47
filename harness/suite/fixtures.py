"""Fixtures of the suite. Of pytest-embedded's names only ``dut`` is used, and those of parts that must stay off."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from harness.errors import BadRequest
from harness.instruments.flashing import STROBOSCOPIC
from harness.recording import Recording
from harness.rig.camera_calibration import Calibration
from harness.rig.rig import Rig
from harness.signals import Stimulus
from harness.suite.absent import absent
from harness.suite.dut import RigDut
from harness.suite.eye import BASIC
from harness.suite.progress import Progress
from harness.suite.session import SESSION, PatternInfo, SuiteSession
from harness.suite.views import MetricBook, Params, Recorder, notes_of

POLICIES = ("none", "soft", "hard")


@pytest.fixture(scope="session")
def suite(request: pytest.FixtureRequest) -> SuiteSession:
    """The session: profile, patterns, baseline, seed."""
    return request.config.stash[SESSION]


@pytest.fixture(scope="session")
def rig(request: pytest.FixtureRequest, suite: SuiteSession) -> Iterator[Rig]:
    """The rig, opened and flashed once per session."""
    progress = Progress(request.config)
    opened = suite.open(progress, owner=f"pytest (process {os.getpid()})")
    progress.done()
    yield opened
    suite.close()


@pytest.fixture(autouse=True)
def _rig_policy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Markers ``needs`` and ``reset``, for tests that use the rig."""
    if "rig" not in request.fixturenames:
        yield
        return
    rig: Rig = request.getfixturevalue("rig")
    if in_short_wall_time(rig) and request.node.get_closest_marker("long"):
        pytest.skip("takes long where time is real: there only in --profile standard and nightly")
    wanted = {str(arg) for mark in request.node.iter_markers("needs") for arg in mark.args}
    lacking = wanted - rig.capabilities
    if lacking:
        pytest.skip(absent(rig, f"rig '{rig.name}' has no {', '.join(sorted(lacking))}"))
    mark = request.node.get_closest_marker("reset")
    policy = str(mark.args[0]) if mark and mark.args else "none"
    if policy not in POLICIES:
        raise BadRequest(f"marker reset does not know '{policy}'", expected=", ".join(POLICIES))
    rig.console.pump()
    notes_of(request.node).first_line = rig.console.n_lines
    if policy == "soft":
        rig.reset("soft")
    elif policy == "hard":
        rig.reset("hard")
    yield
    rig.check_bench()


@pytest.fixture
def dut(request: pytest.FixtureRequest, rig: Rig, session_tempdir: str) -> Iterator[RigDut]:
    """The device as pytest-embedded knows it; reads the console from the start of the test."""
    folder = Path(session_tempdir) / request.node.name
    device = RigDut(rig, folder / "dut.log", request.node.name)
    yield device
    if device.testsuite.testcases:
        folder.mkdir(parents=True, exist_ok=True)
    device.close()


@pytest.fixture
def record(request: pytest.FixtureRequest, suite: SuiteSession, rig: Rig) -> Iterator[Recorder]:
    """``record(stimulus, seconds, pattern)``."""
    yield Recorder(suite, rig, request.node)


@pytest.fixture
def metric(request: pytest.FixtureRequest, suite: SuiteSession) -> MetricBook:
    """``metric(m)`` and ``metric.judge(m)``."""
    return MetricBook(suite, request.node)


@pytest.fixture
def camera(suite: SuiteSession, rig: Rig) -> Calibration:
    """The rig's calibrated camera, just found unmoved; the test is skipped where there is none."""
    return suite.eye.need(rig)


@pytest.fixture
def param(rig: Rig) -> Iterator[Params]:
    """``param(brightness=0.2)``; parameters return to their defaults afterwards."""
    params = Params(rig)
    yield params
    if params.touched:
        rig.telemetry.command("reset")


@pytest.fixture
def declared(suite: SuiteSession, pattern: str) -> PatternInfo:
    """What the firmware declares of the test's pattern."""
    return suite.pattern(pattern)


@pytest.fixture
def shows(request: pytest.FixtureRequest, suite: SuiteSession, rig: Rig, pattern: str) -> list[Recording]:
    """Recordings of the test's pattern with music, shared by all tests of the session."""
    if pattern in STROBOSCOPIC and "flashing_light" not in rig.capabilities:
        pytest.skip(f"{pattern} flashes; allow_flashing is off for this rig")
    if in_short_wall_time(rig) and suite.pattern(pattern).raw:
        pytest.skip("takes long where time is real: test patterns play to music only in --profile standard and nightly")
    recordings = suite.shows(rig, pattern)
    notes_of(request.node).recordings += suite.show_names(pattern)
    return recordings


@pytest.fixture
def another_show(
    request: pytest.FixtureRequest, suite: SuiteSession, rig: Rig, shows: list[Recording], pattern: str
) -> Callable[[], Recording]:
    """Takes one more, independent recording of the test's pattern with music."""

    def take() -> Recording:
        recording = suite.another_show(rig, pattern)
        notes_of(request.node).recordings.append(suite.show_names(pattern)[-1])
        return recording

    return take


@pytest.fixture
def watched(
    request: pytest.FixtureRequest, suite: SuiteSession, rig: Rig, record: Recorder, pattern: str
) -> Callable[[Stimulus], Recording]:
    """``watched(sound)``: the test's pattern with sound as the camera saw it.

    Where time is real that is the show, which is taken in any case. In virtual time a camera costs more than sound
    does: there it is a recording of ``sound``, which may be short.
    """

    def take(sound: Stimulus) -> Recording:
        if rig.config.kind == "physical" and not (in_short_wall_time(rig) and suite.pattern(pattern).raw):
            recordings: list[Recording] = request.getfixturevalue("shows")
            return recordings[0]
        return record(sound, pattern=pattern, streams=(*BASIC, "camera"))

    return take


def in_short_wall_time(rig: Rig) -> bool:
    """A quick look at a rig where a second lasts a second: what takes long is left out, and says so."""
    return rig.config.kind == "physical" and rig.profile.name == "quick"


@pytest.fixture
def show(shows: list[Recording]) -> Recording:
    """The first of :func:`shows`."""
    return shows[0]


# ---- pytest-embedded's helpers that a rig does not need ----------------------------------------------


@pytest.fixture(scope="session", autouse=True)
def _mp_manager() -> None:
    """Instead of pytest-embedded's manager process: there is one console, and it is read in this process."""


@pytest.fixture(scope="session", autouse=True)
def _stdout_lock() -> None:
    """Instead of pytest-embedded's lock for its listener processes."""


@pytest.fixture(autouse=True)
def parametrize_fixtures() -> None:
    """Instead of pytest-embedded's autouse fixture that works out ports and services for every test."""


@pytest.fixture
def embedded_services() -> None:
    """Not there: the rig decides what is connected.

    Raises:
        BadRequest: always.
    """
    raise BadRequest("embedded_services does not exist here", remedy="what is connected stands in the rig file: --rig")


@pytest.fixture
def _fixture_classes_and_options() -> None:
    """What pytest-embedded makes ``app``, ``serial``, ``gdb`` and the like from.

    Raises:
        BadRequest: always.
    """
    raise BadRequest(
        "pytest-embedded's app, serial, openocd, gdb, qemu and wokwi fixtures do not exist on a rig",
        remedy="use rig, dut, record and metric",
    )


