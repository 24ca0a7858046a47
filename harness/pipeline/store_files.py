"""The files of an artifact store, whatever carries them: what goes wrong on the way there is one kind of error."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import cast

from fsspec import AbstractFileSystem

from harness.errors import RigFault

READS = 5


class StoreFiles:
    """A file system of fsspec, of which only typed errors are seen.

    Its plug-ins raise whatever their network code raises: it all becomes a :class:`~harness.errors.RigFault` that names
    the store. Only ``FileNotFoundError`` of a reader and ``FileExistsError`` of an exclusive writer are answers.

    Args:
        fs: the file system.
        url: of the store, for messages.
    """

    def __init__(self, fs: AbstractFileSystem, url: str) -> None:
        self._fs, self._url = fs, url.split("?")[0]

    def names(self, folder: str) -> list[str]:
        """File names in a folder as it is now, not as it was remembered; none when there is no such folder."""
        with self._reached("read"):
            self._fs.invalidate_cache()
            try:
                return sorted(str(n).rsplit("/", 1)[-1] for n in self._fs.ls(folder, detail=False))
            except FileNotFoundError:
                return []

    def read(self, path: str, limit: int) -> bytes:
        """At most so many bytes of a file.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._reached("read"):
            for attempt in range(READS):
                self._fs.invalidate_cache()
                try:
                    with self._fs.open(path, "rb") as file:
                        return cast(bytes, file.read(limit))
                except OSError as error:  # an object store tells that the file was replaced while it was read
                    if error.errno != errno.EBUSY or attempt == READS - 1:
                        raise
            raise AssertionError("unreachable")

    def write(self, path: str, data: bytes, *, new: bool = False) -> None:
        """A file, whole; with ``new`` only if there is none.

        Raises:
            FileExistsError: there is one.
        """
        with self._reached("written", absent_is_fault=True):
            try:
                with self._fs.open(path, "xb" if new else "wb") as file:
                    file.write(data)
            except OSError as error:
                # Object stores say it each in their own words when somebody else was first.
                if new and not isinstance(error, FileExistsError) and self._exists(path):
                    raise FileExistsError(path) from error
                raise

    def move(self, old: str, new: str) -> None:
        """Gives a file another name."""
        with self._reached("written", absent_is_fault=True):
            self._fs.mv(old, new)

    def remove(self, path: str) -> None:
        """A file; nothing when there is none."""
        try:
            with self._reached("written"):
                self._fs.rm_file(path)
        except FileNotFoundError:
            return

    def modified(self, path: str) -> datetime:
        """When a file was written.

        Raises:
            FileNotFoundError: there is none. NotImplementedError: this file system does not tell.
        """
        with self._reached("read"):
            return cast(datetime, self._fs.modified(path))

    def _exists(self, path: str) -> bool:
        self._fs.invalidate_cache()
        return bool(self._fs.exists(path))

    @contextmanager
    def _reached(self, done: str, *, absent_is_fault: bool = False) -> Iterator[None]:
        try:
            yield
        except (FileExistsError, NotImplementedError):
            raise
        except Exception as error:  # the plug-ins' own and their libraries': none of it is typed
            if isinstance(error, FileNotFoundError) and not absent_is_fault:
                raise
            raise RigFault(
                f"the artifact store cannot be {done}", got=f"{type(error).__name__}: {error}"[:300],
                evidence=self._url, remedy="does it exist, is its server up, are the keys right?",
            ) from error  # fmt: skip
