"""What the artifact store keeps: the newest of each kind, what a device runs or is to get, and what somebody tagged."""

from __future__ import annotations

import time
from dataclasses import dataclass

from harness.pipeline.artifacts import KINDS, Artifact, ArtifactStore
from harness.pipeline.firmware_store import FirmwareStore
from harness.pipeline.pending import PendingUpdates

KEEP = 10
# What a writer that died left behind; no writer takes so long.
LEFTOVER_S = 3600.0


@dataclass(frozen=True)
class Collection:
    """What was (or would be) removed, and how many bytes that is in the store."""

    removed: list[Artifact]
    kept: int
    bytes: int


def collect(store: ArtifactStore, keep: int = KEEP, *, dry_run: bool = False) -> Collection:
    """Removes old artifacts. Kept are the newest ``keep`` of each kind, whatever has a tag, and firmware that a device
    runs, ran before that, or gets as soon as it is back.

    Raises:
        RigFault: the store is locked or cannot be written.
    """
    with store.lock() as lock:
        tagged = set(store.tags().values())
        firmware = FirmwareStore(store)
        needed = {f"firmware/{name}" for name in firmware.all_deployed() | PendingUpdates(firmware).names()}
        removed: list[Artifact] = []
        kept = 0
        for kind in KINDS:
            found = store.all(kind)
            old = [a for a in found[keep:] if f"{kind}/{a.name}" not in tagged | needed]
            removed += old
            kept += len(found) - len(old)
        if not dry_run:
            lock.validate()
            for artifact in removed:
                _remove(store, artifact)
            _sweep(store)
    return Collection(removed, kept, sum(a.stored_bytes for a in removed))


def _remove(store: ArtifactStore, artifact: Artifact) -> None:
    base = f"{artifact.kind}/{artifact.name}"
    store.remove(f"{base}.metadata.json")  # first: without it the rest is no artifact any more
    store.remove(artifact.file)
    store.remove(f"{base}.parts.zip")


def _sweep(store: ArtifactStore) -> None:
    """Files of writers that never finished."""
    for name in store.names(".new"):
        try:
            age_s = time.time() - store.files.modified(f"{store.root}/.new/{name}").timestamp()
        except FileNotFoundError:
            continue
        if age_s > LEFTOVER_S:
            store.remove(f".new/{name}")
