"""A manifest that is not whole is refused by file and key, before anything is collected or flashed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from scripted_rig import PATTERNS, make_firmware

from harness.errors import BadRequest
from harness.rig.bundle import FirmwareBundle

PARAM = {"name": "speed", "min": 0.0, "max": 1.0, "default": 0.5}


def load(folder: Path, **tables: Any) -> FirmwareBundle:
    made = make_firmware(folder / "fw")
    file = made / "firmware.manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | tables))
    return FirmwareBundle.load(made)


def test_a_whole_manifest(tmp_path: Path) -> None:
    assert load(tmp_path, params=[PARAM]).patterns == PATTERNS


@pytest.mark.parametrize(
    ("tables", "where"),
    [
        ({"patterns": [{}]}, "patterns[0].id"),
        ({"patterns": {}}, "patterns"),
        ({"patterns": ["still"]}, "patterns[0]"),
        ({"patterns": [PATTERNS[0], {**PATTERNS[1], "audio_reactive": "no"}]}, "patterns[1].audio_reactive"),
        ({"patterns": [{**PATTERNS[0], "index": True}]}, "patterns[0].index"),
        ({"patterns": [{**PATTERNS[0], "id": ""}]}, "patterns[0].id"),
        ({"patterns": [PATTERNS[0], PATTERNS[0]]}, "patterns[].id"),
        ({"params": [{**PARAM, "max": "1"}]}, "params[0].max"),
        ({"params": [{"min": 0}]}, "params[0].name"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, tables: dict[str, Any], where: str) -> None:
    with pytest.raises(BadRequest) as refused:
        load(tmp_path, **tables)
    assert refused.value.message.endswith(f"firmware.manifest.json: {where}")
