"""A process that ends with the one that started it, however that ends: for what tests and demonstrations start."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

# Linux tells a child when its parent is gone; elsewhere only an orderly end of the parent ends the child. A parent that
# ended before the child could ask for that is told by its number.
_LAUNCHER = """
import ctypes, os, signal, sys
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("started by nobody")
os.execvp(sys.argv[2], sys.argv[2:])
"""


def tied(command: Sequence[str]) -> list[str]:
    """The command line that runs a command so that it gets SIGTERM when this process (its starting thread) ends."""
    return [sys.executable, "-c", _LAUNCHER, str(os.getpid()), *command]
