"""The pytest plugin: ``pytest tests_hil --rig NAME``.

Registered once, by ``pytest_plugins`` in the root ``conftest.py``. It stays inert unless ``--rig`` is given or an
argument lies in ``tests_hil/``; its parts are in :mod:`harness.suite`.
"""

from __future__ import annotations

import pytest

from harness.errors import BadRequest
from harness.suite.options import add_options, is_wanted, read_options

MARKERS = (
    "long: needs much time; in wall time only with the standard profile",
    "needs(*capabilities): skipped on rigs without them: audio, wire, flashing_light, api, sim",
    "foreign: measures over the HTTP API alone; runs on rigs whose firmware speaks no K1 sentences, and only there",
    "judged: its metrics are compared with the rig's accepted runs (what `k1hil baseline collect` repeats)",
    "reset(kind): what happens before the test: none (default), soft (reboot command) or hard (EN)",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options are always there, so that ``--help`` shows them."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Before pytest's JUnit writer and pytest-embedded read their options."""
    for marker in MARKERS:
        config.addinivalue_line("markers", marker)
    if not is_wanted(config):
        return
    try:
        _activate(config)
    except BadRequest as error:
        raise pytest.UsageError(str(error)) from error


def _activate(config: pytest.Config) -> None:
    from harness.suite import bar, fixtures, workers
    from harness.suite.hooks import SuiteHooks
    from harness.suite.session import SESSION, SuiteSession

    if getattr(config.option, "embedded_services", ""):
        raise BadRequest(
            "--embedded-services has no meaning here", remedy="what is connected stands in the rig file: --rig NAME"
        )
    session = SuiteSession(read_options(config), workers.from_controller(config))
    config.stash[SESSION] = session
    if session.run is not None and not config.option.xmlpath and not workers.is_worker(config):
        config.option.xmlpath = str(session.run / "junit.xml")
    if hasattr(config.option, "unity_test_report_mode"):
        config.option.unity_test_report_mode = "merge"
    manager = config.pluginmanager
    manager.register(fixtures, "k1hil-fixtures")
    manager.register(SuiteHooks(config, session), "k1hil-suite")
    terminal = manager.get_plugin("terminalreporter")
    if session.run is not None and not workers.is_worker(config) and bar.wanted(config, terminal):
        manager.register(bar.Bar(terminal, session.run.parent / "latest" / "metrics.json"), "k1hil-bar")
    if manager.has_plugin("xdist"):
        manager.register(workers.ControllerHooks(session), "k1hil-xdist")
