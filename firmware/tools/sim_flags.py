"""The compiler and its pinned flags for the host build: part of the cost model, so one place holds them."""

from __future__ import annotations

import functools
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[1] / "src"
HOOK = "__sanitizer_cov_trace_pc"
TEXT_BASE = 0x42000000  # where the chip maps its code: addresses in a panic text look familiar
COMMON = [
    "-std=c++17", "-O2", "-ffp-contract=off", "-fno-exceptions", "-fno-rtti", "-fno-threadsafe-statics",
    "-fno-omit-frame-pointer", "-fno-optimize-sibling-calls", "-fno-stack-protector", "-fno-math-errno",
    "-fno-unroll-loops", "-U_FORTIFY_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror",
]  # fmt: skip
GCC = ["-fno-tree-vectorize", "-fno-tree-slp-vectorize", "-fno-stack-clash-protection"]
CLANG = ["-fno-vectorize", "-fno-slp-vectorize"]
X86 = ["-fcf-protection=none", "-march=x86-64", "-mtune=generic"]
X86_GCC = ["-mstringop-strategy=libcall"]


@dataclass(frozen=True)
class Toolchain:
    """The host's C++ compiler: ``text`` stands in manifests, ``word`` in cost model ids; ``machine`` is its target."""

    cxx: str
    text: str
    word: str
    clang: bool
    machine: str

    @property
    def core_flags(self) -> list[str]:
        """For ``src/core``: no vectors, no unrolling, a hook in every block, copies charged."""
        coverage = "bb,no-prune,trace-pc" if self.clang else "trace-pc"
        copies = [] if self.clang else ["-include", str(SOURCES / "host" / "copies.h")]
        return [*self.host_flags, f"-fsanitize-coverage={coverage}", *copies]

    @property
    def core_flag_text(self) -> str:
        """The flags that decide about costs, without paths of this machine."""
        return " ".join(flag for flag in self.core_flags if "/" not in flag)

    @property
    def host_flags(self) -> list[str]:
        """For ``src/host``: the same, without hooks."""
        flags = [*COMMON, *(CLANG if self.clang else GCC), f"-ffile-prefix-map={SOURCES}=src"]
        if self.machine.startswith("x86_64"):
            flags += X86 + ([] if self.clang else X86_GCC)
        if self.machine.startswith("aarch64") and not self.clang:
            flags += ["-mno-outline-atomics"]
        if sys.platform.startswith("linux"):
            flags += ["-fno-pie", "-fno-pic"]
        return flags

    @property
    def link_flags(self) -> list[str]:
        """Fixed addresses where the host allows them, no build id: the same source gives the same bytes."""
        if sys.platform.startswith("linux"):
            return [
                "-no-pie", f"-Wl,-Ttext-segment={TEXT_BASE:#x}", "-Wl,--build-id=none", "-static-libgcc",
                "-static-libstdc++", "-Wl,--gc-sections",
            ]  # fmt: skip
        return ["-Wl,-dead_strip"]


@functools.cache
def toolchain() -> Toolchain:
    """Finds the compiler: g++, else clang++.

    Raises:
        FileNotFoundError: there is none.
    """
    cxx = shutil.which("g++") or shutil.which("clang++")
    if cxx is None:
        raise FileNotFoundError(
            "no C++ compiler: install g++ (Debian: apt-get install -y g++; macOS: xcode-select --install)"
        )
    about = subprocess.run([cxx, "--version"], capture_output=True, text=True, check=True).stdout
    machine = subprocess.run([cxx, "-dumpmachine"], capture_output=True, text=True, check=True).stdout.strip()
    clang = "clang" in about
    match = re.search(r"(\d+\.\d+\.\d+)", about)
    version = match[1] if match else "unknown"
    name = "clang" if clang else "gcc"
    return Toolchain(cxx, f"{'clang++' if clang else 'g++'} {version}", f"{name}{version}", clang, machine)
