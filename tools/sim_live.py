"""A served virtual board with sound around one command: what ``rigs/sim-live.toml`` needs, from start to stop.

    tools/sim_live.py [--rig-dir DIR] [--bench RIG] [--realtime] -- COMMAND…

Starts ``k1hil bench --live --for sim-live`` (board in wall time, private sound server), runs the command with what it
needs to reach the sound server, and stops everything. The exit code is the command's, or 3 when the bench itself failed
(it fell behind wall time, its sound ran dry): then nothing the command found says anything about the device.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

RIG = "sim-live"
HARNESS_FAULT = 3
READY_S = 180.0  # a first build of the firmware is in it
STOP_S = 30.0


class BenchFailed(Exception):
    """The bench did not come up; the text says why."""


class Bench:
    """A running bench.

    Attributes:
        told: its line of JSON: addresses, ``status``, ``environment``.
        exit_code: after the end of :func:`bench`; 0, or 3 when the bench had faults.
    """

    def __init__(self, process: subprocess.Popen[str], told: dict[str, object]) -> None:
        self.process = process
        self.told = told
        self.exit_code = 0

    def environment(self) -> dict[str, str]:
        """Environment for programs that use the board."""
        extra = self.told["environment"]
        assert isinstance(extra, Mapping)
        return {**os.environ, **extra}


@contextlib.contextmanager
def bench(
    rig_dir: Path | None = None, bench_rig: str = "sim", *options: str, realtime: bool = False
) -> Iterator[Bench]:
    """Serves a board at the addresses of rig sim-live; stops it at the end.

    Args:
        rig_dir: folder with ``sim-live.toml`` and the bench's rig file.
        bench_rig: virtual rig whose ``[bench]`` table describes the board.
        options: more of ``k1hil bench``'s.
        realtime: it runs before all others, its users included; see :func:`take_precedence`.

    Raises:
        BenchFailed: it does not come up.
    """
    command = [sys.executable, "-m", "harness.cli", "bench", "--live", "--for", RIG, "--rig", bench_rig, *options]
    command += ["--rig-dir", str(rig_dir)] if rig_dir is not None else []
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).resolve().parents[1])
    assert process.stdout is not None
    if realtime:
        take_precedence(process.pid, over_users=1)
    running = None
    try:
        ready, _, _ = select.select([process.stdout], [], [], READY_S)
        line = process.stdout.readline() if ready else ""
        if not line:
            raise BenchFailed("the bench ended at once" if ready else f"the bench said nothing within {READY_S:g} s")
        running = Bench(process, json.loads(line))
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait(STOP_S)
        if running is not None:
            running.exit_code = code


def take_precedence(process: int = 0, over_users: int = 0) -> bool:
    """Real-time scheduling for a process (0: this one) and all it starts; False where the system does not permit it.

    Nice values help little: where processes are grouped by session (the default of Linux desktops), they count only
    within a session. The kernel keeps a share of the time for all others.
    """
    try:
        os.sched_setscheduler(process, os.SCHED_RR, os.sched_param(1 + over_users))
    except (AttributeError, OSError):
        return False
    return True


def main() -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rig-dir", type=Path, help="folder of rig files (default: rigs/)")
    parser.add_argument("--bench", default="sim", metavar="RIG", help="virtual rig that describes the board")
    parser.add_argument("--realtime", action="store_true", help="before all others, where that is permitted")
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- COMMAND")
    args = parser.parse_args()
    command = args.command[1:] if args.command[:1] == ["--"] else args.command
    if not command:
        parser.error("no command given")
    realtime = args.realtime and take_precedence()
    if args.realtime and not realtime:
        print("sim_live: no permission for real-time scheduling; goes on without", file=sys.stderr)
    try:
        with tempfile.TemporaryDirectory(prefix="k1hil-live-") as state:
            with bench(args.rig_dir, args.bench, "--state", state, realtime=realtime) as running:
                code = subprocess.run(command, env=running.environment()).returncode
    except BenchFailed as error:
        print(f"sim_live: {error}", file=sys.stderr)
        return HARNESS_FAULT
    if running.exit_code != 0:
        print("sim_live: the bench itself failed; nothing is said about the device", file=sys.stderr)
        return HARNESS_FAULT
    return code


if __name__ == "__main__":
    sys.exit(main())
