"""Which projects are built, and what their scripts get to see."""

import json

import pytest

from harness.errors import BadRequest
from harness.pipeline import webapp
from harness.pipeline.artifacts import ArtifactStore
from harness.pipeline.webapp import build_environment, read_project, site_files, store_build


def project(folder, manifest=None, lock="{}"):
    folder.mkdir(exist_ok=True)
    whole = {"name": "panel", "version": "1.2.0", "scripts": {"build": "true"}} if manifest is None else manifest
    text = whole if isinstance(whole, str) else json.dumps(whole)
    (folder / "package.json").write_text(text)
    if lock is not None:
        (folder / "package-lock.json").write_text(lock)
    return folder


def test_a_project_says_name_and_version(tmp_path):
    found = read_project(project(tmp_path / "p"))
    assert (found.name, found.version) == ("panel", "1.2.0") and len(found.lock_sha256) == 64
    scoped = project(tmp_path / "q", {"name": "@k1/panel", "version": "1.0.0", "scripts": {"build": "x"}})
    assert read_project(scoped).name == "k1-panel"


@pytest.mark.parametrize(
    "manifest,lock,says",
    [({"name": "x", "scripts": {}}, "{}", "cannot be built"), ({"name": "x"}, "{}", "cannot be built"),
     ({"name": "x", "scripts": {"build": "true"}}, None, "no package-lock.json"),
     ({"name": "../x", "scripts": {"build": "true"}}, "{}", "unusable name"),
     ({"name": "", "scripts": {"build": "true"}}, "{}", "unusable name"),
     ({"name": "x", "version": "1/2", "scripts": {"build": "true"}}, "{}", "unusable name"),
     ("not json", "{}", "cannot be read"), ("[1]", "{}", "no JSON object"), ("[" * 100_000, "{}", "cannot be read"),
     ({"name": "x", "scripts": {"build": "true"}}, "no", "cannot be read")],
)  # fmt: skip
def test_unusable_projects_get_a_clear_error(tmp_path, manifest, lock, says):
    with pytest.raises(BadRequest, match=says):
        read_project(project(tmp_path / "p", manifest, lock))


def test_a_folder_that_is_no_project(tmp_path):
    with pytest.raises(BadRequest, match="missing"):
        read_project(tmp_path)


@pytest.mark.parametrize("output", ["/tmp", "../out", "a/../../b", "."])
def test_the_output_lies_below_the_project(tmp_path, output):
    with pytest.raises(BadRequest, match="below the project"):
        webapp.build(project(tmp_path / "p"), output)


def test_scripts_get_nothing_of_this_process_but_what_they_need(tmp_path, monkeypatch):
    secrets = ("GITHUB_TOKEN", "AWS_SECRET_ACCESS_KEY", "K1HIL_OTA_PASSWORD", "NPM_TOKEN", "npm_config__authToken")
    for name in secrets:
        monkeypatch.setenv(name, "hush")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("npm_config_registry", "https://user:hush@registry.local/")
    found = build_environment(tmp_path / "home", tmp_path / "cache")
    assert "hush" not in json.dumps(found)
    assert found["HTTPS_PROXY"] == "http://proxy:3128" and found["HOME"] == str(tmp_path / "home")
    monkeypatch.setenv("npm_config_registry", "https://registry.local/")
    assert build_environment(tmp_path, tmp_path)["npm_config_registry"] == "https://registry.local/"


def test_a_build_in_the_store_is_found_whole(tmp_path):
    store = ArtifactStore(tmp_path / "store")
    files = {"index.html": b"<p>", "assets/a.js": b"1"}
    made = webapp.WebBuild(read_project(project(tmp_path / "p")), files, "ab" * 32, {"node": "v18"}, [])
    kept = store_build(store, made, "abc1234")
    assert kept.name == "panel-1.2.0-abababababab" and kept.details["commit"] == "abc1234"
    assert store_build(store, made) == kept, "the same build is the artifact that is there"
    assert site_files(store, kept.name) == (kept, files)
    with pytest.raises(BadRequest, match="no webapp"):
        site_files(store, "panel-9")
