"""Random pattern specifications, as YAML: everything the language has, within what an eye could tell apart."""

from __future__ import annotations

import colorsys
import random
from typing import Any

import yaml

SHAPES = ("fill", "wave", "comet", "dots", "bar")
SOURCES = ("bass", "mid", "treble", "loudness", "onset")


def random_spec(seed: int, index: int) -> str:
    """One specification; the same seed and index give the same text."""
    draw = random.Random(f"{seed}/{index}")
    spec: dict[str, Any] = {
        "schema": 1, "id": f"random_{index}", "name": f"Random {index}", "description": f"Drawn with seed {seed}",
        "palette": _palette(draw),
        "layers": [_layer(draw, (index + i) % len(SHAPES)) for i in range(draw.choice((1, 1, 2)))],
    }  # fmt: skip
    return yaml.safe_dump(spec, sort_keys=False)


def _palette(draw: random.Random) -> list[dict[str, Any]]:
    """Saturated colours, their hues well apart: a turn of the ring is then a turn of the hue."""
    count, start = draw.choice((3, 4, 5)), draw.random()
    keys = []
    for i in range(count):
        hue = start + (i + draw.uniform(-0.15, 0.15)) / count
        red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, draw.uniform(0.8, 1.0), draw.uniform(0.8, 1.0))
        at = 0.0 if i == 0 else (i + draw.uniform(-0.15, 0.15)) / count
        text = "#" + "".join(f"{round(255 * c):02X}" for c in (red, green, blue))
        keys.append({"at": round(at, 3), "colour": text})
    return keys


def _layer(draw: random.Random, shape: int) -> dict[str, Any]:
    layer: dict[str, Any] = {"shape": SHAPES[shape], "level": round(draw.uniform(0.5, 1.0), 2)}
    layer["colour"] = {"from": round(draw.random(), 3), "to": round(draw.random(), 3)}
    motion: dict[str, Any] = {}
    if layer["shape"] in ("wave", "comet", "dots"):
        layer["length_leds"] = round(draw.uniform(16, 70), 1)
        if draw.random() < 0.8:
            motion["travel_leds_per_s"] = round(draw.choice((-1, 1)) * draw.uniform(10, 90), 1)
    if layer["shape"] in ("comet", "dots"):
        layer["width"] = round(draw.uniform(0.3, 0.8), 2)
    if layer["shape"] == "bar":
        layer["size"] = round(draw.uniform(0.4, 1.0), 2)
    if draw.random() < 0.4:
        motion["swell"] = {"period_s": round(draw.uniform(0.8, 4.0), 2), "depth": round(draw.uniform(0.2, 0.7), 2)}
    if draw.random() < 0.3:
        motion["cycle_s"] = round(draw.uniform(2, 20), 1)
    if motion:
        layer["motion"] = motion
    bindings = _bindings(draw, layer)
    if bindings:
        layer["audio"] = bindings
    return layer


def _bindings(draw: random.Random, layer: dict[str, Any]) -> list[dict[str, Any]]:
    may = ["level", "colour"]
    if layer["shape"] == "bar":
        may.append("size")
    if layer.get("motion", {}).get("travel_leds_per_s"):
        may.append("speed")
    found = []
    for drives in draw.sample(may, draw.choice((0, 1, 1, 2))):
        amount = draw.uniform(0.15, 0.35) if drives == "colour" else draw.uniform(0.4, 0.9)
        envelope = {"attack_s": round(draw.uniform(0, 0.05), 3), "release_s": round(draw.uniform(0.05, 0.4), 3)}
        source = draw.choice(("beat", *SOURCES)) if draw.random() < 0.2 else draw.choice(SOURCES)
        found.append({"source": source, "drives": drives, "amount": round(amount, 3), "envelope": envelope})
    return found
