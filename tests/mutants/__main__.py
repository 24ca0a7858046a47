"""Proves that the suite sees what it should: every mutant turns exactly the committed set of tests red.

    python -m tests.mutants [NAME ...] [--jobs N] [--healthy N] [--accept] [--list]

A mutant is a patch of the firmware's source (`tests/mutants/*.patch`, one behaviour each). It is built from source and
judged by plain `pytest tests_hil --rig sim --firmware X`; nothing in the image, its telemetry or its log names it. The
healthy firmware must be all green over different seeds. Tests that no mutant turns red prove nothing yet: listed.
"""

from __future__ import annotations

import argparse
import json
import queue
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.mutants.judge import Judgement, Slot, patches

HERE = Path(__file__).parent
EXPECTED = HERE / "expected.json"


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="mutants to judge (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="mutants at a time (default 2)")
    parser.add_argument(
        "--healthy", type=int, default=3, help="runs of the healthy firmware (default 3)"
    )
    parser.add_argument("--accept", action="store_true", help="write what was seen as the expectation")
    parser.add_argument("--list", action="store_true", help="list the mutants and stop")
    return parser.parse_args()


def run_all(names: list[str], healthy: int, jobs: int) -> list[Judgement]:
    """Judges the healthy firmware `healthy` times and every named mutant once, `jobs` at a time."""
    slots: queue.Queue[Slot] = queue.Queue()
    for index in range(jobs):
        slots.put(Slot(index))
    work = ["healthy"] * healthy + names

    def one(name: str) -> Judgement:
        slot = slots.get()
        try:
            judgement = slot.judge(name)
        finally:
            slots.put(slot)
        print(
            f"{judgement.name:28} {judgement.seconds:5.0f} s  seed {judgement.seed}  {len(judgement.red):3} red",
            flush=True,
        )
        return judgement

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, work))


def compare(judgements: list[Judgement], expected: dict[str, list[str]]) -> list[str]:
    """One line per difference between what was seen and what is committed."""
    faults = []
    for j in judgements:
        want = set() if j.name == "healthy" else set(expected.get(j.name, []))
        if j.name != "healthy" and j.name not in expected:
            faults.append(f"{j.name}: no expectation committed (run with --accept and review it)")
        elif j.name != "healthy" and not want:
            faults.append(f"{j.name}: expects no red test: the suite would pass this firmware")
        for test in sorted(j.red - want):
            faults.append(f"{j.name} (seed {j.seed}): red, expected green: {test}")
        for test in sorted(want - j.red):
            faults.append(f"{j.name} (seed {j.seed}): green, expected red: {test}")
        if j.trouble:
            faults.append(f"{j.name} (seed {j.seed}): {j.trouble}")
    return faults


def main() -> int:
    """0 when every mutant matches, 1 otherwise."""
    arguments = parse_arguments()
    known = patches()
    if arguments.list:
        print("\n".join(known))
        return 0
    unknown = sorted(set(arguments.names) - set(known) - {"healthy"})
    if unknown:
        print(f"no such mutant: {', '.join(unknown)}; known: {', '.join(known)}", file=sys.stderr)
        return 4
    names = [n for n in arguments.names if n != "healthy"] if arguments.names else list(known)
    healthy = arguments.healthy if not arguments.names or "healthy" in arguments.names else 0
    started = time.monotonic()
    judgements = run_all(names, healthy, arguments.jobs)
    expected: dict[str, list[str]] = json.loads(EXPECTED.read_text()) if EXPECTED.exists() else {}
    if arguments.accept:
        expected.update({j.name: sorted(j.red) for j in judgements if j.name != "healthy"})
        expected = {name: expected[name] for name in sorted(expected) if name in known}
        scratch = EXPECTED.with_suffix(".tmp")
        scratch.write_text(json.dumps(expected, indent=1) + "\n")
        scratch.rename(EXPECTED)
    faults = compare(judgements, expected)
    seen = {test for j in judgements for test in j.tests}
    never_red = sorted(seen - {test for red in expected.values() for test in red})
    if never_red and len(names) == len(known):
        print(f"\ntests that no mutant turns red ({len(never_red)} of {len(seen)}):")
        print("\n".join(f"  {test}" for test in never_red))
    print("\n".join(["", *faults]) if faults else "\nall mutants match")
    print(f"{len(judgements)} judged in {time.monotonic() - started:.0f} s, {len(faults)} differences")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
