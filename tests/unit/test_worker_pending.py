"""Updates for devices that are away, commits on their way to the store, selections of tests, alerts."""

from __future__ import annotations

import http.server
import json
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.errors import BadRequest, RigFault
from harness.pipeline.alert import alert
from harness.pipeline.artifacts import Artifact, ArtifactStore
from harness.pipeline.checkout import on_branch
from harness.pipeline.commit_steps import clean, judge, validate_commit, write_record
from harness.pipeline.firmware_store import FirmwareStore
from harness.pipeline.pending import PendingUpdates
from harness.pipeline.stored_reports import compare, gather
from harness.pipeline.suite_run import run_suite
from harness.pipeline.validate import Limits

MAC = "24:6f:28:aa:00:01"


def image(name: str, digit: str) -> Artifact:
    return Artifact("firmware", name, f"firmware/{name}.bin", "", "0" * 64, 1, 1, "2026-01-01",
                    {"build": {"image_sha256": digit * 64}})  # fmt: skip


def test_a_device_has_one_pending_update(tmp_path: Path) -> None:
    updates = PendingUpdates(FirmwareStore(ArtifactStore(tmp_path)))
    assert updates.get(MAC) is None and updates.mac_of("bench") == ""
    assert updates.put(MAC, image("one", "a"), "wf1") is None
    superseded = updates.put(MAC, image("two", "b"), "wf2")
    assert superseded is not None and superseded["name"] == "one"
    waits = updates.get(MAC)
    assert waits is not None and (waits["name"], waits["by"]) == ("two", "wf2")
    assert not updates.drop(MAC, "a" * 64), "what was delivered is not what waits now"
    assert updates.drop(MAC, "b" * 64) and updates.get(MAC) is None
    updates.note_rig("bench", MAC)
    assert updates.mac_of("bench") == MAC
    for bad in ("../x", "24:6F:28:AA:00:01", ""):
        with pytest.raises(BadRequest):
            updates.get(bad)
    with pytest.raises(BadRequest):
        updates.note_rig("../bench", MAC)


# ---- commits


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=n", "-c", "user.email=e@x")
    done = subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "clone"
    (folder / "firmware" / "src").mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    (folder / "firmware" / "platformio.ini").write_text("[env:a]\nplatform = native\n")
    (folder / "firmware" / "src" / "main.cpp").write_text("int main() { return 0; }\n")
    commit(folder)
    monkeypatch.setenv("K1HIL_REPOS", f"k1={folder}")
    return folder


def commit(folder: Path) -> str:
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "--allow-empty", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


def bad_gates(gates: list) -> list[str]:
    return [g.name for g in gates if g.status == "failed"]


def test_a_commit_is_validated(repo: Path) -> None:
    good = git(repo, "rev-parse", "HEAD")
    assert bad_gates(validate_commit("k1", good, "main")) == []
    git(repo, "checkout", "-q", "-b", "side")
    (repo / "firmware" / "src" / "main.cpp").write_text("int main() { return 0; }   \n")
    untidy = commit(repo)
    assert bad_gates(validate_commit("k1", untidy, "side")) == ["format"]
    assert bad_gates(validate_commit("k1", untidy, "main")) == ["branch", "format"]
    assert bad_gates(validate_commit("k1", good, "main", "firmware/src")) == ["project"]
    for repo_name, sha in (("other", good), ("k1", "f" * 40), ("k1", "main"), ("k1", "--help")):
        with pytest.raises(BadRequest):
            validate_commit(repo_name, sha)
    for branch in ("--upload-pack=x", "a..b", "a b"):
        with pytest.raises(BadRequest, match="not a branch"):
            on_branch("k1", good, branch)
    with pytest.raises(BadRequest, match="no such project"):
        validate_commit("k1", good, project="../..")


