"""What the webhook has taken already: on disk, bounded, written before a workflow is started.

A delivery is known by its id and by the digest of its body. The id stands in a header that the signature does not
cover, so that a captured body could come back under a fresh id; the digest sees through that.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from harness.errors import RigFault

MOST_DELIVERIES = 10_000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    digest TEXT NOT NULL UNIQUE,
    taken REAL NOT NULL,
    workflow TEXT NOT NULL DEFAULT ''
)
"""


@dataclass(frozen=True)
class Claim:
    """What is known of a delivery.

    Attributes:
        id: under which it came first; the workflow's correlation id.
        workflow: id of the workflow it started; "" when it is not known to have started one.
        fresh: never seen before.
    """

    id: str
    workflow: str
    fresh: bool


class Deliveries:
    """The record of deliveries in a folder, for one process at a time.

    Args:
        folder: made if it is not there.
        most: newest to remember.

    Raises:
        RigFault: another process uses the folder, or it cannot be written.
    """

    def __init__(self, folder: Path, most: int = MOST_DELIVERIES) -> None:
        self._most = most
        self._lock = threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._owner = FileLock(folder / "webhook.lock", timeout=0, thread_local=False)
            self._owner.acquire()
            self._db = sqlite3.connect(folder / "deliveries.db", check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(_SCHEMA)
        except Timeout as error:
            raise RigFault(
                "another webhook uses this folder", evidence=str(folder), remedy="end it, or give --state another"
            ) from error
        except (OSError, sqlite3.Error) as error:
            raise RigFault("the webhook's record cannot be opened", got=str(error), evidence=str(folder)) from error

    @contextmanager
    def one(self, delivery: str, digest: str) -> Iterator[Claim]:
        """Claims a delivery; while it is held no other is handled, so that none starts two workflows.

        The claim is on disk before the caller starts anything, and stays when the caller fails: whoever finds it
        without a workflow has to ask the server whether one was started.
        """
        with self._lock:
            row = self._db.execute(
                "SELECT id, workflow FROM deliveries WHERE id = ? OR digest = ? ORDER BY number LIMIT 1",
                (delivery, digest),
            ).fetchone()
            if row is not None:
                yield Claim(str(row[0]), str(row[1]), False)
                return
            self._db.execute(
                "INSERT INTO deliveries (id, digest, taken) VALUES (?, ?, ?)", (delivery, digest, time.time())
            )
            self._db.execute(
                "DELETE FROM deliveries WHERE number <= (SELECT MAX(number) FROM deliveries) - ?", (self._most,)
            )
            yield Claim(delivery, "", True)

    def started(self, claim: Claim, workflow: str) -> None:
        """Remembers which workflow a claimed delivery started. Inside :meth:`one` only."""
        self._db.execute("UPDATE deliveries SET workflow = ? WHERE id = ?", (workflow, claim.id))

    def count(self) -> int:
        """How many are remembered."""
        with self._lock:
            return int(self._db.execute("SELECT COUNT(*) FROM deliveries").fetchone()[0])

    def close(self) -> None:
        """Closes the record and lets another process use it."""
        with self._lock:
            self._db.close()
            self._owner.release()
