"""Writes firmware with esptool's command line in a child process, and says in typed errors what went wrong.

The chip is left in its loader: the rig resets it, so that its first boot is heard from the first byte.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import BadRequest
from harness.instruments.esptool_child import run_child
from harness.instruments.esptool_output import FAULTS, FlashError, Progress, Watcher, WrongBoard, diagnose, fault_of

CHIP = "esp32s3"
NVS_REGION = (0x9000, 0x5000)


@dataclass(frozen=True)
class FlashReport:
    """How flashing went.

    Attributes:
        skipped: the right image ran already; nothing else is filled in but ``mac``.
        mac: of the chip, from the loader.
        chip: description from the loader.
        esptool: its version.
        seconds: all in all; ``transfer_s``: from the first byte written to the last hash verified.
        bytes_written: uncompressed.
        log_path: esptool's output.
    """

    skipped: bool
    mac: str = ""
    chip: str = ""
    esptool: str = ""
    seconds: float = 0.0
    transfer_s: float = 0.0
    bytes_written: int = 0
    log_path: Path | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "log_path": str(self.log_path) if self.log_path else None}


class Flasher:
    """esptool for one port.

    Args:
        log_path: file that gets esptool's output, appended.
        baud: rate after connecting.
        timeout_s: for one run of esptool.
    """

    def __init__(self, log_path: Path, *, baud: int = 921_600, timeout_s: float = 120.0) -> None:
        self.log_path = log_path
        self.baud = baud
        self.timeout_s = timeout_s

    def flash(
        self,
        port: str,
        files: Sequence[tuple[int, Path]],
        *,
        expected_mac: str = "",
        erase_nvs: bool = False,
        progress: Progress | None = None,
    ) -> FlashReport:
        """Writes files at their offsets and verifies each by its hash in flash.

        Args:
            port: path or pyserial URL.
            files: (offset, file).
            expected_mac: refuse any other chip before writing; "" takes any ESP32-S3.
            erase_nvs: also erase the settings, with the same run.
            progress: called with (fraction 0–1, what is being done).

        Raises:
            BadRequest: a file is missing.
            WrongBoard, FlashError: see :data:`FAULTS`.
        """
        for _, file in files:
            if not file.is_file():
                raise BadRequest(f"firmware file {file} is missing", remedy="k1hil build")
        with _blank_nvs(erase_nvs) as blank:
            todo = [*files, *blank]
            total = sum(file.stat().st_size for _, file in todo)
            pairs = [text for offset, file in todo for text in (f"0x{offset:x}", str(file))]
            started = time.monotonic()
            watcher = Watcher([(offset, file.stat().st_size) for offset, file in todo], progress)
            self._run(port, ["--after", "no-reset-stub", "write-flash", *pairs], expected_mac, watcher)
        if watcher.verified != len(todo):
            raise fault_of(
                "verify_failed", "esptool ended well without verifying every file", watcher, self.log_path, port,
                expected=f"{len(todo)} hashes verified", got=f"{watcher.verified}",
            )  # fmt: skip
        return FlashReport(
            False,
            watcher.mac,
            watcher.chip,
            watcher.version,
            time.monotonic() - started,
            watcher.transfer_s,
            total,
            self.log_path,
        )

    def read_mac(self, port: str) -> str:
        """MAC of the chip on a port, lower case; leaves it in its loader.

        Raises:
            FlashError: see :data:`FAULTS`.
        """
        watcher = Watcher([], None)
        self._run(port, ["--after", "no-reset-stub", "read-mac"], "", watcher)
        if not watcher.mac:
            raise fault_of("no_sync", "esptool named no MAC", watcher, self.log_path, port)
        return watcher.mac

    def read(self, port: str, offset: int, size: int, *, expected_mac: str = "") -> bytes:
        """Reads ``size`` bytes of flash at ``offset``; leaves the chip in its loader.

        Raises:
            FlashError: see :data:`FAULTS`, or fewer bytes came.
        """
        watcher = Watcher([], None)
        with tempfile.TemporaryDirectory(prefix="k1hil-read-") as folder:
            file = Path(folder) / "flash.bin"
            command = ["--after", "no-reset-stub", "read-flash", f"0x{offset:x}", f"0x{size:x}", str(file)]
            self._run(port, command, expected_mac, watcher)
            data = file.read_bytes() if file.is_file() else b""
        if len(data) != size:
            raise fault_of(
                "lost_connection", "esptool read less flash than asked for", watcher, self.log_path, port,
                expected=f"{size} bytes", got=str(len(data)),
            )  # fmt: skip
        return data

    def _run(self, port: str, command: list[str], expected_mac: str, watcher: Watcher) -> None:
        own = ["--expect-mac", expected_mac] if expected_mac else []
        common = ["--chip", CHIP, "--port", port, "--baud", str(self.baud), "--connect-attempts", "5"]
        arguments = [sys.executable, "-m", "harness.instruments.esptool_launcher", *own, "--", *common, "--", *command]
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with self.log_path.open("a", encoding="utf-8") as log:
            log.write(f"$ esptool {' '.join([*common, *command])}\n")
            code = run_child(arguments, watcher, log, self.timeout_s)
        if code != 0:
            raise diagnose(code, watcher, self.log_path, port)
        if watcher.callback_error is not None:
            raise watcher.callback_error


@contextmanager
def _blank_nvs(wanted: bool) -> Iterator[list[tuple[int, Path]]]:
    """A file of FF over the settings partition: erases it within the same connection."""
    if not wanted:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="k1hil-nvs-") as folder:
        blank = Path(folder) / "nvs.bin"
        blank.write_bytes(b"\xff" * NVS_REGION[1])
        yield [(NVS_REGION[0], blank)]


__all__ = ["FAULTS", "FlashError", "FlashReport", "Flasher", "Progress", "WrongBoard"]
