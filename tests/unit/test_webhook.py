"""The webhook without a server: what is let in, what is not, and that nothing is started twice."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import random
import sqlite3
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from harness.conductor import webhook as webhook_module
from harness.conductor.deliveries import Deliveries
from harness.conductor.github import Ignored, Order, judge, signed
from harness.conductor.upload import Uploads
from harness.conductor.webhook import MAX_EVENT_BYTES, Refused, Webhook, read_body
from harness.conductor.webhook_config import Upload, WebhookConfig
from harness.errors import BadRequest, RigFault
from harness.pipeline.artifacts import ArtifactStore

SECRET = b"0123456789abcdef0123456789abcdef"
TOKEN = b"fedcba9876543210fedcba9876543210"
CONFIG = WebhookConfig.model_validate({
    "repositories": {"owner/k1": {"repo": "k1", "rig": "bench1", "production": "lamp1",
                                  "branches": ["main", "release/*"], "tags": ["v[0-9]*"],
                                  "options": {"environment": "sim", "webapp": "web/app"}},
                     "owner/solo": {"repo": "solo", "rig": "bench1"}},
    "upload": {"enabled": True, "patterns": ["spectrum"], "max_mib": 1, "per_hour": 4},
})  # fmt: skip
COMMIT = "a" * 39 + "1"


class Server:
    """Remembers what was started; may be down, or break off after it took a start."""

    def __init__(self) -> None:
        self.running: dict[str, tuple[str, dict[str, Any], str, str]] = {}
        self.down = False
        self.breaks_off = False

    def start(self, workflow: str, inputs: Mapping[str, Any], *, rig: str, correlation_id: str) -> str:
        if self.down:
            raise RigFault("no connection to the Conductor server", evidence="http://inside.example:8080")
        number = f"wf-{len(self.running)}"
        self.running[number] = (workflow, dict(inputs), rig, correlation_id)
        if self.breaks_off:
            self.breaks_off = False
            raise RigFault("the answer did not come")
        return number

    def started(self, workflow: str, correlation_id: str) -> str:
        if self.down:
            raise RigFault("no connection to the Conductor server")
        return next((n for n, run in self.running.items() if (run[0], run[3]) == (workflow, correlation_id)), "")


class Client:
    """Requests to an application in this process."""

    def __init__(self, app: Starlette) -> None:
        self._app = app

    def request(self, method: str, path: str, **what: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app, raise_app_exceptions=True)
            async with httpx.AsyncClient(transport=transport, base_url="http://webhook") as client:
                return await client.request(method, path, **what)

        return asyncio.run(ask())

    def get(self, path: str) -> httpx.Response:
        return self.request("GET", path)

    def post(self, path: str, **what: Any) -> httpx.Response:
        return self.request("POST", path, **what)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def client(server: Server, tmp_path: Path) -> Iterator[Client]:
    deliveries = Deliveries(tmp_path / "state")
    uploads = Uploads(CONFIG.upload, ArtifactStore(tmp_path / "store"), TOKEN)
    yield Client(Webhook(CONFIG, server, deliveries, SECRET, uploads).application())
    deliveries.close()


def push(**changes: Any) -> dict[str, Any]:
    event = {
        "ref": "refs/heads/main", "before": "0" * 40, "after": COMMIT, "deleted": False,
        "repository": {"full_name": "owner/k1", "pushed_at": 1}, "head_commit": {"id": COMMIT, "message": "x"},
        "pusher": {"name": "ada", "email": "ada@example.org"}, "commits": [],
    }  # fmt: skip
    return {**event, **changes}


def send(
    client: Client, event: Any, *, delivery: str = "d1d1d1d1-0001", kind: str = "push", key: bytes = SECRET,
    raw: bytes | None = None, **headers: str,
) -> httpx.Response:  # fmt: skip
    body = json.dumps(event).encode() if raw is None else raw
    sent = {
        "Content-Type": "application/json", "X-GitHub-Event": kind, "X-GitHub-Delivery": delivery,
        "X-Hub-Signature-256": f"sha256={hmac.new(key, body, hashlib.sha256).hexdigest()}",
    }  # fmt: skip
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post("/github", content=body, headers={k: v.encode() for k, v in sent.items()})


# ---- what starts what


def test_a_push_starts_ci(client: Client, server: Server) -> None:
    answer = send(client, push())
    assert (answer.status_code, answer.json()) == (202, {"workflow_id": "wf-0", "workflow": "firmware-ci-cd"})
    inputs = {"repo": "k1", "branch": "main", "commit_sha": COMMIT, "author": "ada", "rig": "bench1",
              "environment": "sim"}  # fmt: skip
    assert server.running["wf-0"] == ("firmware-ci-cd", inputs, "bench1", "d1d1d1d1-0001")


def test_a_tag_starts_a_release_of_the_commit_not_of_the_tag_object(client: Client, server: Server) -> None:
    assert send(client, push(ref="refs/tags/v1.2.0", after="b" * 40)).status_code == 202
    workflow, inputs, rig, _ = server.running["wf-0"]
    assert (workflow, inputs["tag"], inputs["commit_sha"]) == ("firmware-release", "v1.2.0", COMMIT)
    assert (inputs["rig"], inputs["production_rig"], inputs["webapp"]) == ("bench1", "lamp1", "web/app")
    assert rig == "", "two rigs: none of the two queues is the workflow's own"


@pytest.mark.parametrize(
    ("event", "kind"),
    [
        (push(ref="refs/heads/feature/x"), "push"),
        (push(ref="refs/heads/mainly"), "push"),
        (push(ref="refs/tags/nightly"), "push"),
        (push(deleted=True, after="0" * 40, head_commit=None), "push"),
        (push(ref="refs/tags/v1", repository={"full_name": "owner/solo"}), "push"),
        ({"zen": "x"}, "ping"),
        ({"action": "opened"}, "pull_request"),
    ],
)
def test_a_sound_event_may_start_nothing(client: Client, server: Server, event: Any, kind: str) -> None:
    answer = send(client, event, kind=kind)
    assert answer.status_code == 200 and answer.json()["ignored"] and not server.running


def test_a_pattern_of_branches_is_a_pattern(client: Client, server: Server) -> None:
    assert send(client, push(ref="refs/heads/release/1.x")).status_code == 202
    assert server.running["wf-0"][1]["branch"] == "release/1.x"


# ---- who is kept out


def test_forged_requests_start_nothing(client: Client, server: Server) -> None:
    right = hmac.new(SECRET, json.dumps(push()).encode(), hashlib.sha256).hexdigest()
    wrong_last = right[:-1] + ("0" if right[-1] != "0" else "1")
    forged = ["", "sha256=", f"sha256={wrong_last}", f"sha1={right[:40]}", right, f"sha256={right.upper()}x",
              f"sha256={right} ", "sha256=" + "é" * 64]  # fmt: skip
    for signature in forged:
        answer = send(client, push(), X_Hub_Signature_256=signature)
        assert answer.status_code == 401, signature
    assert send(client, push(), key=b"another secret").status_code == 401
    assert not server.running
    assert send(client, push(), X_Hub_Signature_256=f"sha256={right}").status_code == 202, "and the right one is taken"


def test_the_signature_is_that_of_the_documentation() -> None:
    # The example in GitHub's documentation of webhook signatures.
    digest = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signed(b"It's a Secret to Everybody", b"Hello, World!", f"sha256={digest}")


def test_a_foreign_repository_is_refused(client: Client, server: Server) -> None:
    for name in ("owner/k2", "OWNER/k1", "owner/k1/", "evil/owner/k1", ""):
        assert send(client, push(repository={"full_name": name})).status_code == 403, name
    assert not server.running


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"push"', b"\xff\xfe", b"[" * 200_000, b'{"ref": NaN}'])
def test_what_is_no_push_is_refused(client: Client, server: Server, raw: bytes) -> None:
    assert send(client, None, raw=raw).status_code == 400
    assert not server.running


@pytest.mark.parametrize(
    "changes",
    [
        {"ref": 7}, {"ref": "main"}, {"ref": "refs/heads/"}, {"ref": "refs/heads/-x"}, {"ref": "refs/heads/a..b"},
        {"ref": "refs/heads/$(id)"}, {"ref": "refs/heads/a b"}, {"ref": "refs/heads/" + "a" * 300},
        {"ref": "refs/heads/main\n"}, {"after": "HEAD"}, {"after": COMMIT.upper()}, {"after": COMMIT[:7]},
        {"head_commit": {"id": "; rm -rf /"}}, {"deleted": "no"}, {"repository": "owner/k1"}, {"repository": {}},
        {"pusher": []},
    ],
)  # fmt: skip
def test_a_push_of_the_wrong_shape_is_refused(client: Client, server: Server, changes: dict[str, Any]) -> None:
    assert send(client, push(**changes)).status_code == 400
    assert not server.running


def test_random_bodies_never_break_it(client: Client, server: Server) -> None:
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    whole = json.dumps(push(ref="refs/heads/other")).encode()
    for _ in range(200):
        body = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            body[rng.randrange(len(body))] = rng.randrange(256)
        answer = send(client, None, raw=bytes(body))
        assert answer.status_code in (200, 202, 400, 403), bytes(body)


def test_a_hostile_name_does_not_reach_the_workflow(client: Client, server: Server) -> None:
    send(client, push(pusher={"name": 'x"; $(reboot)\n\x1b[2J' + "y" * 900}))
    author = server.running["wf-0"][1]["author"]
    assert len(author) <= 100 and not set(author) & set('";$()\n\x1b')


def test_oversized_bodies_are_not_read(client: Client, server: Server) -> None:
    refused = send(client, None, raw=b" " * (MAX_EVENT_BYTES + 1))
    assert refused.status_code == 413 and refused.headers["Connection"] == "close", "nor is the rest of it"
    assert send(client, push(), Content_Length="9" * 40).status_code == 413
    assert send(client, push(), Content_Length="-1").status_code == 400
    assert not server.running


def test_a_body_without_a_length_is_bounded_while_it_comes() -> None:
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        taken += 1
        return {"type": "http.request", "body": b"x" * 1000, "more_body": True}

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(Refused) as refused:
        asyncio.run(read_body(request, 10_000, 5.0))
    assert refused.value.status == 413 and taken == 11


def test_a_body_that_does_not_come_is_given_up() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(60)
        raise AssertionError

    request = Request({"type": "http", "method": "POST", "headers": []}, receive)
    with pytest.raises(Refused) as refused:
        asyncio.run(read_body(request, 10_000, 0.05))
    assert refused.value.status == 408


def test_other_doors_are_shut(client: Client) -> None:
    assert client.get("/github").status_code == 405
    assert client.post("/workflow").status_code == 404
    assert send(client, push(), Content_Type="application/x-www-form-urlencoded").status_code == 415
    for delivery in ("", "x", "a" * 65, "../../etc"):
        assert send(client, push(), delivery=delivery).status_code == 400, delivery


# ---- once only


def test_a_replay_starts_nothing(client: Client, server: Server) -> None:
    assert send(client, push()).status_code == 202
    again = send(client, push())
    assert (again.status_code, again.json()) == (200, {"workflow_id": "wf-0", "duplicate": True})
    # The id is not covered by the signature: a captured body under a fresh id is a replay all the same.
    renamed = send(client, push(), delivery="d2d2d2d2-0002")
    assert renamed.status_code == 200 and renamed.json()["duplicate"]
    assert list(server.running) == ["wf-0"]


def test_the_memory_outlives_the_process_and_has_one_owner(server: Server, tmp_path: Path) -> None:
    first = Deliveries(tmp_path)
    send(Client(Webhook(CONFIG, server, first, SECRET).application()), push())
    with pytest.raises(RigFault, match="another webhook"):
        Deliveries(tmp_path)
    first.close()
    second = Deliveries(tmp_path)
    again = send(Client(Webhook(CONFIG, server, second, SECRET).application()), push())
    assert again.json() == {"workflow_id": "wf-0", "duplicate": True}
    second.close()
    assert list(server.running) == ["wf-0"]


def test_the_memory_is_bounded_and_strangers_cannot_flush_it(server: Server, tmp_path: Path) -> None:
    deliveries = Deliveries(tmp_path, most=5)
    client = Client(Webhook(CONFIG, server, deliveries, SECRET).application())
    for i in range(1, 13):
        assert send(client, push(after=f"{i:040x}"), delivery=f"delivery-{i}").status_code == 202
    assert deliveries.count() == 5
    for i in range(1, 20):
        assert send(client, push(after=f"{i:040x}"), delivery=f"stranger-{i}", key=b"guessed").status_code == 401
        assert "ignored" in send(client, push(ref="refs/heads/x", after=f"{i:040x}"), delivery=f"ignored-{i}").json()
    assert send(client, push(after=f"{8:040x}"), delivery="delivery-8").json()["duplicate"]
    deliveries.close()
    with sqlite3.connect(tmp_path / "deliveries.db") as db:
        assert db.execute("SELECT COUNT(*) FROM deliveries").fetchone() == (5,)


def test_a_server_that_is_down_can_be_asked_again(client: Client, server: Server) -> None:
    server.down = True
    for _ in range(2):
        answer = send(client, push())
        assert answer.status_code == 503 and answer.headers["Retry-After"] == "60"
        assert "inside.example" not in answer.text, "strangers learn nothing of the house"
    server.down = False
    assert send(client, push()).status_code == 202 and list(server.running) == ["wf-0"]


def test_a_start_whose_answer_was_lost_is_not_repeated(client: Client, server: Server) -> None:
    server.breaks_off = True
    assert send(client, push()).status_code == 503
    again = send(client, push())
    assert (again.status_code, again.json()["workflow_id"]) == (200, "wf-0")
    assert list(server.running) == ["wf-0"]


# ---- sound


def upload(client: Client, data: bytes, token: str = TOKEN.decode(), patterns: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}".encode()}
    return client.post("/audio", params={"patterns": patterns}, content=data, headers=headers)


WAV = b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(64)


def test_sound_goes_into_the_store_and_starts_tuning(client: Client, server: Server, tmp_path: Path) -> None:
    assert upload(client, WAV, patterns="pulse,bloom").status_code == 202
    workflow, inputs, rig, _ = server.running["wf-0"]
    assert (workflow, rig, inputs["patterns"]) == ("audio-tuning", "", ["pulse", "bloom"])
    store = ArtifactStore(tmp_path / "store")
    kept = store.get("tuning", inputs["audio"])
    assert store.content(kept) == WAV and kept.sha256 == inputs["audio_sha256"] and kept.file.endswith(".wav")
    assert upload(client, WAV, patterns="pulse,bloom").json()["duplicate"]
    assert upload(client, WAV).status_code == 202, "the same sound for other patterns is other work"
    assert server.running["wf-1"][1]["patterns"] == ["spectrum"]


def test_sound_of_strangers_is_refused(client: Client, server: Server, tmp_path: Path) -> None:
    for header in ("", "Bearer", f"Basic {TOKEN.decode()}", f"Bearer {TOKEN.decode()}x", "Bearer é"):
        answer = client.post("/audio", content=WAV, headers={"Authorization": header.encode()})
        assert answer.status_code == 401, header
    assert not server.running and not ArtifactStore(tmp_path / "store").all("tuning")


def test_uploads_are_bounded(client: Client, server: Server) -> None:
    assert upload(client, WAV + bytes(1 << 20)).status_code == 413
    assert upload(client, b"<html>").status_code == 400
    assert upload(client, WAV, patterns="../x").status_code == 400
    assert upload(client, WAV, patterns=",".join("abcdefghijklmnopqr")).status_code == 400
    assert upload(client, b"fLaC" + bytes(9)).status_code == 202
    assert upload(client, b"OggS" + bytes(9)).status_code == 202
    late = upload(client, WAV)
    assert late.status_code == 429 and 3000 < int(late.headers["Retry-After"]) <= 3600
    assert len(server.running) == 2


def test_places_come_back_with_time(tmp_path: Path) -> None:
    now = [100.0]
    uploads = Uploads(Upload(enabled=True, per_hour=2), ArtifactStore(tmp_path), TOKEN, lambda: now[0])
    assert [uploads.enter(), uploads.enter()] == [0, 0]
    uploads.leave()
    uploads.leave()
    assert uploads.enter() == 3600
    now[0] += 3601
    assert [uploads.enter(), uploads.enter()] == [0, 0]
    now[0] += 3601
    assert uploads.enter() == 5, "two are inside still"


def test_figures(client: Client) -> None:
    send(client, push())
    send(client, push())
    send(client, push(), key=b"guessed")
    text = client.get("/metrics").text
    for result in ("started", "duplicate", "refused"):
        assert f'k1_webhook_requests_total{{door="github",result="{result}"}} 1.0' in text
    assert client.get("/healthz").text == "ok\n"


def test_it_does_not_run_with_nothing_to_let_in(server: Server, tmp_path: Path) -> None:
    (tmp_path / "webhook.toml").write_text("")
    with pytest.raises(BadRequest, match="lets nothing in"):
        webhook_module.run(tmp_path / "webhook.toml", server, tmp_path / "state", 0)


def test_judging_is_pure() -> None:
    body = json.dumps(push()).encode()
    assert isinstance(judge("push", body, CONFIG), Order)
    assert judge("issues", body, CONFIG) == Ignored("only push events start workflows")
