"""The API client against the owner's firmware as it is: each of its twelve traps is survived, or refused by name."""

import json

import httpx
import pytest
from k1node1_answers import SSID
from k1node1_client import api, clock, server
from k1node1_state import DEFAULTS, FRAME_US, torn_log

from harness.errors import DutFailure, RigFault
from harness.instruments import api_boot, api_readings
from harness.instruments.api import (
    ApiError,
    BadAnswer,
    DeviceRestarted,
    NoIdentity,
    NotMeasurable,
    Shadowed,
)
from harness.timebase import near_us32
from harness.wire.node1_log import parse_beat, parse_heartbeat, parse_line, redact

__all__ = ["api", "clock", "server"]
WRAP_S = (1 << 32) / 1e6


def until_wrap(clock, left_s):
    """The device's 32-bit microseconds are ``left_s`` before (negative: after) their wrap."""
    clock.pass_s(WRAP_S - clock.server.device.us / 1e6 - left_s)


# ---- trap 1: a POST without a JSON body never arrives --------------------------------------------------


def test_trap_1_every_post_of_the_client_reaches_its_handler(server, api):
    posts = [
        lambda: api.select("lava"), lambda: api.set_params(speed=0.25), api.reset_params, api.calibrate_noise,
        lambda: api.audio_config(microphone_gain=1.5), api.reset_rmt, lambda: api.diag(enabled=True),
        lambda: api.realtime(interval_ms=500), lambda: api.realtime_preset("stress-low"),
        lambda: api.transitions(default_type="wipe_in"), lambda: api.wifi_options(force_ht20=False),
        lambda: api.set_wifi_credentials("net", "secret99"), api.start_wifi_scan, api.reassociate,
        lambda: api.set_tx_power_dbm(30), lambda: api.set_power_save(True), lambda: api.set_wifi_channel(6),
        lambda: api.set_band_steering(True),
    ]  # fmt: skip
    for post in posts:
        post()
    sent = [request for request in server.requests if request[0] == "POST"]
    assert len(sent) == len(posts) + api.limited
    assert {kind for _, _, kind, _ in sent} == {"application/json"}
    assert all(isinstance(json.loads(body), dict) for *_, body in sent)


def test_trap_1_what_the_library_answers_is_an_error_that_says_what_to_send(api):
    raw = api.request("POST", "/api/reset", raw=b"")
    assert (raw.status_code, raw.headers["content-type"]) == (501, "text/plain")
    api.client.headers["Content-Type"] = "application/x-www-form-urlencoded"
    answer = api.client.post("/api/reset", content=b"a=b")
    assert answer.status_code == 501 and "access-control-allow-origin" not in answer.headers


def test_trap_1_a_501_is_typed(server, api):
    server.mangle["/api/reset"] = lambda data: (data, len(data))
    api.request = lambda *_, **__: httpx.Response(501, text="Handler did not handle the request")
    with pytest.raises(ApiError) as caught:
        api.reset_params()
    assert caught.value.status == 501 and "application/json" in caught.value.remedy


# ---- trap 2: a route takes everything below it ---------------------------------------------------------


def test_trap_2_bounds_answered_by_params_are_refused(server, api):
    assert api.get("/api/params/bounds") == api.params()  # what really comes
    with pytest.raises(Shadowed, match="answered by /api/params"):
        api.params_bounds()


def test_trap_2_scan_results_answered_by_another_route_are_refused(api):
    with pytest.raises(Shadowed, match="answered by /api/wifi/scan/results"):
        api.wifi_scan()


def test_trap_2_true_bounds_are_read(api):
    api.call = lambda *_, **__: {"speed": {"min": 0, "max": 1, "step": 0.01}}
    assert api.params_bounds()["speed"].max == 1.0


# ---- trap 3: silence stops the strips ------------------------------------------------------------------


def test_trap_3_a_stale_picture_is_refused_in_silence_and_taken_with_sound(server, clock, api):
    frame = api_readings.fresh_led_frame(api)
    assert len(frame) == 160 and len(set(frame)) > 100
    server.device.sound = False
    clock.pass_s(1.0)
    assert api.led_frame() == api.led_frame()  # the device itself says nothing of it
    for reading in (api_readings.fresh_led_frame, api_readings.still_led_frame, api_readings.frame_periods_us):
        with pytest.raises(NotMeasurable, match="sends no frames") as caught:
            reading(api)
        assert "play sound" in caught.value.remedy


def test_trap_3_a_picture_from_before_the_sound_began_is_refused(server, clock, api):
    server.device.sound = False
    clock.pass_s(1.0)
    read = api.led_frame

    def sound_begins_after_the_read():
        frame = read()
        server.device.sound = True
        return frame

    api.led_frame = sound_begins_after_the_read
    with pytest.raises(NotMeasurable, match="sends no frames"):
        api_readings.fresh_led_frame(api)


