"""Baselines: stored, judged by rule, changed only on command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.baseline.accept import accept
from harness.baseline.rule import judge, smallest_change
from harness.baseline.store import Baseline, Entry, baseline_path
from harness.errors import BadRequest
from harness.metric import Metric


def metric(value: float, direction: str = "lower", model: str = "m1", name: str = "render_us_mean") -> Metric:
    return Metric(name, value, "us", direction, 8, "telemetry", "simulated", pattern="bloom", detail={"cost_model": model})  # type: ignore[arg-type]


def baseline(value: float = 100.0) -> Baseline:
    return Baseline("sim", [Entry("bloom/render_us_mean", "m1", value, "us")])


@pytest.mark.parametrize(
    ("value", "direction", "word"),
    [(109.9, "lower", "unchanged"), (110.1, "lower", "regressed"), (89.0, "lower", "improved"), (89.0, "higher", "regressed"),
     (111.0, "higher", "improved"), (111.0, "none", "regressed"), (89.0, "target", "regressed")],
)  # fmt: skip
def test_rule_of_ten_percent(value: float, direction: str, word: str) -> None:
    verdict = judge(metric(value, direction), baseline())
    assert verdict.word == word and verdict.baseline == 100.0
    assert f"{value:.6g}" in verdict.why and "100" in verdict.why


def test_no_entry_is_inconclusive_and_says_why() -> None:
    assert judge(metric(1), Baseline("sim")).word == "inconclusive"
    other = judge(metric(1, model="m2"), baseline())
    assert other.word == "inconclusive" and "m2" in other.why and "m1" in other.why


def test_accepted_zero_allows_only_zero() -> None:
    assert judge(metric(0), baseline(0.0)).word == "unchanged"
    assert judge(metric(1), baseline(0.0)).word == "regressed"


@given(st.floats(1e-3, 1e6), st.floats(-0.5, 0.5))
def test_twice_the_change_is_never_judged_milder(accepted: float, change: float) -> None:
    order = {"improved": 0, "unchanged": 1, "regressed": 2}
    once = judge(metric(accepted * (1 + change)), baseline(accepted))
    twice = judge(metric(accepted * (1 + 2 * change)), baseline(accepted))
    assert (order[twice.word] >= order[once.word]) if change > 0 else (order[twice.word] <= order[once.word])


def test_smallest_change_shrinks_with_repeats() -> None:
    entry = Entry("k", "", 100.0, "us", runs=3, spread=2.0)
    assert smallest_change(entry, 1) == pytest.approx(0.1328)
    assert smallest_change(entry, 4) == pytest.approx(0.1164)
    assert smallest_change(Entry("k", "", 100.0, "us", noise=1.96), 1) == pytest.approx(0.1164)


def test_save_and_load(tmp_path: Path) -> None:
    path = baseline_path(tmp_path, "sim")
    baseline().save(path)
    assert Baseline.load(path, "sim").entries == baseline().entries
    with pytest.raises(BadRequest, match="another rig"):
        Baseline.load(path, "bench1")
    assert Baseline.load(tmp_path / "none.json", "sim").entries == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"schema":2}', '{"schema":1,"rig":"sim","entries":[{"key":"x"}]}',
             '{"schema":1,"rig":"sim","entries":[{"key":"x","cost_model":"","value":NaN,"unit":""}]}',
             '{"schema":1,"rig":"sim","entries":[{"key":1,"cost_model":"","value":1,"unit":""}]}'],
)  # fmt: skip
def test_a_damaged_file_is_a_bad_request(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sim.baseline.json"
    path.write_text(text)
    with pytest.raises(BadRequest, match="not a baseline"):
        Baseline.load(path, "sim")


def run_folder(folder: Path, value: float, seed: int, **changes: Any) -> Path:
    folder.mkdir()
    document = {
        "schema": 1, "rig": "sim", "provenance": "simulated", "profile": "quick", "seed": seed, "exit_code": 0,
        "started": "2026-01-01", "firmware": {"project": "k1-sim", "version": "1", "sha256": "ab"}, "tests": [],
        "metrics": [metric(value).to_json(), metric(5, name="other").to_json()],
        "verdicts": [judge(metric(value), Baseline("sim")).to_json()],
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(document | changes))
    return folder


def test_accept_takes_judged_metrics_of_several_seeds(tmp_path: Path) -> None:
    runs = [run_folder(tmp_path / f"r{i}", 100.0 + i, seed=i // 2) for i in range(4)]
    accepted = accept(runs, tmp_path)
    (entry,) = Baseline.load(accepted.path, "sim").entries
    assert (entry.key, entry.runs) == ("bloom/render_us_mean", 2)  # two seeds; the later run of a seed counts
    assert entry.value == pytest.approx(102.0) and entry.spread == pytest.approx(2**0.5, abs=1e-3)


def test_accept_keeps_entries_of_other_cost_models(tmp_path: Path) -> None:
    baseline().with_entries([Entry("x", "m0", 1.0, "")]).save(baseline_path(tmp_path, "sim"))
    accept([run_folder(tmp_path / "r", 50.0, 1)], tmp_path)
    found = {(e.key, e.cost_model): e.value for e in Baseline.load(baseline_path(tmp_path, "sim"), "sim").entries}
    assert found == {("x", "m0"): 1.0, ("bloom/render_us_mean", "m1"): 50.0}


def test_accept_refuses_failed_foreign_and_mixed_runs(tmp_path: Path) -> None:
    failed = run_folder(tmp_path / "a", 1.0, 1, exit_code=1, tests=[{"outcome": "failed", "regressed": False}])
    with pytest.raises(BadRequest, match="failed"):
        accept([failed], tmp_path)
    accept([failed], tmp_path, force=True)
    with pytest.raises(BadRequest, match="not a run"):
        accept([tmp_path / "nowhere"], tmp_path)
    other = run_folder(tmp_path / "b", 1.0, 1, rig="bench1")
    with pytest.raises(BadRequest, match="differ in their rig"):
        accept([failed, other], tmp_path)
    image = run_folder(tmp_path / "c", 1.0, 1, firmware={"sha256": "cd"})
    with pytest.raises(BadRequest, match="images"):
        accept([run_folder(tmp_path / "d", 1.0, 1), image], tmp_path)
    with pytest.raises(BadRequest, match="no judged metric"):
        accept([run_folder(tmp_path / "e", 1.0, 1, verdicts=[])], tmp_path)


def test_a_run_that_only_regressed_can_be_accepted(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a", 1.0, 1, exit_code=1, tests=[{"outcome": "failed", "regressed": True}])
    assert accept([run], tmp_path).entries[0].value == 1.0
