"""How long recordings are and how often they are repeated: a quick look, a standard run, a night."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import BadRequest


@dataclass(frozen=True)
class Profile:
    """Lengths in seconds of device time, and repeats.

    Attributes:
        record_s: one recording of a pattern.
        audio_s: a recording that needs music or clicks long enough for a tempo.
        soak_s: the heap-slope run.
        repeats: recordings per pattern; independent samples, each with its own seed.
        boots: cold boots in the boot test.
        sync_n: clock exchanges before and after a recording.
    """

    name: str
    record_s: float
    audio_s: float
    soak_s: float
    repeats: int
    boots: int
    sync_n: int


PROFILES = {
    p.name: p
    for p in (
        Profile("quick", record_s=2.0, audio_s=14.4, soak_s=120.0, repeats=1, boots=3, sync_n=8),
        Profile("standard", record_s=5.0, audio_s=20.0, soak_s=300.0, repeats=3, boots=5, sync_n=16),
        Profile("nightly", record_s=20.0, audio_s=60.0, soak_s=3600.0, repeats=8, boots=20, sync_n=32),
    )
}


# A quick look must end within minutes where a second lasts a second.
_IN_WALL_TIME = {
    "quick": Profile("quick", record_s=2.0, audio_s=10.4, soak_s=12.0, repeats=1, boots=2, sync_n=8),
}


def profile(name: str, *, wall: bool = False) -> Profile:
    """The profile of that name.

    Args:
        name: quick, standard or nightly.
        wall: for a rig whose time is wall time.

    Raises:
        BadRequest: there is none.
    """
    try:
        return _IN_WALL_TIME.get(name, PROFILES[name]) if wall else PROFILES[name]
    except KeyError:
        raise BadRequest(f"unknown profile '{name}'", expected=", ".join(PROFILES), remedy="--profile quick") from None
