"""The API client on the modelled firmware, with a clock that moves both."""

import httpx
import pytest
from k1node1_server import Node1Server

from harness.instruments.api import DeviceApi


class DeviceTime:
    """A host clock on which only waiting takes time, and the device ages with it."""

    def __init__(self, server):
        self.server = server
        self.time_ns = 7_000_000_000

    def now_ns(self):
        return self.time_ns

    def wait(self, condition, timeout_s, *, stop=None):
        if not condition():
            self.pass_s(timeout_s)
        return condition()

    def sleep_until(self, host_ns):
        self.pass_s((host_ns - self.time_ns) / 1e9)

    def pass_s(self, seconds):
        self.time_ns += round(seconds * 1e9)
        self.server.advance(seconds)


@pytest.fixture
def server():
    with Node1Server() as running:
        yield running


@pytest.fixture
def clock(server):
    return DeviceTime(server)


@pytest.fixture
def api(server, clock):
    client = DeviceApi(httpx.Client(base_url=server.url, timeout=10, trust_env=False), clock)
    yield client
    client.close()
