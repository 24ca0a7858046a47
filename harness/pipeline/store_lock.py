"""Exclusive access to a store that several programs and machines write, by nothing but files.

A lock is a row of numbered records ``NAME.1``, ``NAME.2``, …: whoever creates the next number, which only one can, is
the holder, as soon as no higher number exists. A record that expired may be followed by the next number at any time; it
is never removed while it is the highest, so a number is never given twice. The holder checks before it commits that it
is still the highest and has not expired.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import socket
import time
from types import TracebackType
from typing import Any

from harness.errors import RigFault
from harness.pipeline.store_files import StoreFiles

EXPIRY_S = 60.0
PATIENCE_S = 30.0
ASK_EVERY_S = 0.05
MAX_RECORD_BYTES = 4096


class StoreLock:
    """One named lock of a store; a context manager.

    Args:
        files, folder: where the records live.
        name: of the lock, letters only.
        expiry_s: how long a silent holder keeps it.
        patience_s: how long to wait for it.
    """

    def __init__(
        self, files: StoreFiles, folder: str, name: str, *, expiry_s: float = EXPIRY_S,
        patience_s: float = PATIENCE_S,
    ) -> None:  # fmt: skip
        self._files, self._folder, self._name = files, folder, name
        self._expiry_s, self._patience_s = expiry_s, patience_s
        self._token = secrets.token_hex(8)
        self._number = 0
        self._expires = 0.0

    def __enter__(self) -> StoreLock:
        """Waits for the lock.

        Raises:
            RigFault: somebody else kept it too long; names them.
        """
        deadline = time.monotonic() + self._patience_s
        while not self._try():
            if time.monotonic() > deadline:
                raise RigFault(
                    "the artifact store stays locked", expected=f"free within {self._patience_s:g} s",
                    got=f"held by {self._holder()}", evidence=self._folder, remedy="wait for that program, or end it",
                )  # fmt: skip
            time.sleep(ASK_EVERY_S)
        return self

    def validate(self) -> None:
        """To be called before a change is committed.

        Raises:
            RigFault: the lock expired meanwhile, or somebody followed.
        """
        if self._numbers()[-1:] != [self._number] or time.time() > self._expires:
            raise RigFault(
                "the lock on the artifact store was lost", got="this program stood still for too long",
                evidence=self._folder, remedy="try again",
            )  # fmt: skip

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._numbers()[-1:] == [self._number]:
            self._write(self._number, 0.0)

    # ---- records

    def _try(self) -> bool:
        numbers = self._numbers()
        highest = numbers[-1] if numbers else 0
        if highest and self._stands(highest):
            return False
        self._expires = time.time() + self._expiry_s
        try:
            self._write(highest + 1, self._expires, new=True)
        except FileExistsError:
            return False
        if self._numbers()[-1:] != [highest + 1]:
            self._remove(highest + 1)  # looked at an old list: others have gone on since
            return False
        self._number = highest + 1
        for old in numbers:
            self._remove(old)
        return True

    def _numbers(self) -> list[int]:
        names = self._files.names(self._folder)
        return sorted(int(n[len(self._name) + 1 :]) for n in names if self._is_ours(n))

    def _is_ours(self, tail: str) -> bool:
        head, _, number = tail.rpartition(".")
        return head == self._name and number.isascii() and number.isdigit() and len(number) < 16

    def _stands(self, number: int) -> bool:
        record = self._read(number)
        if record is None:  # just being written, or torn by a crash: then its age decides
            try:
                modified = self._files.modified(self._path(number)).timestamp()
            except (FileNotFoundError, NotImplementedError):
                return False
            return bool(time.time() < modified + self._expiry_s)
        return bool(time.time() < float(record["expires"]))

    def _holder(self) -> str:
        numbers = self._numbers()
        record = self._read(numbers[-1]) if numbers else None
        return str(record.get("owner", "?"))[:200] if record else "nobody"

    def _read(self, number: int) -> dict[str, Any] | None:
        try:
            record = json.loads(self._files.read(self._path(number), MAX_RECORD_BYTES))
            float(record["expires"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return None
        return dict(record)

    def _write(self, number: int, expires: float, *, new: bool = False) -> None:
        owner = f"{getpass.getuser()} on {socket.gethostname()}, process {os.getpid()}"
        data = json.dumps({"owner": owner, "token": self._token, "expires": expires}).encode()
        self._files.write(self._path(number), data, new=new)

    def _remove(self, number: int) -> None:
        self._files.remove(self._path(number))

    def _path(self, number: int) -> str:
        return f"{self._folder}/{self._name}.{number}"
