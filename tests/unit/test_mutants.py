"""The mutants are kept in step with the firmware's source and with what is expected of them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.mutants import expected
from tests.mutants.__main__ import accepting, differences, never_red
from tests.mutants.judge import HEALTHY, HERE, ROOT, Judgement, patches


def changed_lines(name: str) -> list[str]:
    text = (HERE / f"{name}.patch").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if re.match(r"[+-](?![+-]{2} )", line)]


@pytest.mark.parametrize("name", patches())
def test_patch_applies_to_the_source_as_it_is(name: str) -> None:
    command = ["git", "apply", "--check", str(HERE / f"{name}.patch")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 0, f"the source has changed: make the patch anew\n{done.stderr}"


@pytest.mark.parametrize("name", patches())
def test_patch_is_told_and_changes_only_firmware(name: str) -> None:
    text = (HERE / f"{name}.patch").read_text(encoding="utf-8")
    assert re.match(r"[A-Z/].{10,160}\.\n\n--- a/", text), "the first line says what is wrong with this firmware"
    files = re.findall(r"^\+\+\+ b/(\S+)$", text, re.MULTILINE)
    assert files and all(f.startswith("firmware/src/core/") for f in files), files


@pytest.mark.parametrize("name", patches())
def test_nothing_in_the_image_names_the_mutant(name: str) -> None:
    added = "\n".join(line[1:] for line in changed_lines(name) if line.startswith("+"))
    assert name not in added and "mutant" not in added.lower()
    words = re.findall(r'"((?:[^"\\]|\\.)*)"', added)
    before = "\n".join(line[1:] for line in changed_lines(name) if line.startswith("-"))
    assert all(f'"{word}"' in before for word in words), "a mutant brings no text of its own"


def test_every_mutant_has_its_red_tests() -> None:
    committed = expected.load()
    assert sorted(committed) == patches() == sorted(expected.load_seeds())
    assert [name for name, tests in committed.items() if not tests] == [], "nothing in the suite sees these"


def test_expected_tests_exist() -> None:
    functions = {expected.split(test)[0] for tests in expected.load().values() for test in tests}
    for function in sorted(functions):
        module, test = function.split("::")
        source = (ROOT / "tests_hil" / f"{module}.py").read_text(encoding="utf-8")
        assert re.search(rf"^def {re.escape(test)}\(", source, re.MULTILINE), f"{function} is gone"


def test_the_kinds_that_must_be_there() -> None:
    names = patches()
    for kind in ("black_", "frozen_", "off_by_one_", "twice_as_slow_", "deaf_"):
        assert len([n for n in names if n.startswith(kind)]) >= 3, kind
    assert {"leak_per_frame", "panic_on_third_boot", "unmirrored_perlin", "wrap32_audio_age"} <= set(names)


def test_expectations_survive_a_round_trip(tmp_path: Path) -> None:
    sets = {"a": {"test_x::test_one", "test_x::test_two[case, with: comma]", "test_x::test_two[b[0]]"}, "b": {"m::t"}}
    expected.save(sets, tmp_path / "e.json")
    assert expected.load(tmp_path / "e.json") == sets
    assert expected.load(tmp_path / "absent.json") == {}


def test_differences_are_told_both_ways_and_a_passed_mutant_is_one() -> None:
    seen = Judgement("m", tests={"t::a", "t::b"}, red={"t::a"})
    too_red, too_green = differences([seen], {"m": {"t::b"}})
    assert "red, expected green: t::a" in too_red and "green, expected red: t::b" in too_green
    assert len(list(differences([Judgement("m")], {}))) == 1
    assert list(differences([Judgement(HEALTHY, tests={"t::a"})], {})) == []
    assert list(differences([seen], {"m": {"t::a"}})) == []
    assert "broken" in next(differences([Judgement("m", trouble="broken")], {"m": {"t::a"}}))


def test_runs_that_disagree_are_not_accepted() -> None:
    name = patches()[0]
    agree = [Judgement(name, red={"t::a"}), Judgement(name, red={"t::a"})]
    assert accepting(agree, {"gone": {"t::z"}}) == {name: {"t::a"}}
    differ = [Judgement(name, red={"t::a"}), Judgement(name, red={"t::b"})]
    assert accepting(differ, {name: {"t::old"}}) == {name: {"t::old"}}


def test_tests_nothing_turns_red_are_listed() -> None:
    seen = Judgement("m", tests={"t::a", "t::b[1]", "t::b[2]", "t::c[1]", "t::c[2]"})
    assert list(never_red([seen], {"m": {"t::b[1]"}})) == ["t::a", "t::b, only these cases: 2", "t::c (2 cases)"]
