"""What ties sound to light: the best a recording offers, in this order, and never better than it is."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from synthetic import recording

from harness.analysis.latency.measure import sound_trust
from harness.timebase import Trust, choose_trust


@pytest.mark.parametrize(("led", "loop", "fit", "start"), list(product((True, False), repeat=4)))
def test_the_best_tie_counts(led: bool, loop: bool, fit: bool, start: bool) -> None:
    found = choose_trust(reference_led=led, loopback=loop, clock_fit=fit, audio_start_known=start)
    offered = [
        (Trust.REFERENCE_LED, led), (Trust.LOOPBACK, loop and fit), (Trust.MIN_RTT, fit and start),
        (Trust.RELATIVE_ONLY, True),
    ]  # fmt: skip
    assert found is next(trust for trust, there in offered if there)


@pytest.mark.parametrize(
    ("sound", "trust", "bound_ms"),
    [({"source": "loopback", "interval_ns": 700_000}, Trust.LOOPBACK, 0.7),
     ({"source": "exact", "interval_ns": 0}, Trust.MIN_RTT, 0.0),
     ({"source": "calibrated", "interval_ns": 2_500_000}, Trust.MIN_RTT, 2.5),
     ({"source": "driver", "interval_ns": 410_000_000}, Trust.RELATIVE_ONLY, 410.0),
     (None, Trust.RELATIVE_ONLY, 0.0)],
)  # fmt: skip
def test_a_recording_is_trusted_as_its_sound_was_timed(sound: Any, trust: Trust, bound_ms: float) -> None:
    seen = recording(np.zeros((20, 160, 3), np.uint8))
    seen.meta["sound"] = sound
    assert sound_trust(seen) == (trust, bound_ms)


def test_the_virtual_benchs_own_start_is_known() -> None:
    seen = recording(np.zeros((20, 160, 3), np.uint8))
    seen.meta |= {"sound": None, "audio_start": "exact"}
    assert sound_trust(seen)[0] is Trust.MIN_RTT
