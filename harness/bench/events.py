"""The log of injected truth: what the board really did, one JSON object per line.

Only the scorer opens it. It is written next to the board's state, never into a recording.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


class EventLog:
    """Append-only; kept in memory and, with a path, written through in lines. Thread-safe by the board's lock."""

    def __init__(self, path: Path | None = None, keep: int = 10_000) -> None:
        self.path = path
        self._keep = keep
        self._events: list[dict[str, Any]] = []
        self._file = path.open("a", encoding="utf-8") if path is not None else None

    def add(self, host_ns: int, kind: str, **fields: Any) -> None:
        """Logs one event at a host instant (ns); ``fields`` are plain JSON values."""
        event = {"host_ns": int(host_ns), "kind": kind, **fields}
        self._events.append(event)
        if len(self._events) > self._keep:
            del self._events[: self._keep // 2]
        if self._file is not None:
            self._file.write(json.dumps(event, separators=(",", ":")) + "\n")
            self._file.flush()

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """Copies of the newest events (at most ``keep``), all or of one kind."""
        return [dict(e) for e in self._events if kind is None or e["kind"] == kind]

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class Batch:
    """Events that come by the hundred each second, written many to a line: each field becomes a list."""

    def __init__(self, log: EventLog, kind: str, size: int = 256) -> None:
        self._log = log
        self._kind = kind
        self._size = size
        self._host_ns = 0
        self._fields: dict[str, list[Any]] = {}
        self._n = 0

    def add(self, host_ns: int, **fields: Any) -> None:
        """One event; all of a batch have the same fields."""
        if self._n == 0:
            self._host_ns = host_ns
            self._fields = {name: [] for name in fields}
        for name, value in fields.items():
            self._fields[name].append(value)
        self._n += 1
        if self._n >= self._size:
            self.flush()

    def flush(self) -> None:
        """Writes what has come so far."""
        if self._n:
            self._log.add(self._host_ns, self._kind, **self._fields)
            self._n = 0
