"""Figures on the console of the owner's firmware K1.node1: what its API cannot tell, its log lines do.

Lines come torn and mixed; only whole ones count (:mod:`harness.wire.node1_log`), so a figure may rest on fewer lines
than seconds were watched.
"""

from __future__ import annotations

from harness.instruments.api_errors import NotMeasurable
from harness.instruments.console import Console
from harness.wire.node1_log import Beat, Heartbeat, LogLine, parse_beat, parse_heartbeat, parse_line


def watch(console: Console, seconds: float) -> list[LogLine]:
    """The whole lines that come in so many seconds from now on.

    Raises:
        RigFault: the port is gone.
    """
    console.pump()
    first = console.n_lines
    console.clock.wait(console.pump, seconds, stop="console")
    lines = (parse_line(line.text.encode()) for line in console.lines_since(first))
    return [line for line in lines if line is not None]


def heartbeats(lines: list[LogLine]) -> list[Heartbeat]:
    """The lines the firmware writes once a second.

    Raises:
        NotMeasurable: not one came whole.
    """
    found = [pulse for line in lines if (pulse := parse_heartbeat(line))]
    if not found:
        raise NotMeasurable(
            "no whole heartbeat line came", expected="[HEARTBEAT] once a second", got=f"{len(lines)} other lines",
            remedy="set the firmware's log to DEBUG or INFO, and see that this console is its",
        )  # fmt: skip
    return found


def beats(lines: list[LogLine]) -> list[Beat]:
    """Beats the device tells of, at most one a second.

    Raises:
        NotMeasurable: none, which may be silence or the log level.
    """
    found = [beat for line in lines if (beat := parse_beat(line))]
    if not found:
        raise NotMeasurable("no whole beat line came", expected="BEAT_EVENT", got=f"{len(lines)} other lines",
                            remedy="play music with a beat; the log has to be at INFO")  # fmt: skip
    return found
