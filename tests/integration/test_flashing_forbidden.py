"""The suite on a rig that does not allow flashing: its device is never told to show a pattern that flashes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from harness.instruments.flashing import STROBOSCOPIC

ROOT = Path(__file__).resolve().parents[2]
# All tests that name such a pattern, or get one as a parameter; some others beside them.
CHOSEN = "hil_index or hil_counter or hil_flash or golden or flash or latency or speed or camera"


def test_nothing_that_flashes_is_selected(tmp_path: Path) -> None:
    rigs, reports = tmp_path / "rigs", tmp_path / "reports"
    rigs.mkdir()
    (rigs / "sim.toml").write_text("allow_flashing = false\n" + (ROOT / "rigs" / "sim.toml").read_text())
    shutil.copyfile(ROOT / "rigs" / "sim.camera.json", rigs / "sim.camera.json")
    command = [sys.executable, "-m", "pytest", "tests_hil", "--rig", "sim", "--rig-dir", str(rigs), "-q", "-k", CHOSEN]
    command += ["-p", "no:cacheprovider", "--reports", str(reports)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "K1HIL_"))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]

    logs = list((reports / "latest").resolve().rglob("console.log"))
    selected = set(re.findall(rb">>> select (\S+)", b"".join(log.read_bytes() for log in logs)))
    assert {b"departure", b"hil_solid", b"vu"} <= selected and not selected & {s.encode() for s in STROBOSCOPIC}
    tests = json.loads((reports / "latest" / "metrics.json").read_text())["tests"]
    skipped = {t["nodeid"].rpartition("/")[2]: t["message"] for t in tests if t["outcome"] == "skipped"}
    for test in ("test_golden.py::test_index_shows_every_bit_of_every_led_in_order",
                 "test_golden.py::test_counter_shows_the_frame_number",
                 "test_audio.py::test_flash_answers_sound_within_two_frames",
                 "test_speed.py::test_faster_flow[hil_index-3.0]",
                 "test_patterns.py::test_pattern_obeys_brightness[hil_flash]"):  # fmt: skip
        assert re.fullmatch(r"hil_\w+ flashes; allow_flashing is off for this hardware", skipped[test])
