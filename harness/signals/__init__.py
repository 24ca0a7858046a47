"""Stimuli: audio whose truth is known because we made it. Mono float32, 48 kHz, full scale 1.0.

Every function returns a :class:`Stimulus` whose ``truth`` says what an ideal listener would find in it. Random
stimuli take a seed.
"""

from harness.signals.basic import (
    click_track,
    clipping,
    log_sweep,
    noise_levels,
    pink_noise,
    silence,
    tone,
    tone_steps,
)
from harness.signals.files import load_stimulus
from harness.signals.latency import latency_telegraph, onset_after_silence
from harness.signals.music import four_on_floor, gated, mixed
from harness.signals.stimulus import RATE_HZ, REFERENCE_HZ, Samples, Stimulus, stereo

__all__ = [
    "RATE_HZ", "REFERENCE_HZ", "Samples", "Stimulus", "click_track", "clipping", "four_on_floor", "gated",
    "latency_telegraph", "load_stimulus", "log_sweep", "mixed", "noise_levels", "onset_after_silence", "pink_noise",
    "silence", "stereo", "tone", "tone_steps",
]  # fmt: skip
