"""Light lies where its pattern puts it, to the LED: what one LED too far looks like only on the right picture."""

import numpy as np
import pytest
from k1 import OCTAVE_LEDS, drive_of, pictures, spectrum_bin

from harness.analysis.bins import bin_frequency_hz
from harness.analysis.pixels import luminance
from harness.signals import tone_steps

pytestmark = [pytest.mark.needs("audio"), pytest.mark.long]
NOTE_BINS = [38, 43, 46]  # notes 2, 7 and 10 of the octave, in the middle of the bank


def halves(picture):
    """Both halves of a strip's drive [160] from the centre outwards: [2, 80]."""
    return np.stack([picture[79::-1], picture[80:]])


def crossing(level, low, high):
    """Where a half strip passes the middle between the levels at places ``low`` and ``high``."""
    place = np.arange(80.0)
    middle = (np.interp(low, place, level) + np.interp(high, place, level)) / 2
    fine = np.arange(low, high, 0.02)
    return float(fine[np.argmin(np.abs(np.interp(fine, place, level) - middle))])


def test_notes_begin_and_end_at_their_leds_on_octave(record, param):
    param(color_reactivity=0, saturation=0, dithering=0, softness=0, audio_sensitivity=0.8)
    sound = tone_steps([bin_frequency_hz(b) for b in NOTE_BINS], step_s=0.6, gap_s=0.1)
    seen = record(sound, pattern="octave")
    times, rgb = pictures(seen)
    at_s = (times - seen.audio.start_ns) / 1e9
    for number, step in zip(NOTE_BINS, sound.truth["steps"], strict=True):
        steady = (at_s > step["start_s"] + 0.3) & (at_s < step["stop_s"])
        note = number % 12
        for level in halves(drive_of(rgb[steady, :, 0]).mean(axis=0)):
            centres = [(note + k + 0.5) * OCTAVE_LEDS for k in (-1, 0, 1)]
            edges = [crossing(level, a, b) for a, b in zip(centres, centres[1:], strict=False)]
            wanted = [note * OCTAVE_LEDS, (note + 1) * OCTAVE_LEDS]
            assert edges == pytest.approx(wanted, abs=0.5), f"note {note} lies from {edges[0]:.1f} to {edges[1]:.1f}"


def test_tones_lie_at_their_leds_on_spectrum(record):
    bins = [30, 36, 42, 48, 54, 60]
    sound = tone_steps([bin_frequency_hz(b) for b in bins], step_s=0.5, gap_s=0.1)
    seen = record(sound, pattern="spectrum")
    times, rgb = pictures(seen)
    level, at_s = luminance(rgb), (times - seen.audio.start_ns) / 1e9
    for number, step in zip(bins, sound.truth["steps"], strict=True):
        steady = (at_s > step["start_s"] + 0.25) & (at_s < step["stop_s"])
        for half in halves(level[steady].mean(axis=0)):
            top = np.maximum(half - 0.5 * half.max(), 0)
            place = float(top @ np.arange(80) / top.sum())
            # The filters' weight grows with pitch and leans the hump outwards, by a fifth of a bin at most.
            assert spectrum_bin(place) == pytest.approx(number, abs=0.5), f"bin {number} is shown at LED {place:.1f}"