def test_a_branch_is_where_its_origin_has_it_now(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clone's own picture of the branch is old: in one direction a wrong no, in the other a wrong yes."""
    clone = tmp_path / "worker-clone"
    subprocess.run(["git", "clone", "-q", str(repo), str(clone)], check=True)
    monkeypatch.setenv("K1HIL_REPOS", f"k1={clone}")
    first = git(repo, "rev-parse", "HEAD")
    git(repo, "checkout", "-q", "-b", "side")
    second = commit(repo)
    git(clone, "fetch", "-q", "origin")
    assert not on_branch("k1", second, "main") and on_branch("k1", second, "side")
    git(repo, "branch", "-q", "-f", "main", "side")
    assert on_branch("k1", second, "main"), "merged since"
    git(repo, "branch", "-q", "-f", "main", first)
    assert not on_branch("k1", second, "main"), "taken back since"
    git(clone, "remote", "set-url", "origin", str(tmp_path / "away"))
    with pytest.raises(RigFault, match="cannot be fetched"):
        on_branch("k1", first, "main")


def test_clean_makes_a_fresh_worktree_and_finds_what_was_built(repo: Path, tmp_path: Path) -> None:
    work = tmp_path / "builds" / "w"
    good = git(repo, "rev-parse", "HEAD")
    assert bad_gates(clean("k1", good, work)) == []
    (work / "tree" / "left").write_text("x")
    assert bad_gates(clean("k1", good, work)) == [] and not (work / "tree" / "left").exists()
    (repo / "firmware" / "src" / "main.o").write_bytes(b"x")
    built = commit(repo)
    assert bad_gates(clean("k1", built, work)) == ["products"]
    assert "main.o" not in git(repo, "worktree", "list")


def test_limits_judge_what_the_build_noted(tmp_path: Path) -> None:
    gate = {"status": "passed", "limit": "", "environment": "a"}
    told = {"status": "passed", "gates": [
        {**gate, "name": "warnings", "got": "1; the first: x.cpp: unused", "value": 1.0},
        {**gate, "name": "flash", "got": "70 %", "value": 70.0}, {**gate, "name": "ram", "got": "69 %", "value": 69.9},
        {**gate, "name": "identity", "got": "none", "value": None, "status": "failed"},
    ]}  # fmt: skip
    write_record(tmp_path, {"environments": {"a": told, "b": {"status": "failed", "gates": []}}})
    assert bad_gates(judge(tmp_path, "a")) == ["warnings", "flash", "identity"]
    assert bad_gates(judge(tmp_path, "a", Limits(71.0, 69.0, 1))) == ["ram", "identity"]
    for env in ("b", "c"):
        with pytest.raises(BadRequest, match="was not built"):
            judge(tmp_path, env)


# ---- suite, reports, alerts


@pytest.mark.parametrize("select", ["-x", "a; rm", "a`b`", "'a'", "x" * 2000, "a\nb"])
def test_a_selection_is_no_command(select: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="selection"):
        run_suite("sim", Path("rigs"), tmp_path, select=select)


def test_reports_are_compared_and_gathered(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "store")

    def stored(name: str, *verdicts: dict, tests: tuple[str, ...] = ()) -> str:
        folder = tmp_path / name
        folder.mkdir()
        ran = [{"name": f"test_{o}", "outcome": o, "message": "too dark"} for o in tests]
        (folder / "metrics.json").write_text(json.dumps({"verdicts": verdicts, "tests": ran}))
        (folder / "summary.md").write_text(f"of {name}\n")
        return store.put("reports", name, folder).name

    same = {"key": "lava/fps", "word": "unchanged", "baseline": 1.0, "why": ""}
    new = {"key": "new/fps", "word": "inconclusive", "baseline": None, "why": "no baseline"}
    open_ = {**new, "key": "lava/render", "baseline": 2.0, "why": "noisy"}
    worse = {**same, "key": "pulse/fps", "word": "regressed", "why": "5 % slower"}
    a, b, c, d = (stored(n, v) for n, v in (("a", same), ("b", new), ("c", open_), ("d", worse)))
    well = compare(store, {"led": a, "audio": b})
    assert well.counts == {"improved": 0, "unchanged": 1, "regressed": 0, "inconclusive": 1}
    assert well.verdict == "pass" and "compared with the baseline: 1 metrics" in well.why
    assert compare(store, {"led": a, "audio": c}).verdict == "inconclusive"
    bad = compare(store, {"led": a, "audio": d})
    assert bad.verdict == "fail" and "pulse/fps regressed: 5 % slower" in bad.why
    # What is new has no baseline: its tests decide, and the verdict says that they did. Without them there is none.
    nothing = compare(store, {"led": b})
    assert nothing.verdict == "inconclusive" and "nothing to compare with" in nothing.why
    skipped = stored("skipped", new, tests=("skipped",))
    assert compare(store, {"led": skipped}).verdict == "inconclusive"
    ruled = compare(store, {"led": skipped, "audio": stored("ruled", new, tests=("passed", "passed"))})
    assert ruled.verdict == "pass" and ruled.why.startswith("judged by rules: 2 tests; nothing to compare with")
    red = compare(store, {"led": a, "audio": stored("red", same, tests=("passed", "failed"))})
    assert red.verdict == "fail" and "audio: test_failed failed: too dark" in red.why
    made = gather(store, "all", {"led": a, "audio": d}, {"led": "pass"})
    assert gather(store, "all", {"led": a, "audio": d}, {"led": "pass"}) == made
    with pytest.raises(BadRequest, match="has no reports"):
        compare(store, {"led": "none"})


class Hook(http.server.BaseHTTPRequestHandler):
    answers = [200]
    got: list[dict] = []

    def do_POST(self) -> None:
        self.got.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.answers[0])
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Silent."""


@pytest.fixture
def hook() -> Iterator[str]:
    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    Hook.got.clear()
    try:
        yield f"http://127.0.0.1:{server.server_port}/services/SECRET"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_an_alert_is_sent_or_says_why_not(hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("K1HIL_ALERT_URL", raising=False)
    assert not alert("t", "x").sent and "not set" in alert("t", "x").why
    monkeypatch.setenv("K1HIL_ALERT_URL", hook)
    Hook.answers[:] = [200]
    assert alert("disk full", "on bench1", "critical").sent
    assert Hook.got == [{"text": "[critical] disk full\non bench1"}]
    for code, error in ((500, RigFault), (429, RigFault), (404, BadRequest)):
        Hook.answers[:] = [code]
        with pytest.raises(error) as failed:
            alert("t", "x")
        assert "SECRET" not in str(failed.value)
    with pytest.raises(RigFault) as away:
        alert("t", "x", url="http://127.0.0.1:9/SECRET")
    assert "SECRET" not in str(away.value)
    with pytest.raises(BadRequest):
        alert("t", "x", "loud")
