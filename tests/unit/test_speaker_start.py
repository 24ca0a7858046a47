"""A sound's start with and without a calibration, against a driver whose every error is known.

The driver is PortAudio's interface in virtual time: 10 ms blocks, a loopback that hears the output some samples later,
and stamps that are early by a constant in the first block after a silence.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.errors import RigFault
from harness.instruments.audio_in import PlayReport, SoundSpoiled
from harness.instruments.pilot import mark
from harness.instruments.speaker import GOOD_STAMPS_NS, Speaker
from harness.rig.audio_calibration import calibrate
from harness.rig.config import AudioConfig
from harness.signals import RATE_HZ, Stimulus, tone

BLOCK = 480
OUT_NS, IN_NS = 40_000_000, 20_000_000  # buffered on the way out and in
EARLY_MS = 8.0
RESTED = 20
AUDIO = AudioConfig(device="card", loopback="card", channels="left", volume=0.5)
LOUD = tone(1000.0, 0.5)


class Driver:
    """What stands in for the module ``sounddevice``: one card, and streams that run many times faster than time."""

    PortAudioError = RuntimeError

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000
        self.slide = 0  # samples the loopback skips in the middle of a sound
        self.late_input_ns = 0
        self.flag_at: int | None = None
        self.started: list[float] = []  # ns at which the first sample of each sound truly left

    def query_devices(self) -> list[dict[str, Any]]:
        return [{"index": 0, "name": "card", "default_samplerate": RATE_HZ, "max_output_channels": 2,
                 "max_input_channels": 2}]  # fmt: skip

    def get_portaudio_version(self) -> tuple[int, str]:
        return 1, "fake"

    def Stream(self, **options: Any) -> Stream:  # noqa: N802
        return Stream(self, options["callback"])


class Stream:
    """Callbacks on a thread of their own; the sample at output frame k comes back at frame k + lag."""

    latency = (0.02, 0.04)
    active = True

    def __init__(self, driver: Driver, callback: Callable[..., None]) -> None:
        self._driver, self._callback = driver, callback
        self._open = True
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._open = False
        self._thread.join(5.0)

    def _run(self) -> None:
        d = self._driver
        lag = round((OUT_NS + IN_NS) * RATE_HZ / 1e9)
        line = np.zeros((lag, 2), np.float32)
        quiet, sounding = RESTED, 0  # blocks of silence before this one, blocks since the sound began
        while self._open:
            heard, line = line[:BLOCK], line[BLOCK:]
            early = EARLY_MS * 1e-3 if quiet >= RESTED else 0.0
            now = d.now_ns / 1e9
            times = SimpleNamespace(currentTime=now, inputBufferAdcTime=now - IN_NS / 1e9 - d.late_input_ns / 1e9,
                                    outputBufferDacTime=now + OUT_NS / 1e9 - early)  # fmt: skip
            broken = d.flag_at is not None and sounding == d.flag_at
            status = SimpleNamespace(output_underflow=broken, output_overflow=False, input_underflow=False,
                                     input_overflow=False)  # fmt: skip
            out = np.zeros((BLOCK, 2), np.float32)
            self._callback(heard, out, BLOCK, times, status)
            if quiet >= RESTED and out.any():
                d.started.append(d.now_ns + OUT_NS + float(np.argmax(out.any(axis=1))) * 1e9 / RATE_HZ)
            quiet = 0 if out.any() else quiet + 1
            sounding = 0 if quiet >= RESTED else sounding + 1
            back = out[d.slide :] if sounding == 30 else out  # the path loses samples while the sound plays
            line = np.concatenate([line, back])
            d.now_ns += BLOCK * 10**9 // RATE_HZ
            time.sleep(0.0002)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    made = Driver()
    monkeypatch.setitem(sys.modules, "sounddevice", made)
    return made


@pytest.fixture
def speaker(driver: Driver) -> Iterator[Callable[..., Speaker]]:
    opened: list[Speaker] = []

    def make(bias_ms: float | None = None, **more: Any) -> Speaker:
        if opened:
            opened[-1].close()  # one stream at a time drives the clock
        given = {"loopback": "card", "channels": "left", **more}
        opened.append(Speaker("card", 0.5, lambda: driver.now_ns, bias_ms=bias_ms, **given))
        return opened[-1]

    yield make
    for one in opened:
        one.close()


def played(speaker: Speaker, sound: Stimulus = LOUD) -> tuple[int, PlayReport]:
    told = speaker.play(sound)
    speaker.wait_played()
    return told, speaker.finish()


def truth(driver: Driver) -> float:
    """When the stimulus truly began: it follows 0.1 s after the mark that was the first to sound."""
    return driver.started[-1] - float(np.argmax(mark() != 0)) * 1e9 / RATE_HZ + 0.1e9


@pytest.mark.parametrize("bias_ms", [None, EARLY_MS])
def test_the_start_is_true_with_and_without_a_calibration(
    driver: Driver, speaker: Callable[..., Speaker], bias_ms: float | None
) -> None:
    told, report = played(speaker(bias_ms))
    assert report.source == "loopback"
    assert abs(report.start_ns - truth(driver)) <= report.interval_ns < 1_000_000
    early_ms = (truth(driver) - told) / 1e6
    assert early_ms == pytest.approx(EARLY_MS if bias_ms is None else 0.0, abs=0.05)


def test_calibrating_again_gives_the_same_number(speaker: Callable[..., Speaker]) -> None:
    bias: float | None = None
    for _ in range(3):
        found = calibrate(speaker(bias), AUDIO, rounds=1)
        bias = found.driver_bias_ms
        assert bias == pytest.approx(EARLY_MS, abs=0.05)
        assert found.round_trip_ms == pytest.approx((OUT_NS + IN_NS) / 1e6, abs=0.01)


def test_a_calibrated_sound_starts_when_it_was_asked_to(driver: Driver, speaker: Callable[..., Speaker]) -> None:
    one = speaker(EARLY_MS)
    at = driver.now_ns + 400_000_000
    assert abs(one.play(LOUD, at_ns=at) - at) < 50_000
    one.wait_played()
    assert abs(one.finish().start_ns - at) < 1_000_000 and abs(truth(driver) - at) < 1_000_000


def test_stamps_that_contradict_each_other_are_not_believed(driver: Driver, speaker: Callable[..., Speaker]) -> None:
    driver.late_input_ns = 2 * GOOD_STAMPS_NS
    _, report = played(speaker())
    assert report.source == "driver" and report.interval_ns >= 2 * GOOD_STAMPS_NS


def test_a_slide_is_noticed_and_told(driver: Driver, speaker: Callable[..., Speaker]) -> None:
    driver.slide = 48
    with pytest.raises(SoundSpoiled, match="slid") as spoiled:
        played(speaker())
    before, after = (float(part.split(" ms")[0]) for part in spoiled.value.got.split(", "))
    assert after - before == pytest.approx(-1.0, abs=0.02)
    driver.slide = 0
    assert played(speaker())[1].slip_ms == pytest.approx(0.0, abs=0.01)


def test_an_under_run_is_noticed_and_named(driver: Driver, speaker: Callable[..., Speaker]) -> None:
    driver.flag_at = 20
    with pytest.raises(SoundSpoiled, match="gaps") as spoiled:
        played(speaker())
    assert spoiled.value.got == "1 x output_underflow"


def test_without_a_loopback_nothing_is_calibrated(speaker: Callable[..., Speaker]) -> None:
    with pytest.raises(RigFault, match="cannot be calibrated"):
        calibrate(speaker(channels="both"), AUDIO)
