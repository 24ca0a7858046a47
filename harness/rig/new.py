"""Finds what is plugged in (boards, audio outputs, cameras) and writes a rig file for a board."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import BadRequest
from harness.instruments.ports import PortInfo, find_ports
from harness.instruments.speaker import audio_outputs
from harness.rig.config import NAME_PATTERN, parse_config

# Espressif's own USB devices report the chip's MAC as serial number; the others are common USB-to-UART bridges.
ESPRESSIF = "303A"
BRIDGES = {"10C4": "CP210x", "1A86": "CH34x", "0403": "FTDI"}
MAX_CAMERAS = 10
_WARM_UP_FRAMES = 5
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}")


@dataclass(frozen=True)
class Surroundings:
    """What was found.

    Attributes:
        boards: serial ports that can be an ESP32-S3 board, the likelier first.
        audio: outputs ({index, name, rate_hz}); ``audio_problem`` says why there are none.
        cameras: {index, width, height, picture} with the path of one frame as JPEG.
    """

    boards: list[PortInfo]
    audio: list[dict[str, Any]] = field(default_factory=list)
    audio_problem: str = ""
    cameras: list[dict[str, Any]] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "boards": [{**b.to_json(), "mac": mac_of(b)} for b in self.boards],
            "audio": self.audio,
            "audio_problem": self.audio_problem,
            "cameras": self.cameras,
        }


def mac_of(port: PortInfo) -> str:
    """The chip's MAC when the port tells it (USB-Serial/JTAG), else ""."""
    return (
        port.serial_number.lower() if port.vid_pid.startswith(ESPRESSIF) and _MAC.fullmatch(port.serial_number) else ""
    )


def look_around(pictures: Path) -> Surroundings:
    """Lists boards and audio outputs, and takes one frame from every camera into ``pictures``."""
    ports = [p for p in find_ports() if p.vid_pid[:4] in {ESPRESSIF, *BRIDGES}]
    ports.sort(key=lambda p: (not p.vid_pid.startswith(ESPRESSIF), p.device))
    audio, problem = audio_outputs()
    return Surroundings(ports, audio, problem, _cameras(pictures))


def _cameras(folder: Path) -> list[dict[str, Any]]:
    import cv2

    indices = sorted(int(p.name[5:]) for p in Path("/dev").glob("video*") if p.name[5:].isdigit())
    if not Path("/dev").is_dir() or not indices:
        # Elsewhere (macOS) cameras have no device files: the first few numbers are simply tried.
        indices = [] if Path("/sys").is_dir() else list(range(3))
    found = []
    for index in indices[:MAX_CAMERAS]:
        camera = cv2.VideoCapture(index)
        try:
            frame = None
            for _ in range(_WARM_UP_FRAMES):  # the first frames of many cameras are dark
                ok, picture = camera.read()
                frame = picture if ok else frame
            if frame is None:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"camera{index}.jpg"
            cv2.imwrite(str(path), frame)
            found.append({"index": index, "width": frame.shape[1], "height": frame.shape[0], "picture": str(path)})
        finally:
            camera.release()
    return found


def write_rig(name: str, rig_dir: Path, board: PortInfo, audio_device: str = "", description: str = "") -> Path:
    """Writes ``NAME.toml`` for a board; the port is named by its serial number, never by its path, where it has one.

    Raises:
        BadRequest: a bad name, or a rig that exists already.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise BadRequest(f"'{name}' is not a rig name", expected="letters, digits, - and _")
    path = rig_dir / f"{name}.toml"
    if path.exists():
        raise BadRequest(f"rig '{name}' exists", evidence=str(path), remedy="choose another name, or edit that file")
    text = rig_text(board, audio_device, description)
    parse_config(text, str(path))
    rig_dir.mkdir(parents=True, exist_ok=True)
    work = path.with_suffix(".toml.new")
    work.write_text(text, encoding="utf-8")
    work.replace(path)
    return path


def _toml(text: str) -> str:
    """A TOML string. JSON's quoting is TOML's for all that can be printed; the rest is no part of a name."""
    return json.dumps("".join(c if c.isprintable() else " " for c in text), ensure_ascii=False)


def rig_text(board: PortInfo, audio_device: str, description: str) -> str:
    """The rig file's text."""
    mac = mac_of(board)
    if mac:
        port, dut = f'mac = "{mac}"', f'mac = "{mac}"'
    elif board.serial_number:
        port, dut = f"serial_number = {_toml(board.serial_number)}", '# mac = "aa:bb:cc:dd:ee:ff"'
    else:
        port, dut = f"port = {_toml(board.device)}", '# mac = "aa:bb:cc:dd:ee:ff"'
    speaker = f"device = {_toml(audio_device)}" if audio_device else '# device = "part of the output\'s name"'
    return f"""# Written by k1hil rig new. Every field is explained in rigs/bench1.toml.
kind = "physical"
description = {_toml(description or board.description)}
# What the LED supply can carry, in A; 320 LEDs on white draw 16 to 19 A. 0: no limit.
led_current_limit_a = 1.0
# Some tests flash the whole strip: true only where nobody photosensitive is watching.
allow_flashing = false

[dut]
{dut}

[console]
{port}

[audio]
{speaker}
"""
