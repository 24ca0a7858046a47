"""The one excuse for a skipped test: a device of a real rig that is not there."""

from __future__ import annotations

from typing import Any

# tools/check_skips.py lets no other skip pass, so nothing but absent() may write it.
MISSING_HARDWARE = "(missing hardware)"


def absent(rig: Any, text: str) -> str:
    """The reason of a skip for something that is not plugged in.

    A simulated rig has no hardware that could be missing: there it is a hole in the rig file, and no excuse.
    """
    return f"{text} {MISSING_HARDWARE}" if rig.provenance == "hardware" else text
