"""Colours from a camera against known bytes: the built firmware on the virtual board, through compressed video.

The strips are their own chart: what the camera learns, it learns from ``hil_solid`` and ``hil_ramp``. Then ``hil_ramp``
again and the device's still gradients, which no fit has seen, are compared with (a) the bytes the device reports and
(b) the device contract's formula from a gradient's published key colours to bytes. Firmware whose gamma is 2.2 instead
of 2.0 reports what it shows, so (a) holds for it and (b) does not.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from camera_trials import toml

from harness.pipeline.build import build
from harness.rig import FirmwareBundle, open_rig
from harness.rig.camera import calibrate
from tests.integration.patched_firmware import PatchedFirmware

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = json.loads((ROOT / "tests_hil" / "golden" / "gradients.json").read_text())
pytestmark = pytest.mark.timeout(3000)
TRIALS = 20
RAMP, GRADIENTS = "hil_ramp", ("departure", "lava", "twilight")
MEAN, P95 = 1.0, 3.0
# A recording's folder and wanted bytes go in, colour differences come out: a process that knows nothing else.
READER = """
import json, sys
import numpy as np
from harness.analysis.light.seen import colour_error, still_drive
from harness.recording import Recording
recording = Recording.load(sys.argv[1])
told, wanted = recording.pixels["rgb"][-1], np.array(json.loads(sys.argv[2]))
errors = [colour_error(still_drive(recording.light), bytes_ / 255) for bytes_ in (told, wanted)]
print(json.dumps([e.per_led[np.isfinite(e.per_led)].tolist() for e in errors]))
"""


def scene(rng: np.random.Generator) -> dict[str, object]:
    """A camera set up as the manual asks: strips large in the picture, a little out of focus, white not clipped."""
    return {
        "layout": "two_rows", "width": 800, "height": 450, "fps": 30.0, "psf_px": float(rng.uniform(1.8, 2.2)),
        "rotation_deg": float(rng.uniform(-4, 4)), "exposure_ms": float(rng.uniform(8, 12)),
        "led_level": float(rng.uniform(0.45, 0.65)), "ambient": float(rng.uniform(0.002, 0.02)),
        "jpeg_quality": int(rng.integers(88, 96)), "response": str(rng.choice(["gamma", "s_curve"])),
    }  # fmt: skip


def contract_bytes(pattern: str) -> np.ndarray:
    """What the device contract asks for, uint8 values [160, 3], at brightness 1 without dither.

    The formula stands in the golden file's first line; it is written out here once more because neither the firmware's
    nor the suite's may judge itself.
    """
    if pattern == RAMP:
        strip = np.zeros((160, 3))
        for led in range(160):
            strip[led, [led // 40] if led < 120 else [0, 1, 2]] = round(255 * (led % 40) / 39)
        return strip
    keys = GOLDEN[pattern]["keys"]
    rgb = np.array([list(bytes.fromhex(text)) for _, text in keys]) / 255
    half = np.stack([np.interp(np.arange(80) / 79, [at for at, _ in keys], rgb[:, c]) for c in range(3)], axis=1)
    v = np.concatenate([half[::-1], half])
    soft = np.where(v > 0.75, 0.75 + 0.25 * np.tanh(4 * (v - 0.75)), v)
    return np.floor(255 * (soft * np.array([1, 0.9375, 0.84])) ** 2 + 1e-3)


def trial(folder: Path, seed: int, bundle: FirmwareBundle, patterns: tuple[str, ...]) -> dict[str, list[list[float]]]:
    """Differences of every LED by pattern, against (a) the reported bytes and (b) the contract."""
    folder.mkdir()
    (folder / "trial.toml").write_text(toml(scene(np.random.default_rng(seed)), []))
    with open_rig("trial", folder, seed=seed, folder=folder / "log") as rig:
        rig.flash(bundle)
        calibrate(rig)
        rig.telemetry.param("dithering", 0)
        rig.telemetry.param("brightness", 1)
        for pattern in patterns:
            seen = rig.record(None, 1.2, ("frames", "pixels", "camera"), pattern, settle_s=1.0)
            seen.save(folder / pattern)
    found = {}
    for pattern in patterns:
        run = subprocess.run(
            [sys.executable, "-c", READER, str(folder / pattern), json.dumps(contract_bytes(pattern).tolist())],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        found[pattern] = json.loads(run.stdout)
    return found


def words(errors: list[float]) -> str:
    return f"mean {np.mean(errors):.2f}, p95 {np.percentile(errors, 95):.2f}"


def good(errors: list[float]) -> bool:
    return bool(np.mean(errors) <= MEAN and np.percentile(errors, 95) <= P95)


def test_colours_are_those_of_the_bytes_and_of_the_contract(tmp_path, trials, figure, capsys):
    bundle = build("sim")
    n = trials(TRIALS)
    found = []
    for index in range(n):
        seed = 40_000 + index
        found.append(trial(tmp_path / str(seed), seed, bundle, (RAMP, *GRADIENTS)))
        with capsys.disabled():
            parts = [f"{p}: {words(a)}" for p, (a, _) in found[-1].items()]
            print(f"\nseed {seed}: {'; '.join(parts)}", end="")
    goal = f"mean <= {MEAN:g}, p95 <= {P95:g}"
    for name, chosen in (("hil_ramp", (RAMP,)), ("gradients", GRADIENTS)):
        for against, which in (("reported bytes", 0), ("contract", 1)):
            errors = [e for one in found for p in chosen for e in one[p][which]]
            assert len(errors) > 0.95 * 320 * n * len(chosen), "too many LEDs were refused"
            figure(f"CIEDE2000 of {name}, {against}", goal, words(errors), good(errors), n)


def test_a_wrong_gamma_breaks_the_contract_but_not_the_word_of_the_device(tmp_path, figure, capsys):
    patched = PatchedFirmware(tmp_path / "firmware")
    # The firmware's v runs to the root of 255: this factor leaves full white where it was.
    squared, bent = "{ return v * v; }", "{ return 0.5746f * math::pow(v, 2.2f); }"
    wrong = patched.variant("gamma", ("core/colour.cpp", squared, bent))
    seed = 41_000
    found = trial(tmp_path / "trial", seed, wrong, (RAMP, *GRADIENTS))
    told, contract = ([e for p in GRADIENTS for e in found[p][which]] for which in (0, 1))
    with capsys.disabled():
        print(f"\nseed {seed}: told {words(told)}; contract {words(contract)}", end="")
    goal = f"mean <= {MEAN:g}, p95 <= {P95:g}"
    figure("gamma 2.2: gradients, reported bytes", goal, words(told), good(told), 1)
    figure("gamma 2.2: gradients, contract", "fails", words(contract), not good(contract), 1)
    figure("gamma 2.2: hil_ramp is raw, contract", goal, words(found[RAMP][1]), good(found[RAMP][1]), 1)


@pytest.mark.parametrize("pattern", GRADIENTS)
def test_the_formula_gives_the_published_bytes(pattern):
    strip = contract_bytes(pattern).astype(int)
    assert ["{:02X}{:02X}{:02X}".format(*strip[led]) for led in (0, 20, 40, 60, 79)] == GOLDEN[pattern]["published"]
