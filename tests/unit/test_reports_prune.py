"""Old runs go, the newest and the latest stay, and nothing that is not a run is touched."""

import pytest

from harness.errors import BadRequest
from harness.report.folder import point_latest, prune


def run(folder, name, result="metrics.json"):
    (folder / name).mkdir()
    if result:
        (folder / name / result).write_text("{}")
    return folder / name


def test_prune(tmp_path):
    oldest = run(tmp_path, "20250101-000000-sim")
    for day in range(2, 6):
        run(tmp_path, f"2025010{day}-000000-sim")
    mine = run(tmp_path, "thesis")
    unfinished = run(tmp_path, "20240101-000000-sim", result="")
    point_latest(oldest)
    removed = prune(tmp_path, 2)
    assert [p.name for p in removed] == ["20250102-000000-sim", "20250103-000000-sim"]
    assert oldest.exists() and mine.exists() and unfinished.exists() and (tmp_path / "20250104-000000-sim").exists()
    assert prune(tmp_path, 2) == []
    assert len(prune(tmp_path, 0)) == 2 and oldest.exists()
    with pytest.raises(BadRequest):
        prune(tmp_path / "nowhere", 1)
