"""Codec of the console's telemetry sentences and commands (docs/telemetry.md). Pure; never raises on garbage.

A sentence is ``$K1`` TYPE ``,`` FIELDS ``*`` CRC on one line. Every line that is not a sound sentence is log text.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from typing import Any, NamedTuple

MAX_SENTENCE = 1024
# A line that never ends (noise at a wrong baud rate) is given out in pieces of this size instead of filling memory.
MAX_LINE = 4096
PIXEL_BYTES = 480

FRAME_FIELDS = (
    "seq", "t_us", "render_us", "quantize_us", "transmit_us", "heap_free", "audio_us", "pattern", "dropped", "sent",
    "host_ns",
)  # fmt: skip
_N_FRAME = len(FRAME_FIELDS) - 1
_INT64_MAX = (1 << 63) - 1
_DIGITS = b"0123456789,"
_FRM = b"$K1FRM,"
_PIX = b"$K1PIX,"
_CLEAN = re.compile(r"[,*$\x00-\x1f\x7f]")


def crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE: poly 1021, init FFFF, no reflection, no final xor (check value of ``123456789``: 29B1)."""
    return binascii.crc_hqx(data, 0xFFFF)


class Sentence(NamedTuple):
    """A sound sentence: type without ``K1``, and its fields."""

    type: str
    fields: tuple[str, ...]


def encode_sentence(kind: str, values: Iterable[object]) -> bytes:
    """One sentence with its line end; forbidden characters in text fields become ``_`` as on the device.

    Raises:
        ValueError: longer than 1024 bytes.
    """
    body = ",".join(["K1" + kind, *(_CLEAN.sub("_", str(v)) for v in values)]).encode("ascii", "replace")
    line = b"$%s*%04X\r\n" % (body, crc16(body))
    if len(line) > MAX_SENTENCE:
        raise ValueError(f"sentence {kind} of {len(line)} bytes exceeds {MAX_SENTENCE}")
    return line


def sentence_span(line: bytes) -> tuple[int, int] | None:
    """Where the sentence of a line begins (its ``$``) and ends (its ``*``), or None when there is no sound one."""
    start = line.rfind(b"$K1")
    if start < 0 or len(line) - start > MAX_SENTENCE:
        return None
    star = line.find(b"*", start)
    if star < 0 or line[star + 5 :].strip(b"\r"):
        return None
    if b"%04X" % binascii.crc_hqx(line[start + 1 : star], 0xFFFF) != line[star + 1 : star + 5]:
        return None
    return start, star


def parse_sentence(line: bytes) -> Sentence | None:
    """The sentence on a line (with or without line end), or None when the line is log text."""
    line = line.rstrip(b"\r\n")
    span = sentence_span(line)
    if span is None:
        return None
    parts = line[span[0] + 3 : span[1]].decode("ascii", "replace").split(",")
    return Sentence(parts[0], tuple(parts[1:]))


