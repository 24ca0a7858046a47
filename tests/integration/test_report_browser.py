"""The page of a real run in a real browser: it draws, fetches nothing, its console stays silent, nothing is blank."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import cv2
import jsonschema
import numpy as np
import pytest

from harness.report import export, html, summary
from harness.report.model import RunReport, TestResult

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
needs_browser = pytest.mark.skipif(not CHROMIUM, reason="needs the program chromium")
WIDTH, HEIGHT = 1200, 3600
BROWSER_S, SUITE_S = 300.0, 900.0
pytestmark = pytest.mark.timeout(1500)
# A latency recording, and one pattern with music, with its judged metrics and with its light before the camera.
CHOSEN = "test_flash_latency or ((test_patterns or test_timing or test_light_is_what_the_device_says) and lava)"
# Appended to a copy of the page: writes what the browser made of it into the page's own text.
PROBE = """
<script>
addEventListener("load", () => {
  const box = e => { const r = e.getBoundingClientRect(); return [Math.round(r.width), Math.round(r.height)]; };
  const all = q => [...document.querySelectorAll(q)];
  const found = {
    sections: Object.fromEntries(all("main > section").map(e => [e.id, box(e)])),
    images: all("img").map(e => ({alt: e.alt, pixels: e.naturalWidth * e.naturalHeight, box: box(e)})),
    pictures: all("svg").map(e => ({label: e.getAttribute("aria-label"), box: box(e)})),
    fetched: performance.getEntriesByType("resource").map(e => e.name).filter(n => !n.startsWith("data:")),
    wide: document.documentElement.scrollWidth, view: document.documentElement.clientWidth,
    text: document.body.innerText.length, tall: document.querySelector("main").offsetHeight,
  };
  const pre = document.createElement("pre");
  pre.id = "probe"; pre.textContent = JSON.stringify(found); document.body.append(pre);
});
</script>
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short but real run of the suite on the virtual bench, with the summary a workflow would show."""
    folder = tmp_path_factory.mktemp("run")
    step = folder / "step.md"
    step.write_text("an earlier step\n")
    command = [sys.executable, "-m", "pytest", "tests_hil", "--rig", "sim", "-q", "-k", CHOSEN,
               "--keep-recordings", "all", "--reports", str(folder / "reports")]  # fmt: skip
    environment = {**os.environ, "GITHUB_STEP_SUMMARY": str(step), "K1HIL_HISTORY": str(folder / "history.sqlite")}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=SUITE_S)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return (folder / "reports" / "latest").resolve()


def browse(page: Path, folder: Path) -> tuple[dict[str, Any], str, np.ndarray]:
    """Loads a page in headless Chromium.

    Returns:
        What :data:`PROBE` found, the console's lines, and a screenshot of the page itself, uint8[h, w, 3].
    """
    probed, shot = folder / "probed.html", folder / "shot.png"
    probed.write_text(page.read_text(encoding="utf-8").replace("</body>", PROBE + "</body>"), encoding="utf-8")
    base = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
            "--disable-background-networking", f"--user-data-dir={folder / 'profile'}", "--enable-logging=stderr",
            f"--window-size={WIDTH},{HEIGHT}", "--virtual-time-budget=5000"]  # fmt: skip
    dumped = subprocess.run(
        [*base, "--dump-dom", probed.as_uri()], capture_output=True, text=True, timeout=BROWSER_S, check=True
    )
    subprocess.run(
        [*base, f"--screenshot={shot}", page.as_uri()], capture_output=True, timeout=BROWSER_S, check=True
    )
    found = re.search(r'<pre id="probe">(.*?)</pre>', dumped.stdout, re.S)
    assert found, "the page's load event never came"
    console = "\n".join(line for line in dumped.stderr.splitlines() if "CONSOLE" in line)
    picture = cv2.imread(str(shot))
    assert picture is not None
    return json.loads(unescape(found[1])), console, picture


def assert_drawn(found: dict[str, Any], console: str, picture: np.ndarray, sections: set[str]) -> None:
    """What holds of every page."""
    assert not console, console
    assert not found["fetched"], "the page is not complete in itself"
    assert set(found["sections"]) == sections
    small = {name: box for name, box in found["sections"].items() if box[0] < 600 or box[1] < 40}
    assert not small, f"sections without size: {small}"
    undrawn = [i["alt"] for i in found["images"] if i["pixels"] == 0 or min(i["box"]) < 20]
    assert not undrawn, f"pictures that were not drawn: {undrawn}"
    # What lies in a folded part has no box at all; what is drawn must have one worth its name.
    flat = [p["label"] for p in found["pictures"] if p["box"][0] > 0 and min(p["box"]) < 8]
    assert not flat, f"drawings without height: {flat}"
    assert found["wide"] <= found["view"], "the page scrolls sideways"
    assert picture.shape[1] == WIDTH and picture.std() > 8, "the screenshot is blank"
    for part in np.array_split(picture[: min(HEIGHT, found["tall"])], 5):
        assert part.std() > 1, "a part of the page is blank"


@needs_browser
def test_page_of_a_real_run(run: Path, tmp_path: Path) -> None:
    page = run / "report.html"
    assert page.stat().st_size < html.MAX_BYTES
    found, console, picture = browse(page, tmp_path)
    assert_drawn(found, console, picture, {"summary", "films", "camera", "baseline", "metrics", "tests"})
    labels = {p["label"] for p in found["pictures"]}
    assert {"frame intervals", "sound played", "latency of single events", "light after the sound", "interval",
            "trend", "LEDs in the camera's picture"} <= labels  # fmt: skip
    alts = [i["alt"] for i in found["images"]]
    assert any("seen by the camera" in alt for alt in alts) and any("bytes of the strips" in alt for alt in alts)


@needs_browser
def test_page_of_a_failed_run_shows_cause_and_console(tmp_path: Path) -> None:
    serial = "\n".join(f"[00:00:{i:02d}.000] INFO line {i} <b>&" for i in range(40))
    tests = [
        TestResult("tests_hil/test_boot.py::test_reset", "failed", 1.2, "dut", "no answer <after> 3 s",
                   "E   DutFailure: no answer\n    expected: READY", serial),
        TestResult("tests_hil/test_boot.py::test_version", "passed", 0.1),
    ]  # fmt: skip
    report = RunReport(
        "sim", "simulated", "quick", 7, "2026-01-01 10:00:00", 12.0, 1, tests=tests,
        replay="pytest tests_hil --rig sim --seed 7", notes=["NO VERDICT: nothing was accepted"],
    )  # fmt: skip
    page = tmp_path / "report.html"
    page.write_text(html.render(report), encoding="utf-8")
    found, console, picture = browse(page, tmp_path)
    assert_drawn(found, console, picture, {"summary", "failures", "tests"})
    assert found["sections"]["failures"][1] > 500, "the console's end takes forty lines"


def test_files_of_a_real_run_keep_to_their_schema(run: Path) -> None:
    document = json.loads((run / "metrics.json").read_text())
    jsonschema.Draft202012Validator(export.schema()).validate(document)
    rows = (run / "metrics.csv").read_text().splitlines()
    assert tuple(rows[0].split(",")) == export.CSV_COLUMNS and len(rows) == 1 + len(document["metrics"])
    for key, wrong in (("schema", 2), ("exit_code", "0"), ("metrics", [{"name": "fps"}])):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**document, key: wrong}, export.schema())


def test_summary_of_a_real_run_reaches_the_workflow(run: Path) -> None:
    text = (run / "summary.md").read_text()
    step = (run.parents[1] / "step.md").read_text()
    assert step == f"an earlier step\n{text}\n"
    assert text.startswith("## ✅ sim: good") and "| hil\\_flash | " in text and len(text.encode()) < summary.MAX_BYTES


def test_recordings_of_a_real_run_keep_to_their_schema_and_give_the_same_numbers(run: Path) -> None:
    from harness.recording import Recording, schema

    folders = sorted((run / "recordings").iterdir())
    with_camera = [f for f in folders if (f / "light.npz").is_file()]
    assert folders and with_camera
    for folder in folders:
        jsonschema.Draft202012Validator(schema()).validate(json.loads((folder / "recording.json").read_text()))
        Recording.load(folder)
    metrics = json.loads((run / "metrics.json").read_text())["metrics"]
    told = {m["name"]: m for m in metrics if m["pattern"] == "hil_flash"}
    flash = next(f for f in with_camera if f.name.startswith("test_flash_latency"))
    done = subprocess.run([sys.executable, "-m", "harness.cli", "analyze", str(flash), "--json"], cwd=ROOT,
                          capture_output=True, text=True, timeout=120, check=True)  # fmt: skip
    again = {m["name"]: m for m in json.loads(done.stdout)["metrics"]}
    same = [name for name in told if name.startswith("latency_") and name in again]
    assert any(told[name]["source"] == "camera" for name in same), "no camera latency in the run"
    for name in same:
        assert (again[name]["value"], again[name]["ci95"]) == (told[name]["value"], told[name]["ci95"]), name