def test_trap_3_turns_of_an_idle_loop_are_no_frame_rate(server, clock, api):
    assert api_readings.frame_rate_hz(api) == pytest.approx(1e6 / FRAME_US)
    server.device.sound = False
    clock.pass_s(1.0)
    assert api.health().fps > 250
    with pytest.raises(NotMeasurable, match="no frame rate"):
        api_readings.frame_rate_hz(api)
    with pytest.raises(NotMeasurable, match="not sent"):
        api_readings.stage_times(api)


def test_trap_3_a_plausible_rate_is_refused_as_well_while_nothing_is_sent(server, clock, api, monkeypatch):
    server.device.sound = False
    clock.pass_s(1.0)
    monkeypatch.setattr(type(server.device), "fps", property(lambda device: 150.0))
    with pytest.raises(NotMeasurable, match="sends no frames"):
        api_readings.frame_rate_hz(api)


def test_a_picture_that_moves_may_be_torn_and_is_refused(server, api):
    with pytest.raises(NotMeasurable, match="keeps changing"):
        api_readings.still_led_frame(api)
    api.select("lava")
    assert api_readings.still_led_frame(api) == server.device.shown


# ---- trap 4: the queue of beats is always empty --------------------------------------------------------


def test_trap_4_an_empty_queue_is_not_no_beats(api):
    assert api.beat_events().events == ()
    with pytest.raises(NotMeasurable, match="queue of beats"):
        api_readings.beats(api)


# ---- trap 5: led-tx tells the oldest, in the wrong order, cut short ------------------------------------


def test_trap_5_periods_come_from_the_newest_stamps(server, clock, api):
    before = api.led_tx(0)
    assert before.count == 256 and len(before.events) == 25  # cut short, and the oldest
    periods = api_readings.frame_periods_us(api)
    assert len(periods) >= 16 and set(periods) == {FRAME_US}
    asked = [path for _, path, _, _ in server.requests if path.startswith("/api/led-tx/recent")][-1]
    since = int(asked.split("since_us=")[1].split("&")[0])
    assert 0 < server.device.last_tx - since < 1_500_000


def test_trap_5_the_order_told_is_not_believed(api):
    for order in ("asc", "desc"):
        api.clock.pass_s(1.0)
        body = api.get("/api/led-tx/recent", order=order, limit=20)
        raw = [event["timestamp_us"] for event in body["events"]]
        assert raw == sorted(raw, reverse=order == "asc")  # wrong way round
        assert list(type(api.led_tx(0)).of("x", body).stamps_us) == sorted(raw)


# ---- trap 6: RMT counters ------------------------------------------------------------------------------


def test_trap_6_counters_that_never_count_are_refused(api):
    assert api.rmt().ch1.maxgap_us == 0
    assert api.get("/api/rmt/diag") == api.get("/api/rmt")  # works, by the accident of trap 2
    with pytest.raises(NotMeasurable, match="RMT counters"):
        api_readings.longest_rmt_gap_us(api)
    stages = api_readings.stage_times(api)
    assert (stages.render_us, stages.transmit_us, stages.n) == (1100, 4980, 64)
    assert not any("wait" in name for name in stages._fields)


# ---- trap 7: cpu_percent -------------------------------------------------------------------------------


def test_trap_7_heap_is_not_taken_for_load(api):
    assert api.performance().cpu_percent > 0
    with pytest.raises(NotMeasurable, match="no load"):
        api_readings.cpu_percent(api)


def test_trap_7_a_true_load_is_told(api):
    api.call = lambda *_, **__: {"fps": 166.0, "cpu_percent": 21.0, "memory_percent": 67.5}
    assert api_readings.cpu_percent(api) == 21.0


# ---- trap 8: no identity -------------------------------------------------------------------------------


def test_trap_8_missing_identity_is_none_and_refused_where_it_is_needed(api):
    info = api.info()
    assert (info.device, info.version, info.image_sha256, info.boot_id) == ("K1.reinvented", None, None, None)
    with pytest.raises(NoIdentity, match="which image") as caught:
        api_readings.identity(api)
    assert "esptool" in caught.value.remedy


# ---- trap 9: 32-bit microseconds -----------------------------------------------------------------------


def test_trap_9_stamps_are_unwrapped_by_the_uptime(server, clock, api):
    until_wrap(clock, -5.0)
    told = api_boot.age(api)
    raw = api.latency_probe().last_led_tx_us
    assert raw < 6_000_000
    assert api_boot.stamp_us(raw, told) == server.device.last_tx > 1 << 32


def test_trap_9_a_distance_over_the_wrap_is_short(clock, api):
    until_wrap(clock, 0.5)
    before = api.latency_probe().last_led_tx_us
    clock.pass_s(2.0)
    told = api.latency_align(before)
    assert abs(told.distance_us(before)) < 2_000_000
    late = api.latency_probe().last_led_tx_us
    asked = (late - 4_000_000) % (1 << 32)  # before the wrap; the device's nearest is after it or at its edge
    told = api.latency_align(asked)
    assert abs(told["delta_us"]) > 1e6 or abs(told.distance_us(asked)) < 3e6
    assert near_us32(told.nearest_timestamp_us, (1 << 32) + late) - near_us32(asked, 1 << 32) == told.distance_us(asked)


