"""Five per cent more work in a pattern's source comes back as a regression of its render time, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from patched_firmware import PatchedFirmware

from harness.analysis.frames import frame_metrics
from harness.baseline.gate import Gate, Verdict
from harness.baseline.store import AcceptedSet, Samples
from harness.metric import Metric, pooled
from harness.rig import FirmwareBundle, Rig, open_rig
from harness.signals import four_on_floor

RUNS = 30
# What pulse does depends on the music: it takes longer runs, and more of them, to be sure that nothing changed.
SECONDS = {"perlin": 2.0, "pulse": 6.0}
FRESH = {"perlin": 3, "pulse": 10}
JUDGED = ("render_us_mean", "quantize_us_mean", "fps", "heap_free_least")
HEADER = '#include "core/patterns/common.h"\n'
# A load, an addition and a store of a volatile, with the loop around it sixteen cycles of 240 MHz a round.
WASTE = "\nstatic volatile unsigned wasted;\nstatic void waste(unsigned n) {{ for (; n; --n) wasted = wasted + n; }}\n"
SLOWER = {"perlin": 132, "pulse": 64}  # rounds that make about 5 % of 172 us and of 84 us


def runs_of(rig: Rig, pattern: str, count: int) -> list[list[Metric]]:
    """So many boots, each with music of its own."""
    runs = []
    for _ in range(count):
        rig.reset("hard")
        assert rig.seed is not None
        music = four_on_floor(120.0, SECONDS[pattern], seed=(rig.seed + len(runs)) % (1 << 32))
        seen = rig.record(music, music.seconds, streams=("frames",), pattern=pattern)
        runs.append([m for m in frame_metrics(seen) if m.name in JUDGED])
    return runs


def opened(firmware: FirmwareBundle, folder: object) -> Iterator[Rig]:
    with open_rig("sim", folder=folder) as rig:  # type: ignore[arg-type]
        print(f"seed {rig.seed}")
        rig.flash(firmware)
        yield rig


@pytest.fixture(scope="module")
def accepted(extended: FirmwareBundle, tmp_path_factory: pytest.TempPathFactory) -> AcceptedSet:
    """Thirty runs of the healthy firmware."""
    samples = {}
    for rig in opened(extended, tmp_path_factory.mktemp("healthy")):
        for pattern in SLOWER:
            runs = runs_of(rig, pattern, RUNS)
            for same in zip(*runs, strict=True):
                samples[same[0].key] = Samples(same[0].key, same[0].unit, tuple(m.value for m in same))
    return AcceptedSet({}, "quick", (), samples)


def verdicts(accepted: AcceptedSet, runs: Sequence[Sequence[Metric]]) -> dict[str, Verdict]:
    gate = Gate(accepted)
    return {m.name: gate.judge(m) for m in pooled(runs)}


def test_five_per_cent_slower_is_a_regression_of_render_time_alone(
    accepted: AcceptedSet, extended: FirmwareBundle, patched: PatchedFirmware,
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    edits = []
    for pattern, rounds in SLOWER.items():
        file, call = f"core/patterns/{pattern}.cpp", f"void render_{pattern}(FrameContext& f) {{\n"
        edits += [(file, HEADER, HEADER + WASTE.format()), (file, call, f"{call}    waste({rounds});\n")]
    slower = patched.variant("slower", *edits)
    for firmware, word in ((extended, "unchanged"), (slower, "regressed")):
        for rig in opened(firmware, tmp_path_factory.mktemp("fresh")):
            for pattern in SLOWER:
                found = verdicts(accepted, runs_of(rig, pattern, FRESH[pattern]))
                render = found["render_us_mean"]
                with capsys.disabled():
                    print(f"\n{render.key}: {render.word}{' exact' * render.exact}: {render.why}")
                assert render.word == word, render.why
                if word == "regressed":
                    assert render.change == pytest.approx(0.05, abs=0.015)
                assert all(v.word == "unchanged" for n, v in found.items() if n != "render_us_mean"), found


def test_one_run_is_enough_where_nothing_is_random(accepted: AcceptedSet) -> None:
    assert accepted.samples["perlin/render_us_mean"].alike
    assert not accepted.samples["pulse/render_us_mean"].alike
