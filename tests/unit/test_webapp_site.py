"""A static site changes in one step, can be taken back, and survives whoever dies in between."""

import json
import os
import threading
from pathlib import Path

import pytest

from harness.errors import BadRequest, HarnessFault, K1HilError
from harness.pipeline import webapp_site
from harness.pipeline.artifacts import ArtifactStore, zipped
from harness.pipeline.webapp import INDEX
from harness.pipeline.webapp_site import deploy, live, rollback


@pytest.fixture()
def store(tmp_path):
    return ArtifactStore(tmp_path / "store")


def put(store, name, text="", **more):
    files = {INDEX: f"<h1>{name}</h1>".encode(), "assets/app.js": f"// {name}{text}".encode() * 50, **more}
    return store.put_bytes("webapp", name, zipped(files), ".zip", folder=True)


def served(site):
    return (site / "current" / INDEX).read_text()


def test_deploy_makes_a_release_live(store, tmp_path):
    put(store, "app-1")
    site = tmp_path / "www" / "staging"
    done = deploy(store, "app-1", site)
    assert (done.live, done.previous, done.changed) == ("app-1", "", True)
    assert served(site) == "<h1>app-1</h1>" and (site / "current" / "assets" / "app.js").is_file()
    assert os.readlink(site / "current") == "releases/app-1", "a site can be moved as a whole"


def test_the_same_again_changes_nothing(store, tmp_path):
    put(store, "app-1")
    site = tmp_path / "www"
    deploy(store, "app-1", site)
    log = json.loads((site / "site.json").read_text())["log"]
    assert deploy(store, "app-1", site).changed is False
    assert json.loads((site / "site.json").read_text())["log"] == log


def test_a_tag_can_be_deployed(store, tmp_path):
    put(store, "app-1")
    store.tag("webapp", "app-1", "stable")
    assert deploy(store, "stable", tmp_path / "www").live == "app-1"


def test_rollback_goes_back_one_by_one_and_never_to_the_release_left(store, tmp_path):
    site = tmp_path / "www"
    for n in (1, 2, 3):
        put(store, f"app-{n}")
        deploy(store, f"app-{n}", site)
    assert (rollback(site).live, rollback(site).live) == ("app-2", "app-1")
    assert served(site) == "<h1>app-1</h1>"
    with pytest.raises(BadRequest, match="no earlier release"):
        rollback(site)
    put(store, "app-4")
    deploy(store, "app-4", site)
    assert rollback(site).live == "app-1", "what was rolled back does not come back"


def test_old_releases_go_and_the_live_one_stays(store, tmp_path):
    site = tmp_path / "www"
    for n in range(5):
        put(store, f"app-{n}")
        done = deploy(store, f"app-{n}", site, keep=2)
    assert sorted(p.name for p in (site / "releases").iterdir()) == ["app-3", "app-4"]
    assert done.removed == ("app-2",) and rollback(site).live == "app-3"


def test_a_reader_never_finds_nothing_or_half(store, tmp_path):
    site, wrong, stop = tmp_path / "www", [], threading.Event()
    for n in (1, 2):
        put(store, f"app-{n}")
        deploy(store, f"app-{n}", site)
    looks = 0

    def look():
        nonlocal looks
        while not stop.is_set():
            try:
                seen = served(site)
            except OSError as error:
                seen = repr(error)
            if seen not in ("<h1>app-1</h1>", "<h1>app-2</h1>"):
                wrong.append(seen)
            looks += 1

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for _ in range(10):
            rollback(site)
            deploy(store, "app-2", site)
    finally:
        stop.set()
        reader.join(10)
    assert not wrong and looks > 20


def test_a_damaged_build_never_gets_live(store, tmp_path):
    put(store, "app-1")
    artifact = put(store, "app-2")
    site = tmp_path / "www"
    deploy(store, "app-1", site)
    file = Path(store.url) / artifact.file
    file.write_bytes(file.read_bytes()[:-10] + b"0123456789")
    with pytest.raises(HarnessFault, match="damaged"):
        deploy(store, "app-2", site)
    assert live(site) == "app-1" and served(site) == "<h1>app-1</h1>"


def test_a_build_without_a_start_page_never_gets_live(store, tmp_path):
    store.put_bytes("webapp", "odd", zipped({"x.js": b"1"}), ".zip", folder=True)
    with pytest.raises(BadRequest, match=INDEX):
        deploy(store, "odd", tmp_path / "www")
    assert not (tmp_path / "www" / "current").exists()


