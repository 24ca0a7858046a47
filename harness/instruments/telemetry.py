"""Telemetry and commands over the console (docs/telemetry.md): identity, clock, frame records, pixels, events."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from harness.errors import BadRequest, DutFailure
from harness.instruments.clock import never
from harness.instruments.console import SECRET_VERBS, Console
from harness.recording import FRAME_COLUMNS, LEDS, Columns, no_pixels
from harness.timebase import ClockFit, SyncPair, fit_min_rtt
from harness.wire.telemetry import (
    FRAME_FIELDS,
    Batch,
    Identity,
    PixelRow,
    Sentence,
    parse_event,
    parse_identity,
    parse_sync,
)

COMMAND_TIMEOUT_S = 2.0
# Exchanges are spread by odd steps: a fixed step would meet the device's 1 kHz tick in the same phase every time.
_SYNC_STEP_S = (0.0031, 0.0077, 0.0123, 0.0059, 0.0171, 0.0043)


class CommandRefused(DutFailure):
    """The device answered ``NAK``. ``reason`` is its word."""

    reason = ""


class Mark(NamedTuple):
    """A point in the telemetry streams."""

    frames: int
    pixels: int
    events: int
    lines: int


class _FrameStore:
    """Frame rows: tuples while they come in, packed into int64 blocks from time to time (an hour is 600 000 rows)."""

    BLOCK = 16_384

    def __init__(self) -> None:
        self._blocks: list[npt.NDArray[np.int64]] = []
        self._rows: list[tuple[int, ...]] = []
        self._packed = 0

    def __len__(self) -> int:
        return self._packed + len(self._rows)

    def add(self, rows: list[tuple[int, ...]]) -> None:
        self._rows += rows
        if len(self._rows) >= self.BLOCK:
            self._pack()

    def _pack(self) -> None:
        if self._rows:
            self._blocks.append(np.array(self._rows, dtype=np.int64))
            self._packed += len(self._rows)
            self._rows = []

    def since(self, n: int) -> npt.NDArray[np.int64]:
        """Rows from the n-th on: int64[rows, fields]."""
        self._pack()
        table = np.concatenate(self._blocks) if self._blocks else np.zeros((0, len(FRAME_FIELDS)), np.int64)
        self._blocks = [table]
        return table[n:]


class Telemetry:
    """Reads the sentences of one console and sends commands.

    The frame path runs at thousands of rows per second of wall time on the virtual bench.

    Args:
        console: where the sentences come from.
        seed: of the tokens of clock exchanges; None draws them afresh, so that no answer to an earlier run is taken.
        spoken: whether the device's firmware knows the sentences at all.
    """

    def __init__(self, console: Console, seed: int | None = None, *, spoken: bool = True) -> None:
        self.console = console
        self.spoken = spoken
        self._tokens = random.Random(seed)
        self.clock = console.clock
        self._frames = _FrameStore()
        self._pixels: list[PixelRow] = []
        self._events: list[dict[str, Any]] = []
        self._replies: list[tuple[int, Sentence]] = []
        self._identities: list[tuple[int, Identity]] = []
        console.listen(self._take)

    def _take(self, batch: Batch) -> None:
        if batch.frames:
            self._frames.add(batch.frames)
        if batch.pixels:
            self._pixels += batch.pixels
        for host_ns, sentence in batch.sentences:
            event = parse_event(sentence)
            if event is not None:
                self._events.append({**event, "host_ns": host_ns})
                continue
            identity = parse_identity(sentence)
            if identity is not None:
                self._identities.append((host_ns, identity))
            if sentence.type in ("ACK", "NAK", "SYN") or identity is not None:
                self._replies.append((host_ns, sentence))

    def need(self, what: str) -> None:
        """Refuses ``what`` on firmware without sentences, before anything is sent or written.

        Raises:
            BadRequest: it is.
        """
        if not self.spoken:
            raise BadRequest(
                f"{what} needs K1 sentences on the console, which this rig's firmware does not speak",
                expected="[dut] sentences = true", got="false in the rig file",
                remedy="what can be measured without them: docs/k1node1.md",
            )  # fmt: skip

    # ---- commands ----------------------------------------------------------------------------------

    def command(self, line: str, timeout_s: float = COMMAND_TIMEOUT_S) -> Sentence:
        """Sends one command and returns its answer (``ACK``, ``ID`` or ``SYN``).

        Raises:
            CommandRefused: the device answered ``NAK``.
            DutFailure: no answer in time.
        """
        _, reply = self._exchange(line, timeout_s)
        return reply

    def _exchange(self, line: str, timeout_s: float) -> tuple[int, Sentence]:
        verb = line.split()[0] if line.split() else ""
        self.need(f"the command '{verb}'")
        self.console.pump()
        seen = len(self._replies)
        self.console.send(line)
        answer: list[tuple[int, Sentence]] = []

        def answered() -> bool:
            self.console.pump()
            answer.extend(r for r in self._replies[seen:] if _answers(verb, line, r[1]))
            return bool(answer)

        shown = verb if verb in SECRET_VERBS else line
        if not self.clock.wait(answered, timeout_s, stop="console"):
            raise DutFailure(
                f"no answer to the command '{shown}'",
                expected=f"ACK, NAK, ID or SYN within {timeout_s:g} s",
                got=self.console.tail(),
                evidence=str(self.console.log_path or ""),
                remedy="is K1-compatible firmware running? A hung console task answers nothing",
            )
        host_ns, reply = answer[0]
        if reply.type == "NAK":
            refused = CommandRefused(f"the device refused '{shown}'", got=",".join(reply.fields))
            refused.reason = reply.fields[1] if len(reply.fields) > 1 else ""
            raise refused
        return host_ns, reply

    def identity(self, timeout_s: float = COMMAND_TIMEOUT_S) -> Identity:
        """Asks who the device is.

        Raises:
            DutFailure: no answer, or an answer without sense.
        """
        identity = parse_identity(self.command("id", timeout_s))
        if identity is None:
            raise DutFailure("the device's ID sentence makes no sense", got=self.console.tail(lines=3))
        return identity

    def identities(self) -> list[tuple[int, Identity]]:
        """All ``ID`` sentences so far with their host time (ns)."""
        self.console.pump()
        return list(self._identities)

    @property
    def n_identities(self) -> int:
        """``ID`` sentences so far, without reading the port."""
        return len(self._identities)

    def on(self) -> None:
        """Per-frame records, beats and onsets from now on."""
        self.command("telemetry on")

    def off(self) -> None:
        """No per-frame records."""
        self.command("telemetry off")

    def pixels(self, on: bool) -> None:
        """Full frame pixels with every record, or not."""
        self.command("pixels on" if on else "pixels off")

    def select(self, pattern: str | int) -> None:
        """Selects a pattern by id or index."""
        self.command(f"select {pattern}")

    def param(self, name: str, value: float) -> float:
        """Sets a parameter; returns the value the device took.

        Raises:
            DutFailure: refused, or an answer without a number.
        """
        reply = self.command(f"param {name} {value:.6f}")
        detail = reply.fields[1] if len(reply.fields) > 1 else ""
        try:
            return float(detail.partition("=")[2])
        except ValueError:
            raise DutFailure(f"the answer to 'param {name}' has no value", got=",".join(reply.fields)) from None

    # ---- clock -------------------------------------------------------------------------------------

    def sync_pairs(self, n: int) -> list[SyncPair]:
        """``n`` clock exchanges.

        Raises:
            DutFailure: the device does not answer.
        """
        pairs = []
        for i in range(n):
            token = f"{self._tokens.getrandbits(32):08x}"
            sent_ns = self.clock.now_ns()
            received_ns, reply = self._exchange(f"sync {token}", COMMAND_TIMEOUT_S)
            stamp = parse_sync(reply)
            assert stamp is not None  # _answers() let only a sound SYN with our token pass
            pairs.append(SyncPair(sent_ns, stamp[1], received_ns))
            self.clock.wait(never, _SYNC_STEP_S[i % len(_SYNC_STEP_S)])
        return pairs

    def sync(self, n: int = 8) -> ClockFit:
        """Fits the device clock from ``n`` exchanges now (offset only: the span is short)."""
        return fit_min_rtt(self.sync_pairs(n))

    # ---- streams -----------------------------------------------------------------------------------

    def mark(self) -> Mark:
        """Where the streams stand now."""
        self.console.pump()
        return Mark(len(self._frames), len(self._pixels), len(self._events), self.console.n_lines)

    def frames(self, since: Mark | None = None) -> Columns:
        """Frame records since a mark as columns (see :data:`harness.recording.FRAME_COLUMNS`)."""
        self.console.pump()
        table = self._frames.since(since.frames if since else 0)
        return {name: _narrow(table[:, i], FRAME_COLUMNS[name]) for i, name in enumerate(FRAME_FIELDS)}

    def pixel_rows(self, since: Mark | None = None) -> Columns:
        """Pixels since a mark: ``seq``, ``t_us``, ``host_ns`` [n] and ``rgb`` uint8[n, 160, 3]."""
        self.console.pump()
        rows = self._pixels[since.pixels if since else 0 :]
        if not rows:
            return no_pixels()
        head = np.array([row[:3] for row in rows], dtype=np.int64)
        rgb = np.frombuffer(b"".join(row[3] for row in rows), np.uint8).reshape(-1, LEDS, 3)
        return {"host_ns": head[:, 0], "seq": head[:, 1], "t_us": head[:, 2], "rgb": rgb}

    def events(self, since: Mark | None = None) -> list[dict[str, Any]]:
        """Beats and onsets since a mark."""
        self.console.pump()
        return list(self._events[since.events if since else 0 :])

    def forget(self) -> None:
        """Drops collected frames, pixels and events once a recording has them, so that a long session stays small."""
        self._frames = _FrameStore()
        self._pixels.clear()
        self._events.clear()


def _narrow(column: Any, kind: type[np.generic]) -> Any:
    """A column in its own width; values beyond it are clipped, so that nonsense stays visible as an extreme."""
    if kind is np.bool_:
        return column != 0
    limits = np.iinfo(kind)  # type: ignore[type-var]
    return np.clip(column, limits.min, limits.max).astype(kind)


def _answers(verb: str, line: str, reply: Sentence) -> bool:
    """Whether a sentence answers this command (an unasked-for ``ID`` at boot answers nothing but ``id``)."""
    if verb == "sync":
        token = line.split()[1] if len(line.split()) > 1 else ""
        return (reply.type == "SYN" and parse_sync(reply) is not None and reply.fields[0] == token) or (
            reply.type == "NAK" and reply.fields[:1] in (("sync",), ("line",))
        )
    if verb == "id":
        return reply.type == "ID"
    return (
        reply.type in ("ACK", "NAK") and bool(reply.fields) and reply.fields[0] in (verb, "line", "unknown", "command")
    )
