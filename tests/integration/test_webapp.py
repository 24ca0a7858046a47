"""Real npm builds real projects: the sample app, and projects that fail, hang, spy or write nothing."""

import json
import os
import shutil
import threading
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from harness.cli import app
from harness.errors import BadRequest
from harness.pipeline.artifacts import ArtifactStore
from harness.pipeline.process import Cancelled
from harness.pipeline.webapp import WebBuildFailed, build, site_files, store_build
from harness.pipeline.webapp_site import deploy, live, rollback

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "webapp"
pytestmark = [
    pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed (apt install npm)"),
    pytest.mark.timeout(400),
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("npm-cache")


@pytest.fixture(scope="module")
def made(cache):
    return build(SAMPLE, cache=cache)


def bare(folder, script, **more):
    """A project without dependencies, whose build is a line of JavaScript: needs no network."""
    folder.mkdir()
    (folder / "build.mjs").write_text(script)
    manifest = {"name": "bare", "version": "1.0.0", "scripts": {"build": "node build.mjs"}, **more}
    (folder / "package.json").write_text(json.dumps(manifest))
    head = {"name": "bare", "version": "1.0.0"}
    lock = {**head, "lockfileVersion": 3, "requires": True, "packages": {"": head}}
    (folder / "package-lock.json").write_text(json.dumps(lock))
    return folder


WRITE = "import fs from 'node:fs'; fs.mkdirSync('dist', {recursive: true}); fs.writeFileSync('dist/index.html', %s);"


def test_the_sample_app_is_built_and_stays_untouched(made):
    assert made.project.name == "k1-panel-sample"
    assert made.tools["node"].startswith("v") and made.tools["npm"]
    page = made.files["index.html"].decode()
    bundled = [name for name in made.files if name.startswith("assets/") and name.endswith(".js")]
    assert len(bundled) == 1 and f"/{bundled[0]}" in page and "/src/main.js" not in page
    assert b"api/health" in made.files[bundled[0]]
    assert {p.name for p in SAMPLE.iterdir()} == {"index.html", "package-lock.json", "package.json", "src"}


def test_the_same_project_gives_the_same_bytes(made, cache, tmp_path):
    copy = tmp_path / "elsewhere"
    shutil.copytree(SAMPLE, copy)
    again = build(copy, cache=cache)
    assert again.sha256 == made.sha256 and again.store_name == made.store_name
    store = ArtifactStore(tmp_path / "store")
    assert store_build(store, made) == store_build(store, again)


def test_build_deploy_change_and_rollback(made, cache, tmp_path):
    changed = tmp_path / "changed"
    shutil.copytree(SAMPLE, changed)
    page = changed / "index.html"
    page.write_text(page.read_text().replace("K1 panel", "K1 panel, next"))
    store, site = ArtifactStore(tmp_path / "store"), tmp_path / "www"
    first, second = store_build(store, made), store_build(store, build(changed, cache=cache))
    assert first.name != second.name
    for artifact in (first, second):
        deploy(store, artifact.name, site)
        shown = {p.relative_to(site / "current").as_posix(): p.read_bytes()
                 for p in (site / "current").rglob("*") if p.is_file()}  # fmt: skip
        assert shown == site_files(store, artifact.name)[1]
    assert "K1 panel, next" in (site / "current" / "index.html").read_text()
    assert rollback(site).live == first.name == live(site)
    assert "next" not in (site / "current" / "index.html").read_text()


def test_the_commands(tmp_path, monkeypatch):
    monkeypatch.setenv("K1HIL_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("K1HIL_SITE", str(tmp_path / "www"))
    cli, names = CliRunner(), []
    for n in (1, 2):
        folder = bare(tmp_path / f"p{n}", WRITE % f"'page {n}'")
        told = cli.invoke(app, ["webapp", "build", str(folder), "--commit", "abc1234", "--json"])
        assert told.exit_code == 0, told.output
        names.append(json.loads(told.output)["name"])
        told = cli.invoke(app, ["webapp", "deploy", names[-1], "--json"])
        assert told.exit_code == 0 and json.loads(told.output)["live"] == names[-1]
    told = cli.invoke(app, ["webapp", "rollback", "--json"])
    assert told.exit_code == 0 and json.loads(told.output)["live"] == names[0]
    assert (tmp_path / "www" / "current" / "index.html").read_text() == "page 1"


def test_scripts_see_no_secret_and_a_home_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("K1HIL_API_KEY", "do-not-tell")
    spy = bare(tmp_path / "spy", WRITE % "JSON.stringify(process.env)")
    seen = json.loads(build(spy).files["index.html"])
    assert "do-not-tell" not in json.dumps(seen) and not any(k.startswith("K1HIL") for k in seen)
    assert seen["HOME"] != os.environ.get("HOME") and not Path(seen["HOME"]).exists(), "its home goes with it"


def test_a_failing_build_tells_its_first_error(tmp_path):
    folder = bare(tmp_path / "ill", "console.log('fine so far'); throw new TypeError('the colour is wrong');")
    with pytest.raises(WebBuildFailed, match="TypeError: the colour is wrong") as caught:
        build(folder)
    assert caught.value.exit_code == 1 and any("fine so far" in line for line in caught.value.lines)


def test_a_source_that_does_not_compile_fails_the_sample(cache, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(SAMPLE, folder)
    (folder / "src" / "lines.js").write_text("export function lines( {")
    with pytest.raises(WebBuildFailed, match="(?i)error"):
        build(folder, cache=cache)


def test_a_lock_that_does_not_fit_the_manifest_is_refused(tmp_path):
    folder = bare(tmp_path / "odd", WRITE % "''", dependencies={"vite": "5.4.21"})
    with pytest.raises(WebBuildFailed, match="npm ci failed: .*in sync"):
        build(folder)


HANG = """
import {spawn} from 'node:child_process';
import fs from 'node:fs';
const child = spawn(process.execPath, ['-e', 'setInterval(() => 0, 1000)'], {stdio: 'ignore'});
fs.writeFileSync(%s, process.pid + ' ' + child.pid);
console.log('asleep');
setInterval(() => 0, 1000);
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone(pids):
    deadline = time.monotonic() + 10.0
    while any(alive(p) for p in pids):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_build_that_hangs_is_ended_with_all_it_started(tmp_path):
    pids = tmp_path / "pids"
    folder = bare(tmp_path / "hang", HANG % json.dumps(str(pids)))
    with pytest.raises(WebBuildFailed, match="did not end within"):
        build(folder, build_limit_s=20.0)
    assert gone([int(p) for p in pids.read_text().split()])


def test_a_cancelled_build_ends_at_once_with_all_it_started(tmp_path):
    pids, cancel, asked = tmp_path / "pids", threading.Event(), []
    folder = bare(tmp_path / "hang", HANG % json.dumps(str(pids)))

    def heard(line):
        if line == "asleep":
            asked.append(time.monotonic())
            cancel.set()

    with pytest.raises(Cancelled):
        build(folder, tell=heard, cancel=cancel)
    assert time.monotonic() - asked[0] < 30.0 and gone([int(p) for p in pids.read_text().split()])


def test_what_an_earlier_build_left_does_not_pass_for_a_new_one(tmp_path):
    folder = bare(tmp_path / "lazy", "console.log('nothing to do');")
    (folder / "dist").mkdir()
    (folder / "dist" / "index.html").write_text("old")
    with pytest.raises(BadRequest, match="wrote no index.html") as caught:
        build(folder)
    assert "--output" in caught.value.remedy
    assert (folder / "dist" / "index.html").read_text() == "old", "the project itself stays as it was"


def test_another_output_folder_can_be_named(tmp_path):
    folder = bare(tmp_path / "other", (WRITE % "'here'").replace("dist", "public"))
    assert build(folder, "public").files == {"index.html": b"here"}


def test_a_link_out_of_the_output_is_refused(tmp_path):
    folder = bare(tmp_path / "link", WRITE % "''" + "fs.symlinkSync('/etc/hostname', 'dist/host.txt');")
    with pytest.raises(BadRequest, match="lead out of it"):
        build(folder)
