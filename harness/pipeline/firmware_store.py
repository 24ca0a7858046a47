"""Firmware in the artifact store: the image with what flashing and decoding need, and what became of it on devices.

``firmware/v1.0.0-737e3d8.bin`` is the image, ``….parts.zip`` its companions (boot loader, partition table, manifest,
ELF), ``….metadata.json`` who built what. ``deployed/MAC.json`` remembers what a device got, ``bad/SHA256.json`` what
failed its health check: such an image is refused until somebody insists.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import BadRequest, HarnessFault
from harness.pipeline.artifacts import Artifact, ArtifactStore, now, unzipped, zipped
from harness.rig.bundle import MANIFEST, MAX_IMAGE_BYTES, FirmwareBundle
from harness.wire.image import parse_image

ELF = "firmware.elf"
_COMPANIONS = ("bootloader.bin", "partitions.bin", "boot_app0.bin")
_PARTS = (*_COMPANIONS, MANIFEST, ELF)
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class FirmwareStore:
    """Firmware and its life on devices, in one artifact store."""

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store

    # ---- images

    def put(self, bundle: FirmwareBundle, name: str = "", details: Mapping[str, Any] | None = None) -> Artifact:
        """Stores a build; the same image again is the artifact that is there.

        Args:
            bundle: the build; ``firmware.elf`` beside it is stored too.
            name: default :func:`default_name`; one that holds another image already gets digits of the SHA-256.
            details: more for the metadata.

        Raises:
            BadRequest: ``name`` was given and holds another image, or the build has changed since it was loaded.
        """
        image = bundle.path.read_bytes()
        if parse_image(image).sha256 != bundle.image.sha256:
            raise BadRequest(
                f"{bundle.path} has changed meanwhile", expected=bundle.sha256, remedy="wait for the build, then again"
            )
        chosen = name or default_name(bundle)
        there = self.store.find("firmware", chosen)
        if there is not None and not name and image_sha256(there) != bundle.sha256:
            chosen = f"{chosen}.{bundle.sha256[:8]}"
        parts = {p.name: p.read_bytes() for p in (bundle.bootloader, bundle.partitions, bundle.otadata)}
        for extra in (MANIFEST, ELF):
            path = bundle.path.with_name(extra)
            parts |= {extra: path.read_bytes()} if path.is_file() else {}
        archive = zipped(parts)
        metadata = {
            "version": bundle.version, "commit": str(bundle.manifest.get("git", "")), "build": _build(bundle),
            "sizes": {name: len(data) for name, data in {**parts, "firmware.bin": image}.items()},
            "parts_sha256": hashlib.sha256(archive).hexdigest(), **(details or {}),
        }  # fmt: skip
        return self.store.put_bytes(
            "firmware", chosen, image, ".bin", metadata, raw=True, extra=(".parts.zip", archive)
        )

    def find(self, image: str) -> Artifact | None:
        """The stored firmware whose image has this SHA-256 (the trailer, as devices report it)."""
        return next((a for a in self.store.all("firmware") if image_sha256(a) == image), None)

    def load(self, artifact: Artifact, folder: Path) -> FirmwareBundle:
        """Unpacks a stored firmware into an empty folder.

        Raises:
            HarnessFault: a stored file is damaged.
        """
        image = self.store.content(artifact)
        archive = self.store.read(f"firmware/{artifact.name}.parts.zip")
        if archive is None or hashlib.sha256(archive).hexdigest() != artifact.details.get("parts_sha256"):
            raise HarnessFault(
                f"the parts of firmware '{artifact.name}' are damaged or gone", evidence=self.store.url,
                remedy="build that commit again and store it under a new name",
            )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in unzipped(archive, 4 * MAX_IMAGE_BYTES).items():
            if name in _PARTS:
                (folder / name).write_bytes(data)
        (folder / "firmware.bin").write_bytes(image)
        bundle = FirmwareBundle.load(folder)
        if bundle.sha256 != image_sha256(artifact):
            raise HarnessFault(f"firmware '{artifact.name}' is not the image its metadata names")
        return bundle

    # ---- life on devices

    def note_deployed(self, mac: str, artifact: Artifact) -> None:
        """Remembers that a device runs this firmware, in health; what it ran before stays known."""
        path = f"deployed/{_checked(_MAC, mac).replace(':', '')}.json"
        with self.store.lock():
            old = self.store.read_json(path) or {}
            entry = {"name": artifact.name, "image_sha256": image_sha256(artifact), "at": now()}
            before = old.get("previous") if old.get("image_sha256") == entry["image_sha256"] else _entry(old)
            self.store.write_json(path, {"mac": mac, **entry, "previous": before})

    def deployed(self, mac: str) -> dict[str, Any] | None:
        """``name``, ``image_sha256``, ``at`` and ``previous`` (the same, or None) of a device; None when unknown."""
        return self.store.read_json(f"deployed/{_checked(_MAC, mac).replace(':', '')}.json")

    def all_deployed(self) -> set[str]:
        """Names of all firmware that some device runs or ran before."""
        records = [self.store.read_json(f"deployed/{n}") or {} for n in self.store.names("deployed")]
        entries = [e for r in records for e in (r, r.get("previous") or {})]
        return {str(e["name"]) for e in entries if "name" in e}

    def note_bad(self, image: str, why: str, mac: str) -> None:
        """Remembers an image that failed its health check."""
        record = {"image_sha256": _checked(_SHA256, image), "why": why[:2000], "mac": mac, "at": now()}
        self.store.write_json(f"bad/{image}.json", record)

    def forgive(self, image: str) -> None:
        """Forgets that an image was bad: it has proven itself since."""
        self.store.remove(f"bad/{_checked(_SHA256, image)}.json")

    def bad(self, image: str) -> dict[str, Any] | None:
        """Why an image is refused; None when nothing speaks against it."""
        return self.store.read_json(f"bad/{_checked(_SHA256, image)}.json")


def default_name(bundle: FirmwareBundle) -> str:
    """``v1.0.0-737e3d8``; ``-sim`` for the virtual board; a changed tree adds digits of its image."""
    told = str(bundle.manifest.get("git", ""))
    changed = f"+{bundle.sha256[:8]}" if told.endswith("+") else ""
    commit = told.rstrip("+") or bundle.sha256[:8]
    name = f"v{bundle.version or '0'}-{commit}{'-sim' if bundle.is_sim else ''}{changed}"
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name)[:90]


def image_sha256(artifact: Artifact) -> str:
    """SHA-256 trailer of a stored image: what a device reports when it runs it."""
    return str(dict(artifact.details.get("build") or {}).get("image_sha256", ""))


def _build(bundle: FirmwareBundle) -> dict[str, Any]:
    kept = ("build_time", "compiler", "cost_model", "hil")
    elf = bundle.image.descriptor.app_elf_sha256.hex() if bundle.image.descriptor else ""
    return {
        "project": bundle.project, "image_sha256": bundle.sha256, "elf_sha256": elf,
        **{k: bundle.manifest[k] for k in kept if k in bundle.manifest},
    }  # fmt: skip


def _entry(record: Mapping[str, Any]) -> dict[str, Any] | None:
    keys = ("name", "image_sha256", "at")
    return {k: record[k] for k in keys} if all(k in record for k in keys) else None


def _checked(pattern: re.Pattern[str], text: str) -> str:
    if not pattern.fullmatch(text):
        raise BadRequest("unusable key for a record of the store", expected=pattern.pattern, got=repr(text[:80]))
    return text
