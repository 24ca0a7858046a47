"""The webhook as a process, in front of a real server."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from harness.conductor.register import register
from harness.conductor.rest import Conductor
from harness.conductor.server import ConductorServer
from harness.pipeline.artifacts import ArtifactStore

ROOT = Path(__file__).resolve().parents[2]
SECRET, TOKEN = secrets.token_hex(32), secrets.token_hex(32)
RIG = "webhook-test-rig"  # nobody's: the workflows stay where they begin
ENVIRONMENT = {"K1HIL_WEBHOOK_SECRET": SECRET, "K1HIL_UPLOAD_TOKEN": TOKEN}


@pytest.fixture(scope="module")
def server(conductor: Conductor) -> Conductor:
    """The shared server with the shipped definitions."""
    register(conductor)
    return conductor


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "webhook.toml"
    path.write_text(f"""
[repositories."owner/k1"]
repo = "webhook-test"
rig = "{RIG}"
production = "{RIG}-production"
[upload]
enabled = true
max_mib = 1
""")
    return path


@contextmanager
def webhook(config: Path, api_url: str) -> Iterator[str]:
    """The command; its address. It ends well on SIGTERM, and never says a secret."""
    folder = config.parent
    command = [sys.executable, "-m", "harness.cli", "webhook", "--config", str(config), "--server", api_url,
               "--state", str(folder / "state"), "--store", str(folder / "store"), "--port", "0"]  # fmt: skip
    log = folder / "log.txt"
    with log.open("ab") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=ROOT, text=True,
                                   env={**os.environ, **ENVIRONMENT})  # fmt: skip
    said = ""
    try:
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), log.read_text()
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        said, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert SECRET not in said + log.read_text() and TOKEN not in said + log.read_text()


def push(commit: str, ref: str = "refs/heads/main", full_name: str = "owner/k1") -> bytes:
    event = {"ref": ref, "after": commit, "deleted": False, "repository": {"full_name": full_name},
             "head_commit": {"id": commit}, "pusher": {"name": "ada"}}  # fmt: skip
    return json.dumps(event).encode()


def send(address: str, body: bytes, delivery: str, key: str = SECRET) -> httpx.Response:
    headers = {
        "Content-Type": "application/json", "X-GitHub-Event": "push", "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest(),
    }  # fmt: skip
    return httpx.post(f"{address}/github", content=body, headers=headers, trust_env=False, timeout=60)


def sent(address: str, body: bytes, delivery: str) -> str:
    """Id of the workflow of a delivery, redelivered while a busy server does not answer in time."""
    for _ in range(5):
        answer = send(address, body, delivery)
        if answer.status_code != 503:
            break
    assert answer.status_code in (200, 202), answer.text
    return str(answer.json()["workflow_id"])


def only(server: Conductor, workflow: str, delivery: str) -> dict[str, Any]:
    """The one workflow of a delivery, ended afterwards."""
    (found,) = server.correlated(workflow, delivery)
    whole = server.workflow(str(found["workflowId"]))
    if whole["status"] == "RUNNING":
        server.terminate(str(found["workflowId"]), "the test is over")
    return whole


def test_a_push_becomes_one_workflow_however_often_it_comes(server: Conductor, config: Path) -> None:
    commit, delivery = secrets.token_hex(20), f"push-{secrets.token_hex(8)}"
    with webhook(config, server.api_url) as address:
        first = sent(address, push(commit), delivery)
        assert send(address, push(commit), delivery).json() == {"workflow_id": first, "duplicate": True}
        assert send(address, push(commit), f"{delivery}-again").json()["duplicate"]
        assert send(address, push(secrets.token_hex(20)), f"{delivery}-f", key="forged").status_code == 401
        assert send(address, push(commit, full_name="owner/k2"), f"{delivery}-r").status_code == 403
    with webhook(config, server.api_url) as address:
        assert send(address, push(commit), delivery).json()["duplicate"], "it remembers over restarts"
    workflow = only(server, "firmware-ci-cd", delivery)
    assert workflow["workflowId"] == first
    told = workflow["input"]
    assert (told["repo"], told["branch"], told["commit_sha"], told["author"], told["rig"]) == (
        "webhook-test", "main", commit, "ada", RIG,
    )  # fmt: skip
    assert workflow["taskToDomain"]["k1_deploy"] == RIG and "k1_compile" not in workflow["taskToDomain"]


def test_a_tag_becomes_a_release(server: Conductor, config: Path) -> None:
    commit, delivery = secrets.token_hex(20), f"tag-{secrets.token_hex(8)}"
    with webhook(config, server.api_url) as address:
        sent(address, push(commit, "refs/tags/v1.2.0"), delivery)
    told = only(server, "firmware-release", delivery)["input"]
    assert (told["tag"], told["commit_sha"], told["rig"]) == ("v1.2.0", commit, RIG)
    assert told["production_rig"] == f"{RIG}-production"


def test_a_server_that_is_down_is_asked_again_and_started_once(server: Conductor, config: Path) -> None:
    commit, delivery = secrets.token_hex(20), f"down-{secrets.token_hex(8)}"
    with socket.socket() as held:  # bound and not listening: nobody answers there
        held.bind(("127.0.0.1", 0))
        with webhook(config, f"http://127.0.0.1:{held.getsockname()[1]}/api") as address:
            refused = send(address, push(commit), delivery)
            assert refused.status_code == 503 and refused.headers["Retry-After"]
    with webhook(config, server.api_url) as address:
        again = sent(address, push(commit), delivery)  # GitHub's redelivery starts what could not be started
        assert send(address, push(commit), delivery).json()["duplicate"]
    assert only(server, "firmware-ci-cd", delivery)["workflowId"] == again


def test_a_start_that_was_not_recorded_is_found_on_the_server(server: Conductor, config: Path) -> None:
    """The webhook died between the server's yes and its own record."""
    commit, delivery = secrets.token_hex(20), f"lost-{secrets.token_hex(8)}"
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        with webhook(config, f"http://127.0.0.1:{held.getsockname()[1]}/api") as address:
            assert send(address, push(commit), delivery).status_code == 503
    inputs = {"repo": "webhook-test", "branch": "main", "commit_sha": commit, "rig": RIG}
    started = server.start("firmware-ci-cd", inputs, domain=RIG, correlation_id=delivery)
    with webhook(config, server.api_url) as address:
        assert sent(address, push(commit), delivery) == started
    only(server, "firmware-ci-cd", delivery)


