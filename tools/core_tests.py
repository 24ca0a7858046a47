"""Builds and runs the C++ unit tests of the firmware's portable core on this machine.

Every `firmware/test/*.cpp` is linked with `firmware/src/core/**/*.cpp` into one doctest program, under the address and
undefined-behaviour sanitizers where the compiler has them. Objects are kept beside PlatformIO's and only rebuilt when
their source, any header or the flags changed. doctest comes from the system (Debian: doctest-dev, macOS: brew install
doctest) or from where ./setup unpacked it.

    python tools/core_tests.py [doctest arguments, for example -tc='*goertzel*']
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRMWARE = ROOT / "firmware"
DOCTEST = ROOT / ".cache" / "doctest" / "usr" / "include"  # where ./setup unpacks it if the system has none
BUILD = FIRMWARE / ".pio" / "core-tests"
FLAGS = "-std=c++17 -O1 -g -DK1_HIL=1 -Wall -Wextra -Wpedantic -Werror -fno-omit-frame-pointer".split()
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined"]


def compiler() -> str:
    """The host's C++ compiler."""
    for name in (os.environ.get("CXX"), "g++", "clang++"):
        if name and shutil.which(name):
            return name
    sys.exit("core_tests: no C++ compiler; run ./setup")


def sanitizers(cxx: str) -> list[str]:
    """The sanitizer flags, or nothing where their run-time libraries are not installed (some minimal images)."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.cpp"
        source.write_text("int main() { return 0; }\n")
        command = [cxx, *SANITIZERS, str(source), "-o", str(source.with_suffix(""))]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return SANITIZERS
    print("core_tests: this compiler has no sanitizer libraries; running without", file=sys.stderr)
    return []


def compile_one(cxx: str, flags: list[str], source: Path, headers: bytes) -> tuple[Path, str]:
    """(object, compiler output); no work when an object of the same content exists."""
    key = hashlib.sha256(b"\0".join([" ".join([cxx, *flags]).encode(), headers, source.read_bytes()])).hexdigest()[:16]
    target = BUILD / f"{source.stem}-{key}.o"
    if target.exists():
        return target, ""
    scratch = target.with_suffix(f".{os.getpid()}.tmp")
    command = [cxx, *flags, f"-I{FIRMWARE / 'src'}", f"-I{FIRMWARE / 'test'}", "-isystem", str(DOCTEST)]
    command += ["-c", str(source), "-o", str(scratch)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return target, done.stdout + done.stderr
    scratch.rename(target)
    return target, done.stderr


def build() -> Path:
    """The test program, compiled as needed."""
    tests = sorted((FIRMWARE / "test").glob("*.cpp"))
    sources = sorted((FIRMWARE / "src" / "core").rglob("*.cpp")) + tests
    if not tests:
        sys.exit(f"core_tests: no tests in {(FIRMWARE / 'test').relative_to(ROOT)}")
    included = [path for folder in ("src", "test") for path in sorted((FIRMWARE / folder).rglob("*"))]
    headers = b"".join(path.read_bytes() for path in included if path.suffix in (".h", ".hpp", ".inc"))
    BUILD.mkdir(parents=True, exist_ok=True)
    cxx = compiler()
    flags = FLAGS + sanitizers(cxx)
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = list(pool.map(lambda source: compile_one(cxx, flags, source, headers), sources))
    failures = [text for target, text in results if not target.exists()]
    if failures:
        sys.exit("\n".join(failures))
    objects = [target for target, _ in results]
    for old in set(BUILD.glob("*.o")) - set(objects):
        old.unlink(missing_ok=True)
    program = BUILD / "core-tests"
    linked = subprocess.run(
        [cxx, *flags, *map(str, objects), "-o", str(program)], capture_output=True, text=True, check=False
    )
    if linked.returncode != 0:
        sys.exit(linked.stderr)
    return program


def main() -> int:
    """The test program's exit code."""
    return subprocess.run([str(build()), *sys.argv[1:]], cwd=FIRMWARE, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
