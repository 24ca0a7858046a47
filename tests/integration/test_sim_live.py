"""The suite against a board in wall time, as against a real one: two processes, PortAudio, serial port and HTTP."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from pulse import need_sound

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
from sim_live import bench  # noqa: E402

# One test for each way to the device: identity and boot over the serial port, HTTP, sound in, light out.
SAMPLE = "test_identity or test_tones_light_their_bins or test_health_tells or test_reboot_command or test_solid"


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@pytest.fixture
def rigs(tmp_path):
    """A folder with the rig files as they are, but for the ports."""
    folder = tmp_path / "rigs"
    folder.mkdir()
    shutil.copy(ROOT / "rigs" / "sim.toml", folder)
    for learnt in (ROOT / "rigs").glob("sim-live.*.json"):  # calibration of the camera, accepted runs
        shutil.copy(learnt, folder)
    text = (ROOT / "rigs" / "sim-live.toml").read_text()
    fixed = sorted(set(re.findall(r"127\.0\.0\.1:(\d+)", text)))
    for old, new in zip(fixed, free_ports(len(fixed)), strict=True):
        text = text.replace(f":{old}", f":{new}")
    (folder / "sim-live.toml").write_text(text)
    return folder


def suite(rigs, tmp_path, environment, *arguments):
    command = [
        sys.executable, "-m", "pytest", "tests_hil", "--rig", "sim-live", "--rig-dir", str(rigs), "-q",
        "--reports", str(tmp_path / "reports"), f"--junitxml={tmp_path / 'junit.xml'}", *arguments,
    ]  # fmt: skip
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def cases(tmp_path):
    return list(ET.parse(tmp_path / "junit.xml").iter("testcase"))


def test_the_suite_passes_through_real_drivers_and_sound_calibrates(rigs, tmp_path):
    need_sound()
    with bench(rigs, "sim", "--state", str(tmp_path / "state")) as running:
        environment = running.environment()
        ran = suite(rigs, tmp_path, environment, "-k", SAMPLE, "--keep-recordings", "all")
        output, _ = ran.communicate(timeout=240)
        assert ran.returncode == 0, output[-4000:]
        calibrate = [sys.executable, "-m", "harness.cli", "calibrate", "audio", "--rig", "sim-live", "--json"]
        done = subprocess.run(
            [*calibrate, "--rig-dir", str(rigs)], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
    assert running.exit_code == 0
    assert len(cases(tmp_path)) >= 10 and not list(ET.parse(tmp_path / "junit.xml").iter("skipped"))
    heads = [json.loads(p.read_text())["meta"] for p in (tmp_path / "reports").glob("*/recordings/*/recording.json")]
    sounds = [h["sound"] for h in heads if h["sound"]]
    assert sounds and all(h["provenance"] == "simulated" and h["seed"] is None for h in heads)
    assert all(s["flags"] == {} and abs(s["slip_ms"]) <= 0.05 and s["certain_ns"] > 0 for s in sounds)
    found = json.loads((rigs / "sim-live.audio.json").read_text())
    assert found["spread_ms"] <= 0.1 and abs(found["level_db"]) < 0.2
    assert 50.0 < found["round_trip_ms"] < 1000.0 and found["certain_ms"] > found["disagree_ms"]
    truth = [json.loads(line) for line in (tmp_path / "state" / "board0" / "events.jsonl").read_text().splitlines()]
    assert {"microphone line", "microphone onset", "microphone offset"} <= {e["kind"] for e in truth}


@pytest.mark.timeout(1000)
def test_the_whole_quick_profile(rigs, tmp_path):
    """Everything but what is too long for it or needs a wire tap; each of those is skipped by name."""
    need_sound()
    command = [
        sys.executable, str(ROOT / "tools" / "sim_live.py"), "--realtime", "--rig-dir", str(rigs), "--",
        sys.executable, "-m", "pytest", "tests_hil", "--rig", "sim-live", "--rig-dir", str(rigs), "-q",
        "--reports", str(tmp_path / "reports"), f"--junitxml={tmp_path / 'junit.xml'}",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    ran = cases(tmp_path)
    skipped = {c.get("name"): c.find("skipped").get("message") for c in ran if c.find("skipped") is not None}
    assert len(ran) - len(skipped) >= 200
    reasons = ("takes long where time is real", "has no wire")
    assert not {name: why for name, why in skipped.items() if not any(r in why for r in reasons)}
    seen = [c.get("name") for c in ran if "test_camera" in c.get("classname") and c.get("name") not in skipped]
    assert {"test_every_place_shows_its_own_number", "test_frames_sent_are_frames_seen"} <= set(seen)
    told = json.loads(next((tmp_path / "reports").glob("*/metrics.json")).read_text())
    sources = {m["source"] for m in told["metrics"] if m["name"] == "latency_mean"}
    assert sources == {"camera"} and told["verdicts"]
    assert not [v for v in told["verdicts"] if v["word"] == "regressed"]


def test_a_bench_that_falls_behind_is_no_verdict_on_the_device(rigs, tmp_path):
    need_sound()
    with bench(rigs, "sim", "--state", str(tmp_path / "state")) as running:
        ran = suite(rigs, tmp_path, running.environment(), "-k", "test_tempo_of_a_click_track and 128")
        log = tmp_path / "reports"
        deadline = time.monotonic() + 120.0
        while time.monotonic() < deadline and ran.poll() is None:
            logs = [p.read_text(errors="replace") for p in log.glob("*/console.log")]
            if any(text.count(">>> sync") >= 8 for text in logs):
                break
            time.sleep(0.1)
        time.sleep(2.0)  # into the recording
        os.kill(running.process.pid, signal.SIGSTOP)
        time.sleep(1.5)
        os.kill(running.process.pid, signal.SIGCONT)
        output, _ = ran.communicate(timeout=240)
    assert ran.returncode == 3, output[-4000:]
    assert running.exit_code == 3
    blames = {p.get("value") for case in cases(tmp_path) for p in case.iter("property") if p.get("name") == "blame"}
    assert blames == {"harness"}, output[-4000:]
    assert "fell_behind" in output or "ran dry" in output or "keep up with wall time" in output
