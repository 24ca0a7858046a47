"""The rules of ``tests_hil`` themselves, on a scripted rig that shows them what no good device shows."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import harness.baseline.history
import harness.suite.fixtures
import harness.suite.hooks  # noqa: F401  # loaded once here instead of in every inner run

pytest_plugins = ["pytester"]
HIL = Path(__file__).parents[2] / "tests_hil"


@pytest.fixture
def hil(suite_project: Any) -> Any:
    """``hil(module, chosen, *arguments, **script)`` runs tests of a module of ``tests_hil`` as they are."""

    def run(module: str, chosen: str, *arguments: str, **script: Any) -> Any:
        folder = Path(suite_project.path) / "tests_hil"
        shutil.copyfile(HIL / "k1.py", folder / "k1.py")
        shutil.copytree(HIL / "golden", folder / "golden", dirs_exist_ok=True)
        return suite_project((HIL / f"{module}.py").read_text(), "-k", chosen, *arguments, **script)

    run.document = lambda: json.loads(  # type: ignore[attr-defined]
        (Path(suite_project.path) / "reports" / "latest" / "metrics.json").read_text()
    )
    return run


@pytest.mark.parametrize(("tap", "source", "code"), [("good", "wire", 0), ("none", "telemetry", 11)])
def test_pixels_without_a_tap_are_no_measurement_of_the_wire(hil: Any, tap: str, source: str, code: int) -> None:
    result = hil("test_patterns", "test_pattern_lit", "--require", "wire", tap=tap)
    result.assert_outcomes(passed=2)
    assert {m["source"] for m in hil.document()["metrics"]} == {source}
    assert result.ret == code
