"""A loudspeaker at the device's microphone, through PortAudio.

One stream stays open for the whole session, because the lag from start to sound differs each time a stream is opened.
Where the rig hears its own output (a cable from line out to line in, the monitor of a sound server), the same stream
records it, so that both directions share one sample clock. Without that, the start time of a stimulus is the driver's
word (``outputBufferDacTime``): good enough to find the sound in a recording, not for absolute latency.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import BadRequest, RigFault
from harness.instruments.audio_in import PlayReport, SoundSpoiled
from harness.instruments.pilot import find, mark
from harness.instruments.tape import Tape
from harness.signals import RATE_HZ, Samples, Stimulus, stereo

START_TIMEOUT_S = 3.0
# The stimulus begins so long after the mark before it: room for the mark's echo in the loopback.
LEAD_S = 0.1
HEARD_TIMEOUT_S = 2.0
# The driver's word for what goes out and for what comes in describe one sound: where they agree this well, both are
# believed. Single stamps are good to a fraction of a millisecond at best.
GOOD_STAMPS_NS, STAMP_NOISE_NS = 2_000_000, 500_000
# So much later than the mark before the stimulus the one after it may come and still be found, to tell by how much.
MARGIN_S = 0.05
# Lags are known to a hundredth of a sample; two samples are a slide.
MOST_SLIP_MS = 0.05
INSTALL = "apt-get install -y libportaudio2 (macOS: brew install portaudio)"


def audio_outputs() -> tuple[list[dict[str, Any]], str]:
    """Audio outputs of this machine ({index, name, rate_hz}), and what is wrong when they cannot be listed."""
    return _devices("max_output_channels")


def _devices(direction: str) -> tuple[list[dict[str, Any]], str]:
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
    found = [
        {"index": int(row["index"]), "name": str(row["name"]), "rate_hz": int(row["default_samplerate"])}
        for row in rows
        if row[direction] > 0
    ]
    return found, ""


def find_output(part: str) -> int:
    """Index of the one output whose name contains ``part``, whatever the case.

    Raises:
        RigFault: none, several, or no PortAudio.
    """
    outputs, problem = audio_outputs()
    if problem:
        raise RigFault(problem, remedy=INSTALL)
    return _the_one(outputs, part, "output", "device")


def find_input(part: str) -> int:
    """Index of the one input whose name contains ``part``; see :func:`find_output`."""
    inputs, problem = _devices("max_input_channels")
    if problem:
        raise RigFault(problem, remedy=INSTALL)
    return _the_one(inputs, part, "input", "loopback")


def _the_one(rows: list[dict[str, Any]], part: str, kind: str, key: str) -> int:
    hits = [o for o in rows if part.lower() in o["name"].lower()]
    exact = [o for o in hits if o["name"].lower() == part.lower()]
    hits = exact if len(exact) == 1 else hits
    if len(hits) != 1:
        raise RigFault(
            f"{len(hits)} audio {kind}s contain '{part}'",
            expected="exactly one",
            got="; ".join(o["name"] for o in rows) or f"no audio {kind} at all",
            remedy=f"give [audio] {key} of the rig file a part of exactly one name (k1hil rig new lists them)",
        )
    return int(hits[0]["index"])


@dataclass
class _Play:
    """What goes out: frames [n, 2] from stream frame ``first`` on (None: at the next block)."""

    frames: npt.NDArray[np.float32]
    lead: int
    length: int
    first: int | None = None
    at_ns: int | None = None
    start_ns: int = 0
    ending: int | None = None  # stream frame at which the mark after the stimulus begins


def driver_version() -> str:
    """Of PortAudio; "" without it."""
    try:
        import sounddevice
    except (OSError, ImportError):
        return ""
    return str(sounddevice.get_portaudio_version()[1])


class Speaker:
    """Plays stimuli on one output, recording what the rig hears of it.

    Args:
        device: part of the output's name.
        volume: factor on the samples of the sound, 0 to 1.
        now_ns: host clock.
        loopback: part of the name of the input that hears the output; "": none.
        channels: ``both`` outputs carry the sound; ``left``: the second one drives the reference LED and carries marks.
        latency_s: buffer asked of the sound system.
        path_ms: from the output to the microphone.
        bias_ms: the driver's settled word for a start is so much later than its first one (of a calibration); None: not
            known. Only first words are corrected by it.

    Raises:
        RigFault: a device cannot be found or opened.
    """

    exact_start = False

    def __init__(
        self,
        device: str,
        volume: float,
        now_ns: Callable[[], int],
        *,
        loopback: str = "",
        channels: str = "both",
        latency_s: float = 0.1,
        path_ms: float = 0.0,
        bias_ms: float | None = None,
    ) -> None:
        output = find_output(device)
        source = find_input(loopback) if loopback else None
        import sounddevice

        self._now_ns = now_ns
        self._volume = volume
        self._left_only = channels == "left"
        self._path_ns = round(path_ms * 1e6)
        self._bias_ns = round((bias_ms or 0.0) * 1e6)
        self._word = "driver" if bias_ms is None else "calibrated"
        self._heard: Samples = np.zeros(0, np.float32)
        self._lock = threading.Condition()
        self._play: _Play | None = None
        self._frame = 0
        self._flags: dict[str, int] = {}
        self._tape = Tape(RATE_HZ) if source is not None else None
        common = {"samplerate": RATE_HZ, "channels": 2, "dtype": "float32", "latency": latency_s}
        try:
            if source is None:
                self._stream = sounddevice.OutputStream(device=output, callback=self._fill, **common)
            else:
                self._stream = sounddevice.Stream(device=(source, output), callback=self._both, **common)
            self._stream.start()
        except sounddevice.PortAudioError as error:
            raise RigFault(
                f"audio output '{device}' cannot be opened", got=str(error), remedy="is another program using it?"
            ) from error

    @property
    def marked(self) -> bool:
        """Whether slides are noticed: there is a loopback, and a channel for marks that the device does not hear."""
        return self._tape is not None and self._left_only

    @property
    def bias_ms(self) -> float:
        """By how much the driver's first word for a start is corrected."""
        return self._bias_ns / 1e6

    def play(self, stimulus: Stimulus, at_ns: int | None = None) -> int:
        """See :class:`harness.instruments.audio_in.AudioIn`. A stimulus that still plays is cut off."""
        if stimulus.rate_hz != RATE_HZ:
            raise BadRequest("unusable sample rate", expected=f"{RATE_HZ} Hz", got=f"{stimulus.rate_hz} Hz")
        play = _Play(*self._frames_of(stimulus), stimulus.samples.size)
        if at_ns is not None:
            play.at_ns = at_ns - self._path_ns - self._bias_ns - round(play.lead * 1e9 / RATE_HZ)
        wait_s = START_TIMEOUT_S + (max(0.0, (at_ns - self._now_ns()) / 1e9) if at_ns is not None else 0.0)
        with self._lock:
            self._flags.clear()
            if self._tape is not None:
                self._tape.rewind()
            self._play = play
            if not self._lock.wait_for(lambda: play.first is not None, wait_s):
                raise self._dead(f"sound within {wait_s:.1f} s")
        return play.start_ns

    def _frames_of(self, stimulus: Stimulus) -> tuple[npt.NDArray[np.float32], int]:
        """Both channels with what goes before the stimulus, and how many frames that is."""
        if not self._left_only:
            return np.repeat((stimulus.samples * np.float32(self._volume))[:, None], 2, axis=1), 0
        frames = stereo(stimulus)
        frames[:, 0] *= np.float32(self._volume)
        if not self.marked:
            return frames, 0
        lead = np.zeros((round(LEAD_S * RATE_HZ), 2), np.float32)
        lead[: _MARK.size, 1] = _MARK
        return np.concatenate([lead, frames]), len(lead)

    def finish(self) -> PlayReport:
        """See :class:`harness.instruments.audio_in.AudioIn`."""
        with self._lock:
            play = self._play
            if play is None or play.first is None:
                return PlayReport(self._now_ns(), 0, 0, self._word)
            if self.marked:
                self._await_marks(play)
            self._play = None
            flags = dict(self._flags)
            tape = self._tape.cut() if self._tape is not None else None
        if flags:
            raise SoundSpoiled(
                "the sound had gaps while it was recorded", got=", ".join(f"{n} x {name}" for name, n in flags.items()),
                remedy="close what keeps this machine busy, or raise [audio] latency_ms",
            )  # fmt: skip
        if tape is None or not self.marked:
            unknown_ns = round(self._stream_latency_s() * 1e9)
            return PlayReport(play.start_ns, unknown_ns, unknown_ns, self._word)
        return self._judge(play, tape)

    def _await_marks(self, play: _Play) -> None:
        """Has the mark after the stimulus played, and waits until it must have come back. The lock is held."""
        assert self._tape is not None
        play.ending = self._frame
        gone = self._frame - (play.first or 0)
        frames = np.zeros((gone + _MARK.size, 2), np.float32)
        frames[: min(gone, len(play.frames))] = play.frames[:gone]
        frames[gone:, 1] = _END_MARK
        play.frames = frames
        window = round(self._stream_latency_s() * RATE_HZ) + _MARK.size
        first = find(self._tape.channel(1, play.first or 0, window), _MARK)
        lag = window if first is None else round(first + MARGIN_S * RATE_HZ)
        end = play.ending + _MARK.size + lag
        if not self._lock.wait_for(lambda: self._frame >= end, HEARD_TIMEOUT_S + self._stream_latency_s()):
            raise self._dead("the mark after the stimulus")

    def _stream_latency_s(self) -> float:
        latency = self._stream.latency
        total = sum(latency) if isinstance(latency, tuple) else float(latency)
        return 2.0 * float(total) + 0.05

    def _judge(self, play: _Play, tape: Tape) -> PlayReport:
        """Compares the lags of both marks, and takes the start from where the first one was heard."""
        assert play.first is not None and play.ending is not None
        window = round(self._stream_latency_s() * RATE_HZ) + _MARK.size
        lags: list[float] = []
        for sent, shape in ((play.first, _MARK), (play.ending, _END_MARK)):
            at = find(tape.channel(1, sent, window), shape)
            if at is None:
                raise SoundSpoiled(
                    "the loopback did not hear the mark " + ("before" if not lags else "after") + " the stimulus",
                    expected=f"it within {window / RATE_HZ * 1e3:.0f} ms", got="not there, or damaged",
                    remedy="check the loopback cable and [audio] loopback; k1hil calibrate audio",
                )  # fmt: skip
            lags.append(at)
        slip_ms = (lags[1] - lags[0]) * 1e3 / RATE_HZ
        lags_ms = tuple(round(lag * 1e3 / RATE_HZ, 4) for lag in lags)
        if abs(slip_ms) > MOST_SLIP_MS:
            raise SoundSpoiled(
                "the sound slid while it was recorded", expected=f"one lag within {MOST_SLIP_MS} ms",
                got=f"{lags_ms[0]:.3f} ms before, {lags_ms[1]:.3f} ms after", remedy="raise [audio] latency_ms",
            )  # fmt: skip
        heard = play.first + play.lead + lags[0]
        self._heard = tape.channel(0, round(heard), play.length)
        start = play.first + play.lead
        certain_ns = (tape.received_ns(heard) - tape.handed_ns(start)) // 2
        start_ns = tape.played_ns(start)  # the settled word: the bias is what the first one lacks, and only that
        disagree_ns = abs(tape.captured_ns(heard) - start_ns)
        good = disagree_ns <= GOOD_STAMPS_NS
        return PlayReport(
            start_ns + self._path_ns, min(certain_ns, disagree_ns + STAMP_NOISE_NS), certain_ns,
            "loopback" if good else self._word, lags_ms, round(slip_ms, 5),
        )  # fmt: skip

    def wait_played(self) -> None:
        """Waits until the whole stimulus has been handed to the driver.

        Raises:
            RigFault: the driver takes no samples.
        """
        with self._lock:
            play = self._play
            if play is None:
                return
            total = play.lead + play.length
            done = self._lock.wait_for(
                lambda: play.first is not None and self._frame >= play.first + total, total / RATE_HZ + START_TIMEOUT_S
            )
        if not done:
            raise self._dead("the whole stimulus")

    def heard(self) -> Samples:
        """The first channel of the loopback during the last finished stimulus: its first four seconds, where there is
        one."""
        return self._heard

    def stop(self) -> None:
        """Silence from now on."""
        with self._lock:
            self._play = None

    def close(self) -> None:
        """Gives the devices back."""
        self._stream.close()

    def _dead(self, expected: str) -> RigFault:
        return RigFault(
            "the audio output takes no samples", expected=expected,
            got="stream is active" if self._stream.active else "stream has stopped",
            remedy="was it unplugged? k1hil rig check",
        )  # fmt: skip

    # ---- PortAudio's own thread: no waiting, no exception

    def _both(
        self, heard: npt.NDArray[np.float32], out: npt.NDArray[np.float32], frames: int, times: Any, status: Any
    ) -> None:
        now = self._now_ns()
        captured_ns = now - round((times.currentTime - times.inputBufferAdcTime) * 1e9)
        played_ns = now + round((times.outputBufferDacTime - times.currentTime) * 1e9)
        with self._lock:
            if self._tape is not None and self._play is not None:
                self._tape.add(self._frame, heard, now, captured_ns, played_ns)
        self._fill(out, frames, times, status)

    def _fill(self, out: npt.NDArray[np.float32], frames: int, times: Any, status: Any) -> None:
        out.fill(0.0)
        first_ns = self._now_ns() + round((times.outputBufferDacTime - times.currentTime) * 1e9)
        with self._lock:
            if self._play is not None:
                if self._play.first is not None:
                    self._note(status)
                self._put(self._play, out, frames, first_ns)
            self._frame += frames
            self._lock.notify_all()

    def _note(self, status: Any) -> None:
        """Counts the driver's complaints."""
        for name in ("output_underflow", "output_overflow", "input_underflow", "input_overflow"):
            if getattr(status, name) and (self._tape is not None or name.startswith("output")):
                self._flags[name] = self._flags.get(name, 0) + 1

    def _put(self, play: _Play, out: npt.NDArray[np.float32], frames: int, first_ns: int) -> None:
        if play.first is None:
            skip = 0 if play.at_ns is None else max(0, round((play.at_ns - first_ns) * RATE_HZ / 1e9))
            if skip >= frames:
                return
            play.first = self._frame + skip
            play.start_ns = first_ns + round((skip + play.lead) * 1e9 / RATE_HZ) + self._path_ns + self._bias_ns
        at = self._frame - play.first
        part = play.frames[max(0, at) : max(0, at + frames)]
        skip = max(0, -at)
        out[skip : skip + len(part)] = part


_MARK: Samples = mark()
_END_MARK: Samples = mark(falling=True)
