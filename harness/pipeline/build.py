"""Builds the firmware with PlatformIO and hands back the bundle."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from harness.errors import BadRequest, K1HilError
from harness.pipeline.compiler_output import first_error
from harness.pipeline.process import run_group
from harness.rig.bundle import FirmwareBundle

ENVIRONMENTS = ("sim", "esp32-s3-devkitc-1")
BUILD_TIMEOUT_S = 1800.0
# A project's build scripts are programs of whoever made the commit: no key, password or address of this process is for
# them. What compilers, PlatformIO's folders and a download of packages take:
PASSED_ON = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "CC", "CXX", "CCACHE_DIR", "SDKROOT", "DEVELOPER_DIR",
    "SOURCE_DATE_EPOCH", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PLATFORMIO_CORE_DIR", "PLATFORMIO_PACKAGES_DIR",
    "PLATFORMIO_PLATFORMS_DIR", "PLATFORMIO_CACHE_DIR", "PLATFORMIO_BUILD_CACHE_DIR",
)  # fmt: skip
_TAIL = 25


class BuildFailed(K1HilError):
    """The firmware does not build; carries the compiler's first error and the end of its output.

    Attributes:
        lines: the whole output.
    """

    blame = "dut"
    exit_code = 1
    lines: list[str] = []


def project_root() -> Path:
    """The checkout: the folder with ``firmware/`` at or above the working directory, else the one this file lies in.

    Raises:
        BadRequest: there is none.
    """
    here = Path.cwd()
    for folder in (here, *here.parents, Path(__file__).resolve().parents[2]):
        if (folder / "firmware" / "platformio.ini").is_file():
            return folder
    raise BadRequest("no firmware project found", expected="firmware/platformio.ini", remedy="run inside the checkout")


def built(env: str = "sim", root: Path | None = None) -> Path:
    """Where the build of an environment puts ``firmware.bin``."""
    return (root or project_root()) / "firmware" / ".pio" / "build" / env / "firmware.bin"


def build(
    env: str = "sim",
    jobs: int = 2,
    *,
    root: Path | None = None,
    log: Path | None = None,
    tell: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
) -> FirmwareBundle:
    """Runs ``pio run -e ENV`` in ``firmware/`` (a no-op when nothing changed).

    PlatformIO gets the checkout's private core folder, so ``sim`` builds offline.

    Args:
        env: PlatformIO environment.
        jobs: compiler processes.
        root: checkout; default :func:`project_root`.
        log: file for the whole output.
        tell: gets each line of output.
        cancel: ends the build, compilers and all, when set.

    Raises:
        BadRequest: unknown environment or no PlatformIO.
        BuildFailed: with the compiler's first error.
        Cancelled: ``cancel`` was set.
    """
    if env not in ENVIRONMENTS:
        raise BadRequest(f"unknown build environment '{env}'", expected=", ".join(ENVIRONMENTS))
    if not 1 <= jobs <= 256:
        raise BadRequest("unusable number of jobs", expected="1 to 256", got=str(jobs))
    root = root or project_root()
    command = [sys.executable, "-m", "platformio", "run", "-e", env, "-j", str(jobs), "-d", str(root / "firmware")]
    lines = compile_project(command, pio_environment(root), tell=tell, cancel=cancel)
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return FirmwareBundle.load(built(env, root))


def pio_environment(root: Path) -> dict[str, str]:
    """Environment of PlatformIO and of the project's scripts: an allow-list, the checkout's private core folder, no
    questions, no news."""
    environ = {k: os.environ[k] for k in PASSED_ON if k in os.environ}
    environ.setdefault("PLATFORMIO_CORE_DIR", str(root / ".pio-core"))
    return environ | {"PLATFORMIO_DISABLE_UPGRADE_CHECK": "true", "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "No"}


def compile_project(
    command: list[str],
    environ: dict[str, str],
    *,
    tell: Callable[[str], None] | None = None,
    cancel: threading.Event | None = None,
) -> list[str]:
    """Runs PlatformIO in its own process group, so that an interrupt ends the compilers too; its lines.

    Raises:
        BadRequest: it is not installed.
        BuildFailed: with the compiler's first error.
        Cancelled: ``cancel`` was set.
    """
    code, lines = run_group(command, environment=environ, tell=tell, cancel=cancel, timeout_s=BUILD_TIMEOUT_S)
    if code == 0:
        return lines
    if any("No module named platformio" in line for line in lines):
        raise BadRequest("PlatformIO is not installed", remedy="run ./setup")
    failed = BuildFailed(
        f"the firmware does not build: {first_error(lines)}",
        got="\n    ".join(["", *lines[-_TAIL:]]),
        evidence=" ".join(command),
        remedy="the first error counts; k1hil build shows the whole output",
    )
    failed.lines = lines
    raise failed
