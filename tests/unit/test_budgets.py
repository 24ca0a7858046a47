"""Hard budgets of a rig file: on every metric of a run, never on one that does not exist, never silently unmet."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest

import harness.suite.fixtures  # noqa: F401
import harness.suite.hooks  # noqa: F401  # loaded once here instead of in every inner run
from harness.baseline.accept import accept
from harness.errors import BadRequest
from harness.measures import budget_problem, limited
from harness.rig.config import parse_config
from harness.suite.outcome import unmet_budgets

pytest_plugins = ["pytester"]
ROOT = Path(__file__).parents[2]
NOTED = """
from harness.metric import Metric
def test_noted(metric, rig):
    metric(Metric("render_us_p95", 2100.0, "us", "lower", 9, "telemetry", "simulated", pattern="lively"))
    metric(Metric("fps", 150.0, "1/s", "higher", 9, "telemetry", "simulated", pattern="lively"))
"""


def run(suite_project: Any, budgets: str, tests: str = NOTED, *arguments: str) -> Any:
    (Path(suite_project.path) / "rigs" / "sim.toml").write_text(f'kind = "virtual"\n[budgets]\n{budgets}\n')
    return suite_project(tests, *arguments)


def document(suite_project: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((Path(suite_project.path) / "reports/latest/metrics.json").read_text())
    return found


def test_a_metric_nobody_judges_is_held_to_its_budget(suite_project: Any) -> None:
    """At most where less is better, at least where more is, and the pattern's own before the general one."""
    result = run(suite_project, 'render_us_p95 = 2000\nfps = 100\n"lively/fps" = 160')
    result.assert_outcomes(failed=1)
    assert result.ret == 1
    (test,) = document(suite_project)["tests"]
    assert "lively/render_us_p95: 2100 us breaks the budget of at most 2000" in test["message"]
    assert "lively/fps: 150 1/s breaks the budget of at least 160" in test["message"]
    assert test["blame"] == "dut" and not test["regressed"]


def test_within_its_budgets_a_run_is_good(suite_project: Any) -> None:
    result = run(suite_project, 'render_us_p95 = 2000\n"lively/render_us_p95" = 2200\nfps = 100')
    result.assert_outcomes(passed=1)
    assert result.ret == 0 and document(suite_project)["notes"] == []


def test_budgets_hold_without_a_baseline_too(suite_project: Any) -> None:
    run(suite_project, "render_us_p95 = 2000", NOTED, "--no-baseline").assert_outcomes(failed=1)


def test_a_judged_metric_beyond_its_budget_fails_whatever_the_test_asserts(suite_project: Any) -> None:
    careless = NOTED.replace("    metric(Metric", "    metric.judge(Metric")
    assert run(suite_project, "render_us_p95 = 2000", careless).ret == 1


def test_a_run_over_budget_is_no_baseline(suite_project: Any) -> None:
    both = NOTED + '    assert metric.judge(Metric("fps_x", 1.0, "", "higher", 1, "telemetry", "simulated"))\n'
    run(suite_project, "render_us_p95 = 2000", both)
    folder = Path(suite_project.path)
    with pytest.raises(BadRequest, match="failed run is no baseline"):
        accept([folder / "reports/latest"], folder / "rigs", reason="trying it")


def test_an_unmet_budget_is_loud_and_open(suite_project: Any) -> None:
    result = run(suite_project, "heap_free_least = 1000")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["*BUDGET NOT CHECKED: this run measured no heap_free_least*"])
    strict = run(suite_project, "own_warmth = 3", NOTED, "--require", "verdict")
    assert strict.ret == 11
    assert any("own_warmth" in note for note in document(suite_project)["notes"])


def test_unmet_budgets_by_key() -> None:
    metrics = [{"name": "fps", "pattern": "pulse"}, {"name": "heap_free_least", "pattern": ""}]
    assert unmet_budgets(["fps", "pulse/fps", "heap_free_least"], metrics) == []
    (line,) = unmet_budgets(["bloom/fps", "fps"], metrics)
    assert line.endswith("no bloom/fps")


@pytest.mark.parametrize(
    ("key", "told"),
    [("render_us_p96", "did you mean 'render_us_p95'"), ('"pulse/fsp"', "did you mean 'fps'"),
     ("speediness", "no metric 'speediness'"), ("frames_quiet", "neither less nor more")],
)  # fmt: skip
def test_a_misspelt_budget_is_refused(key: str, told: str) -> None:
    with pytest.raises(BadRequest, match="budgets") as error:
        parse_config(f'kind = "virtual"\n[budgets]\n{key} = 3\n', "sim.toml")
    assert told in str(error.value)


def test_a_budget_on_a_pattern_nobody_has_is_refused(suite_project: Any) -> None:
    result = run(suite_project, '"livly/fps" = 3')
    assert result.ret == 4 and suite_project.opened() == []
    result.stderr.fnmatch_lines(["*livly/fps: the firmware has no such pattern*"])


def test_own_measures_may_have_budgets() -> None:
    assert budget_problem("own_warmth") == budget_problem("pulse/own_warmth") == ""


def test_all_names_the_harness_notes_are_known() -> None:
    """Every metric's name and direction as the code writes them: literal, or a format with its gaps filled."""
    files = [*(ROOT / "harness/analysis").rglob("*.py"), *(ROOT / "tests_hil").glob("*.py")]
    found = {pair for file in files for pair in _named(ast.parse(file.read_text()))}
    assert len(found) > 25
    for name, direction in found:
        assert limited(name) is not None, f"{name} is missing from harness/measures.py"
        assert direction is None or limited(name) == (direction in ("lower", "higher")), name


def test_all_judged_names_are_known() -> None:
    for file in (ROOT / "rigs").glob("*.baseline.json"):
        keys = _keys(json.loads(file.read_text()))
        assert keys and not [problem for problem in map(budget_problem, keys) if problem]


def _keys(stored: Any) -> list[str]:
    if isinstance(stored, dict):
        own = [k for k in stored if re.fullmatch(r"[a-z0-9_]+/[a-z0-9_]+", k)]
        return own + [key for value in stored.values() for key in _keys(value)]
    return [key for value in stored for key in _keys(value)] if isinstance(stored, list) else []


def _named(tree: ast.AST) -> list[tuple[str, str | None]]:
    out = []
    for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
        at = {"Metric": 0, "made": 0, "_metric": 1, "_count": 1, "note": 2}.get(getattr(call.func, "id", ""))
        name = _text(call.args[at]) if at is not None and len(call.args) > at else ""
        if name:
            words = [word for word in map(_text, call.args) if word in ("lower", "higher", "none")]
            out.append((name, words[0] if words else None))
    return out


def _text(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) or _filled(part) for part in node.values)
    return ""


def _filled(part: ast.AST) -> str:
    written = ast.unparse(part)
    fill = {"prefix": "latency", "band": "80", "hz": "80", "bpm": "128", "q": "50", "kind": "rise",
            "stage": "render_us", "name": "render_us", "source": "camera"}  # fmt: skip
    return next((value for word, value in fill.items() if word in written), f"<{written}>")
