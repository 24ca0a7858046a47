"""Frames seen and unseen by a camera, on simulated films of the counter: none invented, none in view overlooked."""

import numpy as np
from counter_sim import film

from harness.analysis.light.frames_seen import frames_seen

SEED = 2_718


def test_no_frame_is_called_unseen_that_was_shown(trials, figure):
    wanted, covered, false, worst, i = trials(100_000), 0, 0, 0.0, 0
    while covered < wanted:
        rng = np.random.default_rng([SEED, i])
        case = film(rng, led_fps=float(rng.uniform(60, 204)), fps=(30.0, 60.0)[i % 2], readout_ms=(30.0, 15.0)[i % 2],
                    drop=0.05 * (i % 3 == 0))  # fmt: skip
        seen = frames_seen(case.recording)
        told = np.diff(case.recording.frames["t_us"]).mean()
        worst = max(worst, abs(seen.fit.fps * told / 1e6 - 1))
        covered, false, i = covered + seen.covered.size, false + seen.unseen.size, i + 1
    figure("frames called unseen that were shown", "0", str(false), false == 0, covered)
    figure("LED frames per second from the counter, worst of 20 s", "≤ 0.2 %", f"{worst:.4%}", worst <= 0.002, i)


def test_every_hidden_frame_in_view_is_named(trials, figure):
    hidden = found = wrong = 0
    n = trials(100)
    for i in range(n):
        rng = np.random.default_rng([SEED, 1, i])
        case = film(rng, led_fps=float(rng.uniform(80, 170)), hide=0.04, drop=0.03)
        seen = frames_seen(case.recording)
        there = np.intersect1d(case.hidden, seen.covered)
        hidden, found = hidden + there.size, found + np.isin(there, seen.unseen).sum()
        wrong += np.setdiff1d(seen.unseen, case.hidden).size
    assert hidden > 3 * n
    figure("hidden frames named, within the coverage", "100 %", f"{found / hidden:.2%}", found == hidden, hidden)
    figure("others named with them", "0", str(wrong), wrong == 0, n)
