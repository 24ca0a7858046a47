"""What a rig can measure here and now, and for everything it cannot, why and what to do about it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import psutil

from harness.errors import RigFault
from harness.instruments.ports import find_ports
from harness.instruments.speaker import INSTALL, audio_outputs, find_output
from harness.rig.camera_check import camera_findings
from harness.rig.config import PortConfig, RigConfig
from harness.rig.finding import Finding

# Services that open every new modem-like port and send bytes to it, or claim it as a Braille display.
PORT_MEDDLERS = {
    "ModemManager": "sudo systemctl mask --now ModemManager (or a udev rule with ID_MM_DEVICE_IGNORE=1 for the board)",
    "brltty": "sudo apt-get remove brltty (it takes CH340 and CP210x ports for Braille displays)",
}


def check(name: str, config: RigConfig, rig_dir: Path | None = None) -> list[Finding]:
    """Looks at everything a rig needs, without touching the device."""
    camera = camera_findings(name, config, rig_dir)
    findings = [
        Finding("rig file", "ok", f"{name}: {config.kind}{', ' + config.description if config.description else ''}")
    ]
    if config.kind == "virtual":
        return findings + _check_virtual() + camera
    console = _check_port("console", config.console)
    flash = _check_port("flash", config.flash) if config.flash.named else []
    if not config.flash.named:
        flash = [Finding("flash port", "ok", "the console's")]
    return findings + console + flash + _check_meddlers() + _check_audio(config) + _check_rest(config) + camera


def _check_virtual() -> list[Finding]:
    import shutil

    compiler = next((c for c in ("g++", "clang++", "c++") if shutil.which(c)), None)
    return [
        Finding("console, flash, network", "ok", "virtual board, made afresh for each run"),
        Finding("audio", "ok", "virtual microphone, sample exact"),
        Finding("wire", "ok", "both strip wires"),
        Finding("compiler", "ok", compiler)
        if compiler
        else Finding("compiler", "problem", "no C++ compiler: the sim firmware cannot be built", "run ./setup"),
    ]


def _check_port(what: str, config: PortConfig) -> list[Finding]:
    from harness.rig.physical import locate

    try:
        url = locate(config)
    except RigFault as fault:
        return [Finding(f"{what} port", "problem", f"{fault.message}; seen: {fault.got}", fault.remedy)]
    if "://" in url:
        return [Finding(f"{what} port", "ok", url)]
    return [_check_device(what, Path(url))]


def _check_device(what: str, path: Path) -> Finding:
    if not path.exists():
        seen = ", ".join(p.device for p in find_ports()) or "none"
        return Finding(
            f"{what} port", "problem", f"{path} is not there; USB serial ports: {seen}", "is the board plugged in?"
        )
    if not stat.S_ISCHR(path.stat().st_mode):
        return Finding(f"{what} port", "problem", f"{path} is not a device", "correct the rig file")
    if not os.access(path, os.R_OK | os.W_OK):
        group = _group_of(path)
        return Finding(
            f"{what} port",
            "problem",
            f"no permission for {path} (group {group})",
            f"sudo usermod -aG {group} $USER, then log in again",
        )
    user = _user_of(path)
    if user:
        return Finding(f"{what} port", "problem", f"{path} is open in {user}", "end that program")
    return Finding(f"{what} port", "ok", str(path))


def _group_of(path: Path) -> str:
    try:
        return path.group()
    except (KeyError, OSError, NotImplementedError):
        return "dialout"


def _user_of(path: Path) -> str:
    """The process that has the port open, as far as /proc lets us look (own ones, or all as root); "" elsewhere."""
    target = str(path.resolve())
    for process in psutil.process_iter(["pid", "name"]):
        if target in _open_files(process.info["pid"]):
            return f"{process.info['name']} (process {process.info['pid']})"
    return ""


def _open_files(pid: int) -> set[str]:
    found = set()
    try:
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            try:
                found.add(os.readlink(fd))
            except OSError:
                continue  # closed meanwhile
    except OSError:
        return found  # the process has ended, is not ours, or there is no /proc
    return found


def _check_meddlers() -> list[Finding]:
    names = {p.info["name"] for p in psutil.process_iter(["name"]) if p.info["name"]}
    return [
        Finding("port services", "problem", f"{meddler} is running and may open the board's port", remedy)
        for meddler, remedy in PORT_MEDDLERS.items()
        if meddler in names
    ]


def _check_audio(config: RigConfig) -> list[Finding]:
    if not config.audio.device:
        text = "no speaker in [audio]: tests that need sound are skipped"
        _, problem = audio_outputs()
        return [
            Finding(
                "audio", "absent", f"{text}; {problem}" if problem else text, INSTALL if problem else "k1hil rig new"
            )
        ]
    try:
        find_output(config.audio.device)
    except RigFault as fault:
        there = f"; there are: {fault.got}" if fault.got else ""
        return [Finding("audio", "problem", fault.message + there, fault.remedy)]
    return [Finding("audio", "ok", config.audio.device)]


def _check_rest(config: RigConfig) -> list[Finding]:
    limit = config.current_limit_a
    power = f"LED current limited to {limit:g} A; metrics say capped" if limit else "LED current not limited"
    flashing = "allowed" if config.flashing_allowed else "not allowed (allow_flashing): those tests are skipped"
    return [
        Finding("network", "ok", config.api.base_url or "address as the device reports it"),
        Finding("LED supply", "ok", power),
        Finding("stroboscopic patterns", "ok" if config.flashing_allowed else "absent", flashing),
        *_check_sentences(config.dut.sentences),
    ]


def _check_sentences(spoken: bool) -> list[Finding]:
    if spoken:
        return [Finding("wire", "absent", "no tap on the strip wires: pixels come from telemetry alone")]
    left = "nothing is flashed, reset or recorded; over HTTP only what docs/k1node1.md lists"
    return [
        Finding("wire", "absent", "no tap on the strip wires: pixels come from the HTTP API, unsynchronised"),
        Finding("telemetry", "absent", f"[dut] sentences is off: {left}"),
    ]
