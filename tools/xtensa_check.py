"""Proves that the portable core is portable: compiles it with a real Xtensa compiler, warnings as errors.

Debian's `gcc-xtensa-lx106` with picolibc is a different CPU from the ESP32-S3 (no FPU, another ABI), so nothing here is
run and sizes are only informational. What it shows is that `src/core` and `src/hal` need nothing from a host system:
every source compiles, and every header compiles alone. The cross package has no C++ library; its header-only parts are
taken from the host's libstdc++ of the same version, with stand-ins for the headers that describe glibc. Headers that
need streams or threads (<iterator>, <thread>, <iostream>, ...) do not compile here, and have no place in the core.

    python tools/xtensa_check.py            the firmware
    python tools/xtensa_check.py DIR…       other source trees (folders that hold core/ and hal/)
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "xtensa-lx106-elf-"
INSTALL = "apt-get install -y gcc-xtensa-lx106 picolibc-xtensa-lx106-elf"
FOLDERS = ("core", "hal")
FLAGS = (
    "-std=c++17 -Os -Wall -Wextra -Wpedantic -Werror -fno-exceptions -fno-rtti -fmax-errors=3 "
    "-ffunction-sections -fdata-sections -nostdinc++"
).split()
# Stand-ins for what libstdc++'s host configuration pulls in: facts about glibc, and POSIX threads.
SHIM = {"features.h": "", "bits/os_defines.h": "", "bits/gthr-default.h": "#include <bits/gthr-single.h>\n"}


class Unavailable(Exception):
    """The compiler, its C library or matching C++ headers are not installed; the message says how to get them."""


@dataclass(frozen=True)
class Job:
    """One compilation: `label` for people, `source` for the compiler, `output` only where code is made."""

    label: str
    source: Path
    output: Path | None


def find_toolchain() -> list[str]:
    """Compiler options that name the C library and the host's libstdc++ headers of the cross compiler's version."""
    compiler = shutil.which(PREFIX + "g++")
    if compiler is None:
        raise Unavailable(f"no {PREFIX}g++; on Debian or Ubuntu: {INSTALL}")
    # Debian's compiler does not search the folder Debian's picolibc is in, so the specs file is named in full.
    specs = Path(compiler).resolve().parent.parent / "lib" / PREFIX.rstrip("-") / "picolibc.specs"
    if not specs.is_file():
        raise Unavailable(f"no {specs}; on Debian or Ubuntu: {INSTALL}")
    version = subprocess.run([compiler, "-dumpversion"], capture_output=True, text=True, check=True)
    major = version.stdout.split(".")[0].strip()
    generic = Path("/usr/include/c++") / major
    # The host's own configuration headers come first where other architectures' are installed too.
    configured = sorted(
        Path("/usr/include").glob(f"*/c++/{major}"), key=lambda path: os.uname().machine not in path.parts[3]
    )
    if not generic.is_dir() or not configured:
        package = f"libstdc++-{major}-dev"
        raise Unavailable(f"no C++ headers of version {major}; on Debian or Ubuntu: apt-get install -y {package}")
    return [f"--specs={specs}", "-isystem", str(generic), "-isystem", str(configured[0])]


def jobs_of(tree: Path, scratch: Path) -> list[Job]:
    """Every source and every header of `tree`'s portable folders."""
    jobs = []
    for folder in FOLDERS:
        for path in sorted((tree / folder).rglob("*")):
            name = path.relative_to(tree).as_posix()
            stem = name.replace("/", "__")
            if path.suffix == ".cpp":
                jobs.append(Job(name, path, scratch / f"{stem}.o"))
            elif path.suffix in (".h", ".hpp"):
                # Twice, so that a missing include guard shows; from a file, or `#pragma once in main file` would warn.
                lone = scratch / f"{stem}.cpp"
                lone.write_text(f'#include "{name}"\n#include "{name}"\n')
                jobs.append(Job(name, lone, None))
    return jobs


def compile_one(job: Job, tree: Path, toolchain: list[str]) -> tuple[Job, str]:
    """Compiler output of one job; empty means it is clean."""
    command = [PREFIX + "g++", *FLAGS, f"-I{tree}", *toolchain]
    command += ["-c", str(job.source), "-o", str(job.output)] if job.output else ["-fsyntax-only", str(job.source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    text = (done.stdout + done.stderr).strip()
    return job, text or ("" if done.returncode == 0 else f"exit code {done.returncode}")


def print_sizes(jobs: list[Job]) -> None:
    """Code and data per folder of src/core, from `size` in its Berkeley format (text, data, bss)."""
    objects = [job for job in jobs if job.output is not None]
    if not objects:
        return
    listing = subprocess.run(
        [PREFIX + "size", *[str(job.output) for job in objects]], capture_output=True, text=True, check=True
    )
    totals: dict[str, list[int]] = {}
    for job, line in zip(objects, listing.stdout.splitlines()[1:], strict=True):
        total = totals.setdefault(str(Path(job.label).parent), [0, 0, 0])
        for index, number in enumerate(line.split()[:3]):
            total[index] += int(number)
    print(f"{'folder':<24}{'code':>9}{'data':>9}{'zeroed':>9}   (lx106, -Os; informational)")
    for folder, total in sorted(totals.items()):
        print(f"{folder:<24}{total[0]:>9}{total[1]:>9}{total[2]:>9}")


def check(tree: Path) -> int:
    """Compiles the portable part of `tree` (a folder with core/ and hal/); number of failures."""
    toolchain = find_toolchain()
    with tempfile.TemporaryDirectory(prefix="k1-xtensa-") as name:
        scratch = Path(name)
        shim = scratch / "shim"
        for header, text in SHIM.items():
            (shim / header).parent.mkdir(parents=True, exist_ok=True)
            (shim / header).write_text(text)
        jobs = jobs_of(tree, scratch)
        if not jobs:
            print(f"xtensa: nothing to compile under {tree}")
            return 1
        with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            results = list(pool.map(lambda job: compile_one(job, tree, ["-isystem", str(shim), *toolchain]), jobs))
        failures = [(job, text) for job, text in results if text]
        for job, text in failures:
            print(f"xtensa: {job.label} fails\n{text}\n")
        if not failures:
            print_sizes(jobs)
        sources = sum(job.output is not None for job in jobs)
        print(f"xtensa: {sources} sources and {len(jobs) - sources} headers, {len(failures)} failures")
        return len(failures)


def main() -> int:
    """0 clean, 1 a file does not compile, 2 the compiler is missing."""
    parser = argparse.ArgumentParser(description="compile the portable core with a real Xtensa compiler")
    parser.add_argument("trees", nargs="*", type=Path, default=[ROOT / "firmware" / "src"], metavar="DIR")
    arguments = parser.parse_args()
    try:
        return 1 if sum(check(tree.resolve()) for tree in arguments.trees) else 0
    except Unavailable as reason:
        print(f"xtensa: {reason}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
