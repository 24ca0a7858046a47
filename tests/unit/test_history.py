"""The history loses nothing, whatever happens to whoever writes it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from harness.baseline.fingerprint import digest
from harness.baseline.history import History, history_path
from harness.errors import BadRequest, HarnessFault
from harness.report.trend import write_trend

CONDITIONS = {"cost_model": "m1", "kind": "virtual"}


def document(value: float, rig: str = "sim", seed: int | None = 5, **changes: Any) -> dict[str, Any]:
    metric = {"pattern": "pulse", "name": "render_us_mean", "value": value, "unit": "us", "direction": "lower", "n": 3,
              "ci95": [value - 1, value + 1], "source": "telemetry", "provenance": "simulated",
              "detail": {"samples": [value, value + 1, value - 1], "seeds": [1, 2, 3],
                         "stimulus": "music"}}  # fmt: skip
    bare = {"pattern": "", "name": "fps", "value": 166.0, "unit": "1/s", "direction": "higher", "n": 1, "ci95": None,
            "source": "telemetry", "provenance": "simulated", "detail": {}}  # fmt: skip
    return {
        "schema": 1, "rig": rig, "provenance": "simulated", "profile": "quick", "seed": seed, "seconds": 12.5,
        "started": "2026-01-02 03:04:05", "exit_code": 1, "cost_model": "m1", "fingerprint": CONDITIONS,
        "firmware": {"project": "k1-sim", "version": "1.2", "sha256": "abcd", "git": "c0ffee"},
        "tests": [{"outcome": "passed"}, {"outcome": "failed"}], "metrics": [metric, bare],
        "verdicts": [{"key": "pulse/render_us_mean", "word": "unchanged"}],
    } | changes  # fmt: skip


def test_a_run_comes_back_as_it_went_in(tmp_path: Path) -> None:
    with History(tmp_path / "new" / "h.sqlite") as history:
        first = history.add(document(80.0), "run-1", session="night")
        assert history.add(document(99.0), "run-1") == first  # the same run is not written twice
        history.add(document(81.0, seed=None), "run-2")
        newest, oldest = history.runs("sim")
        assert (newest.uid, newest.seed, newest.session) == ("run-2", None, "run-2")
        assert (oldest.session, oldest.line, oldest.image, oldest.commit) == ("night", "k1-sim", "abcd", "c0ffee")
        assert (oldest.exit_code, oldest.tests, oldest.failed) == (1, 2, 1)
        assert oldest.fingerprint == digest(CONDITIONS) and history.runs("other") == []
        points = history.trend("sim", "pulse", "render_us_mean", fingerprint=oldest.fingerprint, profile="quick")
        assert [p.value for p in points] == [80.0, 81.0] and points[0].samples == (80.0, 81.0, 79.0)
        assert points[0].verdict == "unchanged" and points[0].low == 79.0
        assert history.trend("sim", "pulse", "render_us_mean", fingerprint="other", profile="quick") == []
        rows = list(history.export("sim"))
    assert [r["uid"] for r in rows] == ["run-1", "run-2"] and rows[0]["conditions"] == CONDITIONS
    assert rows[0]["metrics"][0]["samples"] == [80.0, 81.0, 79.0] and rows[0]["metrics"][1]["stimulus"] == ""
    json.dumps(rows)


def test_prune_keeps_the_newest_of_each_rig(tmp_path: Path) -> None:
    with History(tmp_path / "h.sqlite") as history:
        for i in range(5):
            history.add(document(float(i)), f"s{i}")
            history.add(document(float(i), rig="bench1"), f"b{i}")
        assert history.prune(3, "sim") == 2 and history.prune(4) == 1
        assert [r.uid for r in history.runs("sim")] == ["s4", "s3", "s2"]
        assert history.count() == 7 and len(list(history.export())) == 7
        assert history.prune(0) == 7
    with sqlite3.connect(tmp_path / "h.sqlite") as db:
        assert [db.execute(f"select count(*) from {t}").fetchone()[0] for t in ("metrics", "samples")] == [0, 0]


@pytest.mark.parametrize("content", [b"not a database, but long enough to be read as one" * 40, b"SQLite format 3\0"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "h.sqlite"
    path.write_bytes(content)
    with pytest.raises(BadRequest, match="cannot be used as a history"):
        History(path)
    assert path.read_bytes() == content


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite"
    History(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 9")
    with pytest.raises(BadRequest, match="another schema"):
        History(path)


def test_a_run_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    with History(tmp_path / "h.sqlite") as history:
        broken = document(1.0)
        broken["metrics"].append({**broken["metrics"][0]})  # the same metric twice is fine
        broken["metrics"].append({"name": "no value"})
        with pytest.raises(KeyError):
            history.add(broken, "x")
        infinite = document(1.0)
        infinite["metrics"][0]["value"] = None
        with pytest.raises(TypeError):
            history.add(infinite, "y")
        assert history.count() == 0
        history.add(document(2.0), "z")
        assert history.count() == 1


WRITER = """
import json, sys
from pathlib import Path
from harness.baseline.history import History
with History(Path(sys.argv[1])) as history:
    document = json.loads(sys.argv[2])
    for i in range(10_000):
        history.add(document, f"{sys.argv[3]}-{i}")
        print(i, flush=True)
