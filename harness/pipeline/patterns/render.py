"""Specifications to C++ in the firmware's own style. The same specification gives the same bytes.

Nothing of a specification reaches the C++ as it stands: names are bounded by the schema, and every text, number and
colour goes through a filter of its own that can only make a literal of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from harness.errors import HarnessFault
from harness.pipeline.patterns.spec import EVENTS, Binding, Layer, PatternSpec

INCLUDE = "generated_patterns.inc"
_SOURCES = {
    "loudness": "loudness(f.audio)", "bass": "bass(f)", "mid": "mid(f)", "treble": "treble(f)",
    "onset": "f.audio.onsets", "beat": "f.audio.beats",
}  # fmt: skip
_COMMENT = re.compile(r"[^A-Za-z0-9 .,:;'()+\-%/]")


def render_pattern(spec: PatternSpec) -> str:
    """The C++ source of one pattern."""
    numbered = [(n, _Shown.of(layer)) for n, layer in enumerate(spec.layers, 1)]
    text = _environment().get_template("pattern.cpp.j2").render(
        spec=spec, numbered=numbered, state=_keeps_state(spec)
    )  # fmt: skip
    return _tidy(text)


def render_list(specs: Sequence[PatternSpec]) -> str:
    """What the firmware's registry includes: declarations and table rows, in the order given."""
    return _tidy(_environment().get_template("patterns.inc.j2").render(specs=specs))


@dataclass(frozen=True)
class _Heard:
    """A binding as the template needs it."""

    variable: str
    drives: str
    source: str
    is_event: bool
    amount: float
    attack_s: float
    release_s: float

    @staticmethod
    def of(binding: Binding) -> _Heard:
        return _Heard(
            f"{binding.drives}_by_{binding.source}", binding.drives, _SOURCES[binding.source], binding.source in EVENTS,
            binding.amount, binding.envelope.attack_s, binding.envelope.release_s,
        )  # fmt: skip


@dataclass(frozen=True)
class _Shown:
    """A layer as the template needs it: rates in turns per second, distances per LED."""

    words: str
    shape: str
    level: float
    rest_level: float
    size: float
    rest_size: float
    width: float
    per_led: float
    travel: float
    inwards: bool
    cycle: float
    swell: float
    depth: float
    colour_from: float
    colour_span: float
    audio: list[_Heard]
    phases: list[str] = field(default_factory=list)

    @property
    def names(self) -> list[str]:
        """What the layer remembers from frame to frame."""
        return [*self.phases, *(a.variable for a in self.audio)]

    @property
    def drives(self) -> dict[str, bool]:
        """Which of its properties the sound drives."""
        driven = {a.drives for a in self.audio}
        return {name: name in driven for name in ("level", "size", "speed", "colour")}

    @staticmethod
    def of(layer: Layer) -> _Shown:
        level, size = layer.bound("level"), layer.bound("size")
        per_led = 1.0 / layer.length_leds if layer.length_leds else 0.0
        moving = {
            "travel": layer.travel_leds_per_s * per_led,
            "cycle": 1.0 / layer.cycle_s if layer.cycle_s else 0.0,
            "swell": 1.0 / layer.swell.period_s if layer.swell else 0.0,
        }
        return _Shown(
            words=_words(layer), shape=layer.shape, level=layer.level, rest_level=1.0 - level.amount if level else 1.0,
            size=layer.size, rest_size=1.0 - size.amount if size else 1.0, width=layer.width, per_led=per_led,
            inwards=layer.travel_leds_per_s < 0, depth=layer.swell.depth if layer.swell else 0.0,
            colour_from=layer.colour_from, colour_span=layer.colour_to - layer.colour_from,
            audio=[_Heard.of(b) for b in layer.audio], phases=[k for k, v in moving.items() if v], **moving,
        )  # fmt: skip


def _words(layer: Layer) -> str:
    """The layer in one line, for whoever reads the source."""
    parts = [layer.shape]
    if layer.length_leds:
        parts.append(f"every {layer.length_leds:g} LEDs")
    if layer.travel_leds_per_s:
        way = "inwards" if layer.travel_leds_per_s < 0 else "outwards"
        parts.append(f"{abs(layer.travel_leds_per_s):g} LEDs/s {way}")
    if layer.cycle_s:
        parts.append(f"round the palette in {layer.cycle_s:g} s")
    if layer.swell:
        parts.append(f"swells every {layer.swell.period_s:g} s")
    parts += [f"{b.source} drives {b.drives}" for b in layer.audio]
    return ", ".join(parts) + "."


def _keeps_state(spec: PatternSpec) -> bool:
    return any(_Shown.of(layer).names for layer in spec.layers)


def _number(value: float) -> str:
    """A float literal, exact to the last bit of a float."""
    if not math.isfinite(value):
        raise HarnessFault("a number that is none reached the generator", got=repr(value))
    text = f"{float(value):.9g}"
    return f"{text if '.' in text or 'e' in text else text + '.0'}f"


def _hex(rgb: int) -> str:
    return f"0x{rgb & 0xFFFFFF:06X}"


def _comment(text: str) -> str:
    """Text for a line comment: nothing that could end it or join the next line to it."""
    return _COMMENT.sub(" ", text)


def _text(value: str) -> str:
    """A string literal: all but plain letters, digits and blanks as octal escapes, which end after three digits."""
    inner = "".join(
        c if c.isascii() and (c.isalnum() or c in " .,:;'()+-_") else "".join(f"\\{b:03o}" for b in c.encode("utf-8"))
        for c in value
    )
    return f'"{inner}"'


def _tidy(text: str) -> str:
    """No more than one empty line, none at the end."""
    return re.sub(r"\n{3,}", "\n\n", "\n".join(line.rstrip() for line in text.split("\n"))).strip() + "\n"


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("harness.pipeline", "patterns"), undefined=StrictUndefined, autoescape=False,
        keep_trailing_newline=True, trim_blocks=False,
    )  # fmt: skip
    filters: dict[str, Any] = {
        "number": _number, "hex": _hex, "comment": _comment, "text": _text, "keeps_state": _keeps_state,
    }  # fmt: skip
    made.filters.update(filters)
    return made
