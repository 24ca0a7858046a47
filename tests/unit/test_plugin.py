"""The pytest plugin: options, fixtures, blame, files and exit codes, on a scripted rig."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

import harness.suite.fixtures  # noqa: F401
import harness.suite.hooks  # noqa: F401  # loaded once here instead of in every inner run
from harness.baseline.fingerprint import digest
from harness.baseline.history import History
from harness.baseline.store import AcceptedSet, Baseline, Samples
from harness.rig.config import PortConfig, RigConfig
from harness.rig.profile import profile
from harness.suite.deadlines import item_timeout_s

pytest_plugins = ["pytester"]

GOOD = """
import numpy as np
import pytest
from harness.metric import Metric

def test_lit(shows, metric, pattern, declared):
    assert declared.id == pattern and len(shows) == 1
    odd = {"seen": np.bool_(True), "at": np.int64(3)}
    metric(Metric("light", np.float64(0.5), "", "none", 1, "wire", "simulated", pattern=pattern, detail=odd))

def test_judged(metric, rig):
    assert metric.judge(Metric("speed", 10.0, "us", "lower", 1, "telemetry", "simulated", detail={"cost_model": "m1"}))
"""


def latest(project: Any) -> Path:
    return Path(project.path) / "reports" / "latest"


def junit(project: Any) -> ET.Element:
    return ET.parse(latest(project) / "junit.xml").getroot()


def test_good_run_leaves_its_files(suite_project: Any) -> None:
    result = suite_project(GOOD, "--seed", "42", "--rig", "sim", apart=True)
    result.assert_outcomes(passed=3)
    assert result.ret == 0
    assert suite_project.opened() == ["sim quick 42"]
    names = {p.name for p in latest(suite_project).iterdir()}
    assert {"junit.xml", "metrics.json", "metrics.csv", "report.html"} <= names and "recordings" not in names
    document = json.loads((latest(suite_project) / "metrics.json").read_text())
    assert document["seed"] == 42 and document["firmware"]["mac"] == "aa:bb:cc:00:00:01"
    assert document["exit_code"] == 0 and len(document["metrics"]) == 3
    assert document["replay"].endswith("--seed 42")
    cases = {c.get("name"): c for c in junit(suite_project).iter("testcase")}
    assert "test_lit[lively]" in cases
    properties = {p.get("name"): p.get("value") for p in cases["test_lit[lively]"].iter("property")}
    assert properties == {"lively/light": "0.5"}
    suite_properties = {p.get("name") for p in junit(suite_project).findall("./testsuite/properties/property")}
    assert {"rig", "seed", "profile", "firmware.sha256"} <= suite_properties
    page = (latest(suite_project) / "report.html").read_text()
    assert page.count('class="film"') == 2
    lines = ["rig: sim (simulated), profile quick, seed 42", "*lively*1 ok*", "results: *report.html"]
    result.stdout.fnmatch_lines(lines)


def test_inert_without_rig_and_folder(suite_project: Any) -> None:
    result = suite_project("def test_plain():\n    assert True\n", folder="elsewhere", firmware=False)
    result.assert_outcomes(passed=1)
    assert not (Path(suite_project.path) / "reports").exists() and suite_project.opened() == []


def test_wakes_up_for_a_rig_anywhere(suite_project: Any) -> None:
    result = suite_project("def test_rig(rig):\n    assert rig.name == 'sim'\n", "--rig", "sim", folder="elsewhere")
    result.assert_outcomes(passed=1)
    assert latest(suite_project).is_dir()


def test_collection_opens_no_rig_and_writes_nothing(suite_project: Any) -> None:
    result = suite_project(GOOD, "--collect-only", "-q")
    assert result.ret == 0 and suite_project.opened() == []
    result.stdout.fnmatch_lines(["*test_lit?still?", "*test_lit?lively?"])
    assert not (Path(suite_project.path) / "reports").exists()


def test_patterns_of_foreign_firmware_come_from_the_rig_file(suite_project: Any) -> None:
    (Path(suite_project.path) / "rigs" / "sim.toml").write_text('kind = "virtual"\n[dut]\npatterns = ["prism"]\n')
    tests = "def test_p(pattern, declared):\n    assert pattern == 'prism' and declared.audio_reactive is None\n"
    suite_project(tests, "--no-flash", firmware=False).assert_outcomes(passed=1)


# ---- blame and exit codes


def test_device_failure(suite_project: Any) -> None:
    result = suite_project("def test_bad(show):\n    assert False, 'too dark'\n")
    assert result.ret == 1
    assert [f.get("type") for f in junit(suite_project).iter("failure")] == ["dut", "dut"]
    assert (latest(suite_project) / "recordings" / "lively" / "recording.json").is_file()


def test_keep_recordings(suite_project: Any) -> None:
    suite_project("def test_bad(show):\n    assert False\n", "--keep-recordings", "none")
    assert not (latest(suite_project) / "recordings").exists()
    suite_project("def test_ok(record):\n    record(None, 1.0)\n", "--keep-recordings", "all")
    assert (latest(suite_project) / "recordings" / "test_ok-1" / "recording.json").is_file()


def test_rig_fault_is_one_error_and_the_rest_is_skipped(suite_project: Any) -> None:
    tests = "def test_a(rig): pass\ndef test_b(record): record(None, 1)\ndef test_c(rig): pass\ndef test_d(): pass\n"
    result = suite_project(tests, record="rig")
    result.assert_outcomes(passed=1, errors=1, skipped=2)
    assert result.ret == 10
    (error,) = junit(suite_project).iter("error")
    assert error.get("type") == "rig"
    skips = [s.get("message") for s in junit(suite_project).iter("skipped")]
    assert skips == ["rig fault: rig broke"] * 2
    result.stdout.fnmatch_lines(["*sim: rig fault*", "*rig fault in test_b: rig broke*"])
    result.stdout.no_fnmatch_line("*scripted_rig.py*")  # no traceback through the harness


@pytest.mark.parametrize(("blame", "code", "reason"), [("rig", 10, "rig fault"), ("dut", 1, "did not come up")])
def test_a_rig_that_does_not_open_stops_the_run(suite_project: Any, blame: str, code: int, reason: str) -> None:
    result = suite_project("def test_a(rig): pass\ndef test_b(rig): pass\n", flash=blame)
    result.assert_outcomes(errors=1, skipped=1)
    assert result.ret == code and suite_project.opened() == ["sim quick " + suite_project.opened()[0].split()[-1]]
    assert reason in next(junit(suite_project).iter("skipped")).get("message")


def test_harness_error(suite_project: Any) -> None:
    result = suite_project("def test_bug(rig):\n    {}['missing']\n")
    assert result.ret == 3
    assert next(junit(suite_project).iter("failure")).get("type") == "harness"


def test_lost_results_are_a_fault_of_the_harness(suite_project: Any) -> None:
    tests = """