"""


def writer(path: Path, name: str) -> subprocess.Popen[str]:
    wide = document(80.0)
    wide["metrics"] *= 30
    command = [sys.executable, "-c", textwrap.dedent(WRITER), str(path), json.dumps(wide), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs kill -9")
def test_nothing_is_lost_when_the_writer_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite"
    acknowledged = 0
    for attempt in range(3):
        process = writer(path, f"w{attempt}")
        assert process.stdout is not None
        for _ in range(7 + attempt):
            acknowledged += bool(process.stdout.readline())
        os.kill(process.pid, signal.SIGKILL)  # in the middle of the next run
        rest, _ = process.communicate(timeout=20)
        acknowledged += len(rest.split())
        with History(path) as history:
            # A run whose writer died before it could say so may be there too; then it is there whole.
            assert acknowledged <= history.count() <= acknowledged + attempt + 1
            assert {len(run["metrics"]) for run in history.export()} == {60}
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_two_writers_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite"
    both = [writer(path, name) for name in ("a", "b")]
    try:
        for process in both:
            assert process.stdout is not None
            for i in range(8):
                assert process.stdout.readline().strip() == str(i)
    finally:
        for process in both:
            process.kill()
            process.communicate(timeout=20)
    with History(path) as history:
        assert history.count() >= 16


def test_a_full_disk_is_a_fault_of_the_harness(tmp_path: Path) -> None:
    with History(tmp_path / "h.sqlite") as history:
        with history._writer.connect() as db:
            db.exec_driver_sql("PRAGMA max_page_count = 20")
            db.rollback()
        wide = document(1.0)
        wide["metrics"] *= 2000
        with pytest.raises(HarnessFault, match="could not be written"):
            history.add(wide, "x")
        assert history.count() == 0


def test_where_it_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("K1HIL_HISTORY", raising=False)
    assert history_path(tmp_path) == tmp_path / "history.sqlite"
    monkeypatch.setenv("K1HIL_HISTORY", str(tmp_path / "elsewhere.db"))
    assert history_path(tmp_path) == tmp_path / "elsewhere.db"


def test_trend_page(tmp_path: Path) -> None:
    with History(tmp_path / "h.sqlite") as history:
        for i in range(4):
            history.add(document(80.0 + i, rig="<sim>"), f"r{i}")
        page = write_trend(history, history.runs()[0], tmp_path / "out" / "trend.html").read_text()
    assert page.count("<svg") == 1 and "&lt;sim&gt;" in page and "<sim>" not in page  # fps was not judged
    assert page.count('class="run') == 4 and "http" not in page
