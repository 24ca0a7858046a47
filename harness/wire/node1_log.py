"""Console lines of the owner's firmware K1.node1 (K1 device contract, serial console). Pure; never raises on garbage.

Two cores write through one buffer without a lock, so lines come torn and mixed. A line counts only when it is whole:
one time stamp, a known severity, and for figures every field, each a finite number.
"""

from __future__ import annotations

import math
import re
from typing import NamedTuple

_ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_STAMP = re.compile(r"\[\d\d:\d\d:\d\d\.\d{3}\]")
_LINE = re.compile(r"^\[(\d\d):([0-5]\d):([0-5]\d)\.(\d{3})\] (ERROR|WARN |INFO |DEBUG) \[(\w)\] (.*)$")
_BEAT = re.compile(r"BEAT_EVENT ts_us=(\d{1,10}) conf=(\d{1,5})")
_PULSE = re.compile(
    r"\[HEARTBEAT\] frames=\+(\d+) audio=\+(\d+) snap=(\d+)\(\+(\d+)\) pat=(\d+) vu=([\d.]+) tempo=([\d.]+)"
    r" silence=([01])"
)
# Names of networks: in quotes after these words, or between "Connected to" and the address.
_NETWORKS = (
    re.compile(rb"(Connecting to SSID ')(.*)(')"),
    re.compile(rb"(Connected to )(.*?)( @ \d)"),
    re.compile(rb"(?i)(\bssid[=: ]+'?)([^',]+)('?)"),
)
STARS = rb"\1***\3"


class LogLine(NamedTuple):
    """A whole line: ms since midnight of the device's clock (hours modulo 24), severity, tag, message."""

    t_ms: int
    severity: str
    tag: str
    message: str


class Heartbeat(NamedTuple):
    """Once a second: frames and audio frames in it, snapshots, pattern index, levels without unit."""

    frames: int
    audio_frames: int
    snapshots: int
    pattern: int
    vu: float
    tempo_confidence: float
    silence: bool


class Beat(NamedTuple):
    """A detected beat: uint32 µs of the device, confidence 0 to 65535."""

    t_us: int
    confidence: int


def redact(line: bytes) -> bytes:
    """The line with names of networks replaced by stars."""
    for pattern in _NETWORKS:
        line = pattern.sub(STARS, line)
    return line


def parse_line(line: bytes) -> LogLine | None:
    """The line without colours and names of networks, or None when it is torn, mixed or something else."""
    text = _ANSI.sub("", redact(line).decode("utf-8", "replace")).rstrip("\r\n")
    found = _LINE.match(text)
    if found is None or len(_STAMP.findall(text)) != 1 or "\ufffd" in text:
        return None
    hours, minutes, seconds, ms, severity, tag, message = found.groups()
    t_ms = ((int(hours) * 60 + int(minutes)) * 60 + int(seconds)) * 1000 + int(ms)
    return LogLine(t_ms, severity.strip(), tag, message)


def parse_heartbeat(line: LogLine) -> Heartbeat | None:
    """Its figures, or None."""
    found = _PULSE.fullmatch(line.message)
    if found is None:
        return None
    frames, audio, snapshots, _, pattern, vu, tempo, silence = found.groups()
    try:
        levels = float(vu), float(tempo)
    except ValueError:
        return None
    if not all(map(math.isfinite, levels)):
        return None
    return Heartbeat(int(frames), int(audio), int(snapshots), int(pattern), *levels, silence == "1")


def parse_beat(line: LogLine) -> Beat | None:
    """Its figures, or None."""
    found = _BEAT.fullmatch(line.message)
    if found is None or int(found.group(1)) >= 1 << 32 or int(found.group(2)) > 65_535:
        return None
    return Beat(int(found.group(1)), int(found.group(2)))
