"""Writes requirements.lock anew: the newest versions that pyproject.toml allows and that fit together.

    make lock       then look at the difference, run `make test` and `make hil`, and commit it
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import tomllib
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = """\
# The exact versions every machine runs. `make lock` writes this file anew from pyproject.toml.
# scons is here because PlatformIO's tool-scons package is made from it (tools/pio_offline.py).
"""


def run(*command: str) -> str:
    """Standard output of a command that must succeed."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout


def elsewhere(python: str) -> list[str]:
    """PlatformIO's requirements that only other systems have, pinned to the newest version it allows."""
    code = (
        "from importlib.metadata import requires\n"
        "from packaging.requirements import Requirement\n"
        "for text in requires('platformio'):\n"
        "    item = Requirement(text)\n"
        "    if item.marker and 'extra' not in str(item.marker) and not item.marker.evaluate():\n"
        "        print(item.name, item.specifier, item.marker, sep='|')\n"
    )
    lines = []
    for row in run(python, "-c", code).splitlines():
        name, specifier, marker = row.split("|")
        report = run(python, "-m", "pip", "install", "-q", "--dry-run", "--no-deps", "--report", "-", name + specifier)
        found = re.search(r'"metadata":.*?"version": "([^"]+)"', report, re.DOTALL)
        assert found is not None, report
        lines.append(f"{name}=={found[1]}; {marker}")
    return lines


def main() -> None:
    """Resolves everything in a fresh environment of its own and writes the result."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    wanted = project["project"]["dependencies"] + extras["dev"] + extras["conductor"]
    wanted += project["build-system"]["requires"]
    with tempfile.TemporaryDirectory(prefix="k1-lock-") as folder:
        venv.create(folder, with_pip=True)
        python = str(Path(folder) / "bin" / "python")
        run(python, "-m", "pip", "install", "-q", "--upgrade", "pip")
        run(python, "-m", "pip", "install", "-q", *wanted)
        # The SCons version PlatformIO asks for, by the same reading as in pio_offline.
        code = "import sys; sys.path.insert(0, sys.argv[1]); import pio_offline; print(pio_offline.wanted_package()[1])"
        scons = run(python, "-c", code, str(ROOT / "tools")).strip()
        run(python, "-m", "pip", "install", "-q", f"scons=={scons}")
        run(python, "-m", "pip", "check")
        pins = run(python, "-m", "pip", "freeze", "--all", "--exclude", "pip").split()
        pins += elsewhere(python)
    (ROOT / "requirements.lock").write_text(HEADER + "\n".join(sorted(pins, key=str.lower)) + "\n")
    print(f"requirements.lock: {len(pins)} packages; run ./setup")


if __name__ == "__main__":
    main()
