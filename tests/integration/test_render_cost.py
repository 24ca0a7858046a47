"""Render time is computed from the work done: each kind of work, added to a pattern, raises it in proportion.

A count of basic blocks would miss straight-line arithmetic and what library functions do; the cost model must not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

from harness.recording import Recording
from harness.rig import FirmwareBundle, Rig, open_rig

DOSES = (1, 2, 4)
# Added time of a double and a fourfold dose against the single one: a few per cent for whole microseconds, the rest for
# what a compiler saves when a thing is done once.
TOLERANCE = 0.10
SECONDS = 0.5

# What one dose should cost at least and at most, in cycles of 240 MHz, by the figures of docs/modelled-chip.md.
LOOP = (4000 * 6, 4000 * 12)  # a load, an addition, a store, a counter, a comparison, a branch
STRAIGHT = (2000 * 4 * 0.97, 2000 * 6)  # a multiplication and an addition of two cycles each, constants fetched
SINE = (160 * 40, 160 * 160)  # a polynomial of six terms and a reduction of range, about thirty operations
COPY = (32768 // 4 * 0.97, 32768 // 4 * 1.03)  # a cycle per four bytes


@pytest.fixture(scope="module")
def rig(extended: FirmwareBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with open_rig("sim", folder=tmp_path_factory.mktemp("rig")) as rig:
        print(f"seed {rig.seed}")
        rig.flash(extended)
        yield rig


@pytest.fixture(scope="module")
def timed(rig: Rig) -> Callable[[str], Recording]:
    """Records a pattern, once."""
    done: dict[str, Recording] = {}

    def record(pattern: str) -> Recording:
        if pattern not in done:
            done[pattern] = rig.record(None, SECONDS, streams=("frames",), pattern=pattern)
        return done[pattern]

    return record


def p50(recording: Recording, column: str = "render_us") -> float:
    return float(np.median(recording.frames[column]))


@pytest.mark.parametrize(
    ("kind", "cycles"),
    [("loop", LOOP), ("straight", STRAIGHT), ("sine", SINE), ("copy", COPY)],
    ids=["loop", "straight line", "transcendental", "copy"],
)
def test_added_work_raises_render_time_in_proportion(
    timed: Callable[[str], Recording], kind: str, cycles: tuple[float, float], capsys: pytest.CaptureFixture[str]
) -> None:
    base = timed("lava")
    added = {dose: p50(timed(f"{kind}{dose}")) - p50(base) for dose in DOSES}
    per_dose = np.polyfit(DOSES, [added[d] for d in DOSES], 1)[0]
    with capsys.disabled():
        print(f"\n{kind}: lava {p50(base):.0f} us, added " + ", ".join(f"{d}x {added[d]:.0f}" for d in DOSES) + " us")
    assert added[2] / added[1] == pytest.approx(2, rel=TOLERANCE)
    assert added[4] / added[1] == pytest.approx(4, rel=TOLERANCE)
    assert cycles[0] / 240 <= per_dose <= cycles[1] / 240


@pytest.mark.parametrize("kind", ["loop", "straight", "sine", "copy"])
def test_added_work_shows_nowhere_else(timed: Callable[[str], Recording], kind: str) -> None:
    base, loaded = timed("lava"), timed(f"{kind}4")
    for column in ("quantize_us", "transmit_us"):
        assert p50(loaded, column) == pytest.approx(p50(base, column), abs=1.0), column
    # 6 ms a frame leave room for all of it, so the rate stays.
    assert len(loaded.frames["seq"]) == pytest.approx(len(base.frames["seq"]), abs=1)


def test_other_patterns_cost_what_they_did(timed: Callable[[str], Recording]) -> None:
    """Three gradients do the same work; what was added to copies of one of them is not charged to another."""
    assert p50(timed("lava")) == pytest.approx(p50(timed("twilight")), abs=3.0)
