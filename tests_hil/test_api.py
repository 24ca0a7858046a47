"""The HTTP API keeps its contract."""

import numpy as np
import pytest
from contract import GET

pytestmark = pytest.mark.needs("api")


@pytest.mark.parametrize("route", GET)
def test_route_answers_with_its_fields(rig, route):
    answer = rig.api.call("GET", route)
    for name, kind in GET[route].items():
        assert name in answer, f"{name} is missing"
        assert isinstance(answer[name], kind) and (kind is bool or not isinstance(answer[name], bool)), (
            f"{name} is {answer[name]!r}"
        )


def test_cors_headers(rig):
    response = rig.api.request("GET", "/api/test-connection")
    assert response.headers.get("access-control-allow-origin") == "*"
    assert response.headers.get("content-type", "").startswith("application/json")
    assert rig.api.request("OPTIONS", "/api/select").status_code == 204


def test_too_frequent_requests_are_refused_and_say_when_to_come_back(rig):
    rig.api.patterns()
    refused = rig.api.request("GET", "/api/patterns")
    assert refused.status_code == 429
    assert refused.json()["error"] == "rate_limited"
    assert 0 < int(refused.headers["X-RateLimit-NextAllowedMs"]) <= int(refused.headers["X-RateLimit-Window"]) == 1000


def test_health_tells_the_truth(rig, record):
    seen = record(None, 1.5, pattern="departure", streams=("frames",))
    health = rig.api.health()
    rate = 1e6 / np.diff(seen.frames["t_us"]).mean()
    assert health["fps"] == pytest.approx(rate, rel=0.05)
    assert health["memory_free_kb"] == pytest.approx(seen.frames["heap_free"][-1] / 1024, rel=0.15)
    again = rig.api.health()
    assert again["uptime_ms"] > health["uptime_ms"]


def test_select_selects_what_it_says(rig, suite, record):
    known = {p["id"]: p["index"] for p in rig.api.patterns()}
    for name in ("breathe", "lava"):
        answer = rig.api.select(name)
        assert (answer["id"], answer["current_pattern"]) == (name, known[name])
        assert rig.api.current_pattern()["id"] == name
        seen = record(None, 0.3, streams=("frames",), settle_s=0.1)
        assert set(seen.frames["pattern"]) == {known[name]}


def test_led_frame_is_what_the_strip_shows(rig, record):
    seen = record(None, 0.3, pattern="hil_ramp")
    assert len(seen.pixels["rgb"]), "expected reported pictures, got none"
    shown = bytes(seen.pixels["rgb"][-1].tobytes()).hex().upper()
    assert "".join(rig.api.led_frame()) == shown


def test_frame_metrics_match_telemetry(rig, record, param):
    seen = record(None, 1.0, pattern="twilight", streams=("frames",))
    told = rig.api.frame_metrics()
    # An entry that is overwritten while the log is copied is left out.
    assert 60 <= told["frame_count"] == len(told["frames"]) <= told["buffer_size"] == 64
    assert told["avg_render_us"] == pytest.approx(np.mean(seen.frames["render_us"]), rel=0.2)
    assert told["avg_rmt_tx_us"] == pytest.approx(np.mean(seen.frames["transmit_us"]), rel=0.05)


def test_api_stays_alive_while_sound_and_light_run(rig, suite):
    before = rig.identity.boot_id
    for _ in range(25):
        rig.api.request("GET", "/api/test-connection")
        rig.api.request("GET", "/api/leds/frame")
    assert rig.api.info()["boot_id"] == before
