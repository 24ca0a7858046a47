"""The rig of the owner's firmware: its file, what it refuses, and the suite against the modelled firmware."""

import contextlib
import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from k1node1_answers import SSID
from k1node1_server import Node1Server
from k1node1_state import IDS, torn_log

from harness.conductor.device_metrics import page
from harness.conductor.exporter import Device, Watcher
from harness.errors import BadRequest
from harness.rig import open_rig
from harness.rig.config import default_rig_dir, load_config, parse_config

ROOT = Path(__file__).resolve().parents[2]
FOREIGN = """
kind = "physical"
led_current_limit_a = 0
[dut]
sentences = false
patterns = ["lava"]
[console]
port = "socket://127.0.0.1:1"
[api]
base_url = "http://127.0.0.1:1"
"""


@pytest.fixture
def console():
    """A serial port that takes connections and writes the firmware's torn log, twice a second."""
    over = threading.Event()
    text = b"".join(torn_log(SSID))

    def speak(connection):
        with connection, contextlib.suppress(OSError):
            while not over.wait(0.5):
                connection.sendall(text)

    def accept(threads):
        with contextlib.suppress(OSError):
            while True:
                threads.append(threading.Thread(target=speak, args=(listener.accept()[0],), daemon=True))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = []
        threads.append(threading.Thread(target=accept, args=(threads,), daemon=True))
        threads[0].start()
        yield f"socket://127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        listener.shutdown(socket.SHUT_RDWR)
    for thread in threads:
        thread.join(10)


def write_rig(folder, console, url):
    """The project's own rig file, but for where the board is."""
    text = (default_rig_dir() / "k1node1.toml").read_text()
    text = text.replace('mac = "34:85:18:00:00:01"\n\n# Without', f'port = "{console}"\n\n# Without')
    text = text.replace('# mac = "34', 'mac = "34').replace("http://k1-reinvented.local", url)
    (folder / "node1.toml").write_text(text)


def test_the_rig_file_names_the_patterns_of_the_contract():
    config = load_config("k1node1")
    assert list(config.dut.patterns) == IDS and len(IDS) == 46
    assert (config.dut.sentences, config.current_limit_a, config.flashing_allowed) == (False, 0, False)


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("led_current_limit_a = 0\n", "", "led_current_limit_a"),
        ("led_current_limit_a = 0", "led_current_limit_a = 2", "led_current_limit_a"),
        ('patterns = ["lava"]', "", "dut.patterns"),
        ('base_url = "http://127.0.0.1:1"', "", "api.base_url"),
        ('kind = "physical"', 'kind = "virtual"', "kind"),
    ],
)
def test_what_the_device_cannot_tell_has_to_stand_in_the_file(old, new, key):
    parse_config(FOREIGN, "x.toml")
    with pytest.raises(BadRequest) as caught:
        parse_config(FOREIGN.replace(old, new), "x.toml")
    assert f"{key}:" in caught.value.message
    with pytest.raises(BadRequest, match="dut.sentences"):
        parse_config('kind = "virtual"\n[dut]\nsentences = false', "x.toml")


def test_what_needs_sentences_is_refused_before_anything_is_sent(tmp_path, console, monkeypatch):
    with Node1Server() as server:
        write_rig(tmp_path, console, server.url)
        with open_rig("node1", tmp_path, folder=tmp_path) as rig:
            assert rig.capabilities == {"console", "api"}
            sent = []
            monkeypatch.setattr(rig.console.port, "write", sent.append)
            monkeypatch.setattr(rig, "in_loader", lambda act: sent.append("loader"))
            asks = [
                lambda: rig.identity, lambda: rig.probe(), lambda: rig.reset("hard"), lambda: rig.reset("soft"),
                lambda: rig.record(None, 1.0), lambda: rig.flash(None, force=True),
            ]  # fmt: skip
            for ask in asks:
                with pytest.raises(BadRequest, match="K1 sentences") as caught:
                    ask()
                assert "docs/k1node1.md" in caught.value.remedy
            assert not sent
            assert rig.api.info().device == "K1.reinvented"


def suite(folder, *args):
    command = [sys.executable, "-m", "pytest", "tests_hil", "--rig", "node1", "--rig-dir", str(folder), "-q",
               "--reports", str(folder / "reports"), "-p", "no:cacheprovider", *args]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)


def test_the_suite_measures_what_can_be_and_skips_the_rest_with_its_reason(tmp_path, console):
    with Node1Server() as server, server.aging():
        write_rig(tmp_path, console, server.url)
        done = suite(tmp_path, "--junitxml", str(tmp_path / "junit.xml"), "-rs")
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads(next((tmp_path / "reports").glob("*/metrics.json")).read_text())
    rows = {test["nodeid"].partition("::")[2]: test for test in told["tests"]}
    others = {row["outcome"] for row in rows.values() if "speaks no K1 sentences" in row["message"]}
    assert others == {"skipped"} and len(rows) > 50
    tests = {name: row for name, row in rows.items() if "test_foreign" in row["nodeid"]}
    assert len(tests) == 17
    skipped = {name: test["message"] for name, test in tests.items() if test["outcome"] == "skipped"}
    assert {name: text.split(":")[1].split("(")[0].strip() for name, text in skipped.items()} == {
        "test_identity": "the firmware does not tell over HTTP which image it is",
        "test_locked_tempo": "no locked tempo",
        "test_beats": "the queue of beats is empty",
        "test_cpu": "cpu_percent is no load",
        "test_rmt_gap": "the RMT counters do not count",
    }
    values = {metric["name"]: metric["value"] for metric in told["metrics"]}
    assert values.keys() == {
        "fps", "frame_interval_us_median", "frame_interval_us_max", "render_us_mean", "quantize_us_mean",
        "transmit_us_mean", "tempo_strongest_bpm", "heap_free_bytes", "fps_logged", "audio_fps", "beats_logged",
    }  # fmt: skip
    assert (values["fps_logged"], values["audio_fps"]) == (166, 200) and values["beats_logged"] >= 2
    left = [path for path in (tmp_path / "reports").rglob("*") if path.is_file() and SSID.encode() in path.read_bytes()]
    assert not left, "the name of the network"
    assert "Connected to *** @" in next((tmp_path / "reports").glob("*/console.log")).read_text(errors="replace")
    assert values["frame_interval_us_median"] == 6000 and values["fps"] == pytest.approx(166.7, abs=0.1)


def test_flashing_it_is_refused(tmp_path, console):
    write_rig(tmp_path, console, "http://127.0.0.1:9")
    (tmp_path / "firmware.bin").write_bytes(b"x")
    done = suite(tmp_path, "--firmware", str(tmp_path / "firmware.bin"))
    assert done.returncode == 4 and "nothing can prove what was flashed" in done.stdout + done.stderr


def test_the_exporter_leaves_out_what_the_figures_do_not_mean(tmp_path):
    with Node1Server() as server:
        server.limiter = False

        def client(url):
            return httpx.Client(base_url=url, timeout=10, trust_env=False)

        def told():
            return page(Watcher(Device("node1", server.url, "node1"), tmp_path, client).read()).decode()

        first = told()
        server.device.sound = False
        server.advance(1.0)
        silent = told()
    for name in ("cpu_ratio", "audio_latency_seconds", "frame_time_seconds"):
        assert f"k1_device_{name}" not in first
    assert 'k1_device_fps{pattern="prism"} 166.6' in first and "k1_device_heap_free_bytes" in first
    assert "k1_device_fps{" not in silent
