"""One line of `k1hil rig check`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["ok", "absent", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it is needed for, how it stands, and what to do when it does not."""

    what: str
    status: Status
    text: str
    remedy: str = ""

    def to_json(self) -> dict[str, str]:
        """Plain values."""
        return asdict(self)
