"""How a served bench itself is: its own faults, for whoever uses it. Never what it injects.

``GET`` on any path answers ``{"faults": ["…", …]}``, oldest first; the list only grows.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_STOP_S = 5.0


class StatusServer:
    """Serves the faults on loopback.

    Args:
        faults: gives the texts so far.
        port: TCP port; 0: a free one.

    Attributes:
        url: where it answers.
    """

    def __init__(self, faults: Callable[[], list[str]], port: int = 0) -> None:
        class Handler(BaseHTTPRequestHandler):
            timeout = 5.0

            def do_GET(self) -> None:
                body = json.dumps({"faults": faults()}).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nobody wants a line for every look."""

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="bench status", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stops answering."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_STOP_S)