def test_trap_9_the_devices_own_difference_is_not_believed(clock, api):
    until_wrap(clock, -0.02)
    clock.server.device.led_tx.clear()
    clock.pass_s(0.05)
    asked = (1 << 32) - 10_000
    told = api.latency_align(asked)
    assert told["delta_us"] < -4.2e9
    assert 0 < told.distance_us(asked) < 100_000


@pytest.mark.parametrize("left_s", [0.4, 0.2, 0.1, 0.0, -0.05, -0.2, -0.4, -1.0, -1.1, -1.15, -1.2])
def test_trap_9_no_wrong_period_around_the_wrap(clock, api, left_s):
    until_wrap(clock, left_s)
    try:
        periods = api_readings.frame_periods_us(api)
    except NotMeasurable:
        assert left_s < 0.5
        return
    assert set(periods) == {FRAME_US}


def test_trap_9_periods_are_there_again_after_the_wrap(clock, api):
    until_wrap(clock, -10.0)
    assert set(api_readings.frame_periods_us(api)) == {FRAME_US}
    assert set(api.led_frame()) == {"000000"}  # and prism is black: a finding, and no fault of the client


# ---- trap 10: the lock that never moves ----------------------------------------------------------------


def test_trap_10_lock_and_its_tempo_are_refused_the_bins_are_not(server, clock, api):
    tempo = api.tempo()
    assert (tempo.tempo_lock_state, tempo.locked_tempo_bpm, tempo.confidence_metrics.combined) == ("UNLOCKED", 0, 0)
    with pytest.raises(NotMeasurable, match="no locked tempo"):
        api_readings.locked_tempo_bpm(api)
    assert api_readings.strongest_bpm(api) == pytest.approx(119.8, abs=0.1)
    server.device.sound = False
    with pytest.raises(NotMeasurable, match="hears no tempo"):
        api_readings.strongest_bpm(api)


# ---- trap 11: everything set is lost at a restart ------------------------------------------------------


def test_trap_11_a_restart_between_two_answers_is_noticed(server, clock, api):
    api.select("lava")
    api.set_params(speed=0.9)
    with pytest.raises(DeviceRestarted) as caught, api_boot.same_boot(api):
        server.reboot()
        clock.pass_s(40.0)  # it has been up for longer than before by the time it is asked
    assert "defaults" in caught.value.remedy
    assert api.current_pattern().id == "prism" and api.params()["speed"] == DEFAULTS["speed"]


def test_trap_11_a_restart_in_the_middle_of_a_poll_is_named(server, clock, api):
    server.reboot_at_request = len(server.requests) + 4
    with pytest.raises(DeviceRestarted), api_boot.same_boot(api):
        for _ in range(10):
            api.params()
            clock.pass_s(0.2)
    assert server.device.boots == 1


def test_trap_11_a_device_that_ran_through_is_not_accused(clock, api):
    with api_boot.same_boot(api):
        clock.pass_s(3600.0)
    clock.pass_s((1 << 32) / 1000 - clock.server.device.us / 1e6 - 5)  # uptime_ms wraps after 49.7 days
    with api_boot.same_boot(api):
        clock.pass_s(10.0)
        assert api.health().uptime_ms < 10_000


def test_trap_11_a_device_that_stays_away_is_a_rig_fault(server, clock, api):
    with pytest.raises(RigFault, match="no connection"), api_boot.same_boot(api, back_within_s=5):
        server.hang_up()
        api.health()


def test_trap_11_a_device_that_comes_back_is_asked_again(server, clock, api):
    server.reboot()
    with pytest.raises(DutFailure, match="no sound answer"):
        api.health()
    assert api_boot.await_answer(api, 10).uptime_ms < 5000


# ---- trap 12: torn log lines, names of networks --------------------------------------------------------


def test_trap_12_torn_lines_give_no_figures_and_no_name_gets_through():
    lines = [parse_line(line) for line in torn_log(SSID)]
    whole = [line for line in lines if line is not None]
    assert SSID.encode() not in b"".join(redact(line) for line in torn_log(SSID))
    assert not any(SSID in line.message for line in whole)
    beats = [beat for line in whole if (beat := parse_beat(line))]
    pulses = [pulse for line in whole if (pulse := parse_heartbeat(line))]
    assert [(beat.t_us, beat.confidence) for beat in beats] == [(4_100_123, 31_000)]
    assert [(p.frames, p.audio_frames, p.pattern, p.vu, p.silence) for p in pulses] == [(166, 200, 3, 0.412, False)]
    assert len(whole) == 5
    assert whole[0].t_ms == 2190 and whole[0].severity == "INFO" and "Connected to *** @" in whole[0].message


def test_trap_12_errors_do_not_tell_the_network(server, api):
    def without_fps(data):
        body = json.loads(data)
        del body["fps"]
        raw = json.dumps(body).encode()
        return raw, len(raw)

    server.mangle["/api/health"] = without_fps
    with pytest.raises(BadAnswer, match="lacks fps") as caught:
        api.health()
    assert SSID not in str(caught.value) and "***" in str(caught.value)
    assert not hasattr(api.wifi(), "ssid")
