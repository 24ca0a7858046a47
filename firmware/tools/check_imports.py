"""Refuses core objects that call what the cost model does not charge: an uncosted function would run for free.

Allowed: other core objects, the HAL, the costed copies, the hook. usage: check_imports.py OBJECT...
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from sim_flags import HOOK, toolchain  # noqa: E402

COSTED = {"memcpy", "memmove", "memset", "memcmp", "strlen", "strcmp", "strncmp"}
_HAL = re.compile(r"^_ZNK?3hal")
_ROW = re.compile(r"^(\S+) ([A-Za-z?])\b")


def symbols(objects: Iterable[Path]) -> tuple[set[str], dict[str, set[str]]]:
    """What the objects define, and what each undefined name is wanted by."""
    defined: set[str] = set()
    wanted: dict[str, set[str]] = {}
    for path in objects:
        text = subprocess.run(["nm", "-P", str(path)], capture_output=True, text=True, check=True).stdout
        for line in text.splitlines():
            row = _ROW.match(line)
            if row is None:
                continue
            name = row[1].removeprefix("_") if sys.platform == "darwin" else row[1]
            if row[2] in "Uw":
                wanted.setdefault(name, set()).add(path.name)
            else:
                defined.add(name)
    return defined, wanted


def uncosted(objects: Iterable[Path]) -> dict[str, set[str]]:
    """Names the objects import and no one charges, with the objects that want them."""
    defined, wanted = symbols(objects)
    return {name: who for name, who in wanted.items() if name not in defined and not _is_costed(name)}


def _is_costed(name: str) -> bool:
    if name == HOOK or _HAL.match(name):
        return True
    # GCC objects ask for k1_memcpy; Clang's own calls cannot be renamed, copies.cpp answers them by their plain names.
    return name.removeprefix("k1_") in COSTED and name.startswith("k1_") != toolchain().clang


def main() -> int:
    bad = uncosted(Path(argument) for argument in sys.argv[1:])
    for name, who in sorted(bad.items()):
        print(
            f"core imports '{name}', which the cost model does not charge (in {', '.join(sorted(who))})",
            file=sys.stderr,
        )
    if bad:
        print("use the core's own math and text functions, or the HAL", file=sys.stderr)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
