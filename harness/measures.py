"""Names of all measures, so that a budget on one that does not exist is refused instead of never being broken.

``docs/measures.md`` says what each means. Measures of somebody's own tests start with ``own_``; the harness cannot know
them, so a budget on one counts as open until a run has met it.
"""

from __future__ import annotations

import difflib
import re

OWN = "own_"
# Less, or more, of these is better.
LIMITED = frozenset(
    """
    fps frame_interval_us_median frame_interval_us_p95 frame_interval_us_p99 frame_interval_us_max frame_jitter_us_p95
    fps_logged audio_fps
    render_us_mean render_us_p95 quantize_us_mean transmit_us_mean
    heap_free_least heap_free_bytes heap_slope_bytes_per_min
    records_lost frames_late frames_lost frames_unseen
    latency_mean latency_rise_mean latency_events_missed
    command_to_light_ms_mean command_to_light_ms_max commands_missed onset_dead_ms onset_first_ms
    brightness_apart colour_error_mean colour_error_p95 mirror_apart
    leds_answering light_apart cpu_percent rmt_gap_us_max
    """.split()
)
LIMITED_KINDS = (r"latency_(rise|fall)_p(50|95|99)", r"latency_\d+hz_rise_mean", r"tempo_error_\d+(\.\d+)?")
# Of these neither: they tell how it is.
TOLD = frozenset(
    """
    fps_rendered fps_seen frame_interval_us_p50 frames_quiet latency_fall_mean light_mean reaction_strength
    brightness_exponent centre_led tone_bin_error_mean tempo_strongest_bpm tempo_locked_bpm beats_queued beats_logged
    """.split()
)
TOLD_KINDS = (r"latency_mean_[a-z]+", r"latency_[a-z]+_minus_[a-z]+")


def limited(name: str) -> bool | None:
    """Whether a metric can have a budget; None when no metric is called that."""
    for names, kinds, answer in ((LIMITED, LIMITED_KINDS, True), (TOLD, TOLD_KINDS, False)):
        if name in names or any(re.fullmatch(kind, name) for kind in kinds):
            return answer
    return None


def budget_problem(key: str) -> str:
    """Why there can be no budget on ``pattern/name`` or ``name``; "" when there can."""
    name = key.rpartition("/")[2]
    can = True if name.startswith(OWN) else limited(name)
    if can is None:
        close = difflib.get_close_matches(name, sorted(LIMITED), 1)
        hint = f"did you mean '{close[0]}'?" if close else "docs/measures.md names them"
        return f"there is no metric '{name}', so nothing would ever break this budget; {hint}"
    return "" if can else f"neither less nor more of {name} is better, so it has no budget"