class LineSplitter:
    """Cuts a byte stream into lines at ``\\n``, whatever the pieces it comes in; the ``\\n`` is taken off."""

    def __init__(self) -> None:
        self.partial = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Lines completed by ``data``."""
        lines = (self.partial + data if self.partial else data).split(b"\n")
        tail = lines.pop()
        while len(tail) > MAX_LINE:
            lines.append(tail[:MAX_LINE])
            tail = tail[MAX_LINE:]
        self.partial = tail
        return lines


PixelRow = tuple[int, int, int, bytes]  # host_ns, seq, t_us, 480 bytes RGB


@dataclass
class Batch:
    """What some lines held.

    Attributes:
        frames: one tuple of ints per ``FRM``, ordered as :data:`FRAME_FIELDS`.
        pixels: (host_ns, seq, t_us, 480 bytes) per ``PIX``.
        sentences: (host_ns, sentence) of all other sound sentences, in order.
        text: (host_ns, line) of lines that are neither ``FRM`` nor ``PIX``, sentences included, without line end.
        damaged: lines that look like a sentence but fail the check.
    """

    frames: list[tuple[int, ...]] = field(default_factory=list)
    pixels: list[PixelRow] = field(default_factory=list)
    sentences: list[tuple[int, Sentence]] = field(default_factory=list)
    text: list[tuple[int, bytes]] = field(default_factory=list)
    damaged: int = 0


def parse_lines(lines: Iterable[bytes], host_ns: int, batch: Batch | None = None) -> Batch:
    """Sorts lines into frame records, pixels, other sentences and text; adds to ``batch`` when one is given.

    ``host_ns`` is when the lines were complete at the host. The frame path is written for speed: thousands of lines per
    second of wall time pass here on the virtual bench.
    """
    batch = Batch() if batch is None else batch
    for line in lines:
        head = line[:7]
        if head == _FRM:
            row = _frame_row(line, host_ns)
            if row is not None:
                batch.frames.append(row)
                continue
        elif head == _PIX:
            pixels = _pixel_row(line, host_ns)
            if pixels is not None:
                batch.pixels.append(pixels)
                continue
        _sort_other(line, host_ns, batch)
    return batch


def _frame_row(line: bytes, host_ns: int) -> tuple[int, ...] | None:
    star = line.find(b"*", 7)
    if star < 0 or b"%04X" % binascii.crc_hqx(line[1:star], 0xFFFF) != line[star + 1 : star + 5]:
        return None
    if line[star + 5 :].strip(b"\r"):
        return None
    return _frame_fields(line[7:star], host_ns)


def _frame_fields(body: bytes, host_ns: int) -> tuple[int, ...] | None:
    parts = body.split(b",", _N_FRAME)
    if len(parts) != _N_FRAME:
        if len(parts) < _N_FRAME:
            return None
        del parts[_N_FRAME:]  # surplus fields are a newer device's business
        body = b",".join(parts)
    if body.translate(None, _DIGITS):
        return None
    try:
        row = (*map(int, parts), host_ns)
    except ValueError:
        return None
    return row if max(row) <= _INT64_MAX else None


def _pixel_row(line: bytes, host_ns: int) -> PixelRow | None:
    if len(line) > MAX_SENTENCE:
        return None
    star = line.find(b"*", 7)
    if star < 0 or b"%04X" % binascii.crc_hqx(line[1:star], 0xFFFF) != line[star + 1 : star + 5]:
        return None
    if line[star + 5 :].strip(b"\r"):
        return None
    return _pixel_fields(line[7:star], host_ns)


def _pixel_fields(body: bytes, host_ns: int) -> PixelRow | None:
    parts = body.split(b",", 3)
    if len(parts) < 3 or not (parts[0].isdigit() and parts[1].isdigit()) or len(parts[0]) > 18 or len(parts[1]) > 18:
        return None
    try:
        rgb = binascii.a2b_base64(parts[2], strict_mode=True)
    except ValueError:
        return None
    return (host_ns, int(parts[0]), int(parts[1]), rgb) if len(rgb) == PIXEL_BYTES else None


def _sort_other(line: bytes, host_ns: int, batch: Batch) -> None:
    """Everything but a clean ``FRM``/``PIX`` line: log text, other sentences, sentences behind torn text, damage."""
    batch.text.append((host_ns, line))
    if b"$K1" not in line:
        return
    sentence = parse_sentence(line)
    if sentence is None:
        batch.damaged += 1
        return
    body = ",".join(sentence.fields).encode()
    if sentence.type == "FRM":
        row = _frame_fields(body, host_ns)
        if row is None:
            batch.damaged += 1
        else:
            batch.frames.append(row)
    elif sentence.type == "PIX":
        pixels = _pixel_fields(body, host_ns)
        if pixels is None:
            batch.damaged += 1
        else:
            batch.pixels.append(pixels)
    else:
        batch.sentences.append((host_ns, sentence))


@dataclass(frozen=True)
class Identity:
    """Who the device says it is (sentence ``ID``).

    Attributes:
        sha256: SHA-256 trailer of the running image, 64 hex digits.
        reset_reason, slot_state: words of docs/telemetry.md.
        boot_id: random per boot, 8 hex digits: a change proves a reset.
        ip: ``0.0.0.0`` while the network is down.
        hil: built with HIL commands.
        t_us: device time of the sentence, microseconds.
    """

    protocol: int
    project: str
    version: str
    git: str
    build_time: str
    sha256: str
    reset_reason: str
    boot_count: int
    boot_id: str
    mac: str
    ip: str
    slot: int
    slot_state: str
    hil: bool
    t_us: int

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {f.name: getattr(self, f.name) for f in fields(self)}


_IDENTITY_INTS = {"protocol", "boot_count", "slot", "t_us"}
_IDENTITY_SHAPES = {
    "sha256": re.compile(r"[0-9a-fA-F]{64}"),
    "boot_id": re.compile(r"[0-9a-fA-F]{8}"),
    "mac": re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}"),
    "hil": re.compile(r"[01]"),
}


def parse_identity(sentence: Sentence) -> Identity | None:
    """The identity an ``ID`` sentence carries; None for another type or for fields that make no sense."""
    names = [f.name for f in fields(Identity)]
    if sentence.type != "ID" or len(sentence.fields) < len(names):
        return None
    values: dict[str, Any] = {}
    for name, text in zip(names, sentence.fields, strict=False):
        shape = _IDENTITY_SHAPES.get(name)
        if shape is not None and not shape.fullmatch(text):
            return None
        if name in _IDENTITY_INTS:
            if not (text.isascii() and text.isdigit() and len(text) <= 19):
                return None
            values[name] = int(text)
        else:
            values[name] = text == "1" if name == "hil" else text
    values["sha256"] = values["sha256"].lower()
    values["mac"] = values["mac"].lower()
    return Identity(**values)


def parse_sync(sentence: Sentence) -> tuple[str, int] | None:
    """(token, t_us) of a ``SYN`` sentence, or None."""
    if sentence.type != "SYN" or len(sentence.fields) < 2:
        return None
    token, stamp = sentence.fields[:2]
    return (token, int(stamp)) if stamp.isascii() and stamp.isdigit() and len(stamp) <= 19 else None


def parse_event(sentence: Sentence) -> dict[str, Any] | None:
    """A beat or onset as ``{"kind", "t_us", …}`` with the fields of docs/telemetry.md, or None."""
    names = {"BEAT": ("bpm", "confidence"), "ONS": ("strength",)}.get(sentence.type)
    if names is None or len(sentence.fields) < 1 + len(names):
        return None
    stamp = sentence.fields[0]
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 19):
        return None
    event: dict[str, Any] = {"kind": "beat" if sentence.type == "BEAT" else "onset", "t_us": int(stamp)}
    for name, text in zip(names, sentence.fields[1:], strict=False):
        if not re.fullmatch(r"-?\d{1,12}(\.\d{1,6})?", text, re.ASCII):
            return None
        event[name] = float(text)
    return event


def encode_command(words: str) -> bytes:
    """A command line as the device wants it.

    Raises:
        ValueError: empty, not printable ASCII, or over 160 bytes.
    """
    line = words.encode("ascii", "strict") if words.isascii() else b""
    if not line.strip() or len(line) > 160 or any(c < 0x20 or c > 0x7E for c in line):
        raise ValueError(f"not a command line of at most 160 printable ASCII characters: {words[:40]!r}")
    return line + b"\n"
