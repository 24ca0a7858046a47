"""The search for better parameters and the proof, against answers whose law is known."""

import numpy as np
import pytest

from harness.errors import BadRequest
from harness.pipeline.tuning.search import Bound, Look, levels, looks_like, prove, search
from harness.pipeline.tuning.tune import TUNABLE, Plan

BOUNDS = {
    "softness": Bound(0.0, 1.0, 0.25, 0.01),
    "speed": Bound(0.0, 1.0, 0.5, 0.01),
    "audio_sensitivity": Bound(0.1, 4.0, 1.0, 0.01),
    "color_reactivity": Bound(0.0, 1.0, 0.5, 0.01),
}


class Device:
    """Answers by a law: strength rises with softness, is best at sensitivity near 2, and speed darkens the picture."""

    def __init__(self, seed: int, noise: float = 0.03) -> None:
        self.rng = np.random.default_rng(seed)
        self.noise = noise
        self.calls = 0

    def __call__(self, params, trial) -> Look:
        self.calls += 1
        p = {name: bound.default for name, bound in BOUNDS.items()} | dict(params)
        strength = 0.5 + 0.2 * p["softness"] - 0.05 * (p["audio_sensitivity"] - 2.0) ** 2 + 0.3 * (p["speed"] - 0.5)
        strength += 0.05 * np.sin(trial) + self.noise * self.rng.normal()
        return Look(float(np.clip(strength, 0.0, 1.0)), 0.2 if p["speed"] <= 0.5 else 0.02, 0.0)


def fresh_seed() -> int:
    seed = int(np.random.SeedSequence().generate_state(1)[0])
    print("seed", seed)
    return seed


def test_levels_lie_on_steps_within_the_range_and_spare_the_default():
    assert levels(Bound(0.0, 1.0, 0.5, 0.01), 3) == [0.0, 1.0]
    assert levels(Bound(0.1, 4.0, 1.0, 0.01), 4) == [0.1, 1.4, 2.7, 4.0]
    assert levels(Bound(0.0, 1.0, 0.0, 1.0), 5) == [1.0]


def test_the_search_finds_what_helps_and_nothing_that_ruins_the_look():
    found = search(Device(fresh_seed()), range(16), BOUNDS, count=4)
    assert found.params["softness"] >= 0.66, found
    assert found.params.get("audio_sensitivity") in (None, 1.4, 2.7)
    assert found.params.get("speed", 0.0) <= 0.5, "a picture ten times darker is not the pattern any more"
    assert found.gain > 0.08


def test_the_search_is_a_race_not_a_full_table():
    device = Device(1)
    search(device, range(16), BOUNDS, count=8)
    entrants = sum(len(levels(b, 8)) for b in BOUNDS.values())
    assert device.calls < 16 * (entrants + 1) / 2


def test_every_setting_hears_the_trials_the_defaults_heard():
    heard: dict[tuple, list[int]] = {}

    def look(params, trial):
        heard.setdefault(tuple(sorted(params.items())), []).append(trial)
        return Look(0.5, 0.2, 0.0)

    found = search(look, range(8), BOUNDS, count=4)
    assert found.params == {} and found.gain == 0.0
    base = heard.pop(())
    assert base == list(range(8))
    assert all(trials == base[: len(trials)] for trials in heard.values())
    assert found.recordings == len(base) + sum(map(len, heard.values()))


def test_a_true_gain_is_proven_and_its_interval_holds_it():
    held, runs = 0, 40
    seed = fresh_seed()
    for run in range(runs):
        proof = prove(Device(seed + run), range(12), lambda t: f"clip{t % 3}", {"softness": 1.0})
        assert proof.better and proof.pairs == 12
        held += proof.low <= 0.15 <= proof.high
    assert held >= 0.8 * runs, f"the interval held the truth in {held} of {runs}"


def test_no_gain_is_seldom_called_one():
    seed = fresh_seed()
    called = sum(
        prove(Device(seed + run), range(12), lambda t: f"clip{t % 3}", {"color_reactivity": 1.0}).better
        for run in range(200)
    )
    assert called <= 16, "one-sided 2.5 % expected, 8 % is beyond chance"


def test_a_gain_on_one_clip_only_is_none():
    def look(params, trial):
        return Look(
            0.5 + (0.4 if params and trial % 2 else 0.0) - (0.01 if params and trial % 2 == 0 else 0.0), 0.2, 0.0
        )

    proof = prove(look, range(12), lambda t: "odd" if t % 2 else "even", {"softness": 1.0})
    assert not proof.better and "even" in proof.why and proof.by_clip["odd"] == pytest.approx(0.4)


def test_a_loss_is_no_gain():
    proof = prove(Device(3, 0.0), range(8), lambda t: "x", {"softness": 0.0})
    assert not proof.better and proof.gain == pytest.approx(-0.05)


def test_a_gain_that_changes_the_look_is_refused():
    proof = prove(Device(3, 0.01), range(8), lambda t: "x", {"speed": 1.0})
    assert not proof.better and "looks" in proof.why and proof.gain > 0.1


def test_each_pair_hears_one_trial_and_who_goes_first_alternates():
    order: list[tuple[int, bool]] = []

    def look(params, trial):
        order.append((trial, bool(params)))
        return Look(0.5, 0.2, 0.0)

    prove(look, range(4), lambda t: "x", {"softness": 1.0})
    assert [t for t, _ in order] == [0, 0, 1, 1, 2, 2, 3, 3]
    assert [tuned for _, tuned in order] == [False, True, True, False, False, True, True, False]


@pytest.mark.parametrize(
    "seen,same", [(Look(0.5, 0.2, 0.0), True), (Look(0.5, 0.39, 0.0), True), (Look(0.5, 0.41, 0.0), False),
                  (Look(0.5, 0.09, 0.0), False), (Look(0.5, 0.2, 0.11), False)],
)  # fmt: skip
def test_what_still_looks_like_itself(seen, same):
    assert looks_like([Look(0.5, 0.2, 0.0)], [seen]) is same


@pytest.mark.parametrize(
    "wrong", [{"params": ("brightness",)}, {"params": ()}, {"params": ("nonsense",)}, {"levels": 1}, {"levels": 99},
              {"tuning_each": 0}, {"proving_each": 99}],
)  # fmt: skip
def test_unusable_plans(wrong):
    with pytest.raises(BadRequest):
        Plan(**wrong)


def test_nothing_that_sets_the_look_alone_is_tuned():
    assert not {"brightness", "color", "palette_id", "saturation", "led_offset", "mirror_mode"} & set(TUNABLE)
