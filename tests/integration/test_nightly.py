"""The night: its run, its history and its trend, and a rig that somebody else holds."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness.baseline.history import History
from harness.baseline.store import Baseline, Samples
from harness.errors import RigFault
from harness.pipeline.nightly import take_in_time
from harness.rig import lease as leases

ROOT = Path(__file__).resolve().parents[2]
HELD = 'kind = "physical"\n[console]\nport = "/dev/nothing-here"\n'


def k1hil(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("K1HIL_", "PYTEST_"))}
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments], cwd=cwd, env={**clean, **environment}, text=True,
        capture_output=True, timeout=240, check=False,
    )  # fmt: skip


def test_a_rig_in_use_is_waited_for_and_then_named(tmp_path: Path) -> None:
    (tmp_path / "held.toml").write_text(HELD)
    environment = {"XDG_RUNTIME_DIR": str(tmp_path)}
    with leases.take("held", owner="somebody else's long test", folder=tmp_path / "k1hil"):
        began = time.monotonic()
        done = k1hil("nightly", "--rig", "held", "--rig-dir", str(tmp_path), "--wait", "0.02",
                     "--reports", str(tmp_path / "reports"), **environment)  # fmt: skip
        waited_s = time.monotonic() - began
    assert done.returncode == 10, done.stdout + done.stderr
    assert waited_s >= 1.2 and "waiting up to" in done.stdout
    assert "somebody else's long test" in done.stderr and "free within 1 s" in done.stderr


def test_a_rig_that_becomes_free_is_taken(tmp_path: Path) -> None:
    said: list[str] = []
    first = leases.take("bench9", owner="the one before", folder=tmp_path)

    def tell(text: str) -> None:
        said.append(text)
        first.release()

    with take_in_time("bench9", 30.0, "night", tell, every_s=0.05, folder=tmp_path) as lease:
        lease.validate()
    assert len(said) == 1 and "the one before" in said[0]
    with leases.take("bench9", folder=tmp_path), pytest.raises(RigFault, match="in use"):
        take_in_time("bench9", 0.1, "night", said.append, every_s=0.02, folder=tmp_path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A checkout with a suite of one test: what is left out takes the time and says nothing of what is tested here."""
    (tmp_path / "rigs").mkdir()
    shutil.copyfile(ROOT / "rigs" / "sim.toml", tmp_path / "rigs" / "sim.toml")
    shutil.copyfile(ROOT / "conftest.py", tmp_path / "conftest.py")
    (tmp_path / "tests_hil").mkdir()
    (tmp_path / "tests_hil" / "test_short.py").write_text(
        "import pytest\n"
        "from harness.analysis.frames import frame_metrics\n"
        "@pytest.mark.judged\n"
        "def test_night(rig, metric):\n"
        "    seen = rig.record(None, 1.0, streams=('frames',), pattern='lava')\n"
        "    metric.judge([m for m in frame_metrics(seen) if m.name in ('fps', 'render_us_mean')])\n"
        "def test_not_judged(rig):\n"
        "    assert rig.name == 'sim'\n"
    )
    return tmp_path


def test_a_night_leaves_history_trend_and_exit_code(project: Path) -> None:
    arguments = ("nightly", "--rig", "sim", "--rig-dir", "rigs", "--reports", str(project / "reports"))
    done = k1hil(*arguments, cwd=project, PYTHONPATH=str(ROOT))
    assert done.returncode == 11, done.stdout + done.stderr  # nothing accepted, and a night asks for verdicts
    assert "NO VERDICT" in done.stdout and "trend-sim.html" in done.stdout
    with History(project / "reports" / "history.sqlite") as history:
        (run,) = history.runs("sim")
        assert run.session.endswith("-sim-nightly") and (run.profile, run.exit_code, run.tests) == ("nightly", 11, 2)
        assert history.keys(run.id) == [("lava", "fps"), ("lava", "render_us_mean")]
    assert "lava" in (project / "reports" / "trend-sim.html").read_text()
    listed = k1hil("history", "list", "--json", cwd=project, PYTHONPATH=str(ROOT))
    assert listed.returncode == 0 and '"profile": "nightly"' in listed.stdout


def test_a_collected_baseline_gives_verdicts(project: Path) -> None:
    rigs = {"PYTHONPATH": str(ROOT), "K1HIL_RIG_DIR": str(project / "rigs")}

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return k1hil(*arguments, cwd=project, **rigs)

    done = run("baseline", "collect", "--rig", "sim", "--runs", "2", "--jobs", "2", "--accept", "two runs for a test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 of 2 done" in done.stdout and "lava/render_us_mean" in done.stdout
    path = project / "rigs" / "sim.baseline.json"
    (accepted,) = Baseline.load(path, "sim").sets
    assert {len(s.values) for s in accepted.samples.values()} == {2} and len(accepted.log[0].seeds) == 2
    # Eight more like these: then the values count as free of randomness, and one run is judged exactly.
    more = [Samples(s.key, s.unit, s.values[:1] * 10, s.source) for s in accepted.samples.values()]
    Baseline("sim", [accepted.accepting(more, accepted.log[0])]).save(path)
    command = [sys.executable, "-m", "pytest", "tests_hil", "--rig", "sim", "--require", "verdict", "-q"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("K1HIL_", "PYTEST_"))}
    suite = subprocess.run(command, cwd=project, env=environment | rigs, text=True,
                           capture_output=True, timeout=240, check=False)  # fmt: skip
    assert suite.returncode == 0, suite.stdout + suite.stderr
    assert "2 unchanged (2 exact)" in suite.stdout
    assert run("baseline", "show", "sim").stdout.count("exact") == 2
    assert run("baseline", "accept", "reports/latest").returncode == 4  # without a reason
    with History(project / "reports" / "history.sqlite") as history:
        sessions = [r.session for r in history.runs("sim")]
    assert len(sessions) == 3 and sessions[1] == sessions[2] != sessions[0]
