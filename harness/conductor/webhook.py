"""``k1hil webhook``: pushes and tags on GitHub, and uploaded sound, start workflows.

``POST /github`` is for GitHub, ``POST /audio`` for whoever has the upload token, ``/healthz`` and ``/metrics`` for the
house. Nothing of a request is parsed before its signature or token is proven, and no more of it is read than allowed.
Whatever the answer, a delivery starts at most one workflow: see :mod:`harness.conductor.deliveries`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, generate_latest
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from harness.conductor import github
from harness.conductor.deliveries import Deliveries
from harness.conductor.exporter import serve_app
from harness.conductor.rest import Conductor
from harness.conductor.upload import Uploads
from harness.conductor.webhook_config import SECRET_ENV, TOKEN_ENV, WebhookConfig, load_webhook_config, secret
from harness.errors import BadRequest, K1HilError, RigFault
from harness.pipeline.artifacts import ArtifactStore

# GitHub's largest event of a push with 2048 commits stays below; what it sends beyond, nobody here reads.
MAX_EVENT_BYTES = 4 << 20
BODY_TIMEOUT_S = 10.0
# Sound comes over slower lines.
UPLOAD_TIMEOUT_S = 120.0
SERVER_TIMEOUT_S = 8.0


class Starter(Protocol):
    """What of a Conductor server the webhook needs."""

    def start(self, workflow: str, inputs: Mapping[str, Any], *, rig: str, correlation_id: str) -> str:
        """Starts a workflow; its id."""
        ...

    def started(self, workflow: str, correlation_id: str) -> str:
        """Id of the workflow that was started with this correlation id; "" when there is none."""
        ...


class ServerStarter:
    """A Conductor server. GitHub waits ten seconds for an answer: so long this one may take at most.

    Args:
        api_url: of the server; None: as :class:`~harness.conductor.rest.Conductor` finds it.
    """

    def __init__(self, api_url: str | None = None) -> None:
        self._server = Conductor(api_url, timeout_s=SERVER_TIMEOUT_S)

    def start(self, workflow: str, inputs: Mapping[str, Any], *, rig: str, correlation_id: str) -> str:
        """See :class:`Starter`."""
        try:
            return self._server.start(workflow, inputs, domain=rig or None, correlation_id=correlation_id)
        except BadRequest as error:
            # Not the sender's mistake: definitions that are not registered, credentials.
            raise RigFault(error.message, got=error.got, evidence=error.evidence, remedy=error.remedy) from error

    def started(self, workflow: str, correlation_id: str) -> str:
        """See :class:`Starter`."""
        found = self._server.correlated(workflow, correlation_id)
        return str(found[0].get("workflowId", "")) if found else ""


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, word: str, message: str, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.status = status
        self.word = word
        self.message = message
        self.retry_after_s = retry_after_s


class Webhook:
    """The application's state and its handlers.

    Args:
        config: what is let in.
        starter: the server.
        deliveries: what was taken already.
        secret: shared with GitHub; None: no repositories.
        uploads: takes sound; None: none is taken.
    """

    def __init__(
        self, config: WebhookConfig, starter: Starter, deliveries: Deliveries, secret: bytes | None,
        uploads: Uploads | None = None,
    ) -> None:  # fmt: skip
        self._config = config
        self._starter = starter
        self._deliveries = deliveries
        self._secret = secret
        self._uploads = uploads
        self._registry = CollectorRegistry()
        self._counted = Counter(
            "k1_webhook_requests", "Requests, by door and answer.", ["door", "result"], registry=self._registry
        )
        for door in ("github", "audio"):
            for result in ("started", "duplicate", "ignored", "refused", "unavailable"):
                self._counted.labels(door, result)

    def application(self) -> Starlette:
        """The Starlette application."""
        routes = [Route("/healthz", self._healthz), Route("/metrics", self._metrics)]
        if self._secret is not None:
            routes.append(Route("/github", self._github, methods=["POST"]))
        if self._uploads is not None:
            routes.append(Route("/audio", self._audio, methods=["POST"]))
        return Starlette(routes=routes)

    # ---- doors

    async def _github(self, request: Request) -> Response:
        return await self._answered("github", self._push(request))

    async def _push(self, request: Request) -> tuple[str, dict[str, Any]]:
        assert self._secret is not None
        headers = request.headers
        if headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            raise Refused(415, "not_json", "set the webhook's content type to application/json")
        body = await read_body(request, MAX_EVENT_BYTES, BODY_TIMEOUT_S)
        if not github.signed(self._secret, body, headers.get("x-hub-signature-256", "")):
            raise Refused(401, "bad_signature", "the signature is not that of this body")
        delivery = github.delivery_id(headers.get("x-github-delivery", ""))
        verdict = github.judge(headers.get("x-github-event", ""), body, self._config)
        if isinstance(verdict, github.Ignored):
            return "ignored", {"ignored": verdict.reason}
        return await run_in_threadpool(self.deliver, delivery, hashlib.sha256(body).hexdigest(), verdict)

    def deliver(self, delivery: str, digest: str, order: github.Order) -> tuple[str, dict[str, Any]]:
        """Starts the workflow of a delivery unless it was started before. Blocks."""
        with self._deliveries.one(delivery, digest) as claim:
            if claim.workflow:
                return "duplicate", {"workflow_id": claim.workflow, "duplicate": True}
            # An earlier attempt broke off between start and record, or the server was down: only it knows.
            found = "" if claim.fresh else self._starter.started(order.workflow, claim.id)
            workflow = found or self._starter.start(
                order.workflow, order.inputs, rig=order.rig, correlation_id=claim.id
            )
            self._deliveries.started(claim, workflow)
        return "duplicate" if found else "started", {"workflow_id": workflow, "workflow": order.workflow}

    async def _audio(self, request: Request) -> Response:
        return await self._answered("audio", self._sound(request))

    async def _sound(self, request: Request) -> tuple[str, dict[str, Any]]:
        uploads = self._uploads
        assert uploads is not None
        if not uploads.authorised(request.headers.get("authorization", "")):
            raise Refused(401, "bad_token", "Authorization: Bearer TOKEN")
        patterns = uploads.patterns(request.query_params.get("patterns", ""))
        wait_s = uploads.enter()
        if wait_s:
            raise Refused(429, "too_many", "as many uploads as are taken at a time", wait_s)
        try:
            data = await read_body(request, uploads.most_bytes, UPLOAD_TIMEOUT_S)
            order, digest = await run_in_threadpool(uploads.keep, data, patterns)
            return await run_in_threadpool(self.deliver, f"audio-{digest[:32]}", digest, order)
        finally:
            uploads.leave()

    async def _healthz(self, request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def _metrics(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_LATEST)

    # ---- answers

    async def _answered(self, door: str, work: Any) -> Response:
        """Turns what came of a request into an answer, a count and a line of the log."""
        retry_after_s = 0
        try:
            result, body = await work
            status = 202 if result == "started" else 200
        except Refused as error:
            status, result, retry_after_s = error.status, "refused", error.retry_after_s
            body = {"error": error.word, "message": error.message}
        except github.NotAllowed as error:
            status, result, body = 403, "refused", {"error": "not_allowed", "message": error.message}
        except BadRequest as error:
            status, result = 400, "refused"
            body = {"error": "bad_request", "message": error.message, "expected": error.expected, "got": error.got}
        except K1HilError as error:
            # Details stay in the log: an answer tells strangers nothing of the house.
            print(error, file=sys.stderr, flush=True)
            status, result, retry_after_s = 503, "unavailable", 60
            body = {"error": "unavailable", "message": "nothing was started; send it again later"}
        self._counted.labels(door, result).inc()
        print(json.dumps({"door": door, "status": status, "result": result, **body}), flush=True)
        headers = {"Retry-After": str(retry_after_s)} if retry_after_s else {}
        if status >= 400:
            # What is left of a refused body would else be read to its end, and it may have none.
            headers["Connection"] = "close"
        return JSONResponse(body, status, headers)


async def read_body(request: Request, most: int, timeout_s: float) -> bytes:
    """The body, never more of it than ``most`` bytes, never longer than ``timeout_s``.

    Raises:
        Refused: 413 or 408; 400 when the sender went away or its length is no number.
    """
    length = request.headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise Refused(400, "bad_length", "Content-Length is no number")
    too_large = Refused(413, "too_large", f"at most {most} bytes")
    if len(length) > 12 or int(length) > most:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise too_large
    except TimeoutError:
        raise Refused(408, "too_slow", f"the whole body within {timeout_s:g} s") from None
    except ClientDisconnect:
        raise Refused(400, "broken_off", "the sender went away") from None
    return bytes(body)


def run(config_path: Path, starter: Starter, state: Path, port: int, *, address: str = "127.0.0.1",
        store: str | None = None) -> None:  # fmt: skip
    """Serves the webhook until SIGINT or SIGTERM.

    Args:
        config_path: ``webhook.toml``.
        starter: the server.
        state: folder of the record of deliveries.
        store: URL of the artifact store, into which uploads go.

    Raises:
        BadRequest: a mistake in the file, a secret that is missing, or nothing to serve.
        RigFault: port or folder are in use.
    """
    config = load_webhook_config(config_path)
    if not config.repositories and not config.upload.enabled:
        raise BadRequest(f"{config_path} lets nothing in", expected="[repositories] or upload.enabled")
    shared = secret(SECRET_ENV) if config.repositories else None
    uploads = Uploads(config.upload, ArtifactStore(store), secret(TOKEN_ENV)) if config.upload.enabled else None
    deliveries = Deliveries(state)
    try:
        serve_app(Webhook(config, starter, deliveries, shared, uploads).application(), port, address)
    finally:
        deliveries.close()
