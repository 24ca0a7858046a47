"""Requests to a device's HTTP API: errors by kind, the rate limits kept by waiting on the rig's clock."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import httpx

from harness.errors import DutFailure, RigFault
from harness.instruments.api_errors import ApiError, BadAnswer, EndpointAbsent, KeyRefused, RateLimited, shown
from harness.instruments.api_fields import Answer
from harness.instruments.clock import HostClock, never
from harness.instruments.flashing import FlashGuard

A = TypeVar("A", bound=Answer)

# How often a rate-limited request is asked again; each time the device itself says how long to wait.
RATE_LIMIT_TRIES = 5
MAX_WINDOW_S = 10.0
DEFAULT_WINDOW_MS = 200
MAX_BODY_BYTES = 4 << 20
# A whole answer may take so many times what one read may.
WHOLE_ANSWER = 4
DEFAULT_READ_S = 5.0
# Say how the body was packed on the way; it is unpacked now.
_OF_THE_WIRE = {"content-encoding", "content-length", "transfer-encoding"}


class ApiTransport:
    """HTTP client of one device.

    Args:
        client: with ``base_url`` set; owned by this object from now on.
        clock: what to wait on when rate-limited.
    """

    def __init__(self, client: httpx.Client, clock: HostClock) -> None:
        self.client = client
        self.clock = clock
        self.limited = 0
        self.guard = FlashGuard(allowed=True)

    # ---- any endpoint ------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        path: str,
        *,
        payload: Any = None,
        params: Mapping[str, Any] | None = None,
        raw: bytes | None = None,
    ) -> httpx.Response:
        """One request, as it is: no retry, no judgement of the status.

        Args:
            payload: JSON body; POST sends ``{}`` without one, because the contract's server ignores empty bodies.
            raw: body bytes instead (bad input on purpose).

        Raises:
            RigFault: no connection.
            DutFailure: connected, but no answer in time, a broken one, or one without end.
            FlashingForbidden: it selects a pattern that flashes, which this rig does not allow.
        """
        content = raw if raw is not None else None if method == "GET" else json.dumps(payload or {}).encode()
        self.guard.request(path, content)
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            with self.client.stream(method, path, content=content, params=params, headers=headers) as response:
                return self._whole(method, path, response)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise RigFault(
                f"no connection to the device's API at {self.client.base_url}",
                got=str(error) or type(error).__name__,
                remedy="is the device on the network, and its address right? k1hil rig check",
            ) from error
        except httpx.HTTPError as error:
            raise DutFailure(
                f"no sound answer to {method} {path}",
                expected=f"an answer within {self.client.timeout.read} s",
                got=str(error) or type(error).__name__,
                evidence=str(self.client.base_url),
            ) from error

    def _whole(self, method: str, path: str, response: httpx.Response) -> httpx.Response:
        """The answer with its body, which ends within bounds of size and time; httpx bounds each read alone."""
        limit_s = WHOLE_ANSWER * (self.client.timeout.read or DEFAULT_READ_S)
        end_ns = self.clock.now_ns() + round(limit_s * 1e9)
        body = bytearray()
        for piece in response.iter_bytes():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise BadAnswer(f"{method} {path} answers without end", expected=f"at most {MAX_BODY_BYTES} bytes")
            if self.clock.now_ns() > end_ns:
                raise DutFailure(
                    f"the answer to {method} {path} does not end", expected=f"all of it within {limit_s:g} s",
                    got=f"{len(body)} bytes", evidence=str(self.client.base_url),
                )  # fmt: skip
        kept = [(name, value) for name, value in response.headers.multi_items() if name.lower() not in _OF_THE_WIRE]
        return httpx.Response(response.status_code, headers=kept, content=bytes(body), request=response.request)

    def call(self, method: str, path: str, *, payload: Any = None, params: Mapping[str, Any] | None = None) -> Any:
        """One request whose JSON object is returned; rate limits are waited out.

        Raises:
            ApiError: the device answered with an error. RateLimited: 429 to the end.
            KeyRefused: 401.
            BadAnswer: not a JSON object.
            RigFault, DutFailure: see :meth:`request`.
        """
        return _judge(method, path, self._patiently(method, path, payload, params))

    def _patiently(self, method: str, path: str, payload: Any, params: Mapping[str, Any] | None) -> httpx.Response:
        response = self.request(method, path, payload=payload, params=params)
        for _ in range(RATE_LIMIT_TRIES - 1):
            if response.status_code != 429:
                break
            self.limited += 1
            self.clock.wait(never, _window_s(response))
            response = self.request(method, path, payload=payload, params=params)
        return response

    def get(self, path: str, **params: Any) -> Any:
        """GET, see :meth:`call`."""
        return self.call("GET", path, params=params or None)

    def post(self, path: str, payload: Any = None) -> Any:
        """POST of a JSON body, see :meth:`call`."""
        return self.call("POST", path, payload=payload)

    def read(
        self,
        kind: type[A],
        path: str,
        *,
        method: str = "GET",
        payload: Any = None,
        params: Mapping[str, Any] | None = None,
    ) -> A:
        """One request whose answer is ``kind``, see :meth:`call`.

        Raises:
            BadAnswer: a field of it is missing or of another kind.
        """
        return kind.of(f"{method} {path}", self.call(method, path, payload=payload, params=params))

    def get_text(self, path: str) -> str:
        """GET of plain text, see :meth:`call`.

        Raises:
            BadAnswer: JSON or HTML instead.
        """
        response = self._patiently("GET", path, None, None)
        if not response.is_success:
            _judge("GET", path, response)
        kind = response.headers.get("content-type", "")
        if not kind.startswith("text/plain"):
            raise BadAnswer(f"GET {path} answers without plain text", expected="text/plain", got=kind[:80])
        return response.text

    def close(self) -> None:
        """Closes the connections."""
        self.client.close()


def _window_s(response: httpx.Response) -> float:
    """How long the device asks to wait, bounded; its answers are untrusted."""
    window_ms = _hint_ms(response, "X-RateLimit-Window")
    wait_ms = _hint_ms(response, "X-RateLimit-NextAllowedMs")
    if wait_ms is None or (window_ms is not None and wait_ms > window_ms):
        # Longer than the whole window cannot be meant: a moment of the device's clock, or nonsense.
        wait_ms = window_ms if window_ms is not None else DEFAULT_WINDOW_MS
    return min(MAX_WINDOW_S, max(0.001, wait_ms / 1000))


def _hint_ms(response: httpx.Response, name: str) -> int | None:
    text = response.headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None


def _judge(method: str, path: str, response: httpx.Response) -> Any:
    try:
        body = response.json()
    except (ValueError, RecursionError):
        body = None
    if response.is_success:
        if not isinstance(body, dict):
            raise BadAnswer(f"{method} {path} answers without a JSON object", got=response.text[:200])
        return body
    if response.status_code == 401:
        raise KeyRefused(
            f"{method} {path}: the device asks for an API key",
            expected="the key set with its console command apikey",
            got="a wrong key" if "X-API-Key" in response.request.headers else "no key",
            remedy="put it into the environment as K1HIL_API_KEY; on the bench, `apikey -` on the console removes it",
        )
    code = str(body.get("error", "")) if isinstance(body, dict) else ""
    kind, remedy = ApiError, ""
    if response.status_code == 429:
        kind, remedy = RateLimited, "who else asks this device? Its windows count all clients together"
    elif response.status_code == 404 and code == "Not found":
        kind, remedy = EndpointAbsent, "this firmware lacks it: docs/http-api.md, docs/k1node1.md"
    elif response.status_code == 501:
        remedy = "POST needs Content-Type: application/json and a body, {} at least"
    raise kind(
        f"{method} {path} answers {response.status_code}",
        status=response.status_code,
        code=code,
        body=body,
        got=response.text[:200] if body is None else shown(body),
        remedy=remedy,
    )
