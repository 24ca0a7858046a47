"""The Conductor server's REST interface, as far as the harness uses it: one method per call, typed failures.

A 200 of this server proves little: it answers so to results of tasks that are long over. Who needs to know reads back.
The paths are those of Conductor OSS 3.32; Orkes Cloud has the same ones, with a token (never tried there: unverified).
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from harness.conductor.routing import rig_domain
from harness.errors import BadRequest, RigFault

URL_ENV = "CONDUCTOR_SERVER_URL"
KEY_ENV, SECRET_ENV = "CONDUCTOR_AUTH_KEY", "CONDUCTOR_AUTH_SECRET"
DEFAULT_URL = "http://127.0.0.1:8080/api"
TIMEOUT_S = 30.0
TOKEN_LIFE_S = 45 * 60.0
MAX_SAID = 300
CLOSED = frozenset({"COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"})
TASK_OVER = frozenset(
    {"COMPLETED", "COMPLETED_WITH_ERRORS", "FAILED", "FAILED_WITH_TERMINAL_ERROR", "TIMED_OUT", "CANCELED", "SKIPPED"}
)


class Conductor:
    """A client of one server; safe for use by several threads.

    Args:
        api_url: ends with ``/api``; default ``CONDUCTOR_SERVER_URL``, else the port of a local server. May carry
            ``user:password@`` for a proxy with basic authentication.
        key, secret: of an Orkes application; default from the environment. None of them: no token.
        timeout_s: of one call.
    """

    def __init__(
        self,
        api_url: str | None = None,
        *,
        key: str | None = None,
        secret: str | None = None,
        timeout_s: float = TIMEOUT_S,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        url = (api_url or os.environ.get(URL_ENV) or DEFAULT_URL).rstrip("/")
        if not url.startswith(("http://", "https://")) or not url.endswith("/api"):
            raise BadRequest("unusable address of a Conductor server", expected="http://HOST:PORT/api", got=url[:100])
        self.api_url = url
        self._key = os.environ.get(KEY_ENV, "") if key is None else key
        self._secret = os.environ.get(SECRET_ENV, "") if secret is None else secret
        self._token = ""
        self._token_until = 0.0
        self._timeout_s = timeout_s
        # A local server is never behind the proxy that the environment may name.
        self._http = httpx.Client(timeout=timeout_s, trust_env=url.startswith("https://"), transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the connections."""
        self._http.close()

    # ---- workflows

    def start(
        self,
        name: str,
        input: Mapping[str, Any],
        *,
        domain: Mapping[str, str] | str | None = None,
        correlation_id: str = "",
        version: int | None = None,
    ) -> str:
        """Starts a workflow; its id.

        Args:
            name: of a registered workflow.
            input: its input.
            domain: where its rig tasks go: the rig's name (then also the input ``rig`` where that is absent), or
                task type -> domain. Tasks without a rig never have one.
            correlation_id: a name of the caller's, to find the workflow by.
            version: default the newest.
        """
        body: dict[str, Any] = {"name": name, "input": dict(input)}
        if isinstance(domain, str) and domain:
            body["input"].setdefault("rig", domain)
            domain = rig_domain(domain)
        if domain:
            body["taskToDomain"] = dict(domain)
        if correlation_id:
            body["correlationId"] = correlation_id
        if version is not None:
            body["version"] = version
        return self._call("POST", "/workflow", json=body).text.strip().strip('"')

    def workflow(self, workflow_id: str, *, tasks: bool = True) -> dict[str, Any]:
        """A workflow, with its tasks unless they are not wanted."""
        return self._object("GET", f"/workflow/{_part(workflow_id)}", params={"includeTasks": str(tasks).lower()})

    def workflow_status(self, workflow_id: str) -> str:
        """RUNNING, PAUSED, COMPLETED, FAILED, TIMED_OUT or TERMINATED."""
        return str(self._object("GET", f"/workflow/{_part(workflow_id)}", params={"includeTasks": "false"})["status"])

    def terminate(self, workflow_id: str, reason: str) -> None:
        """Stops a workflow; its open task is cancelled, its failure workflow is *not* started by this server."""
        self._call("DELETE", f"/workflow/{_part(workflow_id)}", params={"reason": reason[:MAX_SAID]})

    def correlated(self, name: str, correlation_id: str, *, closed: bool = True) -> list[dict[str, Any]]:
        """Workflows of a name that were started with a correlation id."""
        path = f"/workflow/{_part(name)}/correlated/{_part(correlation_id)}"
        return self._list("GET", path, params={"includeClosed": str(closed).lower(), "includeTasks": "false"})

    def search(self, query: str = "", *, size: int = 20, start: int = 0) -> list[dict[str, Any]]:
        """Summaries of workflows, newest first; for example ``status IN (RUNNING) AND workflowType IN (x)``."""
        params: dict[str, Any] = {"query": query, "size": size, "start": start, "sort": "startTime:DESC"}
        return list(self._object("GET", "/workflow/search", params=params).get("results") or [])

    def test_workflow(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Runs a workflow with made-up task results in the server's own decider (``POST /workflow/test``)."""
        return self._object("POST", "/workflow/test", json=dict(request))

    # ---- tasks

    def poll(
        self, task_type: str, worker_id: str, domain: str | None = None, timeout_ms: int = 1000
    ) -> list[dict[str, Any]]:
        """Takes at most one task of a type; waits on the server for it. A list, for servers that hand out more."""
        params: dict[str, Any] = {"workerid": worker_id, "count": 1, "timeout": timeout_ms}
        if domain:
            params["domain"] = domain
        wait_s = self._timeout_s + timeout_ms / 1000
        return self._list("GET", f"/tasks/poll/batch/{_part(task_type)}", params=params, timeout=wait_s)

    def task(self, task_id: str) -> dict[str, Any]:
        """A task as the server knows it."""
        return self._object("GET", f"/tasks/{_part(task_id)}")

    def update(self, result: Mapping[str, Any]) -> None:
        """Reports a task's result (or, with ``extendLease``, that it goes on). Says nothing of what became of it."""
        self._call("POST", "/tasks", json=dict(result))

    def add_log(self, task_id: str, line: str) -> None:
        """One line into the task's log: readable at once."""
        headers = {"Content-Type": "text/plain"}
        self._call("POST", f"/tasks/{_part(task_id)}/log", content=line.encode(), headers=headers)

    def logs(self, task_id: str) -> list[str]:
        """The lines of a task's log, in order."""
        entries = self._list("GET", f"/tasks/{_part(task_id)}/log")
        return [str(e.get("log", "")) for e in sorted(entries, key=lambda e: e.get("createdTime") or 0)]

    def complete(self, workflow_id: str, ref: str, status: str, output: Mapping[str, Any]) -> None:
        """Ends the open task of a reference name; silently nothing when it is not open: read back."""
        path = f"/tasks/{_part(workflow_id)}/{_part(ref)}/{_part(status)}"
        self._call("POST", path, json=dict(output))

    def queue_sizes(self) -> dict[str, int]:
        """Waiting tasks by queue; the key of a domain's queue is ``domain:task``."""
        return {str(k): int(v) for k, v in self._object("GET", "/tasks/queue/all").items()}

    # ---- definitions

    def register_task(self, definition: Mapping[str, Any]) -> None:
        """Makes or replaces a task definition."""
        self._call("POST", "/metadata/taskdefs", json=[dict(definition)])

    def register_workflow(self, definition: Mapping[str, Any]) -> None:
        """Makes or replaces a workflow definition, by name and version, after the server has validated it."""
        self._call("POST", "/metadata/workflow/validate", json=dict(definition))
        self._call("POST", "/metadata/workflow", params={"overwrite": "true"}, json=dict(definition))

    def task_definition(self, name: str) -> dict[str, Any]:
        """A registered task definition."""
        return self._object("GET", f"/metadata/taskdefs/{_part(name)}")

    def workflow_definition(self, name: str) -> dict[str, Any]:
        """The newest registered version of a workflow."""
        return self._object("GET", f"/metadata/workflow/{_part(name)}")

    # ---- schedules

    def save_schedule(self, schedule: Mapping[str, Any]) -> None:
        """Makes or replaces a schedule (six-field cron)."""
        self._call("POST", "/scheduler/schedules", json=dict(schedule))

    def schedules(self, workflow: str = "") -> list[dict[str, Any]]:
        """All schedules, or those of one workflow."""
        params = {"workflowName": workflow} if workflow else {}
        return self._list("GET", "/scheduler/schedules", params=params)

    def delete_schedule(self, name: str) -> None:
        """Removes a schedule."""
        self._call("DELETE", f"/scheduler/schedules/{_part(name)}")

    # ---- calls

    def _object(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        value = self._json(method, path, **request)
        if not isinstance(value, dict):
            raise self._strange(path, value, "an object")
        return value

    def _list(self, method: str, path: str, **request: Any) -> list[dict[str, Any]]:
        value = self._json(method, path, **request)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._strange(path, value, "a list")
        return value

    def _json(self, method: str, path: str, **request: Any) -> Any:
        answer = self._call(method, path, **request)
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise self._strange(path, answer.text, "JSON") from error

    def _strange(self, path: str, value: Any, expected: str) -> RigFault:
        return RigFault(
            "not the answer of a Conductor server", expected=expected, got=repr(value)[:MAX_SAID],
            evidence=f"{_hidden(self.api_url)}{path}", remedy=f"is {URL_ENV} right?",
        )  # fmt: skip

    def _call(self, method: str, path: str, **request: Any) -> httpx.Response:
        if self._key and self._secret:
            headers = {**request.pop("headers", {}), "X-Authorization": self._valid_token()}
            request["headers"] = headers
        return self._send(method, path, **request)

    def _send(self, method: str, path: str, **request: Any) -> httpx.Response:
        where = f"{method} {_hidden(self.api_url)}{path}"
        try:
            answer = self._http.request(method, f"{self.api_url}{path}", **request)
        except httpx.HTTPError as error:
            raise RigFault(
                "the Conductor server does not answer", got=f"{type(error).__name__}: {error}"[:MAX_SAID],
                evidence=where, remedy="k1hil conductor status; k1hil conductor up",
            ) from error  # fmt: skip
        if answer.is_success:
            return answer
        said = f"{answer.status_code} {_words(answer)}"
        if answer.status_code in (401, 403):
            raise BadRequest(
                "the Conductor server refuses these credentials", got=said, evidence=where,
                remedy=f"set {KEY_ENV} and {SECRET_ENV}, or user and password in {URL_ENV}",
            )  # fmt: skip
        if 400 <= answer.status_code < 500 and answer.status_code not in (408, 429):
            raise BadRequest("the Conductor server refuses this", got=said, evidence=where)
        raise RigFault("the Conductor server failed", got=said, evidence=where, remedy="its log says why; try again")

    def _valid_token(self) -> str:
        if time.monotonic() >= self._token_until:
            body = {"keyId": self._key, "keySecret": self._secret}
            answer = self._send("POST", "/token", json=body)
            try:
                self._token = str(answer.json()["token"])
            except (ValueError, KeyError, TypeError) as error:
                raise self._strange("/token", "no token in it", "a token") from error
            self._token_until = time.monotonic() + TOKEN_LIFE_S
        return self._token


def _part(text: str) -> str:
    """A caller's text as one part of a path: it cannot climb out of it."""
    if not text or text in (".", ".."):
        raise BadRequest("an empty name or id", got=repr(text))
    return quote(str(text), safe="")


def _words(answer: httpx.Response) -> str:
    """The server's own words, without its stack trace."""
    try:
        body = answer.json()
        said = str(body.get("message") or body)
        errors = body.get("validationErrors")
        if errors:
            said += "; " + "; ".join(f"{e.get('path')}: {e.get('message')}" for e in errors)
    except (ValueError, AttributeError):
        said = answer.text
    return " ".join(said.split())[:MAX_SAID]


def _hidden(url: str) -> str:
    """An address without the user and password that it may carry."""
    head, _, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://{tail}" if head else url
