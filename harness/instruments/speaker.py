"""A loudspeaker at the device's microphone, through PortAudio.

One stream stays open for the whole session, because the lag from start to sound differs each time a stream is
opened. The start time of a stimulus is the driver's word (``outputBufferDacTime``), good enough to find the sound in
a recording; absolute latency needs a reference.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import BadRequest, RigFault
from harness.signals import RATE_HZ, Stimulus

START_TIMEOUT_S = 3.0
INSTALL = "apt-get install -y libportaudio2 (macOS: brew install portaudio)"


def audio_outputs() -> tuple[list[dict[str, Any]], str]:
    """Audio outputs of this machine ({index, name, rate_hz}), and what is wrong when they cannot be listed."""
    try:
        import sounddevice
    except OSError as error:  # the wheel loads libportaudio when imported
        return [], f"PortAudio is missing ({error})"
    except ImportError as error:
        return [], f"sounddevice is not installed ({error})"
    try:
        rows = list(sounddevice.query_devices())
    except sounddevice.PortAudioError as error:
        return [], f"PortAudio cannot list devices ({error})"
    outputs = [
        {"index": int(row["index"]), "name": str(row["name"]), "rate_hz": int(row["default_samplerate"])}
        for row in rows
        if row["max_output_channels"] > 0
    ]
    return outputs, ""


def find_output(part: str) -> int:
    """Index of the one output whose name contains ``part``, whatever the case.

    Raises:
        RigFault: none, several, or no PortAudio.
    """
    outputs, problem = audio_outputs()
    if problem:
        raise RigFault(problem, remedy=INSTALL)
    hits = [o for o in outputs if part.lower() in o["name"].lower()]
    exact = [o for o in hits if o["name"].lower() == part.lower()]
    hits = exact if len(exact) == 1 else hits
    if len(hits) != 1:
        raise RigFault(
            f"{len(hits)} audio outputs contain '{part}'",
            expected="exactly one",
            got="; ".join(o["name"] for o in outputs) or "no audio output at all",
            remedy="give [audio] device of the rig file a part of exactly one name (k1hil rig new lists them)",
        )
    return int(hits[0]["index"])


class Speaker:
    """Plays stimuli on one output; both channels carry the same.

    Args:
        device: part of the output's name.
        volume: factor on the samples, 0 to 1.
        now_ns: host clock.

    Raises:
        RigFault: the output cannot be found or opened.
    """

    exact_start = False

    def __init__(self, device: str, volume: float, now_ns: Callable[[], int]) -> None:
        index = find_output(device)
        import sounddevice

        self._now_ns = now_ns
        self._volume = volume
        self._lock = threading.Lock()
        self._samples: npt.NDArray[np.float32] | None = None
        self._at_ns: int | None = None
        self._next = 0
        self._start_ns = 0
        self._started = threading.Event()
        self.glitches = 0
        try:
            self._stream = sounddevice.OutputStream(
                samplerate=RATE_HZ, device=index, channels=2, dtype="float32", callback=self._fill
            )
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise RigFault(
                f"audio output '{device}' cannot be opened", got=str(error), remedy="is another program using it?"
            ) from error

    def play(self, stimulus: Stimulus, at_ns: int | None = None) -> int:
        """See :class:`harness.instruments.audio_in.AudioIn`. A stimulus that still plays is cut off."""
        if stimulus.rate_hz != RATE_HZ:
            raise BadRequest("unusable sample rate", expected=f"{RATE_HZ} Hz", got=f"{stimulus.rate_hz} Hz")
        with self._lock:
            self._started.clear()
            self._samples = stimulus.samples * np.float32(self._volume)
            self._at_ns, self._next = at_ns, 0
        wait_s = START_TIMEOUT_S + max(0.0, ((at_ns or 0) - self._now_ns()) / 1e9 if at_ns else 0.0)
        if not self._started.wait(wait_s):
            raise RigFault(
                "the audio output takes no samples",
                expected=f"sound within {wait_s:.1f} s",
                got="stream is active" if self._stream.active else "stream has stopped",
                remedy="was it unplugged? k1hil rig check",
            )
        return self._start_ns

    def stop(self) -> None:
        """Silence from now on."""
        with self._lock:
            self._samples = None

    def close(self) -> None:
        """Gives the output back."""
        self._stream.close()

    def _fill(self, out: npt.NDArray[np.float32], frames: int, times: Any, status: Any) -> None:
        """PortAudio asks for the next block. Its own thread: no waiting, no exception."""
        if status.output_underflow:
            self.glitches += 1
        out.fill(0.0)
        first_ns = self._now_ns() + round((times.outputBufferDacTime - times.currentTime) * 1e9)
        with self._lock:
            if self._samples is None:
                return
            skip = 0
            if not self._started.is_set():
                if self._at_ns is not None:
                    skip = max(0, round((self._at_ns - first_ns) * RATE_HZ / 1e9))
                if skip >= frames:
                    return
                self._start_ns = first_ns + round(skip * 1e9 / RATE_HZ)
            part = self._samples[self._next : self._next + frames - skip]
            out[skip : skip + part.size] = part[:, None]
            self._next += part.size
            if self._next >= self._samples.size:
                self._samples = None
        self._started.set()
