"""The artifact store: what was built, found and measured, in a folder or in any object store fsspec can reach.

An artifact is a file and its ``NAME.metadata.json``, which is written last: what has no metadata is not there. Names
and tags never change their meaning. Files are written under another name and renamed; changes of what is there happen
under a lock, so several writers do each other no harm.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import secrets
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

import fsspec

from harness.errors import BadRequest, HarnessFault
from harness.pipeline.store_files import StoreFiles
from harness.pipeline.store_lock import StoreLock

ENV = "K1HIL_STORE"
DEFAULT_FOLDER = "artifacts"
Kind = Literal["firmware", "patterns", "reports", "tuning", "webapp"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_ARTIFACT_BYTES = 256 << 20
MAX_METADATA_BYTES = 1 << 20
MAX_FILES = 5000
# Compression has to save a tenth of a file, or the file stays as it is.
WORTH_IT = 0.9
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,99}")
_SUFFIX = ".metadata.json"


@dataclass(frozen=True)
class Artifact:
    """One artifact as its metadata tells it.

    Attributes:
        file: path in the store; ``encoding``: "", "gzip" or "zip" (a folder).
        sha256, bytes: of the content (of the zip for a folder); ``stored_bytes``: of the file in the store.
        created: UTC, ISO 8601.
        details: what is particular to the kind (build identity, sizes …).
    """

    kind: Kind
    name: str
    file: str
    encoding: str
    sha256: str
    bytes: int
    stored_bytes: int
    created: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The metadata file's content."""
        return {
            "schema": 1, "kind": self.kind, "name": self.name, "file": self.file, "encoding": self.encoding,
            "sha256": self.sha256, "bytes": self.bytes, "stored_bytes": self.stored_bytes, "created": self.created,
            **self.details,
        }  # fmt: skip


