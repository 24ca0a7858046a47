"""The artifact store in a bucket, through the S3 protocol over HTTP: as in a folder, with several machines at work."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from s3_server import BUCKET, ROOT, interpreter, s3_server

URL = f"s3://{BUCKET}/lab"
Environment = dict[str, str]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    with s3_server(tmp_path_factory.mktemp("s3") / "server.log") as environment:
        yield environment


def k1hil(environment: Environment, *words: str, url: str = URL) -> subprocess.CompletedProcess[str]:
    """``k1hil artifacts …`` as a program of its own, as on a machine of the lab."""
    return subprocess.run(
        [str(interpreter()), "-m", "harness.cli", "artifacts", *words, "--store", url],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def listed(environment: Environment) -> list[str]:
    done = k1hil(environment, "list", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    return [a["name"] for a in json.loads(done.stdout)]


def file(folder: Path, content: bytes) -> str:
    path = folder / f"{content[:8].hex()}.wav"
    path.write_bytes(content)
    return str(path)


def test_what_is_put_comes_back_and_keeps_its_meaning(s3: Environment, tmp_path: Path) -> None:
    content = b"sound " * 4000
    put = k1hil(s3, "put", "tuning", file(tmp_path, content), "--name", "clip")
    assert put.returncode == 0, put.stdout + put.stderr
    again = k1hil(s3, "put", "tuning", file(tmp_path, content), "--name", "clip")
    assert again.returncode == 0, "the same again is no change"
    refused = k1hil(s3, "put", "tuning", file(tmp_path, b"another sound"), "--name", "clip")
    assert refused.returncode == 4 and "other content" in refused.stderr
    assert k1hil(s3, "tag", "loved", "clip", "--kind", "tuning").returncode == 0
    got = tmp_path / "back.wav"
    assert k1hil(s3, "get", "tuning", "loved", str(got)).returncode == 0
    assert got.read_bytes() == content
    assert "clip" in listed(s3)


def test_of_two_machines_with_one_name_one_wins(s3: Environment, tmp_path: Path) -> None:
    contents = [bytes([65 + i]) * 5000 for i in range(4)]
    files = [file(tmp_path, content) for content in contents]
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda path: k1hil(s3, "put", "tuning", path, "--name", "race"), files))
    assert sorted(d.returncode for d in done) == [0, 4, 4, 4], [d.stderr for d in done]
    winner = next(i for i, d in enumerate(done) if d.returncode == 0)
    got = tmp_path / "race.wav"
    assert k1hil(s3, "get", "tuning", "race", str(got)).returncode == 0
    assert got.read_bytes() == contents[winner]


def test_the_old_goes_and_the_tagged_stays(s3: Environment, tmp_path: Path) -> None:
    for i in range(4):
        assert k1hil(s3, "put", "tuning", file(tmp_path, b"%d" % i * 2000), "--name", f"old-{i}").returncode == 0
    assert k1hil(s3, "tag", "kept", "old-0", "--kind", "tuning").returncode == 0
    before = listed(s3)
    assert k1hil(s3, "gc", "--keep", "2", "--dry-run").returncode == 0 and listed(s3) == before
    assert k1hil(s3, "gc", "--keep", "2").returncode == 0
    left = listed(s3)
    assert {"old-3", "old-2", "old-0"} <= set(left) and "old-1" not in left


@pytest.mark.parametrize(
    ("change", "url"),
    [({"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, URL), ({}, "s3://no-such-bucket/lab")],
    ids=["no server", "no bucket"],
)
def test_a_store_out_of_reach_is_a_rig_fault(s3: Environment, tmp_path: Path, change: Environment, url: str) -> None:
    done = k1hil({**s3, **change}, "put", "tuning", file(tmp_path, b"lost"), "--name", "lost", url=url)
    assert done.returncode == 10, done.stdout + done.stderr
    assert "artifact store" in done.stderr and "Traceback" not in done.stderr
    assert s3["AWS_SECRET_ACCESS_KEY"] not in done.stderr
