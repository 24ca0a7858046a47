"""Uploaded sound: who may, how much, and into the store with it. What it sounds like, the workflow finds out."""

from __future__ import annotations

import hashlib
import hmac
import re
import threading
import time
from collections import deque
from collections.abc import Callable

from harness.conductor.github import Order
from harness.conductor.webhook_config import Upload
from harness.errors import BadRequest
from harness.pipeline.artifacts import ArtifactStore

TUNING = "audio-tuning"
HOUR_S = 3600.0
# Each is held in memory while it arrives.
MOST_AT_ONCE = 2
MOST_PATTERNS = 16
_PATTERN = re.compile(r"[a-z0-9_]{1,64}")
# First bytes of what the tuning reads; the sound library looks closer, in the worker.
_MAGIC = ((b"RIFF", 8, b"WAVE", ".wav"), (b"fLaC", 0, b"", ".flac"), (b"OggS", 0, b"", ".ogg"))


class Uploads:
    """Takes sound files.

    Args:
        config: limits and default patterns.
        store: into which they go, as ``tuning/upload-DIGEST``.
        token: what the uploader has to show.
        now: monotonic seconds; for tests.
    """

    def __init__(
        self, config: Upload, store: ArtifactStore, token: bytes, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._config = config
        self._store = store
        self._token = hashlib.sha256(token).digest()
        self._now = now
        self._lock = threading.Lock()
        self._inside = 0
        self._entered: deque[float] = deque()
        self.most_bytes = config.max_mib << 20

    def authorised(self, header: str) -> bool:
        """Whether ``Authorization`` shows the token; digests are compared, so that time tells nothing of it."""
        scheme, _, given = header.partition(" ")
        digest = hashlib.sha256(given.strip().encode()).digest()
        return hmac.compare_digest(digest, self._token) and scheme.lower() == "bearer"

    def patterns(self, text: str) -> list[str]:
        """Names of patterns, parted by commas; the configured ones when there are none.

        Raises:
            BadRequest: no names, or too many.
        """
        names = [name for name in text.split(",") if name] or list(self._config.patterns)
        if len(names) > MOST_PATTERNS or not all(_PATTERN.fullmatch(name) for name in names):
            raise BadRequest("unusable patterns", expected=f"at most {MOST_PATTERNS} ids, parted by commas",
                             got=repr(text[:100]))  # fmt: skip
        return names

    def enter(self) -> int:
        """Takes a place; seconds to wait when there is none (then nothing is taken)."""
        with self._lock:
            now = self._now()
            while self._entered and self._entered[0] <= now - HOUR_S:
                self._entered.popleft()
            if len(self._entered) >= self._config.per_hour:
                return max(1, round(self._entered[0] + HOUR_S - now))
            if self._inside >= MOST_AT_ONCE:
                return 5
            self._inside += 1
            self._entered.append(now)
            return 0

    def leave(self) -> None:
        """Gives the place back."""
        with self._lock:
            self._inside -= 1

    def keep(self, data: bytes, patterns: list[str]) -> tuple[Order, str]:
        """Puts a file into the store; the workflow to start for it, and a digest of file and patterns.

        Raises:
            BadRequest: not a sound file by its first bytes.
            RigFault: the store cannot be written.
        """
        suffix = next((s for head, at, word, s in _MAGIC if data.startswith(head) and data[at:].startswith(word)), "")
        if not suffix:
            raise BadRequest("not a sound file", expected="WAV, FLAC or OGG", got=repr(data[:12]))
        name = f"upload-{hashlib.sha256(data).hexdigest()[:16]}"
        kept = self._store.put_bytes("tuning", name, data, suffix, {"source": "upload"}, raw=True)
        inputs = {"audio": kept.name, "audio_sha256": kept.sha256, "patterns": patterns}
        digest = hashlib.sha256(data + b"\0" + ",".join(patterns).encode()).hexdigest()
        return Order(TUNING, inputs, ""), digest
