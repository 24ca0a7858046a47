"""Nonsense is refused in words, changes nothing and never brings the device down."""

import pytest
from contract import BAD, BAD_QUERIES

from harness.instruments.telemetry import CommandRefused

pytestmark = pytest.mark.needs("api")


@pytest.fixture
def undisturbed(rig):
    """The device neither restarts nor changes its mind."""
    boot, pattern, params = rig.identity.boot_id, rig.api.current_pattern(), rig.api.params()
    yield
    assert rig.telemetry.identity().boot_id == boot, "the device restarted"
    assert rig.api.current_pattern() == pattern
    assert rig.api.params() == params


def ask(rig, method, path, raw=None):
    """One request; a rate limit is waited out."""
    for _ in range(10):
        response = rig.api.request(method, path, raw=raw)
        if response.status_code != 429:
            break
        wait_ms = int(response.headers["X-RateLimit-NextAllowedMs"])
        rig.clock.wait(lambda: False, wait_ms / 1000)
    return response


@pytest.mark.parametrize("case", BAD)
def test_bad_body(rig, undisturbed, case):
    path, body, status, word = BAD[case]
    response = ask(rig, "POST", path, body)
    if status is None:
        assert response.status_code < 500
        return
    assert response.status_code == status, response.text
    answer = response.json()
    assert word is None or answer["error"] == word
    assert answer.get("status") == status and isinstance(answer.get("timestamp"), int), answer


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_bad_query(rig, undisturbed, query):
    response = ask(rig, "GET", query)
    assert response.status_code == BAD_QUERIES[query], response.text
    assert "error" in response.json()


def test_oversized_body(rig, undisturbed):
    response = ask(rig, "POST", "/api/params", b" " * 70_000)
    assert response.status_code == 413
    assert response.json() == {"error": "payload_too_large", "max_size": 65536}


def test_wrong_method(rig, undisturbed):
    assert ask(rig, "POST", "/api/health", b"{}").status_code == 404


@pytest.mark.parametrize(
    "line", ["", "nonsense", "select", "select no_such", "param", "param brightness", "param brightness bright",
             "param no_such 1", "latch 1", "latch 99999", "pixels maybe", "sync !", "clock minus"]
)  # fmt: skip
def test_bad_command_is_refused(rig, undisturbed, line):
    if not line:
        rig.console.write("\n \n\t\n")
        return
    with pytest.raises(CommandRefused):
        rig.telemetry.command(line)


def test_overlong_and_binary_lines(rig, undisturbed):
    rig.console.write(b"x" * 500 + b"\n")
    rig.console.write(bytes(range(256)) * 4 + b"\n")
    assert rig.telemetry.identity().project == rig.identity.project
