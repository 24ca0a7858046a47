"""What GitHub sends, judged: signature, then shape, then whether it starts a workflow. Pure: no network, no clock."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from harness.conductor.webhook_config import Repository, WebhookConfig
from harness.errors import BadRequest

CI_CD, RELEASE = "firmware-ci-cd", "firmware-release"
# Git's own rules for names of refs are wider; these are the names that are safe in any shell, path and URL.
_REF = re.compile(r"refs/(heads|tags)/([A-Za-z0-9_][A-Za-z0-9._/+-]{0,199})")
_SIGNATURE = re.compile(r"sha256=([0-9a-f]{64})")
_DELIVERY = re.compile(r"[A-Za-z0-9-]{8,64}")
_NOBODY = "unknown"

Sha = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", strict=True)


class _Repo(_Part):
    full_name: str = Field(max_length=201)


class _Commit(_Part):
    id: Sha


class _Pusher(_Part):
    name: str = Field(max_length=1000)


class _Push(_Part):
    """The fields of a push event that matter here."""

    ref: str = Field(max_length=1000)
    after: Sha
    deleted: bool = False
    repository: _Repo
    head_commit: _Commit | None = None
    pusher: _Pusher | None = None


@dataclass(frozen=True)
class Order:
    """A workflow to start; ``rig``: whose queue its rig tasks go to, "" when it has none of its own."""

    workflow: str
    inputs: dict[str, Any]
    rig: str


@dataclass(frozen=True)
class Ignored:
    """A sound event that starts nothing, and why."""

    reason: str


class NotAllowed(BadRequest):
    """A repository that is not on the list."""


def signed(secret: bytes, body: bytes, header: str) -> bool:
    """Whether ``X-Hub-Signature-256`` is that of this body; takes the same time wherever it differs."""
    given = _SIGNATURE.fullmatch(header)
    mine = hmac.new(secret, body, hashlib.sha256).hexdigest()
    # A header of another shape is compared too, with something that is never right.
    return hmac.compare_digest(mine, given.group(1) if given else "0" * 64) and given is not None


def delivery_id(header: str) -> str:
    """``X-GitHub-Delivery``, checked.

    Raises:
        BadRequest: absent, or no id.
    """
    if not _DELIVERY.fullmatch(header):
        raise BadRequest("no delivery id", expected="8 to 64 letters, digits and -", got=repr(header[:80]))
    return header


def judge(event: str, body: bytes, config: WebhookConfig) -> Order | Ignored:
    """What a signed event asks for.

    Raises:
        BadRequest: no JSON, or not of a push event's shape.
        NotAllowed: a repository that is not on the list.
    """
    if event == "ping":
        return Ignored("ping")
    if event != "push":
        return Ignored("only push events start workflows")
    push = _parsed(body)
    repository = config.repositories.get(push.repository.full_name)
    if repository is None:
        raise NotAllowed("this repository starts nothing here", got=repr(push.repository.full_name[:100]))
    ref = _REF.fullmatch(push.ref)
    if ref is None or ".." in push.ref:
        raise BadRequest("neither branch nor tag of a plain name", got=repr(push.ref[:100]))
    if push.deleted or push.after == "0" * 40:
        return Ignored("the branch or tag was deleted")
    # ``after`` of an annotated tag is the tag object; the commit is the head.
    commit = push.head_commit.id if push.head_commit is not None else push.after
    author = _clean(push.pusher.name) if push.pusher is not None else _NOBODY
    if ref.group(1) == "heads":
        return _ci_cd(repository, ref.group(2), commit, author)
    return _release(repository, ref.group(2), commit, author)


def _ci_cd(repository: Repository, branch: str, commit: str, author: str) -> Order | Ignored:
    if not repository.takes_branch(branch):
        return Ignored("this branch is not on the list")
    options = {str(name): value for name, value in repository.options.items() if name != "webapp"}
    inputs = {**options, "repo": repository.repo, "branch": branch, "commit_sha": commit, "author": author,
              "rig": repository.rig}  # fmt: skip
    return Order(CI_CD, inputs, repository.rig)


def _release(repository: Repository, tag: str, commit: str, author: str) -> Order | Ignored:
    if not repository.takes_tag(tag):
        return Ignored("this tag is not on the list")
    if not repository.production:
        return Ignored("this repository has no rig for production")
    options = {str(name): value for name, value in repository.options.items()}
    inputs = {**options, "repo": repository.repo, "tag": tag, "commit_sha": commit, "author": author,
              "rig": repository.rig, "production_rig": repository.production}  # fmt: skip
    # A release uses two rigs, each in a sub-workflow that goes to that rig's queue.
    return Order(RELEASE, inputs, "")


def _parsed(body: bytes) -> _Push:
    try:
        return _Push.model_validate(json.loads(body))
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise BadRequest(
            "not a push event", expected=str(first["msg"]), got=".".join(str(p) for p in first["loc"])
        ) from None
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is no JSON", got=type(error).__name__) from None


def _clean(name: str) -> str:
    """A name fit for logs and pages."""
    return re.sub(r"[^\w .@-]", "?", name, flags=re.ASCII)[:100] or _NOBODY
