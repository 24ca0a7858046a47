"""A commit of an allow-listed repository in a fresh worktree, gone afterwards.

``K1HIL_REPOS`` names what may be built: ``NAME=PATH`` pairs, parted by ``:``, each the path of a clone on this machine.
Callers give a name, never a path or a URL, and a commit by its SHA-1, never a branch that may have moved meanwhile.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from harness.errors import BadRequest, RigFault

ENV = "K1HIL_REPOS"
_COMMIT = re.compile(r"[0-9a-f]{7,40}")
_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,199}")
_GIT_TIMEOUT_S = 300.0


def allowed_repos(text: str | None = None) -> dict[str, Path]:
    """Name to clone, from ``K1HIL_REPOS``; without it nothing is allowed."""
    pairs = (pair.partition("=") for pair in (os.environ.get(ENV, "") if text is None else text).split(":") if pair)
    return {name.strip(): Path(path.strip()) for name, _, path in pairs if name.strip() and path.strip()}


@contextmanager
def checked_out(repo: str, commit: str, repos: Mapping[str, Path] | None = None) -> Iterator[Path]:
    """The files of ``commit``; the folder is removed at the end.

    Args:
        repo: a name of ``repos``.
        commit: 7 to 40 lower-case hex digits.
        repos: default :func:`allowed_repos`.

    Raises:
        BadRequest: an unknown name, or no such commit (fetched once from ``origin`` if the clone does not have it).
        RigFault: git does not do it.
    """
    work = Path(tempfile.mkdtemp(prefix="k1hil-checkout-"))
    try:
        yield check_out(repo, commit, work / "tree", repos)
    finally:
        drop_checkout(repo, work, repos)


def check_out(repo: str, commit: str, tree: Path, repos: Mapping[str, Path] | None = None) -> Path:
    """As :func:`checked_out`, into a new folder ``tree`` that stays until :func:`drop_checkout`."""
    clone = clone_of(repo, commit, repos)
    failed = _git(clone, "worktree", "add", "--quiet", "--detach", str(tree), commit)
    if failed is not None:
        raise RigFault(f"'{repo}' cannot be checked out", got=failed[-300:], evidence=str(clone))
    return tree


def drop_checkout(repo: str, folder: Path, repos: Mapping[str, Path] | None = None) -> None:
    """Removes a folder with checkouts of ``repo`` in it."""
    shutil.rmtree(folder, ignore_errors=True)
    clone = (allowed_repos() if repos is None else repos).get(repo)
    if clone is not None:
        _git(clone, "worktree", "prune")


def drop_folder(folder: Path) -> None:
    """As :func:`drop_checkout`, of whichever repository: the folder is not asked, a build may have written there."""
    shutil.rmtree(folder, ignore_errors=True)
    for clone in allowed_repos().values():
        _git(clone, "worktree", "prune")


def clone_of(repo: str, commit: str, repos: Mapping[str, Path] | None = None) -> Path:
    """The clone that has a commit; errors as of :func:`checked_out`."""
    clones = allowed_repos() if repos is None else repos
    if repo not in clones:
        raise BadRequest(f"unknown repository {repo[:80]!r}", expected=", ".join(clones) or f"names in {ENV}")
    if not _COMMIT.fullmatch(commit):
        raise BadRequest("not a commit", expected="7 to 40 hex digits", got=repr(commit[:80]))
    clone = clones[repo]
    if _git(clone, "cat-file", "-e", f"{commit}^{{commit}}") is not None:
        _git(clone, "fetch", "--quiet", "origin")
        missing = _git(clone, "cat-file", "-e", f"{commit}^{{commit}}")
        if missing is not None:
            raise BadRequest(f"'{repo}' has no commit {commit}", got=missing[-300:], evidence=str(clone))
    return clone


def head_of(repo: str, repos: Mapping[str, Path] | None = None) -> str:
    """The commit a clone stands at.

    Raises:
        BadRequest: an unknown name. RigFault: the clone has none.
    """
    clones = allowed_repos() if repos is None else repos
    if repo not in clones:
        raise BadRequest(f"unknown repository {repo[:80]!r}", expected=", ".join(clones) or f"names in {ENV}")
    command = ["git", "-C", str(clones[repo]), "rev-parse", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=False)
    if not _COMMIT.fullmatch(done.stdout.strip()):
        raise RigFault(f"'{repo}' has no commit", got=done.stderr.strip()[-300:], evidence=str(clones[repo]))
    return done.stdout.strip()


def on_branch(repo: str, commit: str, branch: str, repos: Mapping[str, Path] | None = None) -> bool:
    """Whether a commit belongs to a branch or tag of the clone's origin, as it stands now; of the clone alone where its
    origin has no such branch.

    Raises:
        BadRequest: as of :func:`checked_out`, or a name that git would not take for one.
        RigFault: the origin does not answer.
    """
    if not _BRANCH.fullmatch(branch) or ".." in branch:
        raise BadRequest("not a branch", got=repr(branch[:80]))
    clone = clone_of(repo, commit, repos)
    if _git(clone, "remote", "get-url", "origin") is None:
        # A branch moves: what the clone saw last is no answer, neither yes nor no.
        failed = _git(clone, "fetch", "--quiet", "--prune", "--tags", "--force", "origin")
        if failed is not None:
            raise RigFault(f"the branches of '{repo}' cannot be fetched", got=failed[-300:], evidence=str(clone))
    upstream, tag = f"refs/remotes/origin/{branch}", f"refs/tags/{branch}"
    known = _git(clone, "rev-parse", "--verify", "--quiet", upstream) is None
    refs = (upstream if known else f"refs/heads/{branch}", tag)
    return any(_git(clone, "merge-base", "--is-ancestor", commit, ref) is None for ref in refs)


def _git(clone: Path, *arguments: str) -> str | None:
    """None when it went well, else git's words. Hooks and prompts of the clone never run."""
    environ = {**os.environ, "GIT_TERMINAL_PROMPT": "0"}
    command = ["git", "-C", str(clone), "-c", f"core.hooksPath={os.devnull}", *arguments]
    try:
        done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=_GIT_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip() or f"exit code {done.returncode}"
