"""What ``k1hil`` does when the harness itself breaks: exit code 3, which says nothing about a device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from harness import cli


def broken(**kwargs: Any) -> int:
    raise KeyError("no such thing")


def ended(monkeypatch: pytest.MonkeyPatch) -> object:
    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(SystemExit) as end:
        cli.main()
    return end.value.code


def test_an_internal_error_is_one_line_and_a_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.delenv("K1HIL_DEBUG", raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert ended(monkeypatch) == 3
    told = capsys.readouterr().err
    assert told.startswith("k1hil: internal error: KeyError: 'no such thing'\n") and "Traceback" not in told
    found = re.search(r"evidence: (\S+)", told)
    assert found is not None and Path(found[1]).parent == tmp_path and "in broken" in Path(found[1]).read_text()


def test_the_traceback_is_shown_on_request(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("K1HIL_DEBUG", "1")
    assert ended(monkeypatch) == 3
    assert "in broken" in capsys.readouterr().err
