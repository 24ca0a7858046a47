"""Specifications of patterns: read, checked, as plain data. The words are described in docs/patterns.md."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema

from harness.errors import BadRequest
from harness.pipeline.patterns.yaml_tree import MAX_BYTES, YamlRefused, YamlTree, read_yaml
from harness.pipeline.patterns.yaml_tree import Path as TreePath

SCHEMA_FILE = "pattern.schema.json"
FIGURES = ("wave", "comet", "dots")  # what repeats along the strip and may travel
BANDS = ("bass", "mid", "treble")
EVENTS = ("onset", "beat")
MAX_COLOUR_AMOUNT = 0.4  # turns: further round and nobody could tell which way the colour went
LEAST_CHANNEL = 0x40  # a palette darker than this in every key would not be seen
FADERS = 3  # custom_param_1 to 3
_SHOWN = 12


@dataclass(frozen=True)
class Problem:
    """One mistake: its line, where it stands, what is wrong."""

    line: int
    where: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.where + ': ' if self.where else ''}{self.text}"


class SpecInvalid(BadRequest):
    """A specification with mistakes.

    Attributes:
        problems: every mistake found, by line.
    """

    def __init__(self, name: str, problems: list[Problem]) -> None:
        self.problems = sorted(problems, key=lambda p: (p.line, p.where))
        shown = [str(p) for p in self.problems[:_SHOWN]]
        more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
        super().__init__(
            f"{name} is not a pattern: {shown[0]}", got="\n    ".join(["", *shown, *more]),
            remedy="docs/patterns.md describes every word; k1hil pattern new writes a specification to start from",
        )  # fmt: skip


@dataclass(frozen=True)
class Key:
    """A colour of the palette: place in [0, 1) of the ring, 0xRRGGBB drive."""

    at: float
    rgb: int


@dataclass(frozen=True)
class Envelope:
    """One-pole time constants of rise and fall, seconds."""

    attack_s: float = 0.0
    release_s: float = 0.0


@dataclass(frozen=True)
class Binding:
    """What of the sound drives what of the layer, how far, and how it rises and falls."""

    source: str
    drives: str
    amount: float
    envelope: Envelope


@dataclass(frozen=True)
class Swell:
    """Level between 1 - depth and 1 with a period in seconds; starts at the bottom."""

    period_s: float
    depth: float


@dataclass(frozen=True)
class Layer:
    """One layer. Lengths in LEDs of the half strip, places of the palette in turns, times in seconds.

    Attributes:
        length_leds, width, size: 0 where the shape has none.
        travel_leds_per_s, cycle_s: 0 for none.
    """

    shape: str
    level: float
    length_leds: float
    width: float
    size: float
    colour_from: float
    colour_to: float
    travel_leds_per_s: float
    cycle_s: float
    swell: Swell | None
    audio: tuple[Binding, ...]

    def bound(self, drives: str) -> Binding | None:
        """What drives this of the layer; None when nothing does."""
        return next((b for b in self.audio if b.drives == drives), None)


@dataclass(frozen=True)
class PatternSpec:
    """A whole pattern.

    Attributes:
        sha256: of what it says, not of how it is written: comments and order do not matter.
    """

    id: str
    name: str
    description: str
    palette: tuple[Key, ...]
    layers: tuple[Layer, ...]

    @property
    def reactive(self) -> bool:
        """Whether sound drives anything."""
        return any(layer.audio for layer in self.layers)

    @property
    def sha256(self) -> str:
        """64 hex digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