from harness.suite import hooks
def test_bad(rig): assert False
def test_break():
    def refuse(*a, **k): raise OSError("disk full")
    hooks.export.write_text = refuse
"""
    result = suite_project(tests, apart=True)
    assert result.ret == 3
    result.stdout.fnmatch_lines(["*the harness failed*", "*results could not be written: OSError('disk full')*",
                                 "*sim: harness error*"])  # fmt: skip


def test_equal_names_keep_their_own_blame(suite_project: Any) -> None:
    (Path(suite_project.path) / "tests_hil" / "test_other.py").write_text("def test_a(rig): {}['missing']\n")
    suite_project("class TestIt:\n    def test_a(self, rig): assert False\n", apart=True)
    blames = {c.get("classname"): c.find("failure").get("type") for c in junit(suite_project).iter("testcase")}
    assert blames == {"tests_hil.test_it.TestIt": "dut", "tests_hil.test_other": "harness"}


def test_a_test_that_hangs_is_no_finding_about_the_device(suite_project: Any) -> None:
    tests = "import pytest, time\n@pytest.mark.timeout(0.2)\ndef test_a(rig): time.sleep(20)\ndef test_b(rig): pass\n"
    result = suite_project(tests, apart=True)
    result.assert_outcomes(failed=1, passed=1)
    assert result.ret == 3
    failure = next(junit(suite_project).iter("failure"))
    assert failure.get("type") == "harness" and "time.sleep(20)" in failure.text
    assert "the test did not end in time" in failure.text and "try: the traceback shows" in failure.text
    told = json.loads((latest(suite_project) / "metrics.json").read_text())["tests"][0]
    assert (told["blame"], told["message"]) == ("harness", "the test did not end in time")


LIMITS = """
import pytest
def limit(request): return request.node.get_closest_marker("timeout").args[0]
def test_derived(request): assert limit(request) == {derived}
@pytest.mark.timeout(7)
def test_own(request): assert limit(request) == 7
"""


def test_every_test_gets_the_time_its_profile_needs(suite_project: Any) -> None:
    for name in ("quick", "nightly"):
        derived = item_timeout_s(profile(name), RigConfig(kind="virtual"))
        suite_project(LIMITS.format(derived=derived), "--profile", name).assert_outcomes(passed=2)
    own = "def test_a(request):\n    assert request.node.get_closest_marker('timeout') is None\n"
    suite_project(own, "--timeout", "50").assert_outcomes(passed=1)


@pytest.mark.parametrize("name", ["quick", "standard", "nightly"])
def test_time_is_enough_for_the_longest_test_and_for_no_night(name: str) -> None:
    physical = RigConfig(kind="physical", console=PortConfig(port="/dev/ttyACM0"))
    wall, virtual = profile(name, wall=True), profile(name)
    assert item_timeout_s(virtual, RigConfig(kind="virtual")) > 600 + virtual.soak_s + virtual.repeats * virtual.audio_s
    given = item_timeout_s(wall, physical)
    assert given > 3 * wall.soak_s + 600 and given > 3 * (wall.repeats + 3) * max(20.0, wall.audio_s) + 600
    assert given < 8 * 3600


@pytest.mark.parametrize(
    "arguments", [["--rig", "nowhere"], ["--seed", "minus"], ["--require", "taste"], ["--firmware", "gone.bin"],
                  ["--profile", "lazy"], ["--embedded-services", "esp"], ["--rig", "../sim"]],
)  # fmt: skip
def test_bad_request(suite_project: Any, arguments: list[str]) -> None:
    result = suite_project("def test_a(): pass\n", *arguments)
    assert result.ret == 4 and suite_project.opened() == []


def test_nothing_collected(suite_project: Any) -> None:
    assert suite_project(GOOD, "-k", "nothing_like_it").ret == 5


def test_required_measurements(suite_project: Any) -> None:
    assert suite_project(GOOD, "--require", "wire").ret == 0
    assert suite_project(GOOD, "--require", "camera").ret == 11
    result = suite_project(GOOD, "--require", "wire,verdict")
    assert result.ret == 11
    result.stdout.fnmatch_lines(["*required verdict: 1 of 1 are inconclusive*"])


def test_regression_against_the_baseline(suite_project: Any) -> None:
    tests = GOOD.replace("    assert metric.judge", "    (v,) = metric.judge")
    tests += "    assert v.word != 'regressed', v.why\n"
    suite_project(tests)
    run = latest(suite_project).resolve()
    document = json.loads((run / "metrics.json").read_text())
    key, line = "speed", document["fingerprint"]
    accepted = AcceptedSet(line, "quick", (), {key: Samples(key, "us", (8.0,) * 30)})
    Baseline("sim", [accepted]).save(Path(suite_project.path) / "rigs" / "sim.baseline.json")
    result = suite_project(tests)
    assert result.ret == 1
    document = json.loads((latest(suite_project) / "metrics.json").read_text())
    assert [t["regressed"] for t in document["tests"]] == [False, False, True]
    assert "+25.0%" in (latest(suite_project) / "report.html").read_text()
    with History(Path(suite_project.path) / "reports" / "history.sqlite") as history:
        assert [r.exit_code for r in history.runs("sim")] == [1, 0]
        points = history.trend("sim", "", key, fingerprint=digest(line), profile="quick")
    assert [p.verdict for p in points] == ["inconclusive", "regressed"]


# ---- fixtures, markers, console


def test_missing_capability_skips(suite_project: Any) -> None:
    tests = "import pytest\n@pytest.mark.needs('camera')\ndef test_a(rig): pass\n"
    result = suite_project(tests)
    result.assert_outcomes(skipped=1)
    assert result.ret == 11, "a run that judged nothing counts as good"
    result.stdout.fnmatch_lines(["*nothing was judged: all 1 chosen tests were skipped*"])
    assert next(junit(suite_project).iter("skipped")).get("message").endswith("'sim' has no camera")
    suite_project(tests, provenance="hardware").assert_outcomes(skipped=1)
    assert next(junit(suite_project).iter("skipped")).get("message").endswith("camera (missing hardware)")


def test_reset_policy_and_parameters(suite_project: Any) -> None:
    tests = """
