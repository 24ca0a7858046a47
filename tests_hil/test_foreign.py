"""What firmware without K1 sentences tells by HTTP and in its log; a figure it cannot give is skipped with why."""

import statistics

import pytest

from harness.instruments import api_boot, api_readings, node1_console
from harness.instruments.api import NotMeasurable
from harness.metric import Metric

pytestmark = [pytest.mark.needs("api"), pytest.mark.foreign]
LOG_S = 5.5  # a line comes once a second, and some are torn


def measured(reading, source):
    """What a reading gives, or the test is skipped where this firmware has no such figure."""
    try:
        return reading(source)
    except NotMeasurable as error:
        pytest.skip(f"not measurable: {error.message} ({error.remedy})")


@pytest.fixture
def read(rig):
    """``read(reading)``: over HTTP, of one boot."""

    def take(reading):
        with api_boot.same_boot(rig.api):
            return measured(reading, rig.api)

    return take


@pytest.fixture(scope="module")
def log(rig):
    """Whole lines of the console, of some seconds."""
    return node1_console.watch(rig.console, LOG_S)


def note(metric, rig, name, value, unit, direction, n, source="api", **detail):
    metric(Metric(name, value, unit, direction, n, source, rig.provenance, detail=detail))


def test_the_board_is_the_one_of_the_rig_file(rig):
    if not rig.mac:
        pytest.skip("the rig file gives no MAC: any device at this address is taken")
    assert rig.api.info().mac.lower() == rig.mac


def test_identity(read):
    assert len(read(api_readings.identity).image_sha256) == 64


def test_patterns_are_those_of_the_rig_file(rig):
    assert [row.id for row in rig.api.patterns()] == list(rig.config.dut.patterns)


def test_frame_rate(rig, read, metric):
    note(metric, rig, "fps", read(api_readings.frame_rate_hz), "Hz", "higher", 1, averaged_by="device")


def test_frame_periods(rig, read, metric):
    periods = read(api_readings.frame_periods_us)
    note(metric, rig, "frame_interval_us_median", statistics.median(periods), "us", "lower", len(periods))
    note(metric, rig, "frame_interval_us_max", max(periods), "us", "lower", len(periods))


def test_stage_times(rig, read, metric):
    stages = read(api_readings.stage_times)
    for name in ("render_us", "quantize_us", "transmit_us"):
        note(metric, rig, f"{name}_mean", getattr(stages, name), "us", "lower", stages.n)


@pytest.mark.parametrize("still", ["departure", "lava", "twilight"])
def test_still_pattern_stands_still_and_is_lit(rig, read, still):
    before = rig.api.params()["dithering"]
    rig.api.select(still)
    rig.api.set_params(dithering=0)
    try:
        frame = read(api_readings.still_led_frame)
    finally:
        rig.api.set_params(dithering=before)
    assert len(frame) == 160 and set(frame) != {"000000"}


def test_tempo(rig, read, metric):
    note(metric, rig, "tempo_strongest_bpm", read(api_readings.strongest_bpm), "bpm", "none", 1)


def test_locked_tempo(rig, read, metric):
    note(metric, rig, "tempo_locked_bpm", read(api_readings.locked_tempo_bpm), "bpm", "none", 1)


def test_beats(rig, read, metric):
    note(metric, rig, "beats_queued", len(read(api_readings.beats)), "", "none", 1)


def test_cpu(rig, read, metric):
    note(metric, rig, "cpu_percent", read(api_readings.cpu_percent), "%", "lower", 1)


def test_rmt_gap(rig, read, metric):
    note(metric, rig, "rmt_gap_us_max", read(api_readings.longest_rmt_gap_us), "us", "lower", 1)


def test_free_heap(rig, read, metric):
    free_kb = read(lambda api: api.health().memory_free_kb)
    note(metric, rig, "heap_free_bytes", free_kb * 1024, "B", "higher", 1)


def test_rates_in_the_log(rig, log, metric):
    pulses = measured(node1_console.heartbeats, log)
    for name, counts in (("fps_logged", [p.frames for p in pulses]), ("audio_fps", [p.audio_frames for p in pulses])):
        note(metric, rig, name, statistics.mean(counts), "1/s", "higher", len(counts), "console", resolution=1.0)


def test_beats_in_the_log(rig, log, metric):
    note(metric, rig, "beats_logged", len(measured(node1_console.beats, log)), "", "none", 1, "console",
         watched_s=LOG_S)  # fmt: skip
