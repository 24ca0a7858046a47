"""A PulseAudio server of its own in a folder of its own, with one null sink: nobody else's sound, no sound card."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

from harness.bench.pulse_capture import INSTALL, RATE_HZ
from harness.errors import BadRequest, HarnessFault

SINK = "hil"
# ALSA device that PortAudio shows for the server; what it records is the monitor of the only sink.
ALSA_DEVICE = "pulse"
_START_S = 15.0
_STOP_S = 10.0
_LOOK_S = 0.05
_ALSA = """\
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.pulse { type pulse hint { show on description "pulse" } }
"""


class PulseServer:
    """Starts the server; a context manager.

    Args:
        folder: for socket, log and settings; made when it is not there. Its path must be short (a socket lies in it).

    Raises:
        BadRequest: PulseAudio is not installed.
        HarnessFault: it does not start.
    """

    def __init__(self, folder: Path) -> None:
        missing = [name for name in ("pulseaudio", "pactl", "parec") if shutil.which(name) is None]
        if missing:
            raise BadRequest(f"live sound needs the programs {', '.join(missing)}", remedy=INSTALL)
        self._folder = folder.resolve()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for name in ("run", "home"):
            (self._folder / name).mkdir(mode=0o700, exist_ok=True)
        self._socket = self._folder / "run" / "native"
        alsa = self._folder / "asoundrc"
        alsa.write_text(_ALSA, encoding="utf-8")
        self.environment = {"PULSE_SERVER": f"unix:{self._socket}", "ALSA_CONFIG_PATH": str(alsa)}
        self._log = self._folder / "pulseaudio.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command(), env=self._environ(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._await()

    def _command(self) -> list[str]:
        # Without rewinds the monitor hands sound over when it is due, not a block later; see sample_clock.
        native = f"module-native-protocol-unix socket={self._socket} auth-anonymous=1"
        sink = f"module-null-sink sink_name={SINK} rate={RATE_HZ} channels=2 format=float32le norewinds=1"
        modules = ["-L", native, "-L", sink]
        return ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1", *modules]

    def _environ(self) -> dict[str, str]:
        return {
            **os.environ, **self.environment,
            "XDG_RUNTIME_DIR": str(self._folder / "run"), "HOME": str(self._folder / "home"),
            "PULSE_RUNTIME_PATH": str(self._folder / "run"),
        }  # fmt: skip

    def _await(self) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._socket.exists() and self._answers():
                self._share_precedence()
                return
            time.sleep(_LOOK_S)  # nobody tells when a program opens its socket
        self.close()
        raise HarnessFault(
            "PulseAudio does not start", expected=f"an answer within {_START_S:g} s",
            got=self._log.read_text(encoding="utf-8", errors="replace")[-600:].strip(), evidence=str(self._log),
        )  # fmt: skip

    def _share_precedence(self) -> None:
        """Whoever runs before all others needs a server that does too; PulseAudio gives up what it inherits of that."""
        try:
            policy = os.sched_getscheduler(0)
            if policy != os.SCHED_OTHER:
                os.sched_setscheduler(self._process.pid, policy, os.sched_getparam(0))
        except (AttributeError, OSError):
            return  # a system without real-time scheduling, or no permission: it runs as it is

    def _answers(self) -> bool:
        asked = subprocess.run(
            ["pactl", "list", "short", "sinks"], env=self._environ(), capture_output=True, text=True, timeout=_START_S
        )
        return asked.returncode == 0 and SINK in asked.stdout

    @property
    def monitor(self) -> str:
        """The ``microphone`` setting of a board that hears this server."""
        return f"pulse:{SINK}.monitor"

    def close(self) -> None:
        """Ends the server."""
        self._process.terminate()
        try:
            self._process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(_STOP_S)

    def __enter__(self) -> PulseServer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
