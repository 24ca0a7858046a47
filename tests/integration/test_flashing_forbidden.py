"""The suite on a rig that does not allow flashing: its device is never told to show a pattern that flashes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from changed_rig import rig_with, suite

from harness.instruments.flashing import STROBOSCOPIC

# All tests that name such a pattern, or get one as a parameter; some others beside them.
CHOSEN = "hil_index or hil_counter or hil_flash or golden or flash or latency or speed or camera"


def test_nothing_that_flashes_is_selected(tmp_path: Path) -> None:
    run = suite(rig_with(tmp_path, "allow_flashing = false\n"), CHOSEN).resolve()
    logs = list(run.rglob("console.log"))
    selected = set(re.findall(rb">>> select (\S+)", b"".join(log.read_bytes() for log in logs)))
    assert {b"departure", b"hil_solid", b"vu"} <= selected and not selected & {s.encode() for s in STROBOSCOPIC}
    tests = json.loads((run / "metrics.json").read_text())["tests"]
    skipped = {t["nodeid"].rpartition("/")[2]: t["message"] for t in tests if t["outcome"] == "skipped"}
    for test in ("test_golden.py::test_index_shows_every_bit_of_every_led_in_order",
                 "test_golden.py::test_counter_shows_the_frame_number",
                 "test_audio.py::test_flash_answers_sound_within_two_frames",
                 "test_speed.py::test_faster_flow[hil_index-3.0]",
                 "test_patterns.py::test_pattern_obeys_brightness[hil_flash]"):  # fmt: skip
        assert re.fullmatch(r"hil_\w+ flashes; allow_flashing is off for this hardware", skipped[test])
