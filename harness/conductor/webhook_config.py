"""What the webhook lets in: ``webhook.toml`` for what may be known, the environment for secrets."""

from __future__ import annotations

import fnmatch
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from harness.errors import BadRequest
from harness.rig.config import NAME_PATTERN

SECRET_ENV = "K1HIL_WEBHOOK_SECRET"
TOKEN_ENV = "K1HIL_UPLOAD_TOKEN"
# 128 bit, written in hex or better.
SECRET_LEAST_CHARS = 32
MAX_TOML_BYTES = 64 << 10

RepoName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$")]
Rig = Annotated[str, StringConstraints(pattern=f"^({NAME_PATTERN})?$")]
Glob = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._/+*?\[\]!-]{1,200}$")]
# Inside a repository: relative, and nowhere out of it.
Inside = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_-]*([./][A-Za-z0-9_-]+){0,8}$", max_length=120)
]
Pattern = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Repository(_Table):
    """One repository that may start workflows.

    Attributes:
        repo: its name among the workers' clones (``K1HIL_REPOS``).
        rig: where its firmware is tested.
        production: the rig a release ends on; "": tags start nothing.
        branches, tags: shell patterns of what starts ``firmware-ci-cd`` and ``firmware-release``.
        options: further inputs of both workflows: ``project`` and ``environment`` of the firmware, of a release also
            ``integration_environment`` (what its integration tests run) and ``webapp`` (the npm project it brings).
    """

    repo: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    rig: Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
    production: Rig = ""
    branches: tuple[Glob, ...] = ("main",)
    tags: tuple[Glob, ...] = ("v*",)
    options: dict[Literal["project", "environment", "integration_environment", "webapp"], Inside] = {}

    def takes_branch(self, name: str) -> bool:
        """Whether a push to this branch counts."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.branches)

    def takes_tag(self, name: str) -> bool:
        """Whether this tag is a release."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.tags)


class Upload(_Table):
    """Sound files that start ``audio-tuning``."""

    enabled: bool = False
    patterns: tuple[Pattern, ...] = Field(default=(), max_length=16)
    max_mib: int = Field(default=32, ge=1, le=128)
    per_hour: int = Field(default=30, ge=1, le=1000)


class WebhookConfig(_Table):
    """The whole file. ``repositories``: by ``owner/name`` as GitHub spells it."""

    repositories: dict[RepoName, Repository] = {}
    upload: Upload = Upload()


def load_webhook_config(path: Path) -> WebhookConfig:
    """Reads ``webhook.toml``.

    Raises:
        BadRequest: unreadable, or a mistake in it; names the key.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_TOML_BYTES + 1)
        if len(data) > MAX_TOML_BYTES:
            raise BadRequest(f"{path} is too long", expected=f"{MAX_TOML_BYTES} bytes")
        return WebhookConfig.model_validate(tomllib.loads(data.decode()))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BadRequest(f"{path}: {where}: {first['msg']}", remedy="see docs/webhook.md") from error
    except (OSError, ValueError) as error:
        raise BadRequest(f"{path} cannot be read", got=str(error), remedy="see deploy/webhook.toml") from error


def secret(name: str, environ: Mapping[str, str] = os.environ) -> bytes:
    """A secret from the environment.

    Raises:
        BadRequest: absent, or too short to be one.
    """
    value = environ.get(name, "")
    if len(value) < SECRET_LEAST_CHARS:
        raise BadRequest(
            f"{name} is {'not set' if not value else 'too short'}", expected=f"{SECRET_LEAST_CHARS} characters or more",
            remedy=f"openssl rand -hex 32, and the same value where GitHub or the uploader keeps it ({name})",
        )  # fmt: skip
    return value.encode()
