"""Everything random on the bench, from one seed: named, independent streams that never disturb each other."""

from __future__ import annotations

import secrets
import zlib

import numpy as np


def fresh_seed() -> int:
    """A new seed for a run: 32 bits, short enough to type."""
    return secrets.randbits(32)


class Draws:
    """Generators derived from one seed by name and keys; the same name and keys always give the same stream."""

    def __init__(self, seed: int) -> None:
        if not 0 <= seed < 2**64:
            raise ValueError(f"seed must be 0 to 2^64-1, got {seed}")
        self.seed = seed

    def stream(self, name: str, *keys: int) -> np.random.Generator:
        """Generator of its own for ``name`` and non-negative integer ``keys``."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(zlib.crc32(name.encode()), *keys)))


class DrawPool:
    """Scalars from a generator at the price of a list access: drawn 4096 at a time."""

    def __init__(self, generator: np.random.Generator, kind: str, scale: float) -> None:
        """``kind``: ``exponential`` (mean ``scale``) or ``uniform`` (0 to ``scale``)."""
        self._generator = generator
        self._kind = kind
        self._scale = scale
        self._values: list[float] = []

    def take(self) -> float:
        if not self._values:
            if self._kind == "exponential":
                values = self._generator.exponential(self._scale, 4096)
            else:
                values = self._generator.uniform(0.0, self._scale, 4096)
            self._values = values.tolist()
        return self._values.pop()


class Delays:
    """Random delays outside the board, drawn anew for every epoch of the host clock.

    Attributes:
        serial: extra delay of the serial line, ns.
        network: extra one-way delay of the network, ns.
    """

    def __init__(self, draws: Draws, serial_ms: float, network_ms: float) -> None:
        self._draws = draws
        self._scales = (serial_ms * 1e6, network_ms * 1e6)
        self.reseed(0)

    def reseed(self, epoch: int) -> None:
        """What wall time has used up has no influence on what follows."""
        serial_ns, network_ns = self._scales
        self.serial = DrawPool(self._draws.stream("link jitter", epoch), "exponential", serial_ns)
        self.network = DrawPool(self._draws.stream("network jitter", epoch), "exponential", network_ns)
