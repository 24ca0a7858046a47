"""Crash text of the chip, in the forms ESP-IDF 4.4 prints, and its decoding with real ELF files."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from harness.pipeline.decode import addr2line, decode
from harness.wire.panics import MOST_LINES, Panic, PanicReader

GURU = """\
Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled.

Core  1 register dump:
PC      : 0x42003a1c  PS      : 0x00060030  A0      : 0x82003b2f  A1      : 0x3fcebf10
EXCVADDR: 0x00000000  LBEG    : 0x400556d5  LEND    : 0x400556e5  LCOUNT  : 0xffffffff


Backtrace: 0x42003a19:0x3fcebf10 0x42003b2c:0x3fcebf30 0x42010b5a:0x3fcebf50

ELF file SHA256: 79baa623d52915d2

Rebooting...
ESP-ROM:esp32s3-20210327""".splitlines()
WATCHDOG = """\
E (15283) task_wdt: Task watchdog got triggered. The following tasks did not reset the watchdog in time:
E (15283) task_wdt:  - IDLE (CPU 0)
E (15283) task_wdt: Aborting.

abort() was called at PC 0x4201d0c8 on core 0
ELF file SHA256: 79baa623d52915d2
Rebooting...""".splitlines()


def read(*texts: list[str]) -> list[Panic]:
    reader = PanicReader()
    for text in texts:
        reader.feed(text)
    return reader.finish()


def test_an_exception() -> None:
    (panic,) = read(["[00:00:01.000] INFO  [0] Ready!", *GURU])
    assert panic.words.startswith("Guru Meditation Error: Core  1") and panic.core == 1
    assert panic.backtrace == (0x42003A19, 0x42003B2C, 0x42010B5A) and panic.elf_sha256 == "79baa623d52915d2"
    assert "Rebooting" not in "".join(panic.lines)


def test_a_watchdog_is_one_crash_with_the_place_of_its_abort() -> None:
    (panic,) = read(WATCHDOG)
    assert "Task watchdog" in panic.words and panic.backtrace == (0x4201D0C8,) and panic.core == 0


def test_crashes_one_after_the_other_in_any_pieces() -> None:
    reader = PanicReader()
    for line in [*GURU, *WATCHDOG, *GURU]:
        reader.feed([line])
    assert [p.words[:4] for p in reader.panics] == ["Guru", "E (1", "Guru"] and not reader.inside


def test_one_that_is_cut_off_counts() -> None:
    reader = PanicReader()
    reader.feed(GURU[:3])
    assert reader.inside and reader.seen and not reader.panics
    assert reader.finish()[0].backtrace == ()
    assert len(read(["Guru Meditation Error", *["noise"] * 10_000])[0].lines) == MOST_LINES


@pytest.mark.parametrize("line", ["E (3) wifi: no AP", "Rebooting...", "[ERR_24] I2S", "Backtrace: 0x0:0x0", ""])
def test_other_lines_are_no_crash(line: str) -> None:
    assert read([line]) == []


PROGRAM = "int deepest(int x) { return x * 3; }\nint caller(int x) { return deepest(x) + 1; }\n"


def built(folder: Path, compiler: str) -> tuple[Path, list[int]]:
    """An ELF with two functions, and the address inside each."""
    source, elf = folder / "two.c", folder / "two.elf"
    source.write_text(PROGRAM)
    flags = ["-g", "-O0", "-nostdlib", "-no-pie", "-Wl,-Ttext=0x42001000", "-Wl,-e,caller"]
    flags = [f for f in flags if not (f == "-no-pie" and compiler.startswith("xtensa"))]
    subprocess.run([compiler, *flags, str(source), "-o", str(elf)], check=True, capture_output=True, timeout=60)
    nm = shutil.which(compiler.removesuffix("gcc") + "nm") or "nm"
    table = subprocess.run([nm, str(elf)], check=True, capture_output=True, text=True, timeout=60).stdout
    where = {line.split()[2]: int(line.split()[0], 16) for line in table.splitlines() if len(line.split()) == 3}
    return elf, [where["deepest"] + 4, where["caller"] + 6]


@pytest.mark.parametrize("compiler", ["gcc", "xtensa-lx106-elf-gcc"])
def test_addresses_become_functions_and_lines(tmp_path: Path, compiler: str) -> None:
    assert shutil.which(compiler), "part of the prerequisites"
    elf, addresses = built(tmp_path, compiler)
    digest = hashlib.sha256(elf.read_bytes()).hexdigest()
    frames = decode(Panic("x", 0, tuple(addresses), digest[:16], ()), elf)
    assert [f.split(": ")[1].split()[0] for f in frames] == ["deepest", "caller"]
    assert [int(f.rsplit(":", 1)[1].split()[0]) for f in frames] == [1, 2]
    assert ("xtensa" in str(addr2line(elf.read_bytes()))) == compiler.startswith("xtensa")


def test_what_cannot_be_decoded_says_why(tmp_path: Path) -> None:
    panic = Panic("x", 0, (0x42001000,), "00112233", ())
    assert "no ELF" in decode(panic, tmp_path / "none.elf")[0]
    (tmp_path / "other.elf").write_bytes(b"\x7fELF" + bytes(60))
    assert "of another build" in decode(panic, tmp_path / "other.elf")[0]
    assert decode(Panic("x", None, (), "", ()), tmp_path / "none.elf") == ["no backtrace"]
