"""Firmware that crashes on the virtual board does what the chip does: its words on the console, a reset with the right
reason, and a reboot into a device that works. Code the model cannot interrupt is the harness's fault, and is found.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.errors import DutFailure, HarnessFault
from harness.rig import FirmwareBundle, Rig, open_rig

WORST_S = 12.0  # device time: the task watchdog waits for five seconds, a boot takes one
DEADLINE_S = 1.0


@pytest.fixture(scope="module")
def rig(extended: FirmwareBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with open_rig("sim", folder=tmp_path_factory.mktemp("rig")) as rig:
        print(f"seed {rig.seed}")
        rig.flash(extended)
        yield rig


def rig_with(folder: Path, bench: str) -> Rig:
    """A virtual rig whose board is as ``bench`` (lines of TOML) says."""
    (folder / "odd.toml").write_text(f'kind = "virtual"\n[bench]\n{bench}\n')
    return open_rig("odd", folder, folder=folder / "logs")


def firmware_processes() -> list[psutil.Process]:
    return [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


BACKTRACE = r"Backtrace: 0x[0-9a-f]{8}:0x3f[0-9a-f]{6}"


@pytest.mark.parametrize(
    ("pattern", "reason", "words"),
    [
        ("bad_pointer", "panic", r"Guru Meditation Error: Core  1 panic'ed \(StoreProhibited\)"),
        ("give_up", "panic", r"out of ideas\s+abort\(\) was called at PC 0x[0-9a-f]{8} on core 1"),
        ("deep", "panic", r"\*\*\*ERROR\*\*\* A stack overflow in task render has been detected"),
        ("leak", "panic", r"Guru Meditation Error: Core  1 panic'ed \(StoreProhibited\)"),
        ("lock_up", "int_watchdog", r"Core  1 panic'ed \(Interrupt wdt timeout on CPU1\)"),
        ("starve", "task_watchdog", r"Task watchdog got triggered(?s:.*) - IDLE \(CPU 0\)(?s:.*)CPU 0: hog"),
    ],
    ids=["pointer", "abort", "stack", "memory", "interrupt watchdog", "task watchdog"],
)
def test_a_crash_is_told_and_rebooted_from(rig: Rig, pattern: str, reason: str, words: str) -> None:
    before, at = rig.identity, rig.console.size
    rig.console.send(f"select {pattern}")
    assert rig.clock.wait(rig.follow_boots, WORST_S, stop="console"), rig.console.tail(at)
    text = rig.console.text_from(at).decode("ascii", "replace").replace("\r", "")
    assert re.search(words, text), text
    assert re.search(BACKTRACE, text) and "Rebooting..." in text
    after = rig.identity
    assert (after.reset_reason, after.boot_count) == (reason, before.boot_count + 1)
    assert after.boot_id != before.boot_id and after.sha256 == before.sha256
    assert rig.record(None, 0.5, streams=("frames",), pattern="lava").n_frames > 50


def test_too_little_memory_is_told_at_every_boot(extended: FirmwareBundle, tmp_path: Path) -> None:
    """Unchanged code on a board whose heap cannot hold its tasks."""
    with rig_with(tmp_path, "heap_bytes = 20480") as rig:
        with pytest.raises(DutFailure, match="did not boot"):
            rig.flash(extended)
        text = rig.console.text_from(0).decode("ascii", "replace")
    assert re.search(r"no memory for task \w+\s+abort\(\) was called at PC", text), text
    assert text.count("no memory for task") >= 3 and text.count("ESP-ROM:") >= 3


def test_code_outside_the_model_is_a_harness_fault(extended: FirmwareBundle, tmp_path: Path) -> None:
    already = set(firmware_processes())
    with rig_with(tmp_path, f"wall_deadline_s = {DEADLINE_S}") as rig:
        rig.flash(extended)
        assert set(firmware_processes()) - already
        began = time.monotonic()
        rig.console.send("select outside")
        with pytest.raises(HarnessFault, match="stuck outside the model"):
            rig.clock.wait(lambda: False, 5.0)
        assert DEADLINE_S <= time.monotonic() - began < DEADLINE_S + 5.0
        assert not set(firmware_processes()) - already
        # Whoever asks again gets the same answer instead of a board that stands still.
        with pytest.raises(HarnessFault, match="stuck outside the model"):
            rig.record(None, 0.1)
        assert rig.board is not None
        rig.board.reset()
        assert rig.clock.wait(rig.follow_boots, 5.0, stop="console")
        assert rig.record(None, 0.5, streams=("frames",), pattern="lava").n_frames > 50
    assert not set(firmware_processes()) - already
