"""The suite's progress line: what it estimates, when it is drawn, and that pytest's plain output stays elsewhere."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.suite.bar import Estimate, seconds_of

SUITE = """
import pytest
from harness.suite.bar import Bar, wanted

@pytest.hookimpl(trylast=True)
def pytest_configure(config):
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    if wanted(config, terminal):
        config.pluginmanager.register(Bar(terminal, config.rootpath / "metrics.json"), "bar")
"""
TESTS = """
import pytest
@pytest.mark.parametrize("n", range(5))
def test_one(n): assert n != 3
"""


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_time_left_follows_what_tests_took_before_and_how_this_run_goes() -> None:
    watch = Watch()
    estimate = Estimate(["a", "b", "c"], {"a": 1.0, "b": 3.0, "c": 4.0}, watch)
    assert estimate.left_s() is None
    watch.now += 2.0  # twice as slow as before
    estimate.done("a")
    assert estimate.left_s() == pytest.approx(14.0)
    estimate.done("a")
    assert estimate.left_s() == pytest.approx(14.0), "a repeated test counts once"
    estimate.done("b")
    estimate.done("c")
    assert estimate.left_s() == pytest.approx(0.0)


def test_a_new_test_is_taken_for_a_usual_one() -> None:
    watch = Watch()
    estimate = Estimate(["a", "b", "c", "new"], {"a": 1.0, "b": 2.0, "c": 90.0}, watch)
    assert estimate.total_s == pytest.approx(95.0)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tests": [{"nodeid": "x"}]}', '{"tests": 3}'])
def test_no_earlier_times_are_no_fault(tmp_path: Path, text: str) -> None:
    path = tmp_path / "metrics.json"
    assert seconds_of(path) == {}
    path.write_text(text)
    assert seconds_of(path) == {}
    path.write_text(json.dumps({"tests": [{"nodeid": "x::y", "seconds": 1.5}]}))
    assert seconds_of(path) == {"x::y": 1.5}


def on_terminal(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    """What a command writes to a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True,
                             env={**environment, "TERM": "xterm-256color", "COLUMNS": "120", "CI": ""})  # fmt: skip
    os.close(theirs)
    text, deadline = b"", time.monotonic() + 120
    while time.monotonic() < deadline:
        if select.select([ours], [], [], 1.0)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
    os.close(ours)
    assert child.wait(timeout=30) == 1
    return text.decode(errors="replace")


def test_bar_on_a_terminal_and_plain_dots_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(SUITE)
    (tmp_path / "test_small.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-p", "no:pytest_embedded", "-p", "no:conductor-agents-testing",
               "-p", "no:cacheprovider"]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    plain = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
    assert "...F." in plain.stdout and "\x1b[2K" not in plain.stdout and "4 passed" in plain.stdout
    drawn = on_terminal(command, tmp_path, environment)
    assert "5/5" in drawn and "left" in drawn and "1 failed" in drawn and "...F." not in drawn
    assert "4 passed" in drawn and "test_one[3]" in drawn, "counts and failures are told as ever"
