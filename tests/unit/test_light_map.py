"""LED map from a video of the coded steps, against a scene whose positions are known."""

import numpy as np
import pytest
from light_scene import Scene

from harness.analysis.light.codes import CODEBOOK, NotShown, decode, lit_table, speed_for, step_seconds, word
from harness.analysis.light.ledmap import map_leds
from harness.analysis.light.steps import changed_pixels, cut_steps

STEP_S = 0.16


def mapped(scene, fps=30.0, seconds=8.4, **more):
    off, on = (np.mean([scene.picture(scene.white(np.full(160, lit))) for _ in range(6)], axis=0) for lit in (0, 1))
    pixels = changed_pixels(off.astype(np.float32), on.astype(np.float32))
    stamps, values = zip(*((ns, pixels.of(frame)) for ns, frame in scene.index_video(STEP_S, seconds, fps, **more)),
                         strict=True)  # fmt: skip
    return map_leds(cut_steps(np.array(stamps), np.array(values), STEP_S), pixels)


def test_code_is_that_of_the_patterns_page():
    assert [word(led) & 0xFF for led in range(4)] == [0, 1, 3, 2]
    words = np.array([word(led) for led in range(160)])
    apart = [bin(a ^ b).count("1") for i, a in enumerate(words) for b in words[:i]]
    assert min(apart) == 3
    assert lit_table()[0].all() and not lit_table()[1].any()
    assert (lit_table()[2::2] ^ lit_table()[3::2]).all()
    assert step_seconds(0.5) == pytest.approx(0.2) and speed_for(0.16) == pytest.approx(0.5693, abs=1e-3)


def test_decoder_mends_what_the_code_allows():
    clean = CODEBOOK.copy()
    assert (decode(clean).led == np.arange(160)).all() and decode(clean).margin.min() == 1
    one_wrong = np.repeat(clean, 12, axis=0)
    one_wrong[np.arange(1920), np.tile(np.arange(12), 160)] *= -1
    reading = decode(one_wrong)
    assert (reading.led == np.repeat(np.arange(160), 12)).all() and reading.purity.max() < 0.84
    lost = clean.copy()
    lost[:, [3, 9]] = np.nan
    assert (decode(lost).led == np.arange(160)).all()


def test_map(capsys):
    for seed in (1, 2, 3):
        scene = Scene(np.random.default_rng(seed))
        found = mapped(scene)
        good = found.usable
        error = np.linalg.norm(found.xy - scene.xy, axis=2)[good]
        rms = float(np.sqrt((error**2).mean()))
        with capsys.disabled():
            print(f"\nseed {seed}: pitch {scene.pitch:.2f} px, rms {rms:.3f}, max {error.max():.3f} px", end="")
        assert set(found.named("dead")) == set(zip(*map(np.ndarray.tolist, np.nonzero(scene.dead)), strict=True))
        assert rms <= 0.15 and error.max() < 1


@pytest.mark.parametrize("swap", [[(40, 41)], [(30, 120)], [(10, 11), (70, 75)]])
def test_swapped_leds_are_named_and_nobody_else(swap):
    scene = Scene(np.random.default_rng(5), swap=swap, dead=0.0)
    found = mapped(scene)
    assert set(found.named("swapped")) == {(0, led) for pair in swap for led in pair}
    assert found.usable.sum() >= 320 - 2 * len(swap)
    for pair in swap:
        assert all(any(str(led) in note for note in found.notes) for led in pair), found.notes


def test_light_that_shows_nothing_is_told_as_that():
    """Strips that stay dark, or shine without a pattern: the device's doing, and no crash of the reading."""
    times = (np.arange(120) * 33_000_000).astype(np.int64)
    dark = np.zeros((120, 40, 3), np.uint8)
    with pytest.raises(NotShown, match="does not change"):
        cut_steps(times, dark, 0.15)
    rng = np.random.default_rng(3)
    with pytest.raises(NotShown, match="does not show hil_index"):
        cut_steps(times, rng.integers(90, 110, (120, 40, 3)).astype(np.uint8), 0.15)