import pytest
@pytest.mark.reset("hard")
def test_a(rig, param):
    assert rig.recorded == ["reset hard"]
    assert param(speed=0.5) == {"speed": 0.5}
def test_b(rig):
    assert rig.recorded[-2:] == ["param speed", "reset"]
@pytest.mark.reset("gently")
def test_c(rig): pass
"""
    result = suite_project(tests)
    result.assert_outcomes(passed=2, errors=1)
    assert result.ret == 4


def test_recordings_are_shared_by_the_tests_of_a_pattern(suite_project: Any) -> None:
    tests = """
def test_a(show, rig, pattern): pass
def test_b(show, rig, pattern):
    assert rig.recorded.count(f"record {pattern}") == 1
def test_c(another_show, rig, pattern):
    assert another_show() is not None and rig.recorded.count(f"record {pattern}") == 1  # an own board took it
"""
    suite_project(tests).assert_outcomes(passed=6)
    assert len({line.split()[-1] for line in suite_project.opened()}) == 2  # one further board, with its own seed


def test_flashing_patterns_need_permission(suite_project: Any) -> None:
    tests = "import pytest\n@pytest.mark.parametrize('pattern', ['hil_flash'])\ndef test_a(show): pass\n"
    suite_project(tests, capabilities=["audio"]).assert_outcomes(skipped=1)


def test_what_is_refused_for_its_flashing_is_skipped(suite_project: Any) -> None:
    tests = """