class ArtifactStore:
    """A store at a path or URL (``s3://bucket/prefix``, ``memory://x`` …).

    Raises:
        BadRequest: the URL needs an fsspec plug-in that is not installed, or is none.
    """

    def __init__(self, url: str | Path | None = None) -> None:
        self.url = str(url or os.environ.get(ENV, "") or DEFAULT_FOLDER)
        options = {} if "://" in self.url else {"auto_mkdir": True}
        where = self.url if "://" in self.url else str(Path(self.url).absolute())
        try:
            fs, root = fsspec.core.url_to_fs(where, **options)
        except (ImportError, ValueError) as error:
            raise BadRequest(
                f"the artifact store {self.url.split('?')[0]} cannot be reached", got=str(error),
                remedy="install the fsspec plug-in of that protocol (s3:// needs k1hil[s3]), or name a folder",
            ) from error  # fmt: skip
        self.files = StoreFiles(fs, self.url)
        self.root = str(root).rstrip("/")

    # ---- artifacts

    def put(
        self, kind: Kind, name: str, source: Path, details: Mapping[str, Any] | None = None
    ) -> Artifact:
        """Stores a file or a folder under a new name; the same content again is the artifact that is there.

        Raises:
            BadRequest: an unusable name or source, or other content under this name.
            RigFault: the store is locked or cannot be written.
        """
        data, encoding = pack(source)
        suffix = ".zip" if encoding == "zip" else "".join(source.suffixes[-1:])
        return self.put_bytes(kind, name, data, suffix, details, folder=encoding == "zip")

    def put_bytes(
        self, kind: Kind, name: str, data: bytes, suffix: str, details: Mapping[str, Any] | None = None, *,
        folder: bool = False, raw: bool = False, extra: tuple[str, bytes] | None = None,
    ) -> Artifact:  # fmt: skip
        """As :meth:`put`, from memory. ``raw`` never compresses; ``extra`` is a second file (suffix, bytes)."""
        check_name(name)
        if kind not in KINDS:
            raise BadRequest(f"unknown kind of artifact '{kind}'", expected=", ".join(KINDS))
        if len(data) > MAX_ARTIFACT_BYTES:
            raise BadRequest(f"{name} is too big to store", expected=f"{MAX_ARTIFACT_BYTES} bytes", got=str(len(data)))
        stored, encoding = (data, "zip" if folder else "") if folder or raw else _squeezed(data)
        file = f"{kind}/{name}{suffix}{'.gz' if encoding == 'gzip' else ''}"
        made = Artifact(
            kind, name, file, encoding, hashlib.sha256(data).hexdigest(), len(data), len(stored), now(),
            dict(details or {}),
        )  # fmt: skip
        files = [(file, stored)]
        if extra is not None:
            files.append((f"{kind}/{name}{extra[0]}", extra[1]))
        with self.lock() as lock:
            there = self.find(kind, name)
            if there is not None:
                return _same(there, made)
            work = [(self._write_aside(content), path) for path, content in files]
            lock.validate()
            for aside, path in work:
                self._move(aside, path)
            self.write_json(f"{kind}/{name}{_SUFFIX}", made.to_json())
        return made

    def find(self, kind: Kind, name: str) -> Artifact | None:
        """The artifact of this name; None when there is none."""
        check_name(name)
        found = self.read_json(f"{kind}/{name}{_SUFFIX}")
        return None if found is None else _artifact(found)

    def get(self, kind: Kind, name: str) -> Artifact:
        """As :meth:`find`, by name or by tag.

        Raises:
            BadRequest: neither exists.
        """
        found = self.find(kind, name)
        if found is None and (tagged := self.tags().get(name)) is not None and tagged.startswith(f"{kind}/"):
            found = self.find(kind, tagged.split("/", 1)[1])
        if found is None:
            raise BadRequest(f"the store has no {kind} '{name}'", evidence=self.url, remedy="k1hil artifacts list")
        return found

    def all(self, kind: Kind) -> list[Artifact]:
        """All artifacts of a kind, newest first."""
        names = [n[: -len(_SUFFIX)] for n in self.names(kind) if n.endswith(_SUFFIX)]
        found = [a for a in (self.find(kind, n) for n in names if _NAME.fullmatch(n)) if a is not None]
        return sorted(found, key=lambda a: (a.created, a.name), reverse=True)

    def content(self, artifact: Artifact) -> bytes:
        """The content of an artifact, checked against its SHA-256.

        Raises:
            HarnessFault: the file is damaged or gone.
        """
        data = self.read(artifact.file)
        if data is not None and artifact.encoding == "gzip":
            with gzip.GzipFile(fileobj=io.BytesIO(data)) as packed:
                data = packed.read(artifact.bytes + 1)
        if data is None or hashlib.sha256(data).hexdigest() != artifact.sha256:
            raise HarnessFault(
                f"the stored {artifact.kind} '{artifact.name}' is damaged", expected=artifact.sha256,
                got="nothing" if data is None else "other bytes", evidence=f"{self.url}/{artifact.file}",
                remedy="remove it from the store and put it there anew",
            )  # fmt: skip
        return data

    # ---- tags

    def tags(self) -> dict[str, str]:
        """Tag to ``kind/name``."""
        found = {}
        for name in self.names("tags"):
            record = self.read_json(f"tags/{name}") or {}
            if name.endswith(".json") and isinstance(record.get("artifact"), str):
                found[name[: -len(".json")]] = record["artifact"]
        return found

    def tag(self, kind: Kind, name: str, tag: str) -> None:
        """Gives an artifact a further name that never means anything else.

        Raises:
            BadRequest: no such artifact, or the tag names another one.
        """
        check_name(tag)
        target = f"{kind}/{self.get(kind, name).name}"
        with self.lock():
            old = self.tags().get(tag)
            if old not in (None, target):
                raise BadRequest(
                    f"the tag '{tag}' is taken", expected=str(old), got=target, remedy="tags never move: use a new one"
                )
            if self.find(kind, target.split("/", 1)[1]) is None:
                raise BadRequest(f"{target} was removed meanwhile", evidence=self.url)
            self.write_json(f"tags/{tag}.json", {"artifact": target, "created": now()})

    def untag(self, tag: str) -> None:
        """Removes a tag; the artifact stays until it is collected."""
        check_name(tag)
        with self.lock():
            self.remove(f"tags/{tag}.json")

    # ---- files

    def lock(self) -> StoreLock:
        """The one lock of the store."""
        return StoreLock(self.files, f"{self.root}/.locks", "store")

    def names(self, folder: str) -> list[str]:
        """File names in a folder of the store."""
        return self.files.names(f"{self.root}/{folder}")

    def read(self, path: str) -> bytes | None:
        """A file; None when there is none."""
        try:
            return self.files.read(f"{self.root}/{path}", MAX_ARTIFACT_BYTES + 1)
        except FileNotFoundError:
            return None

    def write(self, path: str, data: bytes) -> None:
        """A file, whole or not at all."""
        self._move(self._write_aside(data), path)

    def read_json(self, path: str) -> dict[str, Any] | None:
        """A JSON object; None when there is none.

        Raises:
            HarnessFault: it is something else.
        """
        data = self.read(path)
        if data is None:
            return None
        try:
            value = json.loads(data) if len(data) <= MAX_METADATA_BYTES else None
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise HarnessFault(f"{path} in the store is no JSON object", evidence=f"{self.url}/{path}")
        return value

    def write_json(self, path: str, value: Mapping[str, Any]) -> None:
        """A JSON object, whole or not at all."""
        self.write(path, json.dumps(dict(value), indent=1, sort_keys=True).encode())

    def remove(self, path: str) -> None:
        """A file; nothing when there is none."""
        self.files.remove(f"{self.root}/{path}")

    def _write_aside(self, data: bytes) -> str:
        aside = f"{self.root}/.new/{secrets.token_hex(12)}"
        self.files.write(aside, data)
        return aside

    def _move(self, aside: str, path: str) -> None:
        self.files.move(aside, f"{self.root}/{path}")


