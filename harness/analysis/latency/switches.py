"""When the sound switches on and off at the microphone port, on the host clock."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.recording import Recording

Floats = npt.NDArray[np.float64]


class Switches(NamedTuple):
    """The stimulus' envelope crossing 50 %.

    Attributes:
        at_ms: time from the first sample of the sound, float64[n], ascending.
        rising: bool[n], True where the sound switches on.
        origin_ns: host time of the first sample.
    """

    at_ms: Floats
    rising: npt.NDArray[np.bool_]
    origin_ns: int

    def ms_of(self, host_ns: npt.ArrayLike) -> Floats:
        """Host times as milliseconds from the first sample: small numbers keep their fractions in float64."""
        return np.asarray((np.asarray(host_ns, dtype=np.int64) - self.origin_ns) / 1e6, dtype=np.float64)


def switches_of(recording: Recording) -> Switches:
    """The switches of the latency stimulus a recording heard.

    Raises:
        ValueError: nothing was played, or another stimulus whose truth lacks ``onsets_s`` and ``offsets_s``.
    """
    truth = (recording.meta.get("stimulus") or {}).get("truth") or {}
    if recording.audio is None or "onsets_s" not in truth or "offsets_s" not in truth:
        raise ValueError("latency needs a recording of the latency stimulus (harness.signals.latency_telegraph)")
    rises = np.asarray(truth["onsets_s"], dtype=np.float64) * 1e3
    falls = np.asarray(truth["offsets_s"], dtype=np.float64) * 1e3
    at = np.concatenate([rises, falls])
    rising = np.concatenate([np.ones(rises.size, bool), np.zeros(falls.size, bool)])
    order = np.argsort(at, kind="stable")
    heard = at[order] < float(recording.meta.get("seconds", np.inf)) * 1e3 - 150.0
    return Switches(at[order][heard], rising[order][heard], recording.audio.start_ns)
