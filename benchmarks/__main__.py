"""Timings of the harness, each beside its reference of the same run.

    python -m benchmarks [parse history analysis bench camera flash hil] [--runs N] [--json PATH]

Exit code: 0 all goals met, 1 one was missed (on a busy machine that says little: the load is printed and stored).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.analysis_speed import analysis_speed
from benchmarks.bench_speed import bench_speed
from benchmarks.camera_speed import camera_speed
from benchmarks.figure import Figure
from benchmarks.flash_time import flash_time
from benchmarks.hil_time import hil_time
from benchmarks.history_time import history_time
from benchmarks.parse_time import parse_time
from harness.pipeline.build import build
from harness.rig.seeds import fresh_seed

KINDS = ("parse", "history", "analysis", "bench", "camera", "flash", "hil")
SCHEMA = 1


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"what to time: {', '.join(KINDS)} (default: all)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each (default 5)")
    parser.add_argument("--hil-runs", type=int, default=3, help="runs of the whole suite (default 3)")
    parser.add_argument("--stock-runs", type=int, default=2, help="runs with pyserial's own slow client (default 2)")
    parser.add_argument("--seconds", type=float, default=20.0, help="device time of one recording (default 20)")
    parser.add_argument("--quiet-wait", type=float, default=60.0, help="for a quiet machine, s (default 60)")
    parser.add_argument("--json", type=Path, default=Path("reports/perf.json"), help="default reports/perf.json")
    arguments = parser.parse_args()
    unknown = set(arguments.kinds) - set(KINDS)
    if unknown:
        parser.error(f"no such kind: {', '.join(sorted(unknown))}; known: {', '.join(KINDS)}")
    if min(arguments.runs, arguments.hil_runs, arguments.stock_runs) < 1 or not 1 <= arguments.seconds <= 600:
        parser.error("runs begin at 1, seconds lie between 1 and 600")
    return arguments


def main() -> int:
    """Measures, prints, stores."""
    arguments = parse_arguments()
    seed, bundle = fresh_seed(), build("sim")
    work: dict[str, Callable[[], list[Figure]]] = {
        "parse": lambda: parse_time(bundle, arguments.runs, seed),
        "history": lambda: history_time(arguments.runs, seed),
        "analysis": lambda: analysis_speed(arguments.runs, seed),
        "bench": lambda: bench_speed(bundle, arguments.runs, arguments.seconds),
        "camera": lambda: camera_speed(bundle, arguments.runs, arguments.seconds),
        "flash": lambda: flash_time(arguments.runs, arguments.stock_runs, seed),
        "hil": lambda: hil_time(arguments.hil_runs),
    }
    print(f"min / median / max; seed {seed}; firmware {bundle.version} {bundle.manifest.get('git', '')}")
    rows: list[dict[str, Any]] = []
    figures: list[Figure] = []
    for kind in [k for k in KINDS if not arguments.kinds or k in arguments.kinds]:
        busy, load = machine.await_quiet(arguments.quiet_wait), machine.load()
        words = "quiet" if busy <= machine.QUIET_BUSY_PERCENT else "BUSY: read these figures with care"
        print(f"\n[{kind}] load {load[0]:.2f}, other work on {busy:.0f} % of the processor ({words})", flush=True)
        found = work[kind]()
        told = {"load_before": load, "busy_percent_before": busy, "load_after": machine.load()}
        for figure in found:
            print("\n".join(figure.lines()), flush=True)
            rows.append({"kind": kind, **figure.to_json(), **told})
        figures += found
        _store(arguments.json, seed, bundle.to_json(), rows)
    print(f"\nwritten to {arguments.json}")
    return 1 if any(figure.met is False for figure in figures) else 0


def _store(path: Path, seed: int, firmware: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {key: firmware[key] for key in ("project", "version", "sha256", "bytes")}
    document = {
        "schema": SCHEMA, "time": datetime.now(UTC).isoformat(timespec="seconds"), "machine": machine.describe(),
        "seed": seed, "firmware": told, "figures": rows,
    }  # fmt: skip
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    scratch.rename(path)


if __name__ == "__main__":
    sys.exit(main())
