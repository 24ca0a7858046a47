"""A person at a device's console."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque

from harness.instruments.flashing import FlashingForbidden
from harness.rig import Rig

_STEP_S = 0.1


def talk(rig: Rig, as_json: bool) -> None:
    """Pumps console lines out and typed lines in. Virtual time is paced to wall time here: a person is watching."""
    typed = _typed_lines()
    shown = 0

    def news() -> bool:
        rig.console.pump()
        return rig.console.n_lines > shown

    goodbye_s = None  # when the input has ended, the answer to its last line is still awaited
    while goodbye_s is None or time.monotonic() < goodbye_s:
        started_s = time.monotonic()
        rig.clock.wait(news, _STEP_S, stop="console")
        for line in rig.console.lines_since(shown):
            print(json.dumps({"host_ns": line.host_ns, "text": line.text}) if as_json else line.text, flush=True)
            shown += 1
        if typed:
            text = typed.popleft()
            if text is None:
                goodbye_s = time.monotonic() + 1.0
            else:
                _send(rig, text)
        spare_s = _STEP_S - (time.monotonic() - started_s)
        if rig.config.kind == "virtual" and spare_s > 0:
            time.sleep(spare_s)


def _send(rig: Rig, text: str) -> None:
    try:
        rig.console.send(text)
    except (ValueError, FlashingForbidden) as error:
        print(f"not sent: {error}", file=sys.stderr)


def _typed_lines() -> deque[str | None]:
    """A deque that a thread fills with typed lines; None at the end of input."""
    lines: deque[str | None] = deque()

    def read() -> None:
        for line in sys.stdin:
            if line.strip():
                lines.append(line.strip())
        lines.append(None)

    threading.Thread(target=read, name="keyboard", daemon=True).start()
    return lines