import pytest
from harness.instruments.flashing import FlashGuard
@pytest.fixture
def shown(rig): FlashGuard(False).select("hil_index")
def test_fixture(shown): assert False
def test_call(rig):
    FlashGuard(False).select("hil_flash")
    assert False
"""
    suite_project(tests).assert_outcomes(skipped=2)
    told = [s.get("message") for s in junit(suite_project).iter("skipped")]
    assert told == [f"{p} flashes; allow_flashing is off for this hardware" for p in ("hil_index", "hil_flash")]


def test_a_panic_fails_the_test_that_saw_it(suite_project: Any) -> None:
    tests = """
def test_a(rig):
    rig.port.say(b"Guru Meditation Error: Core 1 panic'ed\\r\\nRebooting...\\r\\n")
    rig.console.pump()
def test_b(rig): pass
"""
    result = suite_project(tests)
    result.assert_outcomes(passed=1, failed=1)
    case = next(c for c in junit(suite_project).iter("testcase") if c.get("name") == "test_a")
    assert case.find("failure").get("type") == "dut"
    assert "Guru Meditation" in case.find("system-out").text


UNITY = (
    "test.c:10:test_adds:PASS\\r\\ntest.c:20:test_breaks:FAIL:Expected 1 was 2\\r\\n"
    "-----\\r\\n2 Tests 1 Failures 0 Ignored\\r\\nFAIL\\r\\n"
)


def test_dut_is_a_pytest_embedded_device_on_the_rigs_console(suite_project: Any) -> None:
    tests = """
