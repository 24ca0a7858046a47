"""Seeds of runs."""

from __future__ import annotations

import secrets


def fresh_seed() -> int:
    """A seed for one run: 48 bits, exact in every JSON reader."""
    return secrets.randbits(48)
