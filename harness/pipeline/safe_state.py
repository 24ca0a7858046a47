"""A rig left in a safe state: silent, its device out of the boot loader and running, its lamps within their limit."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from harness.rig import Rig


@dataclass(frozen=True)
class Safe:
    """What was found and done: who answers, and whether it took a reset."""

    sha256: str
    version: str
    reset: bool

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def make_safe(rig: Rig) -> Safe:
    """Stops sound and telemetry; resets a device that does not answer (it may wait in its loader).

    A boot sets the LED supply's limit anew; closing the rig afterwards silences the speaker.

    Raises:
        RigFault: a port is gone. DutFailure: it does not boot.
    """
    if rig.audio is not None:
        rig.audio.stop()
    identity = rig.probe()
    reset = identity is None
    if identity is None:
        identity = rig.reset("hard")
    rig.telemetry.off()
    return Safe(identity.sha256, identity.version, reset)