def now() -> str:
    """UTC in ISO 8601, microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def check_name(name: str) -> None:
    """Raises BadRequest for a name that could not be a file name everywhere."""
    if not _NAME.fullmatch(name) or name.endswith((_SUFFIX, ".")):
        raise BadRequest(
            "unusable name for an artifact", expected="letters, digits, . _ + -, at most 100", got=repr(name[:120])
        )


def pack(source: Path) -> tuple[bytes, str]:
    """A file's bytes with "", or a folder as a zip whose bytes depend on nothing but its files, with "zip".

    Raises:
        BadRequest: neither, or too many files.
    """
    if source.is_file():
        return source.read_bytes(), ""
    if not source.is_dir():
        raise BadRequest(f"{source} is neither file nor folder")
    files = sorted(p for p in source.rglob("*") if p.is_file() and not p.is_symlink())
    if not files or len(files) > MAX_FILES or sum(p.stat().st_size for p in files) > MAX_ARTIFACT_BYTES:
        raise BadRequest(f"{source} cannot be stored", expected=f"1 to {MAX_FILES} files", got=f"{len(files)}")
    return zipped({p.relative_to(source).as_posix(): p.read_bytes() for p in files}), "zip"


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of these files; the same files give the same bytes."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])
    return out.getvalue()


def unzipped(data: bytes, limit: int = MAX_ARTIFACT_BYTES) -> dict[str, bytes]:
    """The files of such a zip.

    Raises:
        HarnessFault: not a zip, bigger than ``limit`` bytes, or with names that lead elsewhere.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            outside = any(e.filename.startswith("/") or ".." in Path(e.filename).parts for e in entries)
            if outside or len(entries) > MAX_FILES or sum(e.file_size for e in entries) > limit:
                raise HarnessFault("a stored archive is not one of ours", got=f"{len(entries)} files")
            return {e.filename: archive.read(e) for e in entries if not e.is_dir()}
    except (zipfile.BadZipFile, ValueError) as error:
        raise HarnessFault("a stored archive is damaged", got=str(error)) from error


def _squeezed(data: bytes) -> tuple[bytes, str]:
    small = gzip.compress(data, mtime=0)
    return (small, "gzip") if len(small) < WORTH_IT * len(data) else (data, "")


def _same(there: Artifact, made: Artifact) -> Artifact:
    if there.sha256 != made.sha256:
        raise BadRequest(
            f"{there.kind} '{there.name}' is in the store with other content", expected=there.sha256, got=made.sha256,
            remedy="a name never changes its content: use a new name",
        )  # fmt: skip
    return there


def _artifact(record: dict[str, Any]) -> Artifact:
    texts = ("kind", "name", "file", "encoding", "sha256", "created")
    try:
        known = [str(record[k]) for k in texts]
        sizes = int(record["bytes"]), int(record["stored_bytes"])
        if known[0] not in KINDS or not 0 <= sizes[0] <= MAX_ARTIFACT_BYTES or not known[2].startswith(f"{known[0]}/"):
            raise ValueError("a field makes no sense")
    except (KeyError, ValueError, TypeError) as error:
        raise HarnessFault("metadata in the store makes no sense", got=repr(error)) from error
    details = {k: v for k, v in record.items() if k not in {*texts, "bytes", "stored_bytes", "schema"}}
    return Artifact(known[0], known[1], known[2], known[3], known[4], *sizes, known[5], details)
