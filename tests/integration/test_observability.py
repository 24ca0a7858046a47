"""Prometheus, its alerts and the dashboards, against real devices, workers and a real server."""

from __future__ import annotations

import json
import math
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prom import SHIPPED, Prometheus, needed

from harness.conductor.register import register
from harness.conductor.rest import Conductor
from harness.conductor.server import ConductorServer
from harness.pipeline.build import build
from harness.rig import FirmwareBundle
from harness.rig import lease as leases
from harness.rig.config import load_config
from harness.rig.opening import lease_key
from tools.conductor_lab import REPO, SLOW, Lab, output, told

ROOT = Path(__file__).resolve().parents[2]
CLI = [sys.executable, "-m", "harness.cli"]
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").glob("*.json"))


@pytest.fixture(scope="module")
def bundle() -> FirmwareBundle:
    return build("sim")


# ---- files


def test_prometheus_takes_the_shipped_configuration() -> None:
    done = subprocess.run([needed("promtool"), "check", "config", SHIPPED / "prometheus.yml"],
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_not_otherwise() -> None:
    done = subprocess.run([needed("promtool"), "test", "rules", "rules.test.yml"], cwd=SHIPPED,
                          capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_was_seen_to_fire_and_to_keep_silent() -> None:
    groups = yaml.safe_load((SHIPPED / "rules.yml").read_text())["groups"]
    names = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    cases = [c for t in yaml.safe_load((SHIPPED / "rules.test.yml").read_text())["tests"] for c in t["alert_rule_test"]]
    fired = {case["alertname"] for case in cases if case["exp_alerts"]}
    assert fired == names
    silent = {case["alertname"] for case in cases if not case["exp_alerts"]}
    within_one = {"DeploysFail", "DeviceHeapLow", "DeviceRestarts"}  # their cases hold a series that must stay silent
    assert silent | within_one == names


def test_runbooks_named_in_alerts_exist() -> None:
    named = set(re.findall(r"docs/[\w./-]+\.md", (SHIPPED / "rules.yml").read_text()))
    assert named and all((ROOT / name).is_file() for name in named), named


def queries(path: Path) -> list[tuple[str, str]]:
    """(panel, query) of a dashboard, variables filled in as Grafana does with everything selected."""
    found = []
    for panel in json.loads(path.read_text())["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "1m")
            found.append((panel["title"], re.sub(r"\$(workflow|rig|environment)\b", ".*", text)))
    return found


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.stem)
def test_a_dashboard_is_whole(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"] == path.stem and board["title"]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24 and not cells & taken, panel["title"]
        taken |= cells
        assert panel["datasource"]["uid"] == "k1-prometheus" and panel["targets"], panel["title"]
    known = {variable["name"] for variable in board["templating"]["list"]}
    used = {v for panel in board["panels"] for t in panel["targets"] for v in re.findall(r"\$(\w+)", t["expr"])}
    assert used - {"__rate_interval"} <= known


# ---- devices


def free_ports(text: str) -> str:
    """A rig file's ports of the 175xx kind made free ones."""
    with ExitStack() as stack:  # all held until all are drawn: no port twice
        for port in sorted(set(re.findall(r"175\d\d", text))):
            sock = stack.enter_context(socket.socket())
            sock.bind(("127.0.0.1", 0))
            text = text.replace(port, str(sock.getsockname()[1]))
    return text


def rig_files(folder: Path, *names: str) -> None:
    """Rigs like ``rigs/sim-served.toml`` at free ports, and the virtual rig they are made from."""
    folder.mkdir()
    (folder / "sim.toml").write_text((ROOT / "rigs" / "sim.toml").read_text())
    for name in names:
        (folder / f"{name}.toml").write_text(free_ports((ROOT / "rigs" / "sim-served.toml").read_text()))


@contextmanager
def running(*command: str, codes: tuple[int, ...] = (0,)) -> Iterator[str]:
    """A command of ours that says one line when it is ready and ends well on SIGTERM."""
    process = subprocess.Popen([*CLI, *command], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"{command[0]} said nothing"
        yield line.strip()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            ended = process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert ended in codes


def board(rigs: Path, name: str, bundle: FirmwareBundle | None) -> Any:
    """A served board of a rig, powered; with this firmware if its flash is blank."""
    firmware = ["--firmware", str(bundle.path)] if bundle is not None else []
    command = ["bench", "--live", "--state", str(rigs / name), "--for", name, "--rig-dir", str(rigs), *firmware]
    # 3: the machine was too slow for it at times. Nothing here is judged by the board's speed.
    return running(*command, codes=(0, 3))


def exporter(rigs: Path) -> Any:
    """The exporter of all rigs that have an address; says its own."""
    return running("exporter", "--rig-dir", str(rigs), "--port", "0")


def bare(url: str) -> str:
    return url.removeprefix("http://")


def test_a_device_is_seen_goes_and_comes_back(bundle: FirmwareBundle, tmp_path: Path) -> None:
    rigs = tmp_path / "rigs"
    rig_files(rigs, "lamp1", "lamp2")
    with ExitStack() as stack:
        stack.enter_context(board(rigs, "lamp2", bundle))
        lamp1 = stack.enter_context(ExitStack())
        lamp1.enter_context(board(rigs, "lamp1", bundle))
        asked = bare(stack.enter_context(exporter(rigs)))
        jobs = {"k1-device": [asked], "k1-exporter": [asked]}
        prometheus = stack.enter_context(Prometheus(tmp_path / "prometheus", jobs))

        prometheus.await_(lambda: prometheus.value('count(k1_device_fps{rig=~"lamp.*"} > 50)') == 2, 60, "two devices")
        uptime = 'k1_device_uptime_seconds{rig="lamp1"}'
        before = prometheus.value(uptime)
        every_query_has_data(prometheus, ROOT / "deploy" / "grafana" / "dashboards" / "k1-devices.json")
        assert not prometheus.alerts()

        # The suite takes the rig: not one request reaches the device, and that is no outage.
        with leases.take(lease_key("lamp1", load_config("lamp1", rigs), None), owner="a suite"):
            used = 'k1_device_in_use{rig="lamp1"}'
            prometheus.await_(lambda: prometheus.value(used) == 1, 20, "lamp1 is in use")
            assert prometheus.value(uptime) is None and prometheus.value('up{rig="lamp1"}') == 1
        prometheus.await_(lambda: (prometheus.value(uptime) or 0) > (before or 0), 20, "lamp1 is asked again")

        lamp1.close()  # the plug is pulled
        prometheus.await_(lambda: ("DeviceOffline", "lamp1") in prometheus.alerts(), 40, "DeviceOffline of lamp1")
        assert prometheus.alerts() == {("DeviceOffline", "lamp1")}, "and nothing else"
        assert prometheus.value('up{rig="lamp2"}') == 1

        stack.enter_context(board(rigs, "lamp1", None))
        prometheus.await_(lambda: not prometheus.alerts(), 60, "the alert is over")
        prometheus.await_(lambda: prometheus.value(uptime), 20, "figures again")
        boots = prometheus.value('k1_device_boots_total{rig="lamp1"} - k1_device_boots_total{rig="lamp1"} offset 1m')
        assert boots is None or boots >= 1


# ---- everything


@pytest.mark.timeout(1500)  # it builds firmware: minutes on a busy machine
def test_every_query_of_every_dashboard_has_data_of_a_real_run(
    conductor_server: ConductorServer, conductor: Conductor, bundle: FirmwareBundle, tmp_path: Path
) -> None:
    rig = "panel"
    register(conductor, time_scale=0.05)
    lab = Lab(conductor, tmp_path / "lab")
    (lab.rigs / f"{rig}.toml").write_text(free_ports((ROOT / "rigs" / "sim-served.toml").read_text()))
    metrics = {name: f"127.0.0.1:{free_port()}" for name in ("build", rig)}
    with ExitStack() as stack:
        stack.enter_context(board(lab.rigs, rig, bundle))
        asked = bare(stack.enter_context(exporter(lab.rigs)))
        jobs = {"conductor": [bare(conductor_server.url)], "k1-worker": list(metrics.values()), "k1-device": [asked],
                "k1-exporter": [asked]}  # fmt: skip
        prometheus = stack.enter_context(Prometheus(tmp_path / "prometheus", jobs))
        stack.enter_context(lab.worker(rig, "--metrics-port", metrics[rig].split(":")[1]))
        stack.enter_context(lab.worker("", "--metrics-port", metrics["build"].split(":")[1]))
        up = 'count(up{job!="k1-device"} == 1)'
        prometheus.await_(lambda: prometheus.value(up) == 4, 90, "all are scraped")

        def done(workflow: str, **inputs: Any) -> dict[str, Any]:
            return lab.finished(lab.start(workflow, rig, **inputs))

        # What goes wrong and what goes well, each seen by Prometheus before it happens again: increases need a before.
        wrong = {"repo": "nobody-knows-it", "commit_sha": "0" * 40}
        assert done("firmware-ci-cd", **wrong)["status"] == "FAILED"
        assert done("device-health")["status"] == "COMPLETED"
        # Another commit than the board runs, or nothing would have to be sent.
        commit = lab.repository.changed(SLOW[0], SLOW[1], f"{SLOW[1]}  // seen on panels")
        firmware = done("firmware-ci-cd", repo=REPO, commit_sha=commit, author="panel", watch_s=2)
        assert firmware["status"] == "COMPLETED", told(firmware)
        stored = output(firmware, "store")
        ended = 'count(workflow_failure_total) >= 1 and count(workflow_execution_seconds_count) >= 2'
        prometheus.await_(lambda: prometheus.query(ended), 30, "the first ends are seen")
        assert done("firmware-ci-cd", **wrong)["status"] == "FAILED"
        assert done("device-health")["status"] == "COMPLETED"
        again = {"firmware": stored["firmware"], "sha256": stored["sha256"]}
        delivered = done("firmware-delivery", **again, select="test_identity", watch_s=2)
        assert delivered["status"] == "COMPLETED", told(delivered)

        for path in DASHBOARDS:
            every_query_has_data(prometheus, path)
        # Not only some number: the ones that this run must have brought.
        assert prometheus.value('k1_firmware_builds_total{environment="sim",status="success"}') == 1
        assert prometheus.value('k1_firmware_deploys_total{path="ota",status="success"}') == 1
        assert prometheus.value('sum(k1_rig_verdicts_total{verdict="pass"})') == 1
        assert 0.01 < (prometheus.value('k1_firmware_flash_used_ratio{environment="sim"}') or 0) < 0.7
        info = prometheus.query(f'k1_device_info{{rig="{rig}"}}')
        assert {labels["image_sha256"] for labels, _ in info} == {stored["sha256"]}
        every_variable_has_values(prometheus)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def every_variable_has_values(prometheus: Prometheus) -> None:
    """What the selectors of the dashboards offer."""
    for path in DASHBOARDS:
        for variable in json.loads(path.read_text())["templating"]["list"]:
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", variable["query"]["query"])
            assert found, variable
            series = prometheus.query(found.group(1))
            assert any(labels.get(found.group(2)) for labels, _ in series), variable["query"]


def every_query_has_data(prometheus: Prometheus, path: Path, timeout_s: float = 60) -> None:
    """Each query of a dashboard gives at least one finite number."""

    def empty() -> list[tuple[str, str]]:
        return [q for q in queries(path) if not any(math.isfinite(value) for _, value in prometheus.query(q[1]))]

    missing: list[tuple[str, str]] = []

    def complete() -> bool:
        missing[:] = empty()
        return not missing

    try:
        prometheus.await_(complete, timeout_s, f"data for {path.stem}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {missing}") from None
