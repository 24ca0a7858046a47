"""Baselines: stored one line per metric, changed only on command and with a reason."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from harness.baseline.accept import accept
from harness.baseline.fingerprint import digest, fingerprint
from harness.baseline.store import Acceptance, AcceptedSet, Baseline, Samples, baseline_path
from harness.errors import BadRequest
from harness.metric import Metric
from harness.rig.config import parse_config

SIM = {"cost_model": "m1", "provenance": "simulated"}
WHY = "a good reason"


def metric(value: float, name: str = "render_us_mean", **detail: Any) -> dict[str, Any]:
    return Metric(name, value, "us", "lower", 8, "telemetry", "simulated", pattern="bloom", detail=detail).to_json()


def baseline(*keys: str) -> Baseline:
    samples = {k: Samples(k, "us", (1.0, 2.0, 2.5)) for k in keys or ("bloom/render_us_mean",)}
    samples["x/exact"] = Samples("x/exact", "", (7.0,) * 30)
    log = (Acceptance("2026-01-01", WHY, "k1-sim 1 ab", 3, 2, (1, 2, 3)),)
    return Baseline("sim", [AcceptedSet(SIM, "quick", log, samples)])


def test_save_and_load(tmp_path: Path) -> None:
    path = baseline_path(tmp_path, "sim")
    baseline().save(path)
    assert Baseline.load(path, "sim").sets == baseline().sets
    assert Baseline.load(tmp_path / "none.json", "sim").sets == ()
    with pytest.raises(BadRequest, match="another rig"):
        Baseline.load(path, "bench1")


def test_a_changed_metric_is_one_changed_line(tmp_path: Path) -> None:
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    one = baseline("a/x", "b/x", "c/x")
    one.save(old)
    changed = one.sets[0].accepting([Samples("b/x", "us", (9.0, 8.0))], Acceptance("2026-02-02", WHY, "f", 2, 1))
    one.with_set(changed).save(new)
    before, after = old.read_text().splitlines(), new.read_text().splitlines()
    assert len(before) + 1 == len(after)  # the log has one line more
    assert sum(line not in before for line in after) == 3  # that line, the comma before it, and the metric
    assert any('"exact": 7.0' in line and '"runs": 30' in line for line in after)


def test_why_there_is_no_baseline() -> None:
    one = baseline()
    assert one.find(SIM, "quick") is not None and one.find(SIM, "nightly") is None
    assert "no accepted baseline" in Baseline("sim").why_not(SIM, "quick")
    assert "profile nightly, only for quick" in one.why_not(SIM, "nightly")
    text = one.why_not({**SIM, "cost_model": "m2"}, "quick")
    assert text == "the fingerprint changed: cost_model is m2, accepted was m1"


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "7", '{"schema":1}', '{"schema":2,"rig":"sim","sets":[{"profile":"quick"}]}',
             '{"schema":2,"rig":"sim","sets":[{"profile":"q","fingerprint":{},"accepted":[],"metrics":'
             '{"x":{"unit":"","runs":2,"values":[1.0]}}}]}',
             '{"schema":2,"rig":"sim","sets":[{"profile":"q","fingerprint":{},"accepted":[],"metrics":'
             '{"x":{"unit":"","runs":1,"exact":NaN}}}]}',
             '{"schema":2,"rig":"sim","sets":[{"profile":"q","fingerprint":{},"accepted":[],"metrics":'
             '{"x":{"unit":"","runs":1000000000,"exact":1.0}}}]}', "[" * 100_000],
)  # fmt: skip
def test_a_damaged_file_is_a_bad_request(tmp_path: Path, text: str) -> None:
    path = tmp_path / "sim.baseline.json"
    path.write_text(text)
    with pytest.raises(BadRequest, match="not a baseline"):
        Baseline.load(path, "sim")


def test_fingerprint_says_what_values_depend_on() -> None:
    sim = parse_config('kind = "virtual"\n[bench]\nwiring = "cross"\n', "sim.toml")
    slow = parse_config('kind = "virtual"\n[bench]\naudio_delay_ms = 8.0\n', "sim.toml")
    one = fingerprint(sim, cost_model="m1", firmware_line="k1-sim", mac="aa")
    assert one == fingerprint(slow, cost_model="m1", firmware_line="k1-sim", mac="bb")  # injected truth is the world
    other = fingerprint(sim, cost_model="m2", firmware_line="k1-sim")
    assert digest(one) != digest(other) and len(digest(one)) == 12
    real = parse_config('kind = "physical"\n[console]\nport = "/dev/ttyUSB0"\n', "b.toml")
    assert fingerprint(real, cost_model="", firmware_line="k1", mac="AA:BB")["mac"] == "aa:bb"


def run_folder(folder: Path, value: float, seed: int, **changes: Any) -> Path:
    folder.mkdir()
    document = {
        "schema": 1, "rig": "sim", "provenance": "simulated", "profile": "quick", "seed": seed, "exit_code": 0,
        "started": "2026-01-01", "firmware": {"project": "k1-sim", "version": "1", "sha256": "ab"}, "tests": [],
        "fingerprint": SIM, "metrics": [metric(value), metric(5, name="other")],
        "verdicts": [{"key": "bloom/render_us_mean", "word": "inconclusive"}],
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(document | changes))
    return folder


def test_accept_takes_judged_metrics_of_different_seeds(tmp_path: Path) -> None:
    runs = [run_folder(tmp_path / f"r{i}", 100.0 + i, seed=i // 2) for i in range(4)]
    repeats = run_folder(tmp_path / "r", 9.0, seed=77, metrics=[metric(9.0, samples=[8.0, 9.0, 10.0])])
    accepted = accept([*runs, repeats], tmp_path, reason=WHY, today=date(2026, 3, 4))
    (found,) = Baseline.load(accepted.path, "sim").sets
    assert found.samples["bloom/render_us_mean"].values == (100.0, 102.0, 8.0, 9.0, 10.0)  # one run per seed
    assert list(found.samples) == ["bloom/render_us_mean"]
    assert found.log[-1] == Acceptance("2026-03-04", WHY, "k1-sim 1 ab", 5, 1, (0, 1, 77))


def test_accept_keeps_other_conditions_and_metrics(tmp_path: Path) -> None:
    path = baseline_path(tmp_path, "sim")
    other = AcceptedSet({"cost_model": "m0"}, "quick", (), {"x": Samples("x", "", (1.0,))})
    baseline("a/x").with_set(other).save(path)
    accept([run_folder(tmp_path / "r", 50.0, 1)], tmp_path, reason=WHY)
    found = Baseline.load(path, "sim")
    assert found.find({"cost_model": "m0"}, "quick") == other
    mine = found.find(SIM, "quick")
    assert mine is not None and set(mine.samples) == {"a/x", "x/exact", "bloom/render_us_mean"} and len(mine.log) == 2


def test_accept_refuses_what_is_no_baseline(tmp_path: Path) -> None:
    failed = run_folder(tmp_path / "a", 1.0, 1, exit_code=1, tests=[{"outcome": "failed", "regressed": False}])
    over = run_folder(tmp_path / "o", 1.0, 1, verdicts=[{"key": "bloom/render_us_mean", "over_budget": "too slow"}])
    good = run_folder(tmp_path / "g", 1.0, 1)
    for runs, reason, text in (
        ([good], "", "reason"), ([good], " x ", "reason"), ([], WHY, "no run"), ([failed], WHY, "failed"),
        ([over], WHY, "failed"), ([tmp_path / "nowhere"], WHY, "not a run"),
        ([good, run_folder(tmp_path / "b", 1.0, 1, rig="bench1")], WHY, "differ in their rig"),
        ([good, run_folder(tmp_path / "p", 1.0, 1, profile="nightly")], WHY, "differ in their profile"),
        ([good, run_folder(tmp_path / "f", 1.0, 1, fingerprint={})], WHY, "differ in their fingerprint"),
        ([good, run_folder(tmp_path / "c", 1.0, 1, firmware={"sha256": "cd"})], WHY, "images"),
        ([run_folder(tmp_path / "e", 1.0, 1, verdicts=[])], WHY, "no judged metric"),
        ([run_folder(tmp_path / "n", 1.0, 1, fingerprint={})], WHY, "no fingerprint"),
    ):  # fmt: skip
        with pytest.raises(BadRequest, match=text):
            accept(runs, tmp_path, reason=reason)
    assert not baseline_path(tmp_path, "sim").exists()
    accept([failed], tmp_path, reason=WHY, force=True)


def test_exact_takes_only_what_never_differs_in_at_least_ten_runs(tmp_path: Path) -> None:
    judged = [{"key": "bloom/render_us_mean", "word": "unchanged"}, {"key": "bloom/other", "word": "unchanged"}]
    runs = []
    for i in range(10):
        metrics = [metric(100.0), metric(5.0 + i, name="other")]
        runs.append(run_folder(tmp_path / f"r{i}", 100.0, i, metrics=metrics, verdicts=judged))
    with pytest.raises(BadRequest, match="alike in at least 10 runs"):
        accept(runs[:9], tmp_path, reason=WHY, exact=True)
    assert [s.key for s in accept(runs, tmp_path, reason=WHY, exact=True).samples] == ["bloom/render_us_mean"]


def test_exact_leaves_out_what_was_measured_in_two_ways(tmp_path: Path) -> None:
    """A camera that fell short once: telemetry stands in, which is another measure."""
    judged = [{"key": "bloom/render_us_mean", "word": "unchanged"}, {"key": "bloom/seen", "word": "unchanged"}]
    runs = []
    for i in range(10):
        seen = metric(5.0, name="seen") | {"source": "telemetry" if i == 7 else "camera"}
        runs.append(run_folder(tmp_path / f"r{i}", 1.0, i, metrics=[metric(100.0), seen], verdicts=judged))
    with pytest.raises(BadRequest, match="differ in unit or source of bloom/seen"):
        accept(runs, tmp_path, reason=WHY)
    assert [s.key for s in accept(runs, tmp_path, reason=WHY, exact=True).samples] == ["bloom/render_us_mean"]


def test_a_run_that_only_regressed_can_be_accepted(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a", 1.0, 1, exit_code=1, tests=[{"outcome": "failed", "regressed": True}])
    assert accept([run], tmp_path, reason=WHY).samples


def test_budgets_of_a_rig_file() -> None:
    text = 'kind = "virtual"\n[budgets]\nrender_us_p95 = 900\n"pulse/fps" = 100.5\n'
    assert parse_config(text, "sim.toml").budgets == {"render_us_p95": 900.0, "pulse/fps": 100.5}
    for bad in ("Render = 1", "fps = nan", "fps = inf", 'fps = "fast"', '"a/b/c" = 1'):
        with pytest.raises(BadRequest, match="budgets"):
            parse_config(f'kind = "virtual"\n[budgets]\n{bad}\n', "sim.toml")
