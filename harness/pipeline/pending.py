"""Updates for devices that were away: one per device, delivered when it is seen again.

``pending/MAC.json`` in the artifact store names the firmware a device is to get; a newer one replaces it, because
nobody wants to see the one between. ``rigs/NAME.json`` remembers which board a rig had last: a device that is away
cannot tell its MAC.
"""

from __future__ import annotations

import re
from typing import Any

from harness.errors import BadRequest
from harness.pipeline.artifacts import Artifact, now
from harness.pipeline.firmware_store import FirmwareStore, image_sha256

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_RIG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class PendingUpdates:
    """The pending updates of one store.

    Args:
        firmware: the store they live in.
    """

    def __init__(self, firmware: FirmwareStore) -> None:
        self._store = firmware.store

    def put(self, mac: str, artifact: Artifact, by: str) -> dict[str, Any] | None:
        """A device is to get this firmware when it is back; the update that this one replaces.

        Args:
            mac: of the device.
            artifact: stored firmware.
            by: who wants it.
        """
        path = _path(mac)
        with self._store.lock():
            before = self._store.read_json(path)
            record = {"mac": mac, "name": artifact.name, "image_sha256": image_sha256(artifact), "by": by[:200]}
            self._store.write_json(path, {**record, "at": now()})
        return before

    def get(self, mac: str) -> dict[str, Any] | None:
        """``name``, ``image_sha256``, ``by`` and ``at`` of what a device is to get; None when nothing."""
        return self._store.read_json(_path(mac))

    def drop(self, mac: str, image: str) -> bool:
        """Forgets an update that was delivered or proved bad; False when another one waits meanwhile."""
        with self._store.lock():
            record = self._store.read_json(_path(mac))
            if record is None or record.get("image_sha256") != image:
                return False
            self._store.remove(_path(mac))
        return True

    def names(self) -> set[str]:
        """Names of all firmware that waits for some device."""
        records = [self._store.read_json(f"pending/{n}") or {} for n in self._store.names("pending")]
        return {str(r["name"]) for r in records if "name" in r}

    def note_rig(self, rig: str, mac: str) -> None:
        """Remembers which board a rig has."""
        if self.mac_of(rig) != mac:
            _path(mac)
            self._store.write_json(_rig_path(rig), {"rig": rig, "mac": mac, "at": now()})

    def mac_of(self, rig: str) -> str:
        """The board a rig had last; "" when it was never seen."""
        return str((self._store.read_json(_rig_path(rig)) or {}).get("mac", ""))


def _path(mac: str) -> str:
    if not _MAC.fullmatch(mac):
        raise BadRequest("not a MAC address", expected="aa:bb:cc:dd:ee:ff", got=repr(mac[:40]))
    return f"pending/{mac.replace(':', '')}.json"


def _rig_path(rig: str) -> str:
    if not _RIG.fullmatch(rig):
        raise BadRequest("not a rig's name", got=repr(rig[:100]))
    return f"rigs/{rig}.json"
