"""The pattern language: what it takes, what it refuses and where it says so, and what reaches the C++."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from harness.errors import BadRequest
from harness.pipeline.patterns.generate import INCLUDE, firmware_patterns, generate, generate_specs
from harness.pipeline.patterns.render import _comment, _number, _text, render_list, render_pattern
from harness.pipeline.patterns.spec import PatternSpec, SpecInvalid, load_spec, parse_spec
from harness.pipeline.patterns.yaml_tree import MAX_BYTES, YamlRefused, read_yaml

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "firmware" / "patterns" / "ember_tide.yaml"
PLAIN = """\
schema: 1
id: plain
name: Plain
description: Still
palette:
  - {at: 0.0, colour: "#FF0000"}
  - {at: 0.5, colour: "#0000FF"}
layers:
  - shape: fill
    colour: {from: 0, to: 0.5}
"""


def changed(old: str, new: str, text: str = PLAIN) -> str:
    """The specification with one change."""
    assert text.count(old) == 1, old
    return text.replace(old, new)


def problems(text: str) -> list[str]:
    """What is wrong, as shown."""
    with pytest.raises(SpecInvalid) as caught:
        parse_spec(text, "x.yaml")
    assert caught.value.exit_code == 4
    return [str(p) for p in caught.value.problems]


def test_a_specification_is_read_whole() -> None:
    spec = load_spec(EXAMPLE)
    assert (spec.id, len(spec.layers), spec.reactive) == ("ember_tide", 3, True)
    wave, comet, bar = spec.layers
    assert wave.length_leds == 40 and wave.travel_leds_per_s == 30 and wave.swell and wave.swell.period_s == 2
    bound = wave.bound("level")
    assert bound and (bound.source, bound.amount, bound.envelope.release_s) == ("bass", 0.8, 0.3)
    assert comet.width == 0.5 and comet.cycle_s == 4 and bar.size == 0.9
    assert [hex(k.rgb) for k in spec.palette] == ["0xc81400", "0xff8c14", "0x14b4c8"]


def test_the_digest_is_of_what_it_says() -> None:
    same = PLAIN.replace("  - shape: fill\n", "  # a remark\n  - shape: 'fill'\n    level: 1.0\n")
    assert parse_spec(same).sha256 == parse_spec(PLAIN).sha256
    assert parse_spec(changed("#FF0000", "#FE0000")).sha256 != parse_spec(PLAIN).sha256


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("schema: 1", "schema: 2", 1, "schema: 2 is none of 1"),
        ("id: plain", "id: Plain", 2, "id: .*does not fit"),
        ("id: plain", "id: hil_mine", 2, "kept for test patterns"),
        ("id: plain", "id: true", 2, "id: true is no string"),
        ("id: plain\n", "", 1, "lacks id"),
        ("at: 0.5", "at: 1.5", 7, r"palette\[1\].at: 1.5 is more than 0.99"),
        ("at: 0.5", "at: .inf", 7, "no number"),
        ("at: 0.5", "at: 1e999", 7, "not a finite number"),
        ("at: 0.5", "at: 0.001", 7, "must rise"),
        ("at: 0.0", "at: 0.1", 6, "first key stands at 0"),
        ('colour: "#FF0000"', "colour: #FF0000", 7, "needs quotes|expected|could not find"),
        ('"#FF0000"', '"red"', 6, "does not fit"),
        ("shape: fill", "shape: wave", 9, "wave needs length_leds"),
        ("shape: fill", "shape: fill\n    length_leds: 20", 10, "fill has no length"),
        ("shape: fill", "shape: fill\n    motion: {travel_leds_per_s: 10}", 10, "cannot travel"),
        ("shape: fill", "shape: fill\n    sparkle: 3", 10, "unknown; known here: shape"),
        ("shape: fill", "shape: fill\n    level: yes", 10, "no number"),
        ("shape: fill", "shape: fill\n    audio: [{source: bass, drives: size, amount: 0.5}]", 10, "has no size"),
        ("shape: fill", "shape: fill\n    audio: [{source: bass, drives: colour, amount: 0.5}]", 10, "at most 0.4"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(old: str, new: str, line: int, words: str) -> None:
    found = problems(changed(old, new))
    assert any(p.startswith(f"line {line}: ") and re.search(words, p) for p in found), found


def test_every_mistake_is_told_in_order() -> None:
    found = problems(changed("at: 0.5", "at: 7", changed("id: plain", "id: X", changed("to: 0.5", "to: -1"))))
    assert [int(p.split()[1].rstrip(":")) for p in found] == [2, 7, 10]


def test_a_palette_nobody_would_see_is_refused() -> None:
    assert "too dark" in problems(PLAIN.replace("#FF0000", "#100000").replace("#0000FF", "#001010"))[0]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: &x 1\nb: *x\n", "anchors"),
        ("a: *x\n", "aliases"),
        ("a: !!python/object/apply:os.system ['true']\n", "tags"),
        ("!!map {a: 1}", "tags"),
        ("a: 1\na: 2\n", "twice"),
        ("a: 1\n---\nb: 2\n", "second document"),
        ("? [1, 2]\n: 3\n", "key must be a word"),
        ("[" * 5000, "deeper"),
        ("{a: " * 5000, "deeper"),
        ("[" + "1," * 5000 + "1]", "more than"),
        ("a: " + "9" * 5000, "too many digits"),
        ("a" * (MAX_BYTES + 1), "larger"),
        ("a: \x00", "special characters"),
        ("", "empty"),
        ("a: [1", "expected"),
    ],
)
def test_only_plain_bounded_yaml_is_read(text: str, words: str) -> None:
    with pytest.raises(YamlRefused, match=words) as caught:
        read_yaml(text)
    assert caught.value.line >= 1


def test_plain_scalars_mean_what_they_look_like() -> None:
    tree = read_yaml("a: 1:30\nb: yes\nc: 1e3\nd: -7\ne: '7'\nf: ~\ng: false\nh: 0x10\n")
    assert tree.value == {"a": "1:30", "b": "yes", "c": 1000.0, "d": -7, "e": "7", "f": None, "g": False, "h": "0x10"}
    assert tree.lines[("h",)] == 8


def test_files_are_bounded(tmp_path: Path) -> None:
    big, binary = tmp_path / "big.yaml", tmp_path / "binary.yaml"
    big.write_bytes(b"#" * (MAX_BYTES + 1))
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (big, binary, tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(BadRequest):
            load_spec(path)


HOSTILE = [
    'x"; system("true"); //', "x\\", "x??/", "x */ #include <a>",
    "x\n#define y", "x\r\nint y;", "x{{7*7}}", "x{% raw %}",
    "x\u2028y", "x\x00y", "x%n", "x'+'", "x$(true)", "x`true`", "../x", "x/../../y",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("word", ["id", "name", "description"])
def test_hostile_words_never_reach_the_source(word: str, text: str) -> None:
    """Either refused, or a plain word that the C++ holds as a literal and in a comment only."""
    old = next(line for line in PLAIN.splitlines() if line.startswith(f"{word}:"))
    try:
        spec = parse_spec(PLAIN.replace(old, f"{word}: {json.dumps(text)}"))
    except SpecInvalid:
        return
    assert text == "x'+'" and word in ("name", "description"), "only harmless characters may pass"
    assert f'"{text}"' in render_list([spec])


@pytest.mark.parametrize("text", HOSTILE)
def test_filters_hold_without_the_schema(text: str) -> None:
    """The second line of defence: whatever a text holds, it stays within its literal or its comment."""
    literal = _text(text)
    assert re.fullmatch(r'"(?:[A-Za-z0-9 .,:;\'()+\-_]|\\[0-7]{3})*"', literal)
    assert re.fullmatch(r"[A-Za-z0-9 .,:;'()+\-%/]*", _comment(text)) and not _comment(text).endswith("\\")
    octal = re.sub(r"\\([0-7]{3})", lambda m: chr(int(m[1], 8)), literal[1:-1])
    assert octal.encode("latin-1").decode("utf-8") == text


@pytest.mark.parametrize("value", [0.0, 1.0, -0.75, 1 / 3, 1e-9, 120.0, 0.016666666666666666])
def test_numbers_are_float_literals(value: float) -> None:
    text = _number(value)
    assert re.fullmatch(r"-?\d+(?:\.\d+)?(?:e[-+]\d+)?f", text) and ("." in text or "e" in text)
    assert float(text[:-1]) == pytest.approx(value, rel=1e-8)


def test_same_specification_same_bytes(tmp_path: Path) -> None:
    first = generate(EXAMPLE, tmp_path / "a", root=ROOT)
    again = generate(EXAMPLE, tmp_path / "b", root=ROOT)
    for name in (INCLUDE, "ember_tide.cpp"):
        assert (first.folder / name).read_bytes() == (again.folder / name).read_bytes()
    assert first.specs == again.specs and first.sources[0].name == "ember_tide.cpp"


def test_what_is_specified_stands_in_the_source() -> None:
    text = render_pattern(load_spec(EXAMPLE))
    for part in ("{0.4f, 0xFF8C14}", "bass(f), f.dt_s, 0.02f, 0.3f", "f.p.custom_param_3", "start_ember_tide",
                 "comet_at(u, 0.5f, false)", "wave, every 40 LEDs, 30 LEDs/s outwards"):  # fmt: skip
        assert part in text, part
    plain = render_pattern(parse_spec(PLAIN))
    assert "start_" not in plain and "idle_drive" not in plain, "nothing to remember, and it does not listen"
    assert all(len(line) <= 160 for line in text.splitlines())


def test_a_folder_is_only_the_generators(tmp_path: Path) -> None:
    spec = parse_spec(PLAIN)
    generate_specs([load_spec(EXAMPLE)], tmp_path, root=ROOT)
    made = generate_specs([spec], tmp_path, root=ROOT)
    assert [p.name for p in sorted(tmp_path.iterdir())] == [INCLUDE, "plain.cpp"] and made.sources[0].is_file()
    (tmp_path / "own.cpp").write_text("int main() {}\n")
    with pytest.raises(BadRequest, match="was not generated"):
        generate_specs([spec], tmp_path, root=ROOT)


def test_names_are_taken_once(tmp_path: Path) -> None:
    spec = parse_spec(PLAIN)
    own = firmware_patterns(ROOT)
    assert own[:2] == ["departure", "lava"] and "hil_flash" in own and len(own) == 16
    taken = parse_spec(changed("id: plain", "id: lava"))
    for specs in ([spec, spec], [taken], [], [_renamed(i) for i in range(33)]):
        with pytest.raises(BadRequest):
            generate_specs(specs, tmp_path / "out", root=ROOT)


def _renamed(i: int) -> PatternSpec:
    return parse_spec(changed("id: plain", f"id: plain_{i}"))
