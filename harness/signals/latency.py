"""The latency stimulus: sound that switches on and off at instants nobody's clock can follow.

A stimulus on a grid (every 500 ms, or chips of one length) meets the device's hop, its LED frame and the camera's frame
in the same phase every time, and their quantisation then never averages out. So every chip has its own length.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.signals.stimulus import RATE_HZ, Stimulus, faded, times

CHIP_S = 0.100
DITHER_S = 0.010
# An on or off stretch is at most so many chips: longer ones carry no edge and let slow gain controls drift.
MOST_ALIKE = 2
CHIRP_S = 0.25
GAP_S = 0.35
CHIRP_HZ = (300.0, 5000.0)


def latency_telegraph(
    seconds: float, *, carrier_hz: float = 1000.0, level: float = 0.5, edge_ms: float | None = None, seed: int = 1
) -> Stimulus:
    """A tone switched by a random telegraph, with a chirp before and after it.

    Chips last 100 ms ± 10 ms, each drawn anew as a real number; on and off are random, at most two alike in a row.
    Edges are raised cosines: the envelope crosses 50 % exactly at the stated instant, and the tone stays in its band.
    Both chirps sweep exponentially from 300 Hz to 5 kHz; their distance tells whether the sound slid or had gaps.

    Args:
        seconds: length of everything, at least 3 s.
        carrier_hz: the band that is spoken to.
        level: peak.
        edge_ms: length of an edge; default: two periods of the carrier, at least 2 ms.
        seed: of chips and lengths.

    Truth: ``onsets_s`` and ``offsets_s`` (envelope at 50 %, real numbers), ``carrier_hz``, ``level``, ``edge_ms``,
    ``chirps_s`` (start of each), ``chirp_s``, ``telegraph_s`` (start and stop), ``seed``.

    Raises:
        ValueError: too short, or an edge longer than a chip can hold.
    """
    if seconds < 3.0:
        raise ValueError("a latency stimulus needs at least 3 s")
    edge_s = max(2e-3, 2.0 / carrier_hz) if edge_ms is None else edge_ms * 1e-3
    if not 0 < edge_s <= CHIP_S - 2 * DITHER_S:
        raise ValueError(f"edges of {edge_s * 1e3:g} ms do not fit into chips of {CHIP_S * 1e3:g} ms")
    begin, end = CHIRP_S + GAP_S, seconds - CHIRP_S - GAP_S
    rises, falls = _edges(begin, end, seed)
    t = times(seconds)
    envelope = _gate(t, rises, falls, edge_s)
    wave = level * envelope * np.sin(2 * np.pi * carrier_hz * t)
    chirp = _chirp(level)
    starts = [0, t.size - chirp.size]
    for start in starts:
        wave[start : start + chirp.size] += chirp
        envelope[start : start + chirp.size] = 1.0
    truth = {
        "onsets_s": rises.tolist(), "offsets_s": falls.tolist(), "carrier_hz": carrier_hz, "level": level,
        "edge_ms": edge_s * 1e3, "chirps_s": [s / RATE_HZ for s in starts], "chirp_s": CHIRP_S,
        "telegraph_s": [begin, end], "seed": seed,
    }  # fmt: skip
    name = f"latency_{carrier_hz:.0f}hz"
    return Stimulus(name, wave.astype(np.float32), truth=truth, reference=envelope.astype(np.float32))


def onset_after_silence(
    silence_s: float = 5.2, sound_s: float = 0.8, *, carrier_hz: float = 1000.0, level: float = 0.5
) -> Stimulus:
    """Silence, long enough for a device to go to sleep over it, then a tone.

    Truth: ``silence_s`` and ``onset_s`` (envelope at 50 %, a raised cosine of 4 ms), ``sound_s``, ``carrier_hz``.
    """
    edge_s = 4e-3
    t = times(silence_s + sound_s)
    gate = _gate(t, np.array([silence_s]), np.zeros(0), edge_s)
    wave = level * gate * np.sin(2 * np.pi * carrier_hz * t)
    truth = {"silence_s": silence_s, "onset_s": silence_s, "sound_s": sound_s, "carrier_hz": carrier_hz}
    name, sound, lit = f"onset_{carrier_hz:.0f}hz", wave.astype(np.float32), gate.astype(np.float32)
    return Stimulus(name, sound, truth=truth, reference=lit)


def _edges(begin: float, end: float, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Instants at which the telegraph switches on and off; it starts and ends in silence."""
    rng = np.random.default_rng(seed)
    rises: list[float] = []
    falls: list[float] = []
    on, alike, at = False, 1, begin + float(rng.uniform(0.0, CHIP_S))
    while at < end - 2 * CHIP_S:
        if alike >= MOST_ALIKE or rng.random() < 0.5:
            (falls if on else rises).append(at)
            on, alike = not on, 1
        else:
            alike += 1
        at += CHIP_S + float(rng.uniform(-DITHER_S, DITHER_S))
    if on:
        falls.append(at)
    return np.array(rises), np.array(falls)


def _gate(
    t: npt.NDArray[np.float64], rises: npt.NDArray[np.float64], falls: npt.NDArray[np.float64], edge_s: float
) -> npt.NDArray[np.float64]:
    """0 to 1, with a raised cosine of length ``edge_s`` centred on each switch."""
    gate = np.zeros(t.size)
    for switches, sign in ((rises, 1.0), (falls, -1.0)):
        for at in switches:
            first, last = np.searchsorted(t, (at - edge_s / 2, at + edge_s / 2))
            gate[first:last] += sign * (0.5 + 0.5 * np.sin(np.pi * (t[first:last] - at) / edge_s))
            gate[last:] += sign
    return gate


def _chirp(level: float) -> npt.NDArray[np.float64]:
    t = times(CHIRP_S)
    rate = np.log(CHIRP_HZ[1] / CHIRP_HZ[0]) / CHIRP_S
    return faded(level * np.sin(2 * np.pi * CHIRP_HZ[0] / rate * np.expm1(rate * t)), 0.01)
