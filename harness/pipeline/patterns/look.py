"""What a layer showed, frame by frame: its light and its sound, read by the words of its specification.

From the light, and from nothing the firmware says of itself but the instants of its onset and beat events, come drive,
colour, figures' place and a bar's length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.analysis import figure
from harness.analysis.figure import Floats, Ring
from harness.analysis.pixels import shown
from harness.pipeline.patterns.spec import EVENTS, Layer, PatternSpec
from harness.recording import Recording
from harness.signals.bands import BANDS as TONES

VISIBLE = 0.3  # less of a figure in sight does not say how bright it is
PHASES = 180


@dataclass(frozen=True)
class Look:
    """A recording of one layer, frame by frame.

    Attributes:
        t_s: float64[n], from the first sample of the sound.
        angle_deg, shift, top, place_turns, shape_share, size: float64[n], nan where it was too dark to say (see
            :mod:`harness.analysis.figure`).
        gates: sources of the stimulus, 0 or 1, float64[n] each.
        events: instants of the device's events, float64[k] each.
        sharp_deg: how well a shift of colour can be told.
    """

    t_s: Floats
    angle_deg: Floats
    shift: Floats
    top: Floats
    place_turns: Floats
    shape_share: Floats
    size: Floats
    gates: dict[str, Floats]
    events: dict[str, Floats]
    sharp_deg: float

    @staticmethod
    def of(recording: Recording, spec: PatternSpec, number: int) -> Look:
        """Looks at a recording.

        Raises:
            ValueError: it holds no sound or no frames.
        """
        layer = spec.layers[number - 1]
        if recording.audio is None:
            raise ValueError("a layer is judged under sound")
        times, rgb = shown(recording)
        t_s = (times - recording.audio.start_ns) / 1e9
        if t_s.size < 100:
            raise ValueError(f"only {t_s.size} frames")
        seen = figure.light(rgb)
        ring = _ring(spec)
        places = np.linspace(layer.colour_from, layer.colour_to, figure.HALF)
        shifting = bool(layer.cycle_s or layer.bound("colour"))
        match = figure.match_colour(seen, ring, places, shifting=shifting)
        colours = ring.colour(places + _filled(match.shift)[:, None])
        squares, weight = figure.levels(seen, colours)
        size = figure.lit_share(squares) if layer.shape == "bar" else np.zeros(t_s.size)
        found = figure.match_figure(squares, weight, _profiles(layer))
        dim = found.top * np.sqrt(colours.max(axis=(1, 2))) < figure.PLACE_LEAST
        turns = np.where(dim, np.nan, found.turns)
        share = np.where(dim, np.nan, found.share)
        top = np.where(found.visible < VISIBLE, np.nan, found.top)
        return Look(t_s, match.angle_deg, match.shift, top, turns, share, size, _gates(recording, t_s),
                    _events(recording), match.sharp_deg)  # fmt: skip


def _filled(values: Floats) -> Floats:
    """The value before, where there is none; 0 at the start."""
    at = np.maximum.accumulate(np.where(np.isnan(values), -1, np.arange(values.size)))
    return np.asarray(np.where(at < 0, 0.0, values[np.maximum(at, 0)]))


def _ring(spec: PatternSpec) -> Ring:
    rgb = np.array([[k.rgb >> 16, k.rgb >> 8 & 0xFF, k.rgb & 0xFF] for k in spec.palette]) / 255
    return Ring(np.array([k.at for k in spec.palette]), rgb)


def _profiles(layer: Layer) -> Floats:
    """Level of each place for every phase of the figures, float64[phases, 80]: what the specification's words mean.

    A bar is looked at where it is lit whatever its size: at the centre.
    """
    h = np.arange(figure.HALF)
    if layer.shape == "fill":
        return np.ones((1, figure.HALF))
    if layer.shape == "bar":
        return (h < 3).astype(np.float64)[None, :]
    turns = np.arange(PHASES) / PHASES
    return _shape(layer, np.mod(h / layer.length_leds - turns[:, None], 1.0))


def _shape(layer: Layer, u: Floats) -> Floats:
    if layer.shape == "wave":
        return np.asarray(0.5 + 0.5 * np.cos(2 * np.pi * u))
    if layer.shape == "dots":
        return np.asarray(np.maximum(1.0 - (np.minimum(u, 1.0 - u) * 2 / layer.width) ** 2, 0.0))
    behind = u if layer.travel_leds_per_s < 0 else 1.0 - u
    return np.asarray(np.maximum(1.0 - behind / layer.width, 0.0) ** 2)


def _gates(recording: Recording, t_s: Floats) -> dict[str, Floats]:
    truth = (recording.meta.get("stimulus") or {}).get("truth") or {}
    if "bands" not in truth:
        return {}
    step = np.floor((t_s - truth["lead_s"]) / truth["step_s"]).astype(int)
    inside = (step >= 0) & (step < len(truth["bands"]))
    names = np.array([*truth["bands"], "quiet"])[np.where(inside, step, len(truth["bands"]))]
    names[(t_s >= 0) & (step < 0)] = "mid"
    return {band: (names == band).astype(np.float64) for band in TONES}


def _events(recording: Recording) -> dict[str, Floats]:
    """Instants of onsets and beats as the device tells them, on the stimulus' time."""
    assert recording.audio is not None
    fit = recording.clock_fits["device"]
    found: dict[str, list[float]] = {name: [] for name in EVENTS}
    for event in recording.events:
        if event.get("kind") in found:
            host_ns = float(fit.to_host(np.array([event["t_us"]], np.int64))[0])
            found[event["kind"]].append((host_ns - recording.audio.start_ns) / 1e9)
    return {name: np.sort(np.array(times, np.float64)) for name, times in found.items()}