def load_spec(path: Path) -> PatternSpec:
    """Reads a specification file.

    Raises:
        BadRequest: no such file, not text, too large.
        SpecInvalid: with every mistake and its line.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise BadRequest(f"cannot read {path}", got=str(error), expected="a pattern specification") from error
    if len(data) > MAX_BYTES:
        raise BadRequest(f"{path} is too large for a specification", expected=f"at most {MAX_BYTES} bytes")
    try:
        return parse_spec(data.decode("utf-8"), path.name)
    except UnicodeDecodeError as error:
        raise BadRequest(f"{path} is not UTF-8 text", got=str(error)) from error


def parse_spec(text: str, name: str = "specification") -> PatternSpec:
    """Reads a specification.

    Args:
        text: YAML.
        name: for messages.

    Raises:
        SpecInvalid: with every mistake and its line.
    """
    try:
        tree = read_yaml(text)
    except YamlRefused as error:
        raise SpecInvalid(name, [Problem(error.line, "", error.problem)]) from error
    problems = _not_finite(tree) or _against_schema(tree)
    if problems:
        raise SpecInvalid(name, problems)
    spec = _build(tree.value)
    problems = _nonsense(spec, tree)
    if problems:
        raise SpecInvalid(name, problems)
    return spec


def schema() -> dict[str, Any]:
    """The JSON schema of the language."""
    return dict(_validator().schema)


@cache
def _validator() -> Any:
    text = files("harness.pipeline.patterns").joinpath(SCHEMA_FILE).read_text(encoding="utf-8")
    return jsonschema.Draft202012Validator(json.loads(text))


def _not_finite(tree: YamlTree) -> list[Problem]:
    """Numbers too large for a float: every comparison after this can be trusted."""

    def walk(value: Any, path: TreePath) -> list[Problem]:
        if isinstance(value, dict):
            return [p for key, inner in value.items() for p in walk(inner, (*path, key))]
        if isinstance(value, list):
            return [p for i, inner in enumerate(value) for p in walk(inner, (*path, i))]
        bad = isinstance(value, float) and not math.isfinite(value)
        return [Problem(tree.line_of(path), _where(path), "is not a finite number")] if bad else []

    return walk(tree.value, ())


def _where(path: TreePath) -> str:
    words = ""
    for part in path:
        words += f"[{part}]" if isinstance(part, int) else f".{part}" if words else part
    return words[:80]


def _against_schema(tree: YamlTree) -> list[Problem]:
    problems = []
    for error in _validator().iter_errors(tree.value):
        path: TreePath = tuple(error.absolute_path)
        if error.validator == "additionalProperties":
            known = error.schema["properties"]
            for key in (k for k in error.instance if k not in known):
                text = f"unknown; known here: {', '.join(known)}"
                problems.append(Problem(tree.line_of((*path, key)), _where((*path, key[:40])), text))
            continue
        problems.append(Problem(tree.line_of(path), _where(path), _words(error)))
    return problems


def _words(error: Any) -> str:
    """What is wrong, in few words; a value is shown at most in part."""
    value, wanted = error.instance, error.validator_value
    shown = json.dumps(value, ensure_ascii=True)[:40] if not isinstance(value, dict | list) else "this"
    if value is None and error.validator != "required":
        return 'has no value (a colour needs quotes: "#FF8000"; # begins a comment)'
    match error.validator:
        case "required":
            return f"lacks {', '.join(k for k in wanted if k not in value)}"
        case "minimum":
            return f"{shown} is less than {wanted}"
        case "maximum":
            return f"{shown} is more than {wanted}"
        case "enum":
            return f"{shown} is none of {', '.join(str(w) for w in wanted)}"
        case "type":
            return f"{shown} is no {wanted}"
        case "minItems" | "maxItems":
            return f"{len(value)} entries, {'at least' if error.validator == 'minItems' else 'at most'} {wanted} wanted"
        case "pattern" | "maxLength":
            pattern = error.schema.get("pattern", "")
            return f"{shown} does not fit {pattern}"
        case _:
            return str(error.message)[:120]


def _build(raw: dict[str, Any]) -> PatternSpec:
    palette = tuple(Key(float(k["at"]), int(k["colour"][1:], 16)) for k in raw["palette"])
    layers = tuple(_layer(layer) for layer in raw["layers"])
    return PatternSpec(raw["id"], raw["name"], raw["description"], palette, layers)


def _layer(raw: dict[str, Any]) -> Layer:
    motion = raw.get("motion", {})
    swell = motion.get("swell")
    wide = raw["shape"] in ("comet", "dots")
    return Layer(
        shape=raw["shape"],
        level=float(raw.get("level", 1.0)),
        length_leds=float(raw.get("length_leds", 0.0)),
        width=float(raw.get("width", 0.5 if wide else 0.0)),
        size=float(raw.get("size", 1.0 if raw["shape"] == "bar" else 0.0)),
        colour_from=float(raw["colour"]["from"]),
        colour_to=float(raw["colour"]["to"]),
        travel_leds_per_s=float(motion.get("travel_leds_per_s", 0.0)),
        cycle_s=float(motion.get("cycle_s", 0.0)),
        swell=Swell(float(swell["period_s"]), float(swell["depth"])) if swell else None,
        audio=tuple(_binding(b) for b in raw.get("audio", ())),
    )


def _binding(raw: dict[str, Any]) -> Binding:
    envelope = raw.get("envelope", {})
    attack_s, release_s = float(envelope.get("attack_s", 0.0)), float(envelope.get("release_s", 0.1))
    return Binding(raw["source"], raw["drives"], float(raw["amount"]), Envelope(attack_s, release_s))


def _nonsense(spec: PatternSpec, tree: YamlTree) -> list[Problem]:
    """What each value allows and all together do not."""
    found: list[Problem] = []

    def wrong(path: TreePath, text: str) -> None:
        found.append(Problem(tree.line_of(path), _where(path), text))

    if spec.id.startswith("hil_"):
        wrong(("id",), "names beginning with hil_ are kept for test patterns")
    places = [key.at for key in spec.palette]
    if places[0] != 0.0:
        wrong(("palette", 0, "at"), "the first key stands at 0")
    for i in range(1, len(places)):
        if places[i] - places[i - 1] < 0.01:
            wrong(("palette", i, "at"), "places must rise by at least 0.01")
    if all(max(key.rgb >> 16, key.rgb >> 8 & 0xFF, key.rgb & 0xFF) < LEAST_CHANNEL for key in spec.palette):
        wrong(("palette",), f"too dark to be seen: one channel of one key must be at least {LEAST_CHANNEL:#04x}")
    for i, layer in enumerate(spec.layers):
        for path, text in _layer_nonsense(layer):
            wrong(("layers", i, *path), text)
    return found


def _layer_nonsense(layer: Layer) -> list[tuple[TreePath, str]]:
    found: list[tuple[TreePath, str]] = []
    repeats = layer.shape in FIGURES
    if repeats and not layer.length_leds:
        found.append((("shape",), f"{layer.shape} needs length_leds"))
    if not repeats and layer.length_leds:
        found.append((("length_leds",), f"{layer.shape} has no length"))
    if layer.width and layer.shape not in ("comet", "dots"):
        found.append((("width",), f"{layer.shape} has no width"))
    if layer.size and layer.shape != "bar":
        found.append((("size",), f"{layer.shape} has no size"))
    if layer.travel_leds_per_s and not repeats:
        found.append((("motion", "travel_leds_per_s"), f"{layer.shape} cannot travel"))
    for i, binding in enumerate(layer.audio):
        at: TreePath = ("audio", i, "drives")
        if any(b.drives == binding.drives for b in layer.audio[:i]):
            found.append((at, f"{binding.drives} is driven twice"))
        if binding.drives == "size" and layer.shape != "bar":
            found.append((at, f"{layer.shape} has no size"))
        if binding.drives == "speed" and not layer.travel_leds_per_s:
            found.append((at, "only what travels has a speed"))
        if binding.drives == "colour" and binding.amount > MAX_COLOUR_AMOUNT:
            found.append((("audio", i, "amount"), f"a colour moves by at most {MAX_COLOUR_AMOUNT} turns"))
    return found
