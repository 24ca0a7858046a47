"""What esptool says, read line by line: who the chip is, how far it got, and in typed errors what went wrong."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessFault, RigFault
from harness.instruments.esptool_launcher import WRONG_MAC

MAX_LOG_LINES = 20_000
Progress = Callable[[float, str], None]


class FlashError(RigFault):
    """Flashing failed. ``cause`` is one of the words of :data:`FAULTS`."""

    cause = "unknown"


class WrongBoard(FlashError):
    """The chip is not the one the rig file names. Nothing was written."""

    cause = "wrong_board"


@dataclass(frozen=True)
class Fault:
    """A way flashing fails.

    Attributes:
        word: for programs.
        text: for people.
        pattern: what esptool prints.
        remedy: what to try.
    """

    word: str
    text: str
    pattern: str
    remedy: str


# The first whose pattern stands in the last lines of esptool's output wins.
FAULTS = (
    Fault(
        "wrong_board",
        "the board on the flash port is not the rig's; nothing was written",
        re.escape(WRONG_MAC),
        "the port leads to another board; correct [dut] mac or the port in the rig file",
    ),
    Fault(
        "wrong_chip",
        "the chip on the flash port is not an ESP32-S3",
        r"This chip is .*, not|wrong --chip argument|not ESP32-S3",
        "only the ESP32-S3 is supported; is the right board plugged in?",
    ),
    Fault(
        "wrong_image",
        "esptool refuses the image",
        r"is not an? ESP32-S3 image|Unexpected chip id in image|image is for|not a valid .*image",
        "build for esp32-s3-devkitc-1",
    ),
    Fault(
        "wrong_boot_mode",
        "the chip started its application instead of its loader",
        r"Wrong boot mode detected",
        "GPIO0 does not follow DTR: check auto-reset, or hold BOOT while resetting",
    ),
    # esptool tries to connect anew to what was pulled out, and then also says the things below.
    Fault(
        "lost_connection",
        "the connection to the chip broke while flashing",
        r"Lost connection",
        "check cable, hub and supply of the board",
    ),
    Fault(
        "no_reply",
        "the chip is in its loader but is not heard",
        r"serial TX path seems to be down",
        "check the TX wire of the board",
    ),
    Fault(
        "verify_failed",
        "what was read back differs from what was written",
        r"MD5 of file does not match|Verif\w+ failed|digest mismatch",
        "flash chip or supply is bad; try a lower [flash] baud",
    ),
    Fault(
        "no_permission",
        "no permission for the flash port",
        r"[Pp]ermission denied",
        "sudo usermod -aG dialout $USER, then log in again",
    ),
    Fault(
        "port_missing",
        "the flash port cannot be opened",
        r"could not open port .*No such file|FileNotFoundError|Connection refused|Name or service not known",
        "is the board plugged in? k1hil rig check",
    ),
    Fault(
        "port_busy",
        "the flash port is in use",
        r"Could not exclusively lock|resource busy|port is busy",
        "end the program that holds the port",
    ),
    Fault(
        "rejected_block",
        "the loader refused a block",
        r"result was \w{4}|Failed to enter",
        "a noisy link; try a lower [flash] baud",
    ),
    Fault(
        "lost_connection",
        "the connection to the chip broke while flashing",
        r"Lost connection|connection failed|reader thread died|device reports readiness|device disconnected|"
        r"Input/output error|stream stopped|Broken pipe|Connection reset|Write timeout|while waiting for option",
        "check cable, hub and supply of the board",
    ),
    Fault(
        "no_sync",
        "no loader answers on the flash port",
        r"Failed to connect|No serial data received|Invalid head of packet",
        "check power and cable, and that no other program holds the port",
    ),
)


class Watcher:
    """Reads esptool's output line by line: identity, progress, verification."""

    _WRITING = re.compile(r"Writing at (0x[0-9a-fA-F]+)")
    _MAC = re.compile(r"^\s*(?:BASE )?MAC:\s*([0-9a-fA-F]{2}(?::[0-9a-fA-F]{2}){5})")
    _CHIP = re.compile(r"^\s*(?:Chip type|Chip is|Detected chip type):?\s*(.+)")
    _VERSION = re.compile(r"^esptool(?:\.py)? v([\w.]+)")

    def __init__(self, files: list[tuple[int, int]], progress: Progress | None) -> None:
        self._files = files
        self._total = max(1, sum(size for _, size in files))
        self._progress = progress
        self._first_write_s: float | None = None
        self.lines: list[str] = []
        self.last_line_s = time.monotonic()
        self.mac = self.chip = self.version = ""
        self.callback_error: Exception | None = None
        self.verified = 0
        self.transfer_s = 0.0

    def line(self, text: str) -> None:
        """One line of output."""
        self.last_line_s = time.monotonic()
        if len(self.lines) < MAX_LOG_LINES:
            self.lines.append(text)
        for name, pattern in (("mac", self._MAC), ("chip", self._CHIP), ("version", self._VERSION)):
            match = pattern.match(text)
            if match:
                setattr(self, name, match.group(1).strip().lower() if name == "mac" else match.group(1).strip())
        if "Hash of data verified" in text:
            self.verified += 1
            self.transfer_s = self.last_line_s - (self._first_write_s or self.last_line_s)
        writing = self._WRITING.search(text)
        if writing or text.startswith("Compressed"):
            self._first_write_s = self._first_write_s or self.last_line_s
        if self._progress is not None:
            try:
                self._tell(text, writing)
            except Exception as error:  # a caller's mistake must not stop the reading of esptool's output
                self.callback_error = error
                self._progress = None

    def _tell(self, text: str, writing: re.Match[str] | None) -> None:
        assert self._progress is not None
        if writing is None:
            if text.startswith(("Connecting", "Uploading", "Hash of data")):
                self._progress(self._fraction(), text.strip(" ."))
            return
        address = int(writing.group(1), 16)
        done = 0
        for index, (offset, size) in enumerate(self._files):
            if offset <= address <= offset + size:
                done = sum(s for _, s in self._files[:index]) + address - offset
        self._progress(min(1.0, done / self._total), f"writing at 0x{address:x}")

    def _fraction(self) -> float:
        return sum(size for _, size in self._files[: self.verified]) / self._total

    @property
    def writing(self) -> bool:
        """Whether writing had begun."""
        return self._first_write_s is not None

    def tail(self, lines: int = 8) -> str:
        """The last lines, for errors."""
        return "\n    ".join(["", *self.lines[-lines:]]) if self.lines else "no output"


