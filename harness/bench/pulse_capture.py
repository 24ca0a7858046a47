"""A running capture of a PulseAudio source: ``parec`` in a process of its own, read by one thread."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from harness.errors import BadRequest, HarnessFault

RATE_HZ = 48_000
CHANNELS = 2
LATENCY_MS = 20
INSTALL = "apt-get install -y pulseaudio pulseaudio-utils libasound2-plugins libportaudio2"
_FRAME = 4 * CHANNELS
_READ = 1 << 16
_STOP_S = 5.0


class Listener(Protocol):
    """Who wants the samples. Called from the reading thread."""

    def on_block(self, samples: NDArray[np.float32], arrival_ns: int) -> None:
        """Samples [n, 2], full scale 1.0, and the monotonic time they came at."""

    def on_end(self, reason: str) -> None:
        """No more will come, and nobody had asked for that."""


class PulseCapture:
    """Reads one source until closed.

    Args:
        device: name of the source, for example ``hil.monitor``.
        listener: gets what comes.
        clock: monotonic time in ns.

    Raises:
        BadRequest: ``parec`` is not installed.
        HarnessFault: it does not start.
    """

    def __init__(self, device: str, listener: Listener, clock: Callable[[], int] = time.monotonic_ns) -> None:
        program = shutil.which("parec")
        if program is None:
            raise BadRequest("the microphone needs the program parec", remedy=INSTALL)
        self._listener = listener
        self._clock = clock
        self._closing = False
        self._command = [
            program, "--raw", "--format=float32le", f"--rate={RATE_HZ}", f"--channels={CHANNELS}", "--no-remix",
            "--no-remap", f"--latency-msec={LATENCY_MS}", f"--device={device}", "--client-name=k1hil microphone",
        ]  # fmt: skip
        try:
            self._child = subprocess.Popen(
                self._command, bufsize=0, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        except OSError as error:
            raise HarnessFault("the microphone's capture does not start", got=str(error)) from error
        self._thread = threading.Thread(target=self._run, name="microphone capture", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends child and thread."""
        self._closing = True
        self._child.terminate()
        try:
            self._child.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait(_STOP_S)
        self._thread.join(_STOP_S)

    def _run(self) -> None:
        out, errors = self._child.stdout, self._child.stderr
        assert out is not None and errors is not None
        rest = b""
        with out, errors:
            while data := os.read(out.fileno(), _READ):
                arrival_ns = self._clock()
                data = rest + data
                whole = len(data) // _FRAME * _FRAME
                rest = data[whole:]
                if whole:
                    self._listener.on_block(np.frombuffer(data[:whole], "<f4").reshape(-1, CHANNELS), arrival_ns)
            if not self._closing:
                said = os.read(errors.fileno(), 2000).decode("utf-8", "replace").strip()
                self._listener.on_end(said or f"parec ended with code {self._child.wait(_STOP_S)}")
