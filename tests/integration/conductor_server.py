"""One real Conductor server for all tests that want one: it takes a quarter of a minute to start."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from harness.conductor.rest import Conductor
from harness.conductor.server import ConductorServer
from harness.errors import BadRequest


@pytest.fixture(scope="session")
def conductor_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ConductorServer]:
    """The server, up and healthy; it ends with the tests, even when they are killed.

    Tests share it: take names and domains that are nobody else's.
    """
    server = ConductorServer(tmp_path_factory.mktemp("conductor"), tied=True)
    try:
        server.up(timeout_s=300.0)
    except BadRequest as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(missing))
    try:
        yield server
    finally:
        server.down()


@pytest.fixture(scope="session")
def conductor(conductor_server: ConductorServer) -> Iterator[Conductor]:
    """A client of it, with no key or secret whatever the environment holds."""
    with Conductor(conductor_server.api_url, key="", secret="") as client:
        yield client
