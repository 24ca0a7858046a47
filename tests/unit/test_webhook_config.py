"""The webhook's file and its secrets."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.conductor.webhook_config import SECRET_ENV, load_webhook_config, secret
from harness.errors import BadRequest


def test_the_shipped_file_is_sound() -> None:
    shipped = load_webhook_config(Path(__file__).resolve().parents[2] / "deploy" / "webhook.toml")
    assert shipped.repositories and all(r.repo for r in shipped.repositories.values())


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("[repositories.x]\nrepo='k1'", "repositories"),
        ("[repositories.'a/b']\nrepo='../k1'", "repo"),
        ("[repositories.'a/b']\nrepo='k1'\nrig='b'\nbranch=['main']", "branch"),
        ("[repositories.'a/b']\nrepo='k1'", "rig"),
        ("[repositories.'a/b']\nrepo='k1'\nrig='b'\noptions={webapp='../x'}", "webapp"),
        ("[repositories.'a/b']\nrepo='k1'\nrig='b'\noptions={commit_sha='x'}", "options"),
        ("[upload]\nmax_mib=4096", "max_mib"),
        ("secret='x'", "secret"),
        ("[", "cannot be read"),
    ],
)
def test_mistakes_in_the_file_are_named(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "webhook.toml").write_text(text)
    with pytest.raises(BadRequest, match=word):
        load_webhook_config(tmp_path / "webhook.toml")


def test_secrets_come_from_the_environment_alone() -> None:
    assert secret(SECRET_ENV, {SECRET_ENV: "x" * 32}) == b"x" * 32
    for environ in ({}, {SECRET_ENV: "short"}):
        with pytest.raises(BadRequest) as refused:
            secret(SECRET_ENV, environ)
        assert "short" not in f"{refused.value.got}{refused.value.evidence}"
