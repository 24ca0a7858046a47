"""The artifact store: names that never change their meaning, two writers, what is kept, and what is refused."""

from __future__ import annotations

import json
import multiprocessing
import os
import secrets
import time
from pathlib import Path

import pytest

from harness.errors import BadRequest, HarnessFault, RigFault
from harness.pipeline.artifacts import ArtifactStore, pack, unzipped
from harness.pipeline.firmware_store import FirmwareStore
from harness.pipeline.pending import PendingUpdates
from harness.pipeline.retention import collect
from harness.pipeline.store_lock import StoreLock

MAC = "34:85:18:00:00:01"


@pytest.fixture(params=["folder", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "store" if request.param == "folder" else f"memory://{secrets.token_hex(6)}/x")


def a_file(folder: Path, data: bytes, name: str = "thing.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)
    return folder / name


def test_put_and_get(store: ArtifactStore, tmp_path: Path) -> None:
    text = b"time,value\n" * 1000
    put = store.put("tuning", "song-1", a_file(tmp_path, text), {"tempo_bpm": 120})
    assert (put.encoding, put.file, put.bytes) == ("gzip", "tuning/song-1.csv.gz", len(text))
    assert put.stored_bytes < len(text) / 10
    got = ArtifactStore(store.url).get("tuning", "song-1")
    assert got == put and got.details == {"tempo_bpm": 120}
    assert store.content(got) == text


def test_random_bytes_are_not_compressed(store: ArtifactStore, tmp_path: Path) -> None:
    noise = os.urandom(5000)
    put = store.put("patterns", "p", a_file(tmp_path, noise, "p.bin"))
    assert (put.encoding, put.file, store.read(put.file)) == ("", "patterns/p.bin", noise)


def test_a_folder_is_one_artifact_with_the_same_bytes_every_time(store: ArtifactStore, tmp_path: Path) -> None:
    for name in ("report.html", "deep/film.png"):
        a_file((tmp_path / "run" / name).parent, name.encode(), Path(name).name)
    first = store.put("reports", "run", tmp_path / "run")
    os.utime(tmp_path / "run" / "report.html", (1, 1))
    assert store.put("reports", "run", tmp_path / "run") == first
    assert unzipped(store.content(first)) == {"report.html": b"report.html", "deep/film.png": b"deep/film.png"}
    assert pack(tmp_path / "run")[1] == "zip"


def test_a_changed_file_under_an_old_name_is_refused(store: ArtifactStore, tmp_path: Path) -> None:
    first = store.put("patterns", "p", a_file(tmp_path, b"one"))
    with pytest.raises(BadRequest, match="other content"):
        store.put("patterns", "p", a_file(tmp_path, b"two"))
    assert store.content(store.get("patterns", "p")) == b"one"
    assert store.put("patterns", "p", a_file(tmp_path, b"one")) == first


def test_a_tag_never_moves(store: ArtifactStore, tmp_path: Path) -> None:
    store.put("patterns", "a", a_file(tmp_path, b"one"))
    store.put("patterns", "b", a_file(tmp_path, b"two"))
    store.tag("patterns", "a", "v1.0.0")
    store.tag("patterns", "a", "v1.0.0")
    assert store.get("patterns", "v1.0.0").name == "a"
    with pytest.raises(BadRequest, match="is taken"):
        store.tag("patterns", "b", "v1.0.0")
    with pytest.raises(BadRequest, match="no patterns 'c'"):
        store.tag("patterns", "c", "v2.0.0")
    store.untag("v1.0.0")
    store.tag("patterns", "b", "v1.0.0")
    assert store.tags() == {"v1.0.0": "patterns/b"}


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "x" * 101, "x.metadata.json", "a\0b", "a\nb"])
def test_names_that_lead_elsewhere_are_refused(store: ArtifactStore, tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match="unusable name"):
        store.put("patterns", name, a_file(tmp_path, b"one"))
    with pytest.raises(BadRequest, match="unusable name"):
        store.find("patterns", name)


def test_damage_is_found(store: ArtifactStore, tmp_path: Path) -> None:
    put = store.put("patterns", "p", a_file(tmp_path, b"one"))
    store.write(put.file, b"oNe")
    with pytest.raises(HarnessFault, match="damaged"):
        store.content(put)
    store.write("patterns/p.metadata.json", b'{"kind": "patterns", "file": "../../etc/passwd"}')
    with pytest.raises(HarnessFault, match="makes no sense"):
        store.find("patterns", "p")


def test_an_unfinished_write_is_no_artifact(store: ArtifactStore, tmp_path: Path) -> None:
    put = store.put("patterns", "p", a_file(tmp_path, b"one"))
    store.remove("patterns/p.metadata.json")
    assert store.find("patterns", "p") is None and store.all("patterns") == []
    assert store.put("patterns", "p", a_file(tmp_path, b"two")).sha256 != put.sha256


# ---- writers at once


def _write(url: str, process: int, go: float) -> None:
    time.sleep(max(0.0, go - time.time()))
    store = ArtifactStore(url)
    for i in range(10):
        store.put_bytes("patterns", f"own-{process}-{i}", b"%d %d" % (process, i), ".bin")
        try:
            store.put_bytes("patterns", f"shared-{i}", b"%d" % process, ".bin")
        except BadRequest:
            continue


def test_two_writers(tmp_path: Path) -> None:
    url, go = str(tmp_path / "store"), time.time() + 0.5
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(url, n, go)) for n in range(2)]
    for w in writers:
        w.start()
    for w in writers:
        w.join(60)
        assert w.exitcode == 0
    store = ArtifactStore(url)
    found = store.all("patterns")
    assert sorted(a.name for a in found if a.name.startswith("own")) == sorted(
        f"own-{n}-{i}" for n in range(2) for i in range(10)
    )
    for a in found:
        store.content(a)  # each whole, and that of its own metadata
    assert len([a for a in found if a.name.startswith("shared")]) == 10
    assert store.names(".new") == [] and len(store.names(".locks")) == 1