def test_uploaded_sound_starts_tuning(server: Conductor, config: Path) -> None:
    wav = b"RIFF" + (2036).to_bytes(4, "little") + b"WAVEfmt " + secrets.token_bytes(2028)
    with webhook(config, server.api_url) as address:

        def upload(data: bytes, token: str) -> httpx.Response:
            headers = {"Authorization": f"Bearer {token}"}
            url = f"{address}/audio?patterns=spectrum"
            return httpx.post(url, content=data, headers=headers, trust_env=False, timeout=60)

        assert upload(wav, "guessed").status_code == 401
        assert upload(wav + bytes(1 << 20), TOKEN).status_code == 413
        answer = upload(wav, TOKEN)
        while answer.status_code == 503:  # a busy server; the hourly limit ends this
            answer = upload(wav, TOKEN)
        assert answer.status_code in (200, 202), answer.text
    workflow = server.workflow(answer.json()["workflow_id"])
    server.terminate(str(workflow["workflowId"]), "the test is over")
    assert workflow["workflowName"] == "audio-tuning" and workflow["input"]["patterns"] == ["spectrum"]
    store = ArtifactStore(config.parent / "store")
    kept = store.get("tuning", workflow["input"]["audio"])
    assert store.content(kept) == wav and kept.sha256 == workflow["input"]["audio_sha256"]


def test_endless_and_unfinished_bodies_are_cut_off(conductor_server: ConductorServer, config: Path) -> None:
    with webhook(config, conductor_server.api_url) as address:
        host, port = address.removeprefix("http://").split(":")
        head = b"POST /github HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        with socket.create_connection((host, int(port)), 30) as endless:
            endless.sendall(head + b"Transfer-Encoding: chunked\r\n\r\n")
            sent, chunk = 0, b"10000\r\n" + bytes(0x10000) + b"\r\n"
            try:
                while sent < 64 << 20:
                    endless.sendall(chunk)
                    sent += len(chunk)
            except OSError:
                pass
            assert sent < 32 << 20, "it reads on and on"
        with socket.create_connection((host, int(port)), 30) as slow:
            slow.sendall(head + b"Content-Length: 1000\r\n\r\n{")
            assert slow.recv(100).startswith(b"HTTP/1.1 408 ")
        assert httpx.get(f"{address}/healthz", trust_env=False).text == "ok\n"


@pytest.mark.parametrize("missing", sorted(ENVIRONMENT))
def test_it_does_not_start_without_its_secrets(config: Path, missing: str) -> None:
    environment = {k: v for k, v in {**os.environ, **ENVIRONMENT}.items() if k != missing}
    command = [sys.executable, "-m", "harness.cli", "webhook", "--config", str(config), "--state",
               str(config.parent / "state"), "--port", "0"]  # fmt: skip
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 4 and missing in done.stderr
