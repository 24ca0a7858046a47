"""Nothing that flashes is selected where the rig file does not allow it: neither on the console nor over HTTP."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from scripted_rig import ScriptedClock, ScriptedPort

from harness.instruments.api import DeviceApi
from harness.instruments.console import Console
from harness.instruments.flashing import STROBOSCOPIC, FlashGuard, FlashingForbidden

KNOWN = {0: "departure", 13: "hil_index"}


@pytest.fixture
def guard() -> FlashGuard:
    return FlashGuard(False, lambda: KNOWN)


@pytest.fixture
def console(guard: FlashGuard) -> Console:
    clock = ScriptedClock()
    made = Console(ScriptedPort(clock, {}), clock, None)
    made.guard = guard
    return made


@pytest.mark.parametrize("name", sorted(STROBOSCOPIC))
def test_by_id(console: Console, name: str) -> None:
    ways = (console.send, lambda line: console.write(f"id\r\n  {line}\n"), lambda line: console.write(line.encode()))
    for say in ways:
        with pytest.raises(FlashingForbidden, match=f"{name} flashes; allow_flashing is off"):
            say(f"select {name}")
    assert console.port.written == []


def test_by_index(console: Console) -> None:
    console.send("select 0")
    console.send("select 99")
    with pytest.raises(FlashingForbidden, match="hil_index flashes"):
        console.send("select 13")
    assert console.port.written == [b"select 0\n", b"select 99\n"]


def test_an_index_nobody_knows_is_refused() -> None:
    with pytest.raises(FlashingForbidden, match="pattern 3 may flash"):
        FlashGuard(False).select(3)


@pytest.mark.parametrize("line", ["select departure", "select", "select hil_solid", "param speed 1.0", "selection"])
def test_other_commands_pass(console: Console, line: str) -> None:
    console.send(line)
    assert console.port.written == [line.encode() + b"\n"]


def test_all_passes_where_it_is_allowed() -> None:
    guard = FlashGuard(True)
    guard.select("hil_flash")
    guard.select(13)
    guard.console(b"select hil_flash\n")
    guard.request("/api/select", b'{"id":"hil_flash"}')


def test_over_http(guard: FlashGuard) -> None:
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.content)
        return httpx.Response(200, json={"id": "lava", "current_pattern": 1, "name": "Lava"})

    api = DeviceApi(httpx.Client(transport=httpx.MockTransport(answer), base_url="http://dut"), ScriptedClock())
    api.guard = guard
    bodies: list[Any] = [{"id": "hil_flash"}, {"index": 13}, {"index": 13.0, "transition": True}]
    for body in bodies:
        with pytest.raises(FlashingForbidden):
            api.post("/api/select", body)
        with pytest.raises(FlashingForbidden):
            api.request("POST", "/api/select?x=1", raw=json.dumps(body).encode())
    assert asked == []
    api.select("lava")
    for junk in (b"{", b"[1]", b'{"index":-1}', b'{"index":1e99}', b'{"id":123}'):
        api.request("POST", "/api/select", raw=junk)
    assert len(asked) == 6
