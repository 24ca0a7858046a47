"""The HTTP API of the owner's firmware K1.node1, defects included: on loopback, in time that only tests advance.

Written from the device contract alone; it shares no code with the harness. "Trap n" is the n-th of the contract's
section 0, "§" its sections. Shapes and numbers of good answers are in ``k1node1_state.py``.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from k1node1_answers import ROUTES
from k1node1_state import Node1

CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET,POST,OPTIONS",
    "Access-Control-Allow-Headers": "Content-Type",
    "Access-Control-Allow-Credentials": "false",
}
LARGEST_BODY = 64 << 10  # §1.1: 413 above
LARGEST_DOCUMENT = 1024  # §1.1: the ArduinoJson document of a POST


class Reply(Exception):
    """An answer that is not the plain 200 with JSON."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None, kind: str = "json") -> None:
        super().__init__(status)
        self.status, self.body, self.headers, self.kind = status, body, headers or {}, kind


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *_: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_OPTIONS(self) -> None:
        self._send(204, b"", CORS)

    def _answer(self, method: str) -> None:
        owner = self.server.owner
        length = int(self.headers.get("Content-Length", "0"))
        body = self.rfile.read(length) if length <= LARGEST_BODY else b""
        with owner.lock:
            owner.requests.append((method, self.path, self.headers.get("Content-Type", ""), body))
            if not owner.alive():
                self.close_connection = True
                return  # no network yet: the connection ends without a byte
            try:
                raw = owner.respond(method, self.path, length, body, self.headers.get("Content-Type", ""))
                reply = Reply(200, raw)
            except Reply as told:
                reply = told
            mangled = owner.mangle.pop(urlsplit(self.path).path, None) if reply.status == 200 else None
        if reply.kind == "text":
            # §1.1: answers of the library itself carry no CORS headers.
            self._send(reply.status, reply.body.encode(), {"Content-Type": "text/plain", **reply.headers})
            return
        data = reply.body.encode() if isinstance(reply.body, str) else json.dumps(reply.body).encode()
        kind = "text/plain" if isinstance(reply.body, str) else "application/json"
        data, length = (data, len(data)) if mangled is None else mangled(data)
        self._send(reply.status, data, {"Content-Type": kind, **CORS, **reply.headers}, length)

    def _send(self, status: int, data: bytes, headers: dict[str, str], length: int | None = None) -> None:
        with suppress(OSError):
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data) if length is None else length))
            self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)
        self.close_connection = True


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: Node1Server


class Node1Server:
    """The firmware behind a loopback port. A context manager.

    Attributes:
        device: its state and its time.
        requests: (method, path with query, content type, body) of all that came.
        limiter: off to look at answers without waiting.
        mangle: path -> function of the bytes of the next good answer; returns bytes and the Content-Length told.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.device = Node1()
        self.requests: list[tuple[str, str, str, bytes]] = []
        self.limiter = True
        self.mangle: dict[str, Callable[[bytes], tuple[bytes, int]]] = {}
        self.reboot_at_request: int | None = None
        self.absent: set[str] = set()
        self._accepted: dict[tuple[str, str], int] = {}
        self._http: _Server | None = None
        self._thread: threading.Thread | None = None
        self.port = 0
        self.listen()

    # ---- life --------------------------------------------------------------------------------------

    def listen(self) -> None:
        """Opens the port, the same one after :meth:`hang_up`."""
        self._http = _Server(("127.0.0.1", self.port), _Handler)
        self._http.owner = self
        self.port = self._http.server_port
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def hang_up(self) -> None:
        """Closes the port: connections are refused."""
        if self._http is not None and self._thread is not None:
            self._http.shutdown()
            self._http.server_close()
            self._thread.join(10)
            self._http = self._thread = None

    @contextmanager
    def aging(self) -> Iterator[None]:
        """Device time passes with the wall's, for clients in other processes."""
        done = threading.Event()

        def age() -> None:
            last = time.monotonic()
            while not done.wait(0.01):
                now = time.monotonic()
                self.advance(now - last)
                last = now

        thread = threading.Thread(target=age, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join(10)

    def __enter__(self) -> Node1Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    @property
    def url(self) -> str:
        """Base of the API."""
        return f"http://127.0.0.1:{self.port}"

    def advance(self, seconds: float) -> None:
        """Lets device time pass."""
        with self.lock:
            self.device.advance(seconds)

    def reboot(self) -> None:
        """A restart. Trap 11 (§0): parameters and pattern are back at their defaults."""
        with self.lock:
            self.device.reboot()
            self._accepted.clear()

    def alive(self) -> bool:
        """Whether the network is up; a planned reboot happens here, in the middle of a poll."""
        if self.reboot_at_request is not None and len(self.requests) >= self.reboot_at_request:
            self.reboot_at_request = None
            self.reboot()
        return self.device.network_up

    # ---- requests ----------------------------------------------------------------------------------

    def respond(self, method: str, target: str, length: int, body: bytes, content_type: str) -> Any:
        """The parsed answer.

        Raises:
            Reply: every other status.
        """
        parts = urlsplit(target)
        # Trap 2 (§0, §1.2): a route takes its path and everything below it, the first one registered wins. So
        # /api/params answers /api/params/bounds, /api/wifi/scan/results its /json, /api/rmt by luck /api/rmt/diag.
        for route in ROUTES:
            inside = parts.path == route.path or parts.path.startswith(route.path + "/")
            if route.method == method and inside and parts.path not in self.absent:
                break
        else:
            raise Reply(404, {"error": "Not found"})  # §1.1: also for a wrong method; there is no 405
        if method == "POST" and (length == 0 or not content_type.startswith("application/json")):
            # Trap 1 (§0): without a JSON body the handler is never reached; text, no CORS.
            raise Reply(501, "Handler did not handle the request", kind="text")
        if length > LARGEST_BODY:
            raise Reply(413, {"error": "payload_too_large", "max_size": LARGEST_BODY})
        self._limit(route.path, method, route.window_ms)
        fields: Any = dict(parse_qsl(parts.query))
        if method == "POST":
            try:
                fields = json.loads(body)
            except ValueError:
                fields = None
        if not isinstance(fields, dict) or len(body) > LARGEST_DOCUMENT:
            raise self._error(400, "invalid_json")
        told = route.answer(self.device, fields)
        if isinstance(told, tuple):
            raise self._error(*told)
        return told

    def _error(self, status: int, word: str, headers: dict[str, str] | None = None) -> Reply:
        return Reply(status, {"error": word, "timestamp": self.device.ms, "status": status}, headers)

    def _limit(self, path: str, method: str, window_ms: int) -> None:
        """§1.1: one stamp per route and method over all clients; only what is accepted moves it; before the body."""
        if not self.limiter or not window_ms:
            return
        last = self._accepted.get((path, method))
        passed = window_ms if last is None else (self.device.ms - last) % (1 << 32)
        if passed < window_ms:
            left = window_ms - passed
            hints = {"X-RateLimit-Window": str(window_ms), "X-RateLimit-NextAllowedMs": str(left)}
            raise self._error(429, "rate_limited", hints)
        self._accepted[path, method] = self.device.ms
