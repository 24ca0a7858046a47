"""The Markdown summary, the standing of a pattern, interval pictures, the camera's part of a card, and the schemas."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from synthetic import noise, recording

from harness.analysis.latency.fold import fold
from harness.recording import Light, Recording
from harness.recording import schema as recording_schema
from harness.report import export, html, summary
from harness.report.cards import add_camera, card
from harness.report.intervals import interval_picture
from harness.report.model import Card, RunReport, TestResult
from harness.report.standing import shift_text, standings
from harness.signals import latency_telegraph


def verdict(key: str, word: str, shift: float | None = 0.0, **more: Any) -> dict[str, Any]:
    ends = {} if shift is None else {"low": shift - 1.0, "high": shift + 1.0}
    return {"key": key, "word": word, "value": 100.0, "unit": "us", "baseline": 100.0, "change": None, "why": "why",
            "exact": False, "floor": 2.0, "shift": shift, "over_budget": "", **ends, **more}  # fmt: skip


def report(**more: Any) -> RunReport:
    return RunReport("sim", "simulated", "quick", 7, "2026-01-01 10:00:00", 12.0, **more)


# ---- standing --------------------------------------------------------------------------------------


def test_the_worst_word_leads_and_within_it_the_largest_step() -> None:
    found = standings([
        verdict("bloom/fps", "unchanged", 0.5), verdict("bloom/render_us_mean", "regressed", 5.0),
        verdict("bloom/heap", "regressed", 3.0), verdict("lava/fps", "improved", 9.0, exact=True),
        verdict("heap_slope", "unchanged", 0.0),
    ])  # fmt: skip
    assert {name: s.word for name, s in found.items()} == {"bloom": "regressed", "lava": "improved", "": "unchanged"}
    assert found["bloom"].lead["key"] == "bloom/render_us_mean"
    assert found["bloom"].counts == "2 regressed, 1 unchanged" and found["lava"].counts == "1 improved (1 exact)"


def test_a_broken_budget_leads_whatever_the_comparison_says() -> None:
    found = standings([verdict("a/x", "regressed", 9.0), verdict("a/y", "unchanged", over_budget="9 breaks 3")])
    assert found["a"].word == "regressed" and shift_text(found["a"].lead) == "y: 9 breaks 3"


def test_shift_text_says_shift_and_interval_or_why_there_is_none() -> None:
    assert shift_text(verdict("a/x", "unchanged", 0.5, change=0.005)) == "x +0.5 [-0.5, +1.5] us, +0.5%"
    assert shift_text(verdict("a/x", "unchanged", 0.0, exact=True)) == "x +0 us exact"
    assert shift_text(verdict("x", "inconclusive", None, why="nothing was accepted")) == "x: nothing was accepted"


# ---- summary.md ------------------------------------------------------------------------------------


def test_text_of_a_device_cannot_break_out_of_a_table() -> None:
    nasty = "a | b\n| c | d |\n## head <img src=x> `code` [link](http://x) \x1b[31m"
    text = summary.markdown(report(exit_code=1, tests=[TestResult("f.py::t[a|b]", "failed", 1.0, "dut", nasty)]))
    (row,) = [line for line in text.splitlines() if line.startswith("| t\\[a")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 4, "three cells"
    assert "\x1b" not in text and not re.search(r"(?<!\\)<img", text) and not re.search(r"(?<!\\)\[link", text)


def test_summary_names_verdicts_failures_and_the_way_to_repeat() -> None:
    tests = [TestResult("f.py::test_a", "passed"), TestResult("f.py::test_b", "failed", 1.0, "dut", "slower")]
    text = summary.markdown(report(
        exit_code=1, tests=tests, verdicts=[verdict("bloom/render_us_mean", "regressed", 5.0, change=0.05)],
        notes=["NO VERDICT on 1"], replay="pytest --seed 7",
    ))  # fmt: skip
    assert text.startswith("## ❌ sim: device failed") and "1 passed, 1 failed" in text and "| test\\_b | dut |" in text
    assert "| bloom | regressed | 1 regressed |" in text and "+5 \\[+4, +6\\] us, +5.0%" in text
    assert "> NO VERDICT on 1" in text and "```\npytest --seed 7\n```" in text


def test_summary_is_bounded() -> None:
    tests = [TestResult(f"f.py::test_{i}", "failed", 1.0, "dut", "x" * 5000) for i in range(5000)]
    verdicts = [verdict(f"pattern{i}/" + "n" * 900, "regressed", 5.0) for i in range(5000)]
    text = summary.markdown(report(exit_code=1, tests=tests, verdicts=verdicts, replay="r" * 200_000))
    assert len(text.encode()) <= summary.MAX_BYTES + 64
    assert "… 4940 more" in text and "lines left out" in text


def test_summary_is_added_to_what_other_steps_wrote(tmp_path: Path) -> None:
    path = tmp_path / "step.md"
    path.write_text("before\n")
    summary.append_to_step("## now\n", str(path))
    assert path.read_text() == "before\n## now\n\n"


# ---- pictures --------------------------------------------------------------------------------------


def at(svg: str, kind: str, name: str) -> float:
    (found,) = [e for e in ET.fromstring(svg).iter() if kind in str(e.get("class", "")).split()]
    return float(str(found.get(name)))


def test_interval_picture_puts_the_shift_where_it_lies_against_the_floor() -> None:
    metric = {"name": "x", "value": 101.0, "ci95": None, "pattern": "a"}
    inside = interval_picture(metric, verdict("a/x", "unchanged", 0.5))
    band = at(inside, "band", "x"), at(inside, "band", "x") + at(inside, "band", "width")
    assert band[0] < at(inside, "reach", "x1") < at(inside, "dot", "cx") < at(inside, "reach", "x2") < band[1]
    outside = interval_picture(metric, verdict("a/x", "regressed", 40.0))
    assert at(outside, "dot", "cx") > at(outside, "band", "x") + at(outside, "band", "width")
    assert at(outside, "reach", "x2") <= 180.0


def test_interval_picture_of_an_unjudged_metric() -> None:
    metric = {"name": "x", "value": 5.0, "ci95": [4.0, 7.0], "pattern": ""}
    drawn = interval_picture(metric, {})
    left, right = (abs(at(drawn, "reach", end) - at(drawn, "dot", "cx")) for end in ("x1", "x2"))
    assert right == pytest.approx(2 * left, rel=0.02)
    assert interval_picture({**metric, "ci95": None}, {}) == ""
    assert interval_picture({**metric, "ci95": [None, None]}, {}) == ""


def watched() -> Recording:
    """A recording whose camera sees the bytes as they are."""
    made = recording(noise(300, 3), pattern="bloom")
    assert made.wire is not None
    number = np.arange(50)
    host_ns = made.wire["host_ns"][0] + number * 33_333_333
    index = np.searchsorted(made.wire["host_ns"], host_ns, side="right") - 1
    light = np.repeat(made.wire["rgb"][index, 0][:, None] / 255, 2, axis=1).astype(np.float32)
    line = np.stack([np.linspace(10, 630, 160), np.full(160, 100.0)], axis=1)
    made.light = Light(
        host_ns, host_ns, number, light, np.zeros((50, 2, 160), bool), np.stack([line, line + (0, 80)]),
        np.ones((2, 160, 3)), np.zeros((2, 160, 3, 2)), np.eye(3), None,
        {"width": 640, "height": 360, "fps": 30.0, "row_ns": None, "missing": 0, "exposure_ms": 5.0},
    )  # fmt: skip
    return made


def test_camera_film_stands_beside_the_bytes_of_the_same_span() -> None:
    drawn = card(watched(), "bloom")
    assert drawn.seen_png and drawn.said_png and 1.0 < drawn.seen_s < 1.8
    root = ET.fromstring(drawn.view_svg)
    assert len([e for e in root.iter() if str(e.get("class", "")).startswith("led")]) == 320
    assert dict(drawn.view_facts)["LEDs measured"] == "320 of 320"
    bare = card(recording(noise(300, 3), pattern="bloom"), "bloom")
    assert not bare.seen_png
    add_camera(bare, watched())
    assert bare.seen_png == drawn.seen_png
    assert Card.from_json(json.loads(json.dumps(bare.to_json()))) == bare


# ---- schemas ---------------------------------------------------------------------------------------


def test_schemas_are_sound() -> None:
    for schema in (export.schema(), recording_schema()):
        jsonschema.Draft202012Validator.check_schema(schema)
    assert export.schema()["properties"]["schema"]["const"] == 1
    assert recording_schema()["properties"]["meta"]["properties"]["schema"]["const"] == 1


def test_docs_name_every_column_and_file() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "recording.md").read_text()
    missing = [c for c in export.CSV_COLUMNS if f"`{c}`" not in text]
    assert not missing


def test_a_page_that_would_be_too_large_goes_without_its_last_films(monkeypatch: pytest.MonkeyPatch) -> None:
    cards = [card(recording(noise(900, n, 255), pattern=f"p{n}"), f"p{n}") for n in range(6)]
    whole = html.render(report(cards=cards))
    monkeypatch.setattr(html, "MAX_BYTES", len(whole) - 1)
    smaller = html.render(report(cards=cards))
    assert len(smaller.encode()) <= html.MAX_BYTES and smaller.count("no film: the page would be too large") == 4
    assert smaller.count('class="film"') == 2 and 'id="p0"' in smaller and 'id="p5"' in smaller


def test_fold_lays_light_over_the_edges_it_answers() -> None:
    sound = latency_telegraph(6.0, seed=5)
    lit = np.zeros(1000, np.uint8)
    at_s = np.arange(1000) * 0.006
    for on, off in zip(sound.truth["onsets_s"], sound.truth["offsets_s"], strict=True):
        lit[(at_s >= on + 0.015) & (at_s < off + 0.025)] = 255
    made = recording(np.repeat(np.repeat(lit[:, None, None], 160, 1), 3, 2), pattern="hil_flash", stimulus=sound)
    found = fold(made, "wire")
    assert found is not None and {True, False} == set(found.rising.tolist())
    late = {kind: found.since_ms[(found.rising == kind) & ((found.level > 0.5) == kind) & (found.since_ms > 0)].min()
            for kind in (True, False)}  # fmt: skip
    assert 15.0 <= late[True] < 21.0 and 25.0 <= late[False] < 31.0
    assert fold(made, "camera") is None and fold(recording(noise(10, 1)), "wire") is None