def _count(folder: str, rounds: int) -> None:
    store = ArtifactStore(folder)
    for _ in range(rounds):
        with store.lock():
            path = Path(folder) / "counter"
            value = int(path.read_text())
            time.sleep(0.001)
            path.write_text(str(value + 1))


def test_the_lock_excludes(tmp_path: Path) -> None:
    (tmp_path / "counter").write_text("0")
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_count, args=(str(tmp_path), 15)) for _ in range(3)]
    for w in writers:
        w.start()
    for w in writers:
        w.join(60)
        assert w.exitcode == 0
    assert (tmp_path / "counter").read_text() == "45"


def test_the_lock_of_a_dead_writer_expires_and_its_late_commit_is_refused(store: ArtifactStore) -> None:
    folder = f"{store.root}/.locks"
    dead = StoreLock(store.files, folder, "store", expiry_s=0.3)
    dead.__enter__()
    with pytest.raises(RigFault, match="stays locked") as told:
        StoreLock(store.files, folder, "store", patience_s=0.1).__enter__()
    assert str(os.getpid()) in told.value.got
    with StoreLock(store.files, folder, "store", patience_s=5.0) as next_one:
        next_one.validate()
        with pytest.raises(RigFault, match="lost"):
            dead.validate()
        dead.__exit__(None, None, None)  # must not give away what is no longer its own
        with pytest.raises(RigFault, match="stays locked"):
            StoreLock(store.files, folder, "store", patience_s=0.1).__enter__()


def test_a_torn_lock_record_holds_until_it_is_old(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    torn = tmp_path / ".locks" / "store.7"
    torn.parent.mkdir()
    torn.write_text("")
    with pytest.raises(RigFault, match="stays locked"):
        StoreLock(store.files, f"{store.root}/.locks", "store", patience_s=0.1).__enter__()
    os.utime(torn, (time.time() - 1000,) * 2)
    with store.lock():
        assert store.names(".locks") == ["store.8"]


# ---- what is kept


def test_collection_keeps_the_newest_the_tagged_the_deployed_and_what_waits(store: ArtifactStore) -> None:
    for i in range(15):
        store.put_bytes("firmware", f"v{i}", b"image %d" % i, ".bin", {"build": {"image_sha256": f"{i:064x}"}})
    store.put_bytes("reports", "only", b"r", ".txt")
    firmware = FirmwareStore(store)
    store.tag("firmware", "v0", "release")
    firmware.note_deployed(MAC, store.get("firmware", "v2"))
    firmware.note_deployed(MAC, store.get("firmware", "v1"))
    PendingUpdates(firmware).put(MAC, store.get("firmware", "v4"), "wf1")  # the device is away and gets it later
    would = collect(store, 10, dry_run=True)
    assert [a.name for a in would.removed] == ["v3"] and len(store.all("firmware")) == 15
    assert collect(store, 10) == would and would.kept == 15 and would.bytes == 7
    names = {a.name for a in store.all("firmware")}
    assert names == {f"v{i}" for i in range(15) if i != 3}
    assert store.read("firmware/v3.bin") is None
    assert collect(store, 10).removed == []


def test_leftovers_of_dead_writers_go_when_they_are_old(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    for name, age_s in (("old", 7200), ("young", 10)):
        a_file(tmp_path / ".new", b"x", name)
        os.utime(tmp_path / ".new" / name, (time.time() - age_s,) * 2)
    collect(store)
    assert store.names(".new") == ["young"]


def test_what_a_device_got(store: ArtifactStore) -> None:
    firmware = FirmwareStore(store)
    a, b = (
        store.put_bytes("firmware", n, n.encode(), ".bin", {"build": {"image_sha256": n * 64}}) for n in ("a", "b")
    )
    assert firmware.deployed(MAC) is None
    firmware.note_deployed(MAC, a)
    firmware.note_deployed(MAC, b)
    firmware.note_deployed(MAC, b)  # again the same: what came before stays known
    record = firmware.deployed(MAC)
    assert record is not None and (record["name"], record["previous"]["name"]) == ("b", "a")
    assert firmware.find("a" * 64) == a and firmware.find("c" * 64) is None
    firmware.note_bad("b" * 64, "it was dark", MAC)
    told = firmware.bad("b" * 64)
    assert told is not None and told["why"] == "it was dark" and firmware.bad("a" * 64) is None
    firmware.forgive("b" * 64)
    assert firmware.bad("b" * 64) is None
    with pytest.raises(BadRequest, match="unusable key"):
        firmware.deployed("../../../etc/passwd")


def test_a_store_without_its_plug_in(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadRequest, match="cannot be reached"):
        ArtifactStore("nosuchprotocol://bucket/x")
    monkeypatch.setenv("K1HIL_STORE", "memory://from/environment")
    assert ArtifactStore().url == "memory://from/environment"


def test_metadata_on_disk(tmp_path: Path) -> None:
    ArtifactStore(tmp_path).put_bytes("firmware", "v1.0.0-737e3d8", b"image", ".bin", {"version": "1.0.0"}, raw=True)
    assert (tmp_path / "firmware" / "v1.0.0-737e3d8.bin").read_bytes() == b"image"
    record = json.loads((tmp_path / "firmware" / "v1.0.0-737e3d8.metadata.json").read_text())
    assert (record["version"], record["bytes"], len(record["sha256"])) == ("1.0.0", 5, 64)
