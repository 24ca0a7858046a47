"""The exporter and the worker's metrics without Prometheus: untrusted answers, absent endpoints, rigs in use."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from harness.conductor.device_metrics import Reading, number, page
from harness.conductor.exporter import Device, Watcher, application, devices
from harness.conductor.metrics import MOST_LABEL_VALUES, OTHER, WorkerMetrics, serve
from harness.errors import BadRequest, DutFailure, K1HilError, RigFault
from harness.rig import lease as leases

MAC = "02:4b:31:00:00:01"
ANSWERS: dict[str, Any] = {
    "/api/health": {"status": "ok", "uptime_ms": 90_500, "fps": 121.5, "cpu_percent": 40, "memory_free_kb": 200,
                    "memory_total_kb": 320, "wifi": {"ssid": "", "rssi": -51, "ip": "10.0.0.2"}},
    "/api/device/info": {"device": "K1.reinvented", "mac": MAC.upper(), "version": "1.2.0", "boot_count": 7,
                         "image_sha256": "ab" * 32, "slot": 1},
    "/api/device/performance": {"fps": 121.5, "frame_time_us": 8200, "render_avg_us": 3000, "memory_least_free_kb": 150,
                                "telemetry_dropped": 3},
    "/api/latency/probe": {"last_latency_ms": 12.5, "timestamp_us": 1},
    "/api/pattern/current": {"index": 0, "id": "lava", "name": "Lava", "is_audio_reactive": False},
}  # fmt: skip


Answers = dict[str, Any] | Callable[[httpx.Request], httpx.Response]


def watcher(folder: Path, answers: Answers, mac: str = "") -> Watcher:
    def answer(request: httpx.Request) -> httpx.Response:
        if callable(answers):
            return answers(request)
        told = answers.get(request.url.path)
        if told is None:
            return httpx.Response(404, json={"error": "Not found"})
        return told if isinstance(told, httpx.Response) else httpx.Response(200, content=json.dumps(told))

    def client(url: str) -> httpx.Client:
        return httpx.Client(base_url=url, transport=httpx.MockTransport(answer))

    return Watcher(Device("bench1", "http://10.0.0.2", "bench1", mac), folder, client)


def samples(text: bytes | str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    whole = text.decode() if isinstance(text, bytes) else text
    families = text_string_to_metric_families(whole)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for f in families for s in f.samples}


def plain(text: bytes | str) -> dict[str, float]:
    return {name: value for (name, labels), value in samples(text).items() if not labels}


def test_a_visit_tells_what_the_device_said_in_base_units(tmp_path: Path) -> None:
    told = page(watcher(tmp_path, ANSWERS, MAC).read())
    found = plain(told)
    assert found["k1_device_uptime_seconds"] == 90.5 and found["k1_device_heap_free_bytes"] == 200 * 1024
    assert found["k1_device_audio_latency_seconds"] == 0.0125 and found["k1_device_cpu_ratio"] == 0.4
    assert found["k1_device_heap_least_free_bytes"] == 150 * 1024 and found["k1_device_boots_total"] == 7
    assert found["k1_device_wifi_rssi_dbm"] == -51 and found["k1_device_in_use"] == 0
    assert found["k1_device_frame_time_seconds"] == pytest.approx(0.0082)
    labelled = samples(told)
    assert labelled["k1_device_fps", (("pattern", "lava"),)] == 121.5
    (info,) = [dict(labels) for (name, labels) in labelled if name == "k1_device_info"]
    assert info["version"] == "1.2.0" and info["image_sha256"] == "ab" * 32 and info["slot_state"] == ""


def test_firmware_with_fewer_endpoints_has_fewer_figures(tmp_path: Path) -> None:
    found = plain(page(watcher(tmp_path, {"/api/health": ANSWERS["/api/health"]}).read()))
    assert found["k1_device_uptime_seconds"] == 90.5 and "k1_device_audio_latency_seconds" not in found


@pytest.mark.parametrize("bad", ["7", None, True, [], {}, float("inf"), float("nan"), 10**400])
def test_what_is_no_number_is_left_out(tmp_path: Path, bad: Any) -> None:
    assert number(bad) is None
    health = {**ANSWERS["/api/health"], "memory_free_kb": bad, "wifi": bad}
    found = plain(page(watcher(tmp_path, {**ANSWERS, "/api/health": health}).read()))
    assert "k1_device_heap_free_bytes" not in found and found["k1_device_uptime_seconds"] == 90.5


def test_a_hostile_label_breaks_no_line(tmp_path: Path) -> None:
    info = {**ANSWERS["/api/device/info"], "version": 'x"} 1\nk1_device_fake 7\n' + "y" * 500}
    told = page(watcher(tmp_path, {**ANSWERS, "/api/device/info": info}).read())
    assert all(name != "k1_device_fake" for name, _ in samples(told)) and b"y" * 100 not in told


def broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no route to host")


def silent(request: httpx.Request) -> httpx.Response:
    raise httpx.ReadTimeout("timed out")


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        (broken, RigFault),
        (silent, DutFailure),
        ({}, DutFailure),
        ({"/api/health": httpx.Response(200, text="<html>")}, DutFailure),
        ({"/api/health": httpx.Response(500, json={"error": "x"})}, DutFailure),
        ({"/api/health": {"status": "ok"}}, DutFailure),
        ({**ANSWERS, "/api/device/info": httpx.Response(500, json={"error": "x"})}, DutFailure),
    ],
)
def test_a_device_that_does_not_answer_soundly_fails_the_scrape(
    tmp_path: Path, answers: Any, error: type[K1HilError]
) -> None:
    with pytest.raises(error):
        watcher(tmp_path, answers).read()


def test_another_device_at_the_address_is_none_of_ours(tmp_path: Path) -> None:
    with pytest.raises(RigFault, match="another device"):
        watcher(tmp_path, ANSWERS, "02:4b:31:00:00:02").read()


def test_a_rig_in_use_is_left_alone(tmp_path: Path) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json=ANSWERS[request.url.path])

    with leases.take("bench1", owner="a suite", folder=tmp_path):
        assert "a suite" in leases.holder("bench1", tmp_path)
        reading = watcher(tmp_path, answer).read()
        assert reading == Reading(in_use=True) and not asked
        assert plain(page(reading)) == {"k1_device_in_use": 1, "k1_device_visit_seconds": 0}
    assert leases.holder("bench1", tmp_path) == ""
    assert not watcher(tmp_path, answer).read().in_use and len(asked) == len(ANSWERS)


def test_two_that_ask_at_once_share_a_visit(tmp_path: Path) -> None:
    asked = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, json=ANSWERS[request.url.path])

    shared = watcher(tmp_path, answer)
    assert shared.read() is shared.read() and len(asked) == len(ANSWERS)


def ask(app: Any, path: str) -> httpx.Response:
    async def go() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://exporter") as client:
            return await client.get(path)

    return asyncio.run(go())


def test_only_rigs_named_at_the_start_are_asked(tmp_path: Path) -> None:
    app = application({"bench1": Device("bench1", "http://127.0.0.1:9", "bench1")}, tmp_path)
    assert ask(app, "/targets").json() == [{"targets": ["bench1"], "labels": {"rig": "bench1"}}]
    for rig in ("", "bench2", "http://10.0.0.1/", "../bench1"):
        assert ask(app, f"/probe?rig={rig}").status_code == 404
    assert ask(app, "/probe?rig=bench1").status_code == 503
    assert plain_labelled(ask(app, "/metrics").text, "k1_exporter_visits_total", result="failed") == 1


def plain_labelled(text: str, name: str, **labels: str) -> float:
    found = [v for (n, pairs), v in samples(text).items() if n == name and labels.items() <= dict(pairs).items()]
    return sum(found)


def test_rigs_without_an_address_cannot_be_watched(tmp_path: Path) -> None:
    (tmp_path / "usb.toml").write_text('kind = "physical"\n[console]\nport = "/dev/ttyUSB9"\n')
    (tmp_path / "wrong.toml").write_text("kind = 7")
    with pytest.raises(BadRequest, match="no rig to watch"):
        devices([], tmp_path)
    with pytest.raises(BadRequest, match="no address"):
        devices(["usb"], tmp_path)
    text = f'kind = "physical"\n[dut]\nmac = "{MAC}"\n[console]\nport = "/dev/x"\n[api]\nbase_url = "http://10.0.0.2"\n'
    (tmp_path / "net.toml").write_text(text)
    assert devices([], tmp_path) == {"net": Device("net", "http://10.0.0.2", "net", MAC)}


# ---- the worker's own


def test_worker_metrics_are_there_before_anything_happened() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    metrics.announce(rigs=["bench1"], environments=["sim"], task_types=["k1_suite"])
    served = serve(0, registry=metrics.registry)
    try:
        def get() -> str:
            return httpx.get(f"http://127.0.0.1:{served.port}/metrics", trust_env=False).text

        before = get()
        assert plain_labelled(before, "k1_firmware_builds_total", environment="sim") == 0
        assert len([1 for name, _ in samples(before) if name == "k1_firmware_builds_total"]) == 2
        metrics.task_done("k1_suite", "COMPLETED", 42.0)
        metrics.build("sim", "success", 21.0)
        metrics.deploy("bench1", "ota", "failure", 9.0)
        metrics.verdict("bench1", "pass")
        metrics.lease("bench1", True)
        metrics.sizes("sim", 0.25, None)
        metrics.spooled(2)
        after = get()
    finally:
        served.close()
    assert plain_labelled(after, "k1_worker_tasks_total", task_type="k1_suite", status="COMPLETED") == 1
    assert plain_labelled(after, "k1_firmware_builds_total", status="success") == 1
    assert plain_labelled(after, "k1_firmware_build_duration_seconds_bucket", le="20.0") == 0
    assert plain_labelled(after, "k1_firmware_build_duration_seconds_bucket", le="30.0") == 1
    assert plain_labelled(after, "k1_firmware_deploys_total", path="ota", status="failure") == 1
    assert plain_labelled(after, "k1_rig_verdicts_total", verdict="pass") == 1
    assert plain_labelled(after, "k1_rig_lease_held", rig="bench1") == 1
    assert plain_labelled(after, "k1_firmware_flash_used_ratio") == 0.25
    assert plain_labelled(after, "k1_worker_spooled_results") == 2


def test_labels_are_bounded() -> None:
    metrics = WorkerMetrics(CollectorRegistry())
    for i in range(3 * MOST_LABEL_VALUES):
        metrics.build(f"environment-{i}" + "x" * 1000, "success", 1.0)
    every = [s for family in metrics.registry.collect() for s in family.samples]
    shown = [dict(s.labels) for s in every if s.name == "k1_firmware_builds_total"]
    names = {labels["environment"] for labels in shown}
    assert len(names) == MOST_LABEL_VALUES + 1 and OTHER in names and max(map(len, names)) <= 64


def test_a_taken_port_is_a_fault_of_the_rig() -> None:
    first = serve(0, registry=CollectorRegistry())
    try:
        with pytest.raises(RigFault, match="metrics page"):
            serve(first.port, registry=CollectorRegistry())
    finally:
        first.close()