import pexpect, pytest
from pytest_embedded.dut import Dut
from harness.errors import BadRequest

def test_expect(dut, rig):
    assert isinstance(dut, Dut) and type(dut).__module__ == "harness.suite.dut"
    dut.write("hello\\n")
    assert dut.expect(r"got (\\w+)", timeout=5).group(1) == b"hello"
    dut.expect_exact("and more", timeout=5)
    assert rig.port.written == [b"hello\\n"]

def test_timeout_is_on_the_rigs_clock(dut, rig):
    with pytest.raises(pexpect.TIMEOUT, match="never"):
        dut.expect("never", timeout=3600)
    assert 3600 <= rig.clock.ns / 1e9 < 3700

def test_chatter_does_not_prolong_a_timeout(dut, rig):
    for i in range(100):
        rig.port.say(b"tick\\n", 0.5 * i)
    with pytest.raises(pexpect.TIMEOUT):
        dut.expect("never", timeout=5)
    assert rig.port.pending

def test_what_is_absent_says_so(dut):
    for name in ("serial", "app"):
        with pytest.raises(BadRequest, match="does not exist"):
            getattr(dut, name)

def test_app_fixture(app): pass
"""
    result = suite_project(tests, answers={"hello\n": "got hello\r\nand more\r\n"})
    result.assert_outcomes(passed=4, errors=1)
    assert result.ret == 4


def test_unity_cases_are_merged_into_junit(suite_project: Any) -> None:
    tests = f'''
def test_unity(dut, rig):
    rig.port.say(b"{UNITY}")
    dut.expect_unity_test_output(timeout=5)
'''
    result = suite_project(tests)
    result.assert_outcomes(failed=1)
    assert result.ret == 1
    names = [c.get("name") for c in junit(suite_project).iter("testcase")]
    assert names == ["test_unity", "test_adds", "test_breaks"]


def test_no_port_is_opened_and_no_helper_process_runs(suite_project: Any) -> None:
    tests = """
import multiprocessing, serial
def test_a(dut, monkeypatch):
    assert not multiprocessing.active_children()
"""
    guard = Path(suite_project.path) / "conftest.py"
    guard.write_text(guard.read_text() + """
import serial
def refuse(*a, **k): raise AssertionError("a serial port was opened")
serial.Serial.__init__ = refuse
serial.serial_for_url = refuse
import multiprocessing.managers
multiprocessing.managers.BaseManager.start = refuse
""")
    suite_project(tests, apart=True).assert_outcomes(passed=1)


# ---- pytest-xdist


def test_one_worker_gets_the_rig_and_the_controller_gets_everything(suite_project: Any) -> None:
    tests = GOOD + "\ndef test_bad(rig):\n    assert False, 'no'\n"
    result = suite_project(tests, "-n", "2", "--seed", "7", apart=True)
    result.assert_outcomes(passed=3, failed=1)
    assert result.ret == 1
    assert suite_project.opened() == ["sim quick 7"]
    document = json.loads((latest(suite_project) / "metrics.json").read_text())
    assert len(document["metrics"]) == 3 and document["firmware"]["mac"] == "aa:bb:cc:00:00:01"
    assert (latest(suite_project) / "report.html").read_text().count('class="film"') == 2
    assert next(junit(suite_project).iter("failure")).get("type") == "dut"
    assert len(list((Path(suite_project.path) / "reports").iterdir())) == 3  # one run, "latest" and the history
