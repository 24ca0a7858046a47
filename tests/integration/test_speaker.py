"""The loudspeaker through real PortAudio and ALSA, into a file instead of a sound card."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

from harness import signals

ALSA = """
pcm.tape {{ type file file "{tape}" format "raw" slave.pcm {{ type null }} hint {{ show on description "Tape" }} }}
pcm.!default {{ type null }}
ctl.!default {{ type null }}
"""
PLAY = """
import sys, time
import numpy as np
from harness import signals
from harness.errors import BadRequest, RigFault
from harness.instruments.speaker import Speaker, audio_outputs
print([o["name"] for o in audio_outputs()[0]], flush=True)
try:
    Speaker("no such output", 1.0, time.monotonic_ns)
except RigFault as fault:
    print("refused:", fault.message)
speaker = Speaker("tape", 0.5, time.monotonic_ns)
before = time.monotonic_ns()
start = speaker.play(signals.tone(1000.0, 0.2))
print("start", (start - before) / 1e9)
speaker.wait_played()
report = speaker.finish()
print("report", report.source, report.flags, report.lags_ms)
at = time.monotonic_ns() + 50_000_000
print("lead", (speaker.play(signals.tone(2000.0, 0.1), at_ns=at) - at) / 1e9)
speaker.stop()
speaker.close()
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="ALSA")
def test_what_is_played_comes_out(tmp_path):
    config = tmp_path / "asoundrc"
    config.write_text(ALSA.format(tape=tmp_path / "tape.raw"))
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PLAY)], capture_output=True, text=True, timeout=60,
        env={"ALSA_CONFIG_PATH": str(config), "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
    )  # fmt: skip
    if "[]" in done.stdout or "PortAudio" in done.stderr:
        pytest.skip("no PortAudio on this machine")
    assert done.returncode == 0, done.stderr
    assert "refused: 0 audio outputs contain 'no such output'" in done.stdout
    assert "report driver {} ()" in done.stdout
    values = dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.startswith(("start", "lead")))
    assert -0.01 < float(values["start"]) < 1.0
    assert abs(float(values["lead"])) < 0.05
    tape = np.fromfile(tmp_path / "tape.raw", np.float32)
    stereo = tape[: tape.size // 2 * 2].reshape(-1, 2)
    assert np.array_equal(stereo[:, 0], stereo[:, 1])
    expected = signals.tone(1000.0, 0.2).samples * np.float32(0.5)
    first = int(np.argmax(stereo[:, 0] != 0)) - int(np.argmax(expected != 0))
    assert np.allclose(stereo[first : first + expected.size, 0], expected, atol=1e-6)