@pytest.mark.parametrize("name", ["../escape.txt", "/etc/escape.txt", "a/../../escape.txt"])
def test_an_archive_cannot_write_outside_its_release(store, tmp_path, name):
    put(store, "evil", **{name: b"out"})
    with pytest.raises(HarnessFault):
        deploy(store, "evil", tmp_path / "deep" / "www")
    assert not list(tmp_path.rglob("escape.txt"))


@pytest.mark.parametrize("moment", ["_point", "_save"])
def test_a_deploy_that_dies_leaves_a_whole_site(store, tmp_path, monkeypatch, moment):
    site = tmp_path / "www"
    for n in (1, 2, 3):
        put(store, f"app-{n}")
    deploy(store, "app-1", site)
    deploy(store, "app-2", site)
    real, calls = getattr(webapp_site, moment), []

    def dies(*arguments):
        calls.append(1)
        # _save: the first notes what is intended, the second comes after the switch.
        if moment == "_point" or len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(webapp_site, moment, dies)
    with pytest.raises(KeyboardInterrupt):
        deploy(store, "app-3", site)
    monkeypatch.undo()
    assert served(site) == ("<h1>app-2</h1>" if moment == "_point" else "<h1>app-3</h1>")
    assert rollback(site).live == ("app-1" if moment == "_point" else "app-2")


def test_a_rollback_that_dies_after_the_switch_is_known_to_be_done(store, tmp_path, monkeypatch):
    site = tmp_path / "www"
    for n in (1, 2, 3):
        put(store, f"app-{n}")
        deploy(store, f"app-{n}", site)
    real, calls = webapp_site._save, []

    def dies(*arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(webapp_site, "_save", dies)
    with pytest.raises(KeyboardInterrupt):
        rollback(site)
    monkeypatch.undo()
    assert live(site) == "app-2" and rollback(site).live == "app-1"


def test_a_release_that_was_tampered_with_is_written_anew(store, tmp_path):
    site = tmp_path / "www"
    for n in (1, 2):
        put(store, f"app-{n}")
        deploy(store, f"app-{n}", site)
    (site / "releases" / "app-1" / INDEX).write_text("hacked")
    deploy(store, "app-1", site)
    assert served(site) == "<h1>app-1</h1>"
    (site / "releases" / "app-1" / "more.js").write_text("hacked")
    with pytest.raises(HarnessFault, match="differs"):
        deploy(store, "app-1", site)


def test_a_folder_with_something_else_is_left_alone(store, tmp_path):
    put(store, "app-1")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("dear")
    with pytest.raises(BadRequest, match="something else"):
        deploy(store, "app-1", tmp_path / "home")
    with pytest.raises(BadRequest, match="no site"):
        rollback(tmp_path / "home")
    assert sorted(p.name for p in (tmp_path / "home").iterdir()) == ["thesis.txt"]


def test_a_link_set_by_hand_is_not_followed(store, tmp_path):
    put(store, "app-1")
    site = tmp_path / "www"
    deploy(store, "app-1", site)
    (site / "current").unlink()
    (site / "current").symlink_to("/etc")
    with pytest.raises(HarnessFault, match="somebody else"):
        deploy(store, "app-1", site)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"order": ["../../etc"], "log": []}', '{"order": 3, "log": []}'])
def test_a_broken_state_is_said_not_guessed(store, tmp_path, text):
    put(store, "app-1")
    site = tmp_path / "www"
    deploy(store, "app-1", site)
    (site / "site.json").write_text(text)
    with pytest.raises(K1HilError, match="makes no sense"):
        deploy(store, "app-1", site)
    assert served(site) == "<h1>app-1</h1>"


def test_two_deploys_at_once_end_as_one_after_the_other(store, tmp_path):
    site = tmp_path / "www"
    for n in range(4):
        put(store, f"app-{n}")
    failed: list[BaseException] = []

    def work(name):
        try:
            deploy(store, name, site)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(f"app-{n}",)) for n in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(30)
    order = json.loads((site / "site.json").read_text())["order"]
    assert not failed and sorted(order) == [f"app-{n}" for n in range(4)] and order[-1] == live(site)


@pytest.mark.parametrize("keep", [0, 1, 1001])
def test_there_is_always_one_to_return_to(store, tmp_path, keep):
    put(store, "app-1")
    with pytest.raises(BadRequest, match="keep"):
        deploy(store, "app-1", tmp_path / "www", keep=keep)
