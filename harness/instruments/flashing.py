"""Patterns that flash: whoever selects one, on the console or over HTTP, has to be allowed to by the rig file.

Light that flashes between about 3 and 60 Hz over the whole strip can give a photosensitive person a seizure.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from harness.errors import BadRequest

STROBOSCOPIC = frozenset({"hil_flash", "hil_counter", "hil_index"})
SELECT_PATH = "/api/select"
_SELECT = re.compile(rb"^[ \t]*select[ \t]+(\S+)", re.MULTILINE)


class FlashingForbidden(BadRequest):
    """A flashing pattern was about to be selected where nobody allowed that. Nothing was sent."""


class FlashGuard:
    """Looks at what is about to be sent to a device.

    Args:
        allowed: whether the rig file allows flashing (``allow_flashing``).
        patterns: ids by index as the firmware's manifest has them; None when nobody knows.
    """

    def __init__(self, allowed: bool, patterns: Callable[[], dict[int, str] | None] = lambda: None) -> None:
        self._allowed = allowed
        self._patterns = patterns

    def select(self, pattern: str | int) -> None:
        """Lets the selection of a pattern pass, by id or index.

        Raises:
            FlashingForbidden: it flashes; or it is an index, and nobody knows of which pattern.
        """
        if self._allowed:
            return
        name = str(pattern)
        if name.isascii() and name.isdigit():
            known = self._patterns()
            if known is None:
                raise FlashingForbidden(
                    f"pattern {name} may flash, nobody knows; allow_flashing is off for this hardware",
                    remedy="select it by its id",
                )
            name = known.get(int(name), "")
        if name in STROBOSCOPIC:
            raise FlashingForbidden(
                f"{name} flashes; allow_flashing is off for this hardware",
                remedy="allow_flashing = true in the rig file, where nobody photosensitive can see the strips",
            )

    def console(self, data: bytes) -> None:
        """Lets bytes for the console pass; see :meth:`select`."""
        if not self._allowed:
            for found in _SELECT.finditer(data.replace(b"\r", b"\n")):
                self.select(found[1].decode("ascii", "replace"))

    def request(self, path: str, content: bytes | None) -> None:
        """Lets a request pass; see :meth:`select`."""
        if self._allowed or content is None or path.partition("?")[0].rstrip("/") != SELECT_PATH:
            return
        try:
            body: Any = json.loads(content)
        except (ValueError, RecursionError):
            return
        if not isinstance(body, dict):
            return
        if isinstance(body.get("id"), str):
            self.select(body["id"])
        index = body.get("index")
        if isinstance(index, (int, float)) and 0 <= index < 256:
            self.select(int(index))
