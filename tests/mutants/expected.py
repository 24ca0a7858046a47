"""The committed red sets: which tests each mutant turns red, no more and no fewer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

FILE = Path(__file__).parent / "expected.json"
SEEDS = Path(__file__).parent / "seeds.json"
_ID = re.compile(r"([^\[]+)(?:\[(.*)\])?", re.DOTALL)
RedSets = dict[str, set[str]]


def split(test: str) -> tuple[str, str]:
    """``module::test[case]`` as (``module::test``, ``case``); no case: ``""``."""
    match = _ID.fullmatch(test)
    return (match[1], match[2] or "") if match else (test, "")


def grouped(tests: Iterable[str]) -> dict[str, list[str]]:
    """Cases by test function, both sorted; a test without cases has an empty list."""
    found: dict[str, list[str]] = {}
    for function, case in sorted(map(split, tests)):
        found.setdefault(function, []).extend([case] if case else [])
    return found


def load(path: Path = FILE) -> RedSets:
    """Red tests by mutant; empty when nothing was accepted yet."""
    if not path.exists():
        return {}
    document: dict[str, dict[str, list[str]]] = json.loads(path.read_text(encoding="utf-8"))
    return {
        name: {f"{test}[{case}]" if case else test for test, cases in groups.items() for case in cases or [""]}
        for name, groups in document.items()
    }


def save(red_sets: RedSets, path: Path = FILE) -> None:
    """Writes one line per mutant and test function, so that a difference reads well."""
    blocks = []
    for name in sorted(red_sets):
        lines = [f"  {json.dumps(test)}: {json.dumps(cases)}" for test, cases in grouped(red_sets[name]).items()]
        blocks.append(f" {json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n }")
    scratch = path.with_suffix(".tmp")
    scratch.write_text("{\n" + ",\n".join(blocks) + "\n}\n", encoding="utf-8")
    scratch.replace(path)


def load_seeds(path: Path = SEEDS) -> dict[str, int]:
    """Seed by mutant with which its set was seen; the same image and seed give the same bytes."""
    return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}


def save_seeds(seeds: dict[str, int], path: Path = SEEDS) -> None:
    """Writes one line per mutant."""
    scratch = path.with_suffix(".tmp")
    scratch.write_text(json.dumps(seeds, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    scratch.replace(path)
