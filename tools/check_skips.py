"""Fails when a JUnit report holds a skipped test whose reason is not missing hardware.

A skipped test proves nothing, so on the continuous-integration machine the only excuse is a device that is not there:
the reason must end with "(missing hardware)", which harness/suite/absent.py writes for real rigs alone. A lost
calibration file, say, is no excuse. Expected failures count as run.

    python tools/check_skips.py REPORT.xml…
"""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

EXCUSE = "(missing hardware)"


def unexcused(path: str) -> tuple[int, list[str]]:
    """(number of tests in the report, one line for every skip without that excuse)."""
    if not Path(path).is_file():
        return 0, []
    count, lines = 0, []
    for case in ET.parse(path).getroot().iter("testcase"):
        count += 1
        for skip in case.iter("skipped"):
            reason = skip.get("message") or ""
            if skip.get("type") != "pytest.xfail" and not reason.endswith(EXCUSE):
                lines.append(f"{path}: {case.get('classname')}::{case.get('name')} skipped: {reason}")
    return count, lines


def main() -> int:
    """0 when every report has tests and no unexcused skip."""
    bad = 0
    for path in sys.argv[1:]:
        count, lines = unexcused(path)
        if count == 0:
            lines.append(f"{path}: no tests ran")
        print("\n".join(lines) if lines else f"{path}: {count} tests, no unexcused skip")
        bad += len(lines)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
