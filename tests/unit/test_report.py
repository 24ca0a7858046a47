"""Reports: pictures, page, tables and files of a run."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest
from synthetic import noise, recording

from harness.metric import Metric
from harness.report import export, html
from harness.report.cards import card
from harness.report.charts import envelope, histogram
from harness.report.film import film, png
from harness.report.folder import drop_frame_sentences, new_run, point_latest
from harness.report.junit import finish_junit
from harness.report.model import Card, RunReport, TestResult
from harness.report.tables import summary_lines, verdict_table
from harness.signals import four_on_floor


def decoded(data: bytes) -> np.ndarray:
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)


@pytest.mark.parametrize("shape", [(160, 960), (1, 1), (3, 7), (160, 1)])
def test_png_is_read_back_by_opencv_byte_for_byte(shape: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*shape, 3), dtype=np.uint8)
    picture[: shape[0] // 2] = picture[0]
    assert np.array_equal(decoded(png(picture)), picture)


def test_film_puts_frames_at_their_time_and_leds_at_their_place() -> None:
    rgb = np.zeros((100, 160, 3), np.uint8)
    rgb[50:, 7] = (255, 128, 0)
    times = np.concatenate([np.arange(50), 50 + 3 * np.arange(50)]) * 6_000_000  # the second half is three times slower
    picture = film(times, rgb, width=100)
    assert picture.shape == (160, 100, 3)
    lit = picture[7].any(axis=1)
    assert 70 <= lit.sum() <= 78 and not picture[:7].any() and not picture[8:].any()
    assert tuple(picture[7, -1]) == (255, 188, 0)  # 128 is half the light: 188 in sRGB


def test_film_of_nothing_is_a_picture() -> None:
    assert png(film(np.zeros(0, np.int64), np.zeros((0, 160, 3), np.uint8)))[:4] == b"\x89PNG"


def test_histogram_and_envelope_are_sound_svg() -> None:
    sound = four_on_floor(120.0, 3.0)
    made = recording(noise(500, 1), stimulus=sound)
    drawn = envelope(made.audio, made.audio.start_ns, 3.0, sound.truth["onsets_s"])
    bars = histogram(np.array([6000] * 500 + [9000]))
    for text in (drawn, bars, histogram(np.zeros(0, np.int64)), envelope(None, 0, 1.0)):
        ET.fromstring(text)
    assert drawn.count('class="onset"') == 6


def test_envelope_is_shifted_with_the_film() -> None:
    sound = four_on_floor(120.0, 3.0)
    made = recording(noise(500, 1), stimulus=sound)
    late = envelope(made.audio, made.audio.start_ns + 1_000_000_000, 2.0, [0.0, 1.5])
    assert re.findall(r'class="onset" x1="([\d.]+)"', late) == ["240.0"]


def sample_report(cards: list[Card] | None = None) -> RunReport:
    detail = {"cost_model": "m1"}
    metrics = [
        Metric("fps", 166.6, "1/s", "higher", 8, "telemetry", "simulated", (166.0, 167.0), "bloom", detail).to_json(),
        Metric("render_us_mean", 120.0, "us", "lower", 8, "telemetry", "simulated", None, "bloom", detail).to_json(),
        Metric("heap_slope", -3.0, "B/min", "higher", 4, "telemetry", "simulated").to_json(),
    ]
    verdicts = [{"key": "bloom/render_us_mean", "word": "regressed", "value": 120.0, "unit": "us", "baseline": 100.0,
                 "change": 0.2, "floor": 2.0, "shift": 20.0, "low": 18.0, "high": 22.0, "exact": False,
                 "why": "slower"}]  # fmt: skip
    tests = [
        TestResult("tests_hil/test_patterns.py::test_pattern_lit[bloom]", "passed", 0.2, pattern="bloom"),
        TestResult("tests_hil/test_t.py::test_slow[bloom]", "failed", 1.0, "dut", "slower <b>&", "trace <script>",
                   "boot\nlog", pattern="bloom", regressed=True),
        TestResult("tests_hil/test_t.py::test_gone", "error", 0.0, "rig", "port gone"),
        TestResult("tests_hil/test_t.py::test_later", "skipped", 0.0, "", "rig fault: port gone"),
    ]  # fmt: skip
    return RunReport(
        "sim", "simulated", "quick", 7, "2026-01-01 10:00:00", 12.0, 10, "m1", "pytest", "pytest --seed 7",
        {"project": "k1-sim", "version": "1.0", "sha256": "ab" * 32}, ["smallest change 10 %"], tests, metrics,
        verdicts, cards or [], ["a note"],
    )  # fmt: skip


class Page(HTMLParser):
    """Collects what a browser would fetch, and checks that tags are closed in order."""

    VOID = {"meta", "img", "br", "link", "input", "hr"}

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.sources += [str(found[k]) for k in ("src", "href") if k in found]
        if found.get("id"):
            self.ids.add(str(found["id"]))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()


def test_page_is_whole_offline_and_escapes_what_came_from_the_device() -> None:
    made = card(recording(noise(900, 1), pattern="bloom", stimulus=four_on_floor(120.0, 5.5)), "bloom")
    text = html.render(sample_report([made]), {"bloom": "wells <up>"})
    page = Page(text)
    assert not page.open
    assert all(s.startswith(("data:", "#")) for s in page.sources)
    assert "<script" not in text and "trace &lt;script&gt;" in text and "slower &lt;b&gt;&amp;" in text
    assert "rig fault" in text and "simulated" in text and "+20.0%" in text and "a note" in text
    assert {s[1:] for s in page.sources if s.startswith("#")} <= page.ids
    assert len(text) < html.MAX_BYTES


def test_page_of_an_empty_run() -> None:
    empty = RunReport("sim", "simulated", "quick", None, "now")
    assert not Page(html.render(empty)).open


def test_card_survives_the_way_to_another_process() -> None:
    made = card(recording(noise(900, 1), pattern="bloom"), "bloom")
    assert Card.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert decoded(base64.b64decode(made.film_png)).shape[0] == 160


def test_json_and_csv_hold_every_metric() -> None:
    report = sample_report()
    document = json.loads(export.metrics_json(report))
    assert document["schema"] == 1 and document["verdict"] == "rig fault" and len(document["metrics"]) == 3
    rows = list(csv.DictReader(io.StringIO(export.metrics_csv(report))))
    assert [r["name"] for r in rows] == ["fps", "render_us_mean", "heap_slope"]
    assert rows[1]["verdict"] == "regressed" and rows[0]["ci95_low"] == "166.0" and rows[2]["verdict"] == ""


def test_not_a_number_becomes_null() -> None:
    report = sample_report()
    report.verdicts[0]["change"] = float("inf")
    assert json.loads(export.metrics_json(report))["verdicts"][0]["change"] is None


def test_terminal_table() -> None:
    lines = verdict_table(sample_report())
    assert lines[1].split()[:4] == ["bloom", "1", "FAIL", "1"]
    assert "1 regressed" in lines[1] and lines[1].endswith("render_us_mean +20 [+18, +22] us, +20.0% WORSE")
    assert any("a note" in line for line in summary_lines(sample_report()))
    assert verdict_table(RunReport("sim", "simulated", "quick", None, "now")) == []


def test_junit_gets_blame_and_conditions(tmp_path: Path) -> None:
    path = tmp_path / "junit.xml"
    path.write_text(
        '<testsuites><testsuite name="pytest">'
        '<testcase classname="tests_hil.test_t" name="test_slow[bloom]"><failure message="m">x</failure></testcase>'
        '<testcase classname="tests_hil.test_other" name="test_gone"><error message="z">z</error></testcase>'
        '<testcase classname="pre.tests_hil.test_t" name="test_gone"><error message="e">y</error></testcase>'
        "</testsuite></testsuites>"
    )
    finish_junit(path, sample_report())
    root = ET.parse(path).getroot()
    assert root.find(".//failure").get("type") == "dut"
    assert [e.get("type") for e in root.findall(".//error")] == [None, "rig"]
    properties = {p.get("name"): p.get("value") for p in root.findall("./testsuite/properties/property")}
    assert properties["rig"] == "sim" and properties["seed"] == "7" and properties["firmware.version"] == "1.0"


def test_run_folders_never_collide_and_latest_points_to_the_newest(tmp_path: Path) -> None:
    now = datetime(2026, 1, 2, 3, 4, 5)
    first, second = new_run(tmp_path / "reports", "sim", now), new_run(tmp_path / "reports", "sim", now)
    assert (first.name, second.name) == ("20260102-030405-sim", "20260102-030405-sim-2")
    for run in (first, second):
        point_latest(run)
        assert (tmp_path / "reports" / "latest").resolve() == run


def test_latest_is_a_file_where_links_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    run = new_run(tmp_path, "sim")
    assert point_latest(run).read_text().strip() == run.name


def test_frame_sentences_are_dropped_from_a_log(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"boot\r\n$K1FRM,1*0000\r\n$K1PIX,1*0000\r\n$K1BEAT,1*0000\r\n\xff$K1FRM\n")
    drop_frame_sentences(log)
    assert log.read_bytes() == b"boot\r\n$K1BEAT,1*0000\r\n\xff$K1FRM\n"
    drop_frame_sentences(tmp_path / "none.log")
