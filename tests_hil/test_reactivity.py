"""How the light answers what happens once: a command over HTTP, a sound after a long silence."""

import numpy as np
import pytest

from harness.analysis.commands import brightness_curve, brightness_metrics, command_latency, command_metrics
from harness.analysis.onset import onset_after_silence, onset_metrics
from harness.rig.record import Command
from harness.signals import onset_after_silence as silence_then_tone

# Each step is at least half of the largest; the pauses are of different lengths, so that commands meet frames at any
# phase. The API takes parameters every 300 ms.
LEVELS = (0.25, 0.75, 0.0, 1.0, 0.5, 1.0)
PAUSES_S = (0.383, 0.389, 0.377, 0.401, 0.371)
# One request on a quiet network, one frame: a person sees no delay yet.
LONGEST_COMMAND_MS = 150.0
LONGEST_ONSET_MS = 120.0


def asked(rig, values):
    """Commands that set parameters, one after the other."""
    at_s = 0.2 + np.cumsum([0.0, *(PAUSES_S[k % len(PAUSES_S)] for k in range(len(values) - 1))])
    return [
        Command(float(at), lambda value=value: rig.api.set_params(**value), value)
        for at, value in zip(at_s, values, strict=True)
    ]


def judge_commands(seen, metric):
    found = command_latency(seen)
    assert found is not None, "the light does not answer commands"
    metric(command_metrics(seen, found))
    assert not found.missed, f"{found.missed} of {len(seen.meta['commands'])} commands did not change the light"
    assert found.latency_ms.min() + found.clock_ms > 0 and np.median(found.latency_ms) < LONGEST_COMMAND_MS


@pytest.mark.needs("api", "flashing_light")
def test_commands_reach_the_light(rig, suite, record, param, metric):
    param(color=0.0, saturation=1.0, brightness=1.0)
    rig.api.params()  # the connection stands
    if rig.config.current_limit_a > 0:
        # What the supply's limit dims says nothing of brightness; colours differ however dim they are.
        commands = asked(rig, [{"color": (k + 1) % 2 / 3} for k in range(len(LEVELS))])
        judge_commands(record(None, commands[-1].at_s + 0.4, "hil_solid", commands=commands), metric)
        return
    param(saturation=0.0)
    commands = asked(rig, [{"brightness": level} for level in LEVELS])
    seen = record(None, commands[-1].at_s + 0.4, "hil_solid", streams=suite.eye.streams(rig), commands=commands)
    judge_commands(seen, metric)
    bytes_ = brightness_curve(seen, camera=False)
    # hil_solid is raw: light goes with the parameter.
    assert bytes_ is not None and bytes_.apart(bytes_.level) < 0.01, f"bytes go as {bytes_}"
    light = brightness_curve(seen)
    assert light is not None, "dark at full brightness"
    metric(brightness_metrics(seen, light, light.level))
    assert light.apart(light.level) < 0.05, f"light goes as {light}"


@pytest.mark.long
@pytest.mark.needs("audio")
@pytest.mark.parametrize("pattern", ["spectrum", "vu"])
def test_the_first_sound_after_a_long_silence(record, metric, pattern):
    """Nothing may have gone to sleep so deeply that it oversleeps the first beat."""
    seen = record(silence_then_tone(), pattern=pattern)
    found = onset_after_silence(seen)
    assert found is not None, "the light does not answer the sound, or hardly any frame was sent"
    metric(onset_metrics(seen, found))
    assert 0.0 <= found.dead_ms + found.clock_ms and found.first_ms < LONGEST_ONSET_MS
