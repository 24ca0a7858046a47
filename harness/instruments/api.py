"""The device's HTTP API, typed: errors by kind, the rate limits kept by waiting on the rig's clock.

Endpoints and fields are those of the K1 device contract. Only what the harness uses has a method; anything else goes
through :meth:`DeviceApi.get` and :meth:`DeviceApi.post`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx

from harness.errors import BadRequest, DutFailure, RigFault
from harness.instruments.clock import HostClock, never

# How often a rate-limited request is asked again; each time the device itself says how long to wait.
RATE_LIMIT_TRIES = 5
MAX_WINDOW_S = 10.0
MAX_BODY_BYTES = 4 << 20


class ApiError(DutFailure):
    """The device answered with an error object.

    Attributes:
        status: HTTP status.
        code: the contract's error word (``missing_field``, ``pattern_not_found`` …), "" when the body is no error
            object.
        body: the parsed body.
    """

    def __init__(self, message: str, *, status: int, code: str, body: Any, got: str) -> None:
        super().__init__(message, got=got)
        self.status = status
        self.code = code
        self.body = body


class RateLimited(ApiError):
    """429 still, after waiting as long as the device asked, several times."""


class KeyRefused(BadRequest):
    """The device asks for an API key, and was given none or another one."""


class BadAnswer(DutFailure):
    """The answer is not what HTTP or the contract promises: no JSON, no object, a missing field."""


class DeviceApi:
    """HTTP client of one device.

    Args:
        client: with ``base_url`` set; owned by this object from now on.
        clock: what to wait on when rate-limited.
    """

    def __init__(self, client: httpx.Client, clock: HostClock) -> None:
        self.client = client
        self.clock = clock
        self.limited = 0

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
            DutFailure: connected, but no answer in time or a broken one.
        """
        content = raw if raw is not None else None if method == "GET" else json.dumps(payload or {}).encode()
        headers = {"Content-Type": "application/json"} if content is not None else {}
        try:
            return self.client.request(method, path, content=content, params=params, headers=headers)
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

    def call(self, method: str, path: str, *, payload: Any = None, params: Mapping[str, Any] | None = None) -> Any:
        """One request whose JSON object is returned; rate limits are waited out.

        Raises:
            ApiError: the device answered with an error. RateLimited: 429 to the end.
            KeyRefused: 401.
            BadAnswer: not a JSON object.
            RigFault, DutFailure: see :meth:`request`.
        """
        for attempt in range(RATE_LIMIT_TRIES):
            response = self.request(method, path, payload=payload, params=params)
            if response.status_code != 429 or attempt == RATE_LIMIT_TRIES - 1:
                break
            self.limited += 1
            self.clock.wait(never, _window_s(response))
        return _judge(method, path, response)

    def get(self, path: str, **params: Any) -> Any:
        """GET, see :meth:`call`."""
        return self.call("GET", path, params=params or None)

    def post(self, path: str, payload: Any = None) -> Any:
        """POST of a JSON body, see :meth:`call`."""
        return self.call("POST", path, payload=payload)

    # ---- the contract ------------------------------------------------------------------------------

    def health(self) -> dict[str, Any]:
        """``/api/health``: status, uptime_ms, fps, memory …"""
        return self._object("GET", "/api/health", "status", "uptime_ms", "fps")

    def info(self) -> dict[str, Any]:
        """``/api/device/info``: device, mac, ip, build …"""
        return self._object("GET", "/api/device/info", "device", "mac")

    def performance(self) -> dict[str, Any]:
        """``/api/device/performance``: fps and mean times in µs."""
        return self._object("GET", "/api/device/performance", "fps")

    def frame_metrics(self) -> dict[str, Any]:
        """``/api/frame-metrics``: the last 64 frames, oldest first."""
        return self._object("GET", "/api/frame-metrics", "frame_count", "frames")

    def patterns(self) -> list[dict[str, Any]]:
        """``/api/patterns``: index, name, id, description, audio_reactive of each."""
        return list(self._object("GET", "/api/patterns", "patterns")["patterns"])

    def current_pattern(self) -> dict[str, Any]:
        """``/api/pattern/current``: index, id, name, is_audio_reactive."""
        return self._object("GET", "/api/pattern/current", "index", "id")

    def select(self, pattern: str | int) -> dict[str, Any]:
        """``/api/select`` by id or index."""
        return self._object(
            "POST", "/api/select", "id", payload={"id" if isinstance(pattern, str) else "index": pattern}
        )

    def params(self) -> dict[str, Any]:
        """``/api/params``."""
        return self._object("GET", "/api/params", "brightness")

    def set_params(self, **values: float | bool) -> dict[str, Any]:
        """``/api/params``: sets some; returns all, as the device took them."""
        return self._object("POST", "/api/params", "brightness", payload=values)

    def reset_params(self) -> dict[str, Any]:
        """``/api/reset``: parameters to their defaults."""
        return self._object("POST", "/api/reset", "brightness")

    def led_frame(self) -> list[str]:
        """``/api/leds/frame``: 160 colours as ``RRGGBB``."""
        return [str(colour) for colour in self._object("GET", "/api/leds/frame", "data")["data"]]

    def tempo(self) -> dict[str, Any]:
        """``/api/audio/tempo``."""
        return self._object("GET", "/api/audio/tempo", "tempo_confidence", "top_bins")

    def audio_snapshot(self) -> dict[str, Any]:
        """``/api/audio/snapshot``; its ``timestamp_us`` is uint32 and wraps."""
        return self._object("GET", "/api/audio/snapshot", "vu_level", "update_counter", "timestamp_us")

    def audio_config(self, **values: float | bool) -> dict[str, Any]:
        """``/api/audio-config``: reads, or sets the given values."""
        return self._object("POST" if values else "GET", "/api/audio-config", "microphone_gain", payload=values)

    def latency_probe(self) -> dict[str, Any]:
        """``/api/latency/probe``."""
        return self._object("GET", "/api/latency/probe", "timestamp_us")

    def _object(self, method: str, path: str, *fields: str, payload: Any = None) -> dict[str, Any]:
        answer = self.call(method, path, payload=payload)
        missing = [name for name in fields if name not in answer]
        if missing:
            raise BadAnswer(
                f"{method} {path} lacks {', '.join(missing)}", expected=", ".join(fields), got=str(answer)[:300]
            )
        return dict(answer)

    def close(self) -> None:
        """Closes the connections."""
        self.client.close()


def _window_s(response: httpx.Response) -> float:
    """How long the device asks to wait, bounded; its answers are untrusted."""
    text = response.headers.get("X-RateLimit-NextAllowedMs", "")
    wait_ms = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 200
    return min(MAX_WINDOW_S, max(0.001, wait_ms / 1000))


def _judge(method: str, path: str, response: httpx.Response) -> Any:
    if len(response.content) > MAX_BODY_BYTES:
        raise BadAnswer(
            f"{method} {path} answers with {len(response.content)} bytes", expected=f"at most {MAX_BODY_BYTES}"
        )
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
    kind = RateLimited if response.status_code == 429 else ApiError
    raise kind(
        f"{method} {path} answers {response.status_code}",
        status=response.status_code,
        code=code,
        body=body,
        got=response.text[:200],
    )
