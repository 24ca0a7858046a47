"""A private sound server for tests, and what is missing where it cannot run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.bench.pulse_capture import INSTALL
from harness.bench.pulse_server import PulseServer
from harness.instruments.speaker import audio_outputs

PROGRAMS = ("pulseaudio", "parec", "pactl")


def need_sound() -> None:
    """Skips where programs are missing, naming them; on continuous integration that is a failure."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    _, problem = audio_outputs()
    if problem:
        missing.append(problem)
    if missing:
        text = f"live sound needs: {', '.join(missing)}; {INSTALL}"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)


def need_alsa_plugin(server: PulseServer) -> None:
    """The same for the ALSA plugin: whether PortAudio sees the server shows only in a process of its own."""
    code = "import sounddevice; print([d['name'] for d in sounddevice.query_devices()])"
    environment = {**os.environ, **server.environment}
    seen = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    if "'pulse'" not in seen.stdout:
        text = f"PortAudio does not see the sound server ({seen.stdout.strip()}); {INSTALL}"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)


@pytest.fixture(scope="module")
def sound_server(tmp_path_factory: pytest.TempPathFactory):
    """A running server; gone with the module's tests."""
    need_sound()
    folder = Path(tmp_path_factory.mktemp("p"))
    with PulseServer(folder) as server:
        need_alsa_plugin(server)
        yield server
