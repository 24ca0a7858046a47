"""docs/bench.md names every setting of the virtual board, with the default it really has."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from harness.bench.config import BoardConfig, FaultConfig

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "bench.md").read_text(encoding="utf-8")
ROWS = dict(re.findall(r"^\| `(\w+)` \| (\S+) \| \S", PAGE, re.MULTILINE))
ELSEWHERE = {"faults", "camera"}  # tables of their own


def written(value: Any) -> str:
    if value is None:
        return "drawn"
    return str(value) if isinstance(value, tuple) else json.dumps(value)


@pytest.mark.parametrize("model", [BoardConfig, FaultConfig])
def test_every_setting_stands_there_with_its_default(model: type[BaseModel]) -> None:
    fields = {name: field.default for name, field in model.model_fields.items() if name not in ELSEWHERE}
    assert {name: ROWS.get(name) for name in fields} == {name: written(value) for name, value in fields.items()}


def test_nothing_else_stands_there() -> None:
    assert set(ROWS) == (set(BoardConfig.model_fields) | set(FaultConfig.model_fields)) - ELSEWHERE
