"""Gives PlatformIO a private core folder that needs no network: `.pio-core/` with `tool-scons` in it.

PlatformIO downloads its build engine, the package `tool-scons`, on first use. That package is SCons and a short
starter, and SCons is on PyPI, pinned in requirements.lock like everything else. So the folder is made here, with the
metadata file PlatformIO would have written, and `pio run -e sim` never asks the network for anything.

    python tools/pio_offline.py          makes or repairs .pio-core beside setup (called by ./setup)
    python tools/pio_offline.py --env    also prints the environment for a shell: eval "$(…)"
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CORE_DIR = ROOT / ".pio-core"

# PlatformIO runs this file as `python …/tool-scons/scons.py -Q …`; the library beside it wins over any other SCons.
STARTER = """\
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "scons-local"))

import SCons.Script  # noqa: E402

SCons.Script.main()
"""


def wanted_package() -> tuple[str, str]:
    """(tool-scons version, SCons version) of the installed PlatformIO, for example ("4.41101.0", "4.11.1")."""
    from platformio.dependencies import get_core_dependencies

    package = get_core_dependencies()["tool-scons"].lstrip("~^=")
    # The middle number packs the SCons version: major, then two digits each for minor and patch.
    packed = int(package.split(".")[1])
    return package, f"{packed // 10000}.{packed // 100 % 100}.{packed % 100}"


def installed_scons(version: str) -> Path:
    """The installed SCons library, which must be the version PlatformIO asks for."""
    try:
        found = importlib.metadata.version("scons")
    except importlib.metadata.PackageNotFoundError:
        found = "not installed"
    if found != version:
        sys.exit(f"pio_offline: this PlatformIO needs SCons {version}, found {found}; pin scons in requirements.lock")
    spec = importlib.util.find_spec("SCons")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent


def make_tool_scons(core_dir: Path) -> bool:
    """Builds packages/tool-scons; false when the right one is already there."""
    package_version, scons_version = wanted_package()
    folder = core_dir / "packages" / "tool-scons"
    # The exact file PlatformIO's package manager writes after a download: what it looks for to see a package.
    piopm = {
        "type": "tool",
        "name": "tool-scons",
        "version": package_version,
        "spec": {"owner": "platformio", "id": None, "name": "tool-scons", "requirements": None, "uri": None},
    }
    marker = folder / ".piopm"
    if marker.is_file() and json.loads(marker.read_text()) == piopm:
        return False
    source = installed_scons(scons_version)
    scratch = core_dir / "packages" / f".tool-scons-{os.getpid()}"
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(source, scratch / "scons-local" / "SCons", ignore=shutil.ignore_patterns("__pycache__"))
    (scratch / "scons.py").write_text(STARTER)
    manifest = {"name": "tool-scons", "version": package_version, "description": "SCons, from its wheel"}
    (scratch / "package.json").write_text(json.dumps(manifest, indent=2) + "\n")
    (scratch / ".piopm").write_text(json.dumps(piopm))
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)  # a killed run leaves no half-made package behind
    return True


def quiet_settings(core_dir: Path) -> None:
    """Writes the settings that keep PlatformIO from asking the network, for whoever runs `pio` by hand."""
    import platformio

    path = core_dir / "appstate.json"
    try:
        state = json.loads(path.read_text())
    except (OSError, ValueError):
        state = {}
    wanted = {
        **state,
        "last_version": platformio.__version__,  # another version would start "upgrading" by download
        "settings": {
            **state.get("settings", {}),
            "enable_telemetry": False,
            "check_platformio_interval": 36500,
            "check_prune_system_threshold": 0,
        },
    }
    if wanted != state:
        path.write_text(json.dumps(wanted))


def environment(core_dir: Path = CORE_DIR) -> dict[str, str]:
    """The variables that make `pio` use the private core and leave the network alone."""
    return {
        "PLATFORMIO_CORE_DIR": str(core_dir),
        "PLATFORMIO_DISABLE_UPGRADE_CHECK": "true",
        "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "No",
    }


def main() -> None:
    """Command line; see the top of this file."""
    parser = argparse.ArgumentParser(description="offline PlatformIO core folder")
    parser.add_argument("--env", action="store_true", help="print the environment as shell exports")
    arguments = parser.parse_args()
    make_tool_scons(CORE_DIR)
    quiet_settings(CORE_DIR)
    if arguments.env:
        for name, value in environment().items():
            print(f"export {name}='{value}'")


if __name__ == "__main__":
    main()
