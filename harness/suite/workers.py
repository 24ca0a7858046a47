"""pytest-xdist: the controller builds once, one worker gets the rig, everything comes back to the controller."""

from __future__ import annotations

from typing import Any

import pytest

from harness.report.model import Card
from harness.suite.session import SuiteSession

KEY = "k1hil"


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def from_controller(config: pytest.Config) -> dict[str, Any] | None:
    """What the controller decided for all workers; None in the controller and without pytest-xdist."""
    shared: dict[str, Any] | None = getattr(config, "workerinput", {}).get(KEY)
    return shared


class ControllerHooks:
    """Hooks of pytest-xdist in the controlling process. Registered only when pytest-xdist is there."""

    def __init__(self, session: SuiteSession) -> None:
        self._session = session
        self.facts: dict[str, Any] = {}

    def pytest_configure_node(self, node: Any) -> None:
        """Gives a worker seed, folder and firmware of this run."""
        bundle = self._session.bundle
        node.workerinput[KEY] = {
            "seed": self._session.seed,
            "run": str(self._session.run),
            "firmware": str(bundle.path) if bundle else "",
        }

    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Takes what a worker drew and learned."""
        sent = getattr(node, "workeroutput", {}).get(KEY)
        if sent:
            self._session.cards += [Card.from_json(row) for row in sent["cards"]]
            self.facts = sent["facts"] or self.facts

    def pytest_xdist_auto_num_workers(self, config: pytest.Config) -> int:
        """One rig, one worker."""
        return 1

    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: Any) -> Any:
        """All tests of a rig go to one worker, whatever ``--dist`` says: groups by mark are not reliable everywhere."""
        from xdist.scheduler import LoadScopeScheduling

        class RigScheduling(LoadScopeScheduling):
            """Groups by rig; there is one."""

            def _split_scope(self, nodeid: str) -> str:
                return "rig"

        return RigScheduling(config, log)


def to_controller(config: pytest.Config, session: SuiteSession, facts: dict[str, Any]) -> None:
    """In a worker, at its end: hands over what only it knows."""
    output: dict[str, Any] = getattr(config, "workeroutput", {})
    output[KEY] = {"cards": [c.to_json() for c in session.cards], "facts": facts}
