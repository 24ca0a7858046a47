"""The live microphone and the speaker with its loopback, through a real sound server and real PortAudio."""

import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from pulse import sound_server  # noqa: F401
from scipy.optimize import minimize

from harness import signals
from harness.bench.pulse_mic import AIR_MS, PulseMicrophone
from harness.bench.pulse_server import PulseServer
from harness.errors import BadRequest, HarnessFault

# The other side: a process of its own, as the suite is. It plays clicks and says what it knows about each.
PLAYER = """
import json, sys, time
from harness import signals
from harness.instruments.speaker import Speaker
speaker = Speaker("pulse", 1.0, time.monotonic_ns, loopback="pulse", channels="left", latency_s=0.25)
for _ in range(int(sys.argv[1])):
    speaker.play(signals.latency_telegraph(3.0, carrier_hz=250.0, seed=5))
    speaker.wait_played()
    print(json.dumps(speaker.finish().to_json()), flush=True)
speaker.close()
"""


class Log:
    """Keeps what the microphone tells."""

    def __init__(self):
        self.events, self.faults, self.right = [], [], []

    def truth(self, mono_ns, kind, **fields):
        self.events.append((mono_ns, kind, fields))

    def reference(self, samples, rate_hz, mono_ns):
        self.right.append((mono_ns, samples))

    def fault(self, fault):
        self.faults.append(fault)


@pytest.fixture
def environment(sound_server, monkeypatch):  # noqa: F811
    for name, value in sound_server.environment.items():
        monkeypatch.setenv(name, value)
    return {**os.environ, **sound_server.environment}


def heard(microphone, log, first_ns, n, rate_hz):
    """The sound at the port, taken in slices as a board does."""
    parts, step = [], 1e9 / rate_hz
    for at in range(0, n, 400):
        count = min(400, n - at)
        end = round(first_ns + (at + count) * step)
        deadline = time.monotonic() + 10.0
        while microphone.heard_until(end) < end and time.monotonic() < deadline:
            time.sleep(0.005)  # as the board's pacing thread waits
        parts.append(microphone.at(first_ns + at * step, step, count))
        microphone.report(log)
    return np.concatenate(parts)


def best_fit(sound, t, want, first_ns):
    """(shift in ms, rate in ppm, normalised correlation) at which the sound at times ``t`` fits the stimulus best.

    Shift and rate are fitted together: the sink counts whole microseconds per block, so its rate is some tens of ppm
    off, and the chirps at both ends of the stimulus are so wide-band that a rigid comparison over three seconds falls
    to 0.96 with a difference of 20 ppm, although every sample is right.
    """
    inside = (t > first_ns - 0.2e9) & (t < first_ns + 3.2e9)
    t, sound = t[inside] - first_ns, sound[inside]
    own = np.arange(want.samples.size) * 1e9 / 48_000

    def score(shift_ms, ppm):
        expected = np.interp((t - shift_ms * 1e6) * (1.0 + ppm * 1e-6), own, want.samples, 0.0, 0.0)
        return float(np.dot(sound, expected) / np.sqrt(np.sum(expected**2) * np.sum(sound**2)))

    starts = [(shift, ppm) for ppm in (-40.0, 0.0, 40.0) for shift in np.arange(-30.0, 30.0, 0.1)]
    shift, ppm = max(starts, key=lambda at: score(*at))
    simplex = [[shift, ppm], [shift + 0.05, ppm], [shift, ppm + 30.0]]
    found = minimize(
        lambda at: -score(*at), simplex[0], method="Nelder-Mead", options={"initial_simplex": simplex, "fatol": 1e-7}
    )
    return float(found.x[0]), float(found.x[1]), -float(found.fun)


def test_the_microphone_hears_every_sample_portaudio_plays_when_it_says(environment):
    log, rate, rounds = Log(), 12_800.0, 2
    microphone = PulseMicrophone("hil.monitor", 0.0)
    start_ns = time.monotonic_ns()
    player = subprocess.Popen(
        [sys.executable, "-c", PLAYER, str(rounds)], env=environment, stdout=subprocess.PIPE, text=True
    )
    parts, deadline = [], time.monotonic() + 60.0
    while player.poll() is None and time.monotonic() < deadline:
        taken = sum(map(len, parts))
        parts.append(heard(microphone, log, round(start_ns + taken * 1e9 / rate), 12_800, rate))
    sound = np.concatenate(parts)
    told = [json.loads(line) for line in player.stdout]
    assert player.wait(30) == 0
    microphone.close()
    assert not log.faults and len(told) == rounds

    want = signals.latency_telegraph(3.0, carrier_hz=250.0, seed=5)
    t = start_ns + np.arange(sound.size) * 1e9 / rate
    for report in told:
        assert report["slip_ms"] == pytest.approx(0.0, abs=0.021) and report["flags"] == {}
        assert report["lags_ms"][0] < 600.0
        shift_ms, ppm, likeness = best_fit(sound, t, want, report["start_ns"] + AIR_MS * 1e6)
        stated_ms = report["interval_ns"] / 1e6
        print(f"start off by {shift_ms:+.2f} ms (stated ±{stated_ms:.2f}), {ppm:+.0f} ppm, likeness {likeness:.5f}")
        assert likeness > 0.999
        assert abs(ppm) < 200.0, "the line from sample to time turns by 100 ppm around a drift of 100 ppm at most"
        assert abs(shift_ms) <= stated_ms + 0.5
    edges = [kind for _, kind, _ in log.events if kind.startswith("microphone o")]
    assert edges.count("microphone onset") >= rounds * len(want.truth["onsets_s"])
    carrier = np.concatenate([samples for _, samples in log.right])
    assert np.abs(carrier).max() > 0.85, "the reference LED's channel arrives beside the sound"


def test_sound_that_ends_is_silence_that_says_so(tmp_path, monkeypatch):
    server = PulseServer(tmp_path / "s")
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    log = Log()
    microphone = PulseMicrophone("hil.monitor", 0.0)
    now = time.monotonic_ns()
    assert microphone.heard_until(now + 10**12) < now + 200_000_000, "time must not run ahead of the sound"
    server.close()
    later = time.monotonic_ns() + 2_000_000_000
    deadline = time.monotonic() + 5.0
    while microphone.heard_until(later) < later and time.monotonic() < deadline:
        time.sleep(0.02)
    assert microphone.heard_until(later) == later
    assert not microphone.at(later - 100_000_000, 78_125.0, 100).any()
    microphone.report(log)
    microphone.close()
    assert [kind for _, kind, _ in log.events if kind == "underrun"] == ["underrun"]
    assert len(log.faults) == 1 and "ran dry" in log.faults[0].message


def test_a_source_that_is_not_there_is_named(environment):
    with pytest.raises(HarnessFault, match="no_such.monitor"):
        PulseMicrophone("no_such.monitor", 0.0)


def test_without_the_programs_their_names_are_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BadRequest, match="pulseaudio, pactl, parec") as refused:
        PulseServer(tmp_path / "s")
    assert "apt-get install" in refused.value.remedy
