"""Proves that the suite sees what it should: every mutant turns exactly the committed set of tests red.

    python -m tests.mutants [NAME ...] [--jobs N] [--runs N] [--healthy N] [--fresh] [--accept] [--list]

A mutant is a patch of the firmware's source (`tests/mutants/*.patch`, one behaviour each). It is built from source and
judged by plain `pytest tests_hil --rig sim --firmware X`; nothing in the image, its telemetry or its log names it. The
healthy firmware must be all green, with a fresh seed each time. A mutant is judged with the seed its set was seen with
(`seeds.json`), so that a difference comes from what changed; `--fresh` draws new ones. Tests that no mutant turns red
prove nothing yet: they are listed. docs/mutants.md tells how to add one.
"""

from __future__ import annotations

import argparse
import queue
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.mutants import expected
from tests.mutants.expected import RedSets
from tests.mutants.judge import HEALTHY, Judgement, Slot, patches


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="mutants to judge, or 'healthy' (default: all)")
    parser.add_argument("--jobs", type=int, default=2, help="firmwares at a time (default 2)")
    parser.add_argument("--runs", type=int, default=1, help="runs of each mutant, each with its own seed (default 1)")
    parser.add_argument("--healthy", type=int, default=3, help="runs of the healthy firmware (default 3)")
    parser.add_argument("--fresh", action="store_true", help="fresh seeds instead of the committed ones")
    parser.add_argument("--accept", action="store_true", help="write what was seen as the expectation; review it")
    parser.add_argument("--list", action="store_true", help="list the mutants and stop")
    return parser.parse_args()


def run_all(work: Sequence[tuple[str, int | None]], jobs: int) -> list[Judgement]:
    """Judges firmwares by name and seed, ``jobs`` at a time, and tells of each as it is done."""
    slots: queue.Queue[Slot] = queue.Queue()
    for index in range(jobs):
        slots.put(Slot(index))

    def one(job: tuple[str, int | None]) -> Judgement:
        slot = slots.get()
        try:
            j = slot.judge(*job)
        finally:
            slots.put(slot)
        print(f"{j.name:28} {j.seconds:5.0f} s  seed {j.seed:>15}  {len(j.red):3} red", flush=True)
        return j

    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(one, work))


def differences(judgements: Sequence[Judgement], wanted: RedSets) -> Iterator[str]:
    """One line per difference between what was seen and what is committed."""
    for j in judgements:
        run = f"{j.name} (seed {j.seed})"
        if j.trouble:
            yield f"{run}: {j.trouble}"
            continue
        if j.name != HEALTHY and not wanted.get(j.name):
            yield f"{j.name}: no red test is committed: either it was never accepted, or the suite passes this firmware"
        want = wanted.get(j.name, set())
        for test in sorted(j.red - want):
            yield f"{run}: red, expected green: {test}: {j.messages.get(test, '')}"
        for test in sorted(want - j.red):
            yield f"{run}: green, expected red: {test}"


def agreed(judgements: Sequence[Judgement]) -> dict[str, Judgement]:
    """The first judgement of each mutant whose runs all came to the same.

    A red that depends on the seed is a flaw of the test, not an expectation.
    """
    found = {}
    for name in dict.fromkeys(j.name for j in judgements if j.name != HEALTHY):
        runs = [j for j in judgements if j.name == name]
        if not any(j.trouble for j in runs) and all(j.red == runs[0].red for j in runs):
            found[name] = runs[0]
    return found


def accepting(judgements: Sequence[Judgement], before: RedSets) -> RedSets:
    """The committed sets with what was seen in place of what was expected; old ones where runs disagree or failed."""
    known = patches()
    kept = {name: tests for name, tests in before.items() if name in known}
    return kept | {name: j.red for name, j in agreed(judgements).items()}


def never_red(judgements: Sequence[Judgement], wanted: RedSets) -> Iterator[str]:
    """Tests that no mutant turns red, one line per function, with the cases when only some of them stay green."""
    seen = {test for j in judgements for test in j.tests}
    red = {test for tests in wanted.values() for test in tests}
    touched = {expected.split(test)[0] for test in red}
    for function, cases in expected.grouped(seen - red).items():
        if function not in touched:
            yield f"{function} ({len(cases)} cases)" if cases else function
        else:
            yield f"{function}, only these cases: {', '.join(cases)}"


def main() -> int:
    """0 when every firmware matches, 1 otherwise, 4 for an unknown name."""
    arguments = parse_arguments()
    known = patches()
    if arguments.list:
        print("\n".join(known))
        return 0
    unknown = sorted(set(arguments.names) - set(known) - {HEALTHY})
    if unknown:
        print(f"no such mutant: {', '.join(unknown)}; known: {', '.join(known)}", file=sys.stderr)
        return 4
    names = [n for n in arguments.names or known if n != HEALTHY]
    healthy = arguments.healthy if not arguments.names or HEALTHY in arguments.names else 0
    started = time.monotonic()
    seeds = {} if arguments.fresh else expected.load_seeds()
    first = [(name, seeds.get(name)) for name in names]
    more: list[tuple[str, int | None]] = [(name, None) for name in names for _ in range(arguments.runs - 1)]
    judgements = run_all([(HEALTHY, None)] * healthy + first + more, arguments.jobs)
    wanted = expected.load()
    if arguments.accept:
        wanted = accepting(judgements, wanted)
        expected.save(wanted)
        kept = {name: seed for name, seed in expected.load_seeds().items() if name in known}
        expected.save_seeds(kept | {name: int(j.seed) for name, j in agreed(judgements).items()})
    green = list(never_red(judgements, wanted)) if names == known else []
    if green:
        print("\ntests that no mutant turns red:", *green, sep="\n  ")
    faults = list(differences(judgements, wanted))
    print("", *faults or ["every firmware matches"], sep="\n")
    print(f"{len(judgements)} runs in {time.monotonic() - started:.0f} s, {len(faults)} differences")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
