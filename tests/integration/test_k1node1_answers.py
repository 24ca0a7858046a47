"""The API client against the owner's firmware: limits, broken and absent answers, and the rest of the contract."""

import json

import httpx
import pytest
from k1node1_client import api, clock, server

from harness.errors import BadRequest, DutFailure, K1HilError, RigFault
from harness.instruments import api_readings
from harness.instruments.api import (
    ApiError,
    BadAnswer,
    EndpointAbsent,
    NotMeasurable,
    RateLimited,
    Truncated,
)

__all__ = ["api", "clock", "server"]


def test_limits_are_waited_out_by_the_devices_own_hints(server, clock, api):
    started = clock.now_ns()
    for _ in range(3):
        api.palettes()
    assert api.limited == 2 and clock.now_ns() - started == pytest.approx(4e9, rel=0.01)
    raw = [api.request("GET", "/api/palettes") for _ in range(2)]
    assert raw[1].status_code == 429 and raw[1].headers["x-ratelimit-window"] == "2000"


def test_a_hint_longer_than_the_window_is_not_believed(server, clock, api):
    hints = {"X-RateLimit-Window": "300", "X-RateLimit-NextAllowedMs": "9000"}
    answers = [httpx.Response(429, headers=hints, json={}), httpx.Response(200, json={"status": "ok"})]
    api.request = lambda *_, **__: answers.pop(0)
    started = clock.now_ns()
    api.test_connection()
    assert clock.now_ns() - started == 300_000_000


def test_a_limit_that_never_ends_is_typed(server, clock, api):
    clock.wait = lambda *_, **__: False  # time does not pass: another client is always faster
    api.params()
    with pytest.raises(RateLimited) as caught:
        api.params()
    assert caught.value.code == "rate_limited" and caught.value.remedy


def test_absent_endpoints_are_named(server, api):
    server.absent = {"/api/frame-metrics"}
    with pytest.raises(EndpointAbsent, match="/api/frame-metrics answers 404"):
        api.frame_metrics()
    with pytest.raises(EndpointAbsent):
        api.get("/api/visual/config")
    with pytest.raises(ApiError) as caught:
        api.select("no_such_pattern")
    assert caught.value.code == "pattern_not_found" and not isinstance(caught.value, EndpointAbsent)


@pytest.mark.parametrize(
    ("mangle", "kind"),
    [
        (lambda data: (data[: len(data) // 2], len(data)), DutFailure),  # torn: the connection ends early
        (lambda data: (data[: len(data) // 2], len(data) // 2), BadAnswer),
        (lambda data: (b"", 0), BadAnswer),
        (lambda data: (b"[1, 2]", 6), BadAnswer),
        (lambda data: (data.replace(b'"fps": ', b'"fps": NaN, "x": '), len(data) + 10), BadAnswer),
        (lambda data: (data.replace(b'"fps": ', b'"fps": 1e999, "x": '), len(data) + 12), BadAnswer),
        (lambda data: (data.replace(b'"uptime_ms": ', b'"uptime_ms": -'), len(data) + 1), BadAnswer),
        (lambda data: (data.replace(b'"status": "ok"', b'"status": 1234'), len(data)), BadAnswer),
    ],
    ids=["torn", "half", "empty", "list", "nan", "infinite", "negative", "kind"],
)
def test_broken_answers_are_typed(server, api, mangle, kind):
    server.mangle["/api/health"] = mangle
    with pytest.raises(kind) as caught:
        api.health()
    assert isinstance(caught.value, K1HilError) and "/api/health" in str(caught.value)


def test_answers_cut_by_a_full_buffer_are_refused(server, clock, api):
    whole = [api.audio_arrays(16, offset, 1) for offset in (0, 16, 32, 48)]
    assert sum(len(a.spectrogram) for a in whole) == 64
    with pytest.raises(Truncated, match="not whole") as caught:
        api.audio_arrays(64)
    server.mangle["/api/audio/arrays"] = lambda data: (data.replace(b"chromagram", b"chroma_lost"), len(data) + 2)
    with pytest.raises(Truncated, match="chromagram|not whole"):
        api.audio_arrays(chromagram=True)
    assert "16 bins" in caught.value.remedy
    clock.pass_s(1)
    server.mangle["/api/leds/frame"] = lambda data: _with_leds(data, 127)
    with pytest.raises(Truncated, match="leds/frame"):
        api.led_frame()


def _with_leds(data, n):
    body = json.loads(data)
    raw = json.dumps(body | {"data": body["data"][:n]}).encode()
    return raw, len(raw)


def test_the_client_never_asks_for_a_format(server, api):
    api.led_frame()
    assert [path for _, path, _, _ in server.requests] == ["/api/leds/frame"]


def test_a_selection_that_became_another_is_refused(server, api):
    assert api.select(15).id == "perlin"
    with pytest.raises(DutFailure, match="another pattern"):
        api.select(200)  # the device takes 0 and says so
    with pytest.raises(BadRequest):
        api.select(-1)
    api.select("lava")
    assert api.select("twilight", transition=True).id == "lava"  # as the contract has it: still the old one
    with pytest.raises(ApiError):
        api.select("fire", transition=True)


def test_a_restore_that_changes_more_than_it_was_given_is_refused(server, api):
    backup = api.backup()
    assert len(backup.parameters) == 12 and backup.current_pattern == 3
    with pytest.raises(DutFailure, match="nobody asked for") as caught:
        api.restore(backup)
    assert "mirror_mode" in caught.value.got
    with pytest.raises(BadRequest, match="not a backup"):
        api.restore({"parameters": {}})


def test_a_frame_log_that_is_not_full_is_refused(server, clock, api):
    server.limiter = False
    server.reboot()
    server.device.us = server.device.next_frame_us = 3_000_000
    clock.pass_s(0.2)
    told = api.frame_metrics()
    assert told.frame_count < 64 and any(row.total_us == 0 for row in told.rows)  # read at the wrong place
    with pytest.raises(NotMeasurable, match="not full"):
        api_readings.stage_times(api)


def test_the_rest_of_the_contract_is_read(server, api):
    assert (len(api.patterns()), len(api.palettes())) == (46, 33)
    assert sum(palette.keyframes for palette in api.palettes()) == 229
    assert api.metrics()["k1_fps"] == pytest.approx(166.67, abs=0.01)
    assert api.audio_metrics().audio_update_counter == api.audio_snapshot().update_counter > 0
    assert api.wifi().rssi_dbm == api.radio().rssi_dbm == -58
    assert (api.access_point(), api.set_tx_power_dbm(30), api.transition().active) == (False, 19.5, False)
    assert api.diag().interval_ms == 5000 and api.realtime().interval_ms == 250
    assert (api.beat_info().count, api.beat_dump().events, api.wifi_password_length()) == (0, (), 12)
    assert api.audio_arrays(chromagram=True).chromagram == (0.2,) * 12
    assert len(api.led_tx_dump(0).stamps_us) == 41
    assert api.led_tx_info().capacity == 256 and api.set_params(speed=7)["speed"] == 1


def test_no_connection_is_a_rig_fault(server, api):
    server.hang_up()
    with pytest.raises(RigFault, match="no connection"):
        api.health()
    server.listen()
    assert api.health().status == "ok"
