"""Who a virtual board is: the MAC address that stays with its state folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness.bench.draws import Draws
from harness.errors import BadRequest

_ESPRESSIF_OUI = bytes.fromhex("7cdfa1")


def load_mac(state_dir: Path, mac: bytes | None, draws: Draws) -> bytes:
    """The given MAC, else the one in ``board.json``, else one drawn from the seed; kept in ``board.json``.

    Raises:
        BadRequest: the folder or its file is unusable, or ``mac`` has not 6 bytes.
    """
    path = state_dir / "board.json"
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        if mac is None and path.exists():
            mac = bytes.fromhex(json.loads(path.read_text())["mac"].replace(":", ""))
        if mac is None:
            mac = _ESPRESSIF_OUI + draws.stream("mac").bytes(3)
        if len(mac) != 6:
            raise ValueError(f"a MAC address has 6 bytes, not {len(mac)}")
        scratch = path.with_suffix(f".{os.getpid()}.tmp")
        scratch.write_text(json.dumps({"schema": 1, "mac": mac.hex(":")}) + "\n")
        scratch.replace(path)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
        raise BadRequest("unusable board state", got=str(e), evidence=str(path), remedy="remove the file") from e
    return mac
