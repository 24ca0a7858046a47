"""Captures that go wrong, and what a capture leaves for eyes: spoiled sound, LEDs in each other's place, videos."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

import harness.bench.camera
from harness.bench.scene import make_scene
from harness.errors import RigFault
from harness.instruments.audio_in import SoundSpoiled
from harness.pipeline.build import build
from harness.recording import Recording
from harness.rig import Rig, open_rig
from harness.rig.camera import calibration_path, need_camera, recall
from harness.rig.camera_session import CameraSession
from harness.rig.record import ATTEMPTS
from harness.signals import tone

RIGS = Path(__file__).resolve().parents[2] / "rigs"


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with open_rig("sim", RIGS, folder=tmp_path / "log") as opened:
        opened.flash(build("sim"))
        yield opened


def spoil(rig: Rig, monkeypatch: pytest.MonkeyPatch, texts: list[str]) -> list[str]:
    """The sound of the next recordings is spoiled, once for each text; returns what is left to spoil."""
    assert rig.audio is not None
    finish, left = rig.audio.finish, list(texts)

    def spoiled() -> Any:
        report = finish()
        if left:
            raise SoundSpoiled(left.pop(0), got="5.0 ms before, 4.0 ms after")
        return report

    monkeypatch.setattr(rig.audio, "finish", spoiled)
    return left


def test_spoiled_takes_are_discarded_named_and_repeated(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    checks = []
    monkeypatch.setattr(rig, "check_bench", lambda: checks.append(rig.clock.now_ns()))
    left = spoil(rig, monkeypatch, ["the sound slid", "the sound had gaps"])
    seen = rig.record(tone(1000.0, 0.3), 0.3, pattern="hil_flash")
    assert not left and len(checks) == ATTEMPTS, "whose fault it was is asked after every take"
    first, second = seen.meta["discarded"]
    assert first.startswith("the sound slid") and second.startswith("the sound had gaps") and "5.0 ms before" in first
    # What is told is one take, not the sum of three.
    assert seen.n_frames < 60 and seen.audio is not None and seen.audio.start_ns >= checks[-2]
    assert rig.record(tone(1000.0, 0.3), 0.3).meta["discarded"] == []


def test_sound_that_is_spoiled_every_time_is_a_fault_of_the_rig(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    left = spoil(rig, monkeypatch, ["the sound slid"] * (ATTEMPTS + 1))
    with pytest.raises(SoundSpoiled, match="slid") as fault:
        rig.record(tone(1000.0, 0.3), 0.3)
    assert len(left) == 1 and isinstance(fault.value, RigFault), "so many takes, and no finding about the device"


@pytest.mark.parametrize("pair", [(40, 41), (30, 120)])
def test_two_leds_in_each_others_place_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pair: tuple[int, int]
) -> None:
    def crossed(*arguments: Any) -> Any:
        scene = make_scene(*arguments)
        leds = scene.leds.copy()
        leds[0, list(pair)] = leds[0, list(reversed(pair))]
        return replace(scene, leds=leds)

    monkeypatch.setattr(harness.bench.camera, "make_scene", crossed)
    with open_rig("sim-camera", RIGS, folder=tmp_path / "log", seed=77) as rig:
        rig.flash(build("sim"))
        found = CameraSession(rig, need_camera(rig)).map().leds
    # Light cannot tell which strip is called A.
    named = found.named("swapped")
    assert {led for _, led in named} == set(pair) and len({strip for strip, _ in named}) == 1, found.notes
    for led in pair:
        assert any(f"LED {led}" in note or f" {led} " in note for note in found.notes), found.notes


def test_each_recording_has_its_own_video(tmp_path: Path) -> None:
    for name in ("sim.toml", "sim.camera.json"):
        text = (RIGS / name).read_text()
        (tmp_path / name).write_text(text.replace('device = "virtual"\n', 'device = "virtual"\nvideo = true\n'))
    with open_rig("sim", tmp_path, folder=tmp_path / "log") as rig:
        rig.flash(build("sim"))
        recall(rig, calibration_path(tmp_path, "sim"))
        takes = [rig.record(None, seconds, ("frames", "camera"), "lava") for seconds in (0.5, 1.0)]
        films = [take.film for take in takes]
    assert [film.name for film in films if film is not None] == ["camera.mp4", "camera-2.mp4"]
    lengths = [frames_of(film) for film in films]
    assert 12 <= lengths[0] < lengths[1] <= 45
    kept = takes[1].save(tmp_path / "kept")
    assert frames_of(kept / "camera.mp4") == lengths[1] and Recording.load(kept).film == kept / "camera.mp4"
    again = Recording.load(kept).save(tmp_path / "again")
    assert frames_of(again / "camera.mp4") == lengths[1]


def frames_of(film: Path | None) -> int:
    capture = cv2.VideoCapture(str(film))
    count = 0
    while True:
        good, picture = capture.read()
        if not good:
            break
        assert picture.shape == (360, 640, 3)
        count += 1
    capture.release()
    return count
