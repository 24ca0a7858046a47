"""Whether a device's time ran evenly while it was recorded.

An exchange bounds the host time of a device stamp by request and answer. No crystal is further off than
``MOST_SKEW``, so exchanges of one recording bound each other. When two of them cannot both be true, the device's time
stood still or jumped in between by at least what is missing: on a served board because its bench fell behind wall time,
on silicon because its clock is broken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.timebase import SyncPair

MOST_SKEW = 500e-6
# Below this the host's own scheduling may have come between a stamp and its note.
LEAST_JUMP_NS = 500_000


def jump_ns(pairs: Sequence[SyncPair]) -> int:
    """Least jump of device time against host time that the exchanges prove, in ns; 0 when they fit one clock."""
    if len(pairs) < 2:
        return 0
    device = np.array([p.t_us for p in pairs], np.float64) * 1e3
    device -= device[0]
    base = pairs[0].sent_ns
    low = np.array([p.sent_ns - base for p in pairs]) - device
    high = np.array([p.received_ns - base for p in pairs]) - device
    room = MOST_SKEW * np.abs(device[:, None] - device[None, :])
    proven = float((low[:, None] - high[None, :] - room).max())
    return round(proven) if proven > LEAST_JUMP_NS else 0
