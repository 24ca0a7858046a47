"""Worktrees of allow-listed repositories: fresh, of the commit asked for, and gone afterwards."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from harness.errors import BadRequest
from harness.pipeline.checkout import allowed_repos, checked_out


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=20)
    return done.stdout.strip()


@pytest.fixture
def repo(tmp_path: Path) -> tuple[Path, list[str]]:
    """A clone and its two commits; the newer one is only in its origin."""
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    git(origin, "init", "-q")
    commits = []
    for text in ("one", "two"):
        (origin / "file").write_text(text)
        git(origin, "add", ".")
        git(origin, "commit", "-qm", text)
        commits.append(git(origin, "rev-parse", "HEAD"))
        if text == "one":
            git(tmp_path, "clone", "-q", str(origin), str(clone))
    return clone, commits


def test_each_commit_in_its_own_folder_and_gone_afterwards(repo: tuple[Path, list[str]]) -> None:
    clone, (one, two) = repo
    marker = clone.parent / "hook-ran"
    (clone / ".git" / "hooks" / "post-checkout").write_text(f"#!/bin/sh\ntouch {marker}\n")
    (clone / ".git" / "hooks" / "post-checkout").chmod(0o755)
    (clone / "file").write_text("edited by somebody")
    with checked_out("k1", one, {"k1": clone}) as a, checked_out("k1", two[:10], {"k1": clone}) as b:
        assert ((a / "file").read_text(), (b / "file").read_text()) == ("one", "two")
        assert git(a, "status", "--porcelain") == ""
    assert not a.exists() and not b.exists() and (clone / "file").read_text() == "edited by somebody"
    assert len(git(clone, "worktree", "list").splitlines()) == 1
    assert not marker.exists()
    with pytest.raises(ZeroDivisionError), checked_out("k1", one, {"k1": clone}) as c:
        raise ZeroDivisionError
    assert not c.exists()


@pytest.mark.parametrize("name", ["../clone", "https://example.org/x.git", "", "--upload-pack=touch x"])
def test_only_names_on_the_list(repo: tuple[Path, list[str]], name: str) -> None:
    clone, (one, _) = repo
    with pytest.raises(BadRequest, match="unknown repository"), checked_out(name, one, {"k1": clone}):
        pass


@pytest.mark.parametrize("commit", ["main", "HEAD", "--help", "abc", "0123456;x", "A" * 40, "0" * 41])
def test_only_commits(repo: tuple[Path, list[str]], commit: str) -> None:
    with pytest.raises(BadRequest, match="not a commit"), checked_out("k1", commit, {"k1": repo[0]}):
        pass


def test_a_commit_that_is_nowhere(repo: tuple[Path, list[str]]) -> None:
    with pytest.raises(BadRequest, match="has no commit"), checked_out("k1", "0" * 40, {"k1": repo[0]}):
        pass


def test_the_list() -> None:
    assert allowed_repos("k1=/srv/k1:web = /srv/web::odd:=x") == {"k1": Path("/srv/k1"), "web": Path("/srv/web")}
    assert allowed_repos("") == {}
