"""What part of a reactive pattern's latency the device's spectrum alone explains."""

from __future__ import annotations

# Low to high; each is a band that patterns treat differently.
BANDS_HZ = (80.0, 250.0, 1000.0, 2500.0)
# Device contract: a Goertzel bin looks back over rate / (2 x distance to the next semitone), at most 1380 samples at
# 12.8 kHz, through a window that is symmetric: its centroid lies half a block in the past.
_RATE_HZ = 12_800.0
_SEMITONE = 2 ** (1 / 12) - 1
_LONGEST = 1380.0


def expected_centroid_ms(frequency_hz: float) -> float:
    """Delay of the Goertzel bin at a frequency, in ms: 54 ms at 78 Hz, 1.4 ms at 3 kHz.

    It is printed beside a measured latency, to tell the physics of a semitone spectrum from what the firmware adds.
    """
    block = min(_LONGEST, _RATE_HZ / (2 * frequency_hz * _SEMITONE))
    return 1e3 * block / 2 / _RATE_HZ