def diagnose(code: int, watcher: Watcher, log_path: Path, port: str) -> FlashError:
    text = "\n".join(watcher.lines)
    if "No module named" in text and "esptool" in text:
        raise HarnessFault("esptool is not installed", got=watcher.tail(), remedy="run ./setup")
    # What comes last is what it died of; a retry that helped is history.
    end = "\n".join(watcher.lines[-12:])
    for fault in FAULTS:
        if re.search(fault.pattern, end):
            if fault.word == "no_sync" and watcher.writing:
                fault = next(f for f in FAULTS if f.word == "lost_connection")  # it did answer, before
            return fault_of(fault.word, fault.text, watcher, log_path, port, remedy=fault.remedy)
    return fault_of("unknown", f"esptool failed with exit code {code}", watcher, log_path, port)


def fault_of(
    word: str,
    text: str,
    watcher: Watcher,
    log_path: Path,
    port: str,
    *,
    expected: str = "",
    got: str = "",
    remedy: str = "",
) -> FlashError:
    kind = WrongBoard if word == "wrong_board" else FlashError
    fault = kind(
        f"{text} ({port})",
        expected=expected,
        got=got or watcher.tail(),
        evidence=str(log_path),
        remedy=remedy or "read esptool's output in the log",
    )
    fault.cause = word
    return fault
