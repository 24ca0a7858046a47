"""LED positions from a camera against the scene: every trial runs the built firmware on the virtual board."""

import numpy as np
from camera_trials import map_trial, random_scene

from harness.pipeline.build import build

SCENES = 100


def test_map_of_random_scenes(tmp_path, trials, figure, capsys):
    bundle = build("sim")
    n = trials(SCENES)
    results = []
    for trial in range(n):
        seed = 20_000 + trial
        scene, dead = random_scene(np.random.default_rng(seed))
        folder = tmp_path / str(seed)
        folder.mkdir()
        one = map_trial(folder, seed, bundle, scene, dead)
        results.append(one)
        with capsys.disabled():
            rms = np.sqrt(one.squares / max(one.count, 1))
            print(f"\nseed {seed} {scene['layout']}: rms {rms:.3f} px, wrong {one.wrong}, missed {one.missed}, "
                  f"dead named {one.dead_named}", end="")  # fmt: skip
    rms = float(np.sqrt(sum(r.squares for r in results) / sum(r.count for r in results)))
    wrong, missed = sum(r.wrong for r in results), sum(r.missed for r in results)
    named = sum(r.dead_named for r in results)
    slowest = max(r.seconds for r in results)
    figure("LED position, camera", "<= 0.15 px rms", f"{rms:.3f} px", rms <= 0.15, n)
    figure("wrong LED numbers of 320", "0", str(wrong), wrong == 0, n)
    figure("lit LEDs left in doubt", "0", str(missed), missed == 0, n)
    figure("dead LEDs all named, no other", f"{n} scenes", f"{named} scenes", named == n, n)
    figure("map of 320 LEDs", "<= 10 s", f"{slowest:.1f} s", slowest <= 10, n)
