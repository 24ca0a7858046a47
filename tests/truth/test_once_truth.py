"""Commands and first sounds on the built firmware, scored against when LED 0 really shone."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from event_truth import photons, read_log
from test_latency import board, rig_dir  # noqa: F401

from harness.rig import open_rig
from harness.rig.record import Command
from harness.signals import onset_after_silence

SEED = 52_000
LEVELS = (0.2, 1.0, 0.3, 0.9, 0.1, 0.8, 0.2, 1.0)
# A recording's folder goes in, numbers come out: a process that knows nothing else.
READER = """
import json, sys
from harness.analysis.commands import command_latency
from harness.analysis.onset import onset_after_silence
from harness.recording import Recording
found = Recording.load(sys.argv[1])
if found.meta.get("commands"):
    print(json.dumps(command_latency(found).latency_ms.tolist()))
else:
    onset = onset_after_silence(found)
    print(json.dumps([onset.dead_ms, onset.first_ms]))
"""


def read(folder):
    done = subprocess.run([sys.executable, "-c", READER, str(folder)], capture_output=True, text=True, timeout=120,
                          check=True)  # fmt: skip
    return np.array(json.loads(done.stdout))


@pytest.fixture
def opened(board, tmp_path):  # noqa: F811
    """Opens the board with a seed; its log of truth begins anew."""

    def make(seed, bench=""):
        (board / "events.jsonl").unlink(missing_ok=True)
        log = tmp_path / f"truth-{seed}.jsonl"
        rigs = rig_dir(tmp_path / "rigs", bench)
        return open_rig("case", rigs, state_dir=board, event_log=log, seed=seed, owner="truth"), log

    return make


def test_commands_to_light(opened, tmp_path, trials, figure):
    errors = []
    for i in range(trials(20)):
        rig, log = opened(SEED + i)
        rng = np.random.default_rng(SEED + i)
        with rig:
            rig.reset("hard")
            for name, value in (("saturation", 0), ("brightness", 0.6)):
                rig.telemetry.param(name, value)
            rig.api.params()
            at_s = 0.2 + np.cumsum(rng.uniform(0.36, 0.44, len(LEVELS)))
            commands = [
                Command(float(at), partial(rig.api.set_params, **value), value)
                for at, value in zip(at_s, ({"brightness": level} for level in LEVELS), strict=True)
            ]
            seen = rig.record(None, float(at_s[-1]) + 0.4, pattern="hil_solid", commands=commands)
            rig.telemetry.command("reset")
            got = read(seen.save(tmp_path / f"seen-{i}"))
        light = photons(log)
        at = np.array([t for t, _ in light])
        value = np.array([v for _, v in light])
        true = []
        for row in seen.meta["commands"]:
            first = int(np.searchsorted(at, row["sent_ns"], "right"))
            before, after = value[first - 1], value[np.searchsorted(at, row["sent_ns"] + 300_000_000) - 1]
            past = (value[first:] - (before + after) / 2) * np.sign(after - before) >= 0
            true.append((at[first + int(np.argmax(past))] - row["sent_ns"]) / 1e6)
        assert got.size == len(true)
        errors += (got - true).tolist()
    rms, worst = float(np.sqrt(np.mean(np.square(errors)))), float(np.abs(errors).max())
    told = f"{rms:.4f} ms (worst {worst:.3f})"
    figure("command to light, each command: rms", "≤ 0.35 ms", told, rms <= 0.35, len(errors))


def test_first_sound_after_silence(opened, tmp_path, trials, figure):
    errors = []
    for i in range(trials(20)):
        rig, log = opened(SEED + 500 + i, f"audio_delay_ms = {4.3 * (i % 4)}")
        with rig:
            rig.reset("hard")
            sound = onset_after_silence(5.2, 0.8)
            seen = rig.record(sound, sound.seconds, pattern="hil_flash")
            got = read(seen.save(tmp_path / f"heard-{i}"))
        heard = next(row["at_microphone_ns"] for row in read_log(log, "sound") if row["host_ns"] == seen.audio.start_ns)
        # The delay through the air is not known to the host: it belongs to the answer.
        onset = heard + 5.2e9
        first = next(t for t, value in photons(log) if t > onset and value > 0)
        errors += (got - (first - seen.audio.start_ns - 5.2e9) / 1e6).tolist()
    rms = float(np.sqrt(np.mean(np.square(errors))))
    name = "first sound after silence (dead time and 50 %): rms"
    figure(name, "≤ 0.35 ms", f"{rms:.4f} ms", rms <= 0.35, len(errors))
