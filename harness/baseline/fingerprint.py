"""What the values of a rig depend on besides the firmware's source: only runs of one fingerprint are compared."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

from harness.rig.config import RigConfig


def fingerprint(config: RigConfig, *, cost_model: str, firmware_line: str, mac: str = "") -> dict[str, str]:
    """The fingerprint of a rig as plain text values.

    What a virtual rig's ``[bench]`` table injects is left out on purpose: it plays the physical world, and a change of
    the world (a slower strip, say) is what a comparison has to find.

    Args:
        config: the rig's file.
        cost_model: id of the model behind render times; "" on real silicon.
        firmware_line: the project the firmware belongs to.
        mac: of the chip on real hardware; a virtual board is a new one every time.
    """
    facts = {
        "provenance": "simulated" if config.simulated else "hardware",
        "kind": config.kind,
        "firmware_line": firmware_line,
        "cost_model": cost_model,
        "led_current_limit_a": f"{config.current_limit_a:g}",
    }
    if not config.simulated:
        facts["mac"] = mac.lower()
    if config.audio.device:
        facts["audio"] = f"{config.audio.device} at {config.audio.volume:g}"
    return facts


def digest(facts: Mapping[str, str]) -> str:
    """Twelve characters that stand for a fingerprint in lists and tables."""
    return hashlib.sha256(json.dumps(dict(sorted(facts.items()))).encode()).hexdigest()[:12]
