"""Latency of the built firmware on the virtual board, scored against what really happened in each trial.

The estimator runs as ``k1hil analyze`` in a process of its own that gets the recording's folder and nothing else.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from event_truth import realised

from harness.pipeline.build import build
from harness.recording import Recording
from harness.rig import open_rig
from harness.signals import latency_telegraph

SEED = 4711
PERIODS_MS = (4.9, 6.0, 9.3, 14.1, 20.0)
# A camera that nobody reads from: with one in the scene the board logs when LED 0 really shone.
WITNESS = "[bench.camera]\nwidth = 64\nheight = 64\n"


def rig_dir(folder: Path, bench: str = "") -> Path:
    """A folder with the rig ``case`` whose ``[bench]`` table poses a case."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "case.toml").write_text(f'kind = "virtual"\n[bench]\n{bench}\n{WITNESS}', encoding="utf-8")
    return folder


def analysed(folder: Path) -> dict[str, dict]:
    """Metrics by name, from another process."""
    run = subprocess.run([sys.executable, "-m", "harness.cli", "analyze", str(folder), "--json"], capture_output=True,
                         text=True, timeout=120, check=False)  # fmt: skip
    assert run.returncode == 0, run.stderr
    return {m["name"]: m for m in json.loads(run.stdout)["metrics"]}


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """A board that keeps its flash, with the firmware on it."""
    state = tmp_path_factory.mktemp("board")
    rigs = rig_dir(tmp_path_factory.mktemp("rigs"))
    with open_rig("case", rigs, state_dir=state, seed=1, owner="truth") as rig:
        rig.flash(build("sim"))
    return state


def trial(
    board: Path, rigs: Path, folder: Path, seed: int, seconds: float, period_ms: float = 6.0
) -> tuple[Path, Path]:
    """One recording of hil_flash; the recording's folder and the board's event log."""
    log = folder / f"truth-{seed}.jsonl"
    # The log grows with the board: what earlier trials left has no say in this one.
    (board / "events.jsonl").unlink(missing_ok=True)
    with open_rig("case", rigs, state_dir=board, event_log=log, seed=seed, owner="truth") as rig:
        rig.reset("hard")
        rig.telemetry.param("frame_min_period_ms", period_ms)
        sound = latency_telegraph(seconds, seed=seed)
        seen = rig.record(sound, seconds, ("frames", "pixels", "wire"), "hil_flash")
        rig.telemetry.command("reset")
        return seen.save(folder / f"seen-{seed}"), log


def truth_of(seen: Path, log: Path):
    recording = Recording.load(seen)
    return realised(log, recording.audio.start_ns, recording.meta["stimulus"]["truth"])


def test_latency_against_realised_events(board, tmp_path, trials, full, figure):
    print(f"seed {SEED}")
    n, seconds = (trials(100), 30.0 if full else 10.0)
    rigs = rig_dir(tmp_path / "rigs")
    errors: dict[str, list[float]] = {"wire": [], "telemetry": []}
    rise, fall, inside = [], [], []
    for i in range(n):
        seen, log = trial(board, rigs, tmp_path, SEED + i, seconds, PERIODS_MS[i % len(PERIODS_MS)])
        true, got = truth_of(seen, log), analysed(seen)
        assert got["latency_mean"]["source"] == "wire" and got["latency_events_missed"]["value"] == 0
        assert got["latency_rise_mean"]["n"] == len(true.rise) and got["latency_fall_mean"]["n"] == len(true.fall)
        errors["wire"].append(got["latency_mean"]["value"] - true.mean)
        errors["telemetry"].append(got["latency_mean_telemetry"]["value"] - true.mean)
        rise.append(got["latency_rise_mean"]["value"] - np.mean(true.rise))
        fall.append(got["latency_fall_mean"]["value"] - np.mean(true.fall))
        told = got["latency_mean_telemetry"]
        bound = (told["ci95"][1] - told["ci95"][0]) / 2 + told["detail"]["clock_bound_ms"]
        inside.append(abs(errors["telemetry"][-1]) <= bound)
        assert not got["latency_wire_minus_telemetry"]["detail"]["disagrees"]
    case = f"latency by {{}}, {seconds:g} s, built firmware, 50–204 LED fps"
    for source, values in errors.items():
        rms, bias = float(np.sqrt(np.mean(np.square(values)))), float(np.mean(values))
        figure(case.format(source) + ": rms", "≤ 0.35 ms", f"{rms:.3f} ms", rms <= 0.35, n)
        figure(case.format(source) + ": bias", "|·| ≤ 0.2 ms", f"{bias:+.3f} ms", abs(bias) <= 0.2, n)
    apart = max(float(np.abs(rise).max()), float(np.abs(fall).max()))
    figure(case.format("wire") + ": rise and fall apart, worst", "≤ 0.35 ms", f"{apart:.3f} ms", apart <= 0.35, n)
    share, unsure = float(np.mean(inside)), 0.0 if n >= 100 else 2 * (0.95 * 0.05 / n) ** 0.5
    goal = "≥ 93 %" if not unsure else f"≥ 93 % - {unsure:.0%} (binomial)"
    name = case.format("telemetry") + ": truth inside interval and clock bound"
    figure(name, goal, f"{share:.0%}", share >= 0.93 - unsure, n)


def test_injected_delay_moves_the_result_by_as_much(board, tmp_path, trials, full, figure):
    """A longer way through the air is not known to the host, so it must come out as latency, one for one.

    The same seed throughout: board, clocks and stimulus are the same but for the delay.
    """
    n = trials(20) // 2
    delays = (0.0, 3.0, 8.0, 21.0, 40.0) if full else (0.0, 8.0, 40.0)
    slopes, moved = [], []
    for i in range(n):
        means = []
        for delay in delays:
            rigs = rig_dir(tmp_path / f"rigs-{delay:g}", f"audio_delay_ms = {delay}")
            seen, _ = trial(board, rigs, tmp_path / f"d{delay:g}-{i}", SEED + 900 + i, 12.0)
            means.append(analysed(seen)["latency_mean"]["value"])
        slopes.append(float(np.polyfit(delays, means, 1)[0]))
        moved.append(max(abs(m - means[0] - d) for m, d in zip(means, delays, strict=True)))
    slope = float(np.mean(slopes))
    figure("latency: injected +d moves the result by d", "slope 1.00 ± 0.01",
           f"{slope:.4f} (worst single {max(moved):.2f} ms)", abs(slope - 1) <= 0.01, n * len(delays))  # fmt: skip


def test_analysis_is_the_same_everywhere(board, tmp_path):
    """In this process, in another one, and again: the same numbers to the last digit."""
    from harness.analysis.summary import analyse

    seen, _ = trial(board, rig_dir(tmp_path / "rigs"), tmp_path, SEED + 77, 8.0)
    here = {m.name: m.value for m in analyse(Recording.load(seen))}
    there, again = analysed(seen), analysed(seen)
    assert there == again
    assert here == {name: m["value"] for name, m in there.items()}
    assert "truth" not in " ".join(p.name for p in seen.iterdir())
