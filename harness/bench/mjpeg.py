"""The virtual camera as a network camera: one HTTP stream of JPEG pictures, in wall time, on loopback.

A thread of its own works frames out as wall time reaches them and while somebody watches. Each watcher gets the newest
picture; one that reads too slowly misses some, as with a real network camera.
"""

from __future__ import annotations

import threading
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from harness.bench.camera import Exposure, VirtualCamera
from harness.bench.handle import BoardHandle
from harness.bench.still_picture import to_jpeg
from harness.errors import HarnessFault

PATH = "/stream"
MOST_WATCHERS = 4
_BOUNDARY = "frame"
_SEND_TIMEOUT_S = 5.0
_IDLE_S = 0.5
# A picture later than this share of a period is not sent: a watcher stamps pictures as they come, and would take it for
# the next one. A gap it can tell.
_LATE_SHARE = 0.4
# So many pictures left out within so long, and the stream is no camera any more.
_MOST_LEFT_OUT, _WITHIN_NS = 0.2, 10_000_000_000
_LOSSLESS_QUALITY = 98  # the stream is JPEG in any case


class MjpegServer:
    """Streams a served board's camera at :attr:`url` until stopped."""

    def __init__(self, board: BoardHandle, camera: VirtualCamera, port: int = 0) -> None:
        self._board = board
        self._camera = camera
        self._news = threading.Condition()
        self._picture = b""
        self._count = 0
        self._watchers = 0
        self._left_out: deque[tuple[int, int]] = deque()
        self.stopped = False
        self._http = _Server(self, port)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}{PATH}"
        self._threads = [
            threading.Thread(target=self._http.serve_forever, args=(0.1,), name="camera http", daemon=True),
            threading.Thread(target=self._produce, name="camera frames", daemon=True),
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends streams, closes the port and joins every thread."""
        with self._news:
            self.stopped = True
            self._news.notify_all()
        with self._board.changed:
            self._board.changed.notify_all()
        self._http.shutdown()
        self._http.server_close()
        for thread in self._threads:
            thread.join(timeout=60.0)

    # ---- watchers

    def join(self) -> bool:
        """A watcher came; False when there are too many. The first one starts the stream."""
        with self._news:
            if self.stopped or self._watchers >= MOST_WATCHERS:
                return False
            self._watchers += 1
            self._news.notify_all()
            return True

    def leave(self) -> None:
        with self._news:
            self._watchers -= 1
            self._news.notify_all()

    def wait_newer(self, count: int) -> tuple[int, bytes] | None:
        """The newest picture and its number, once that is above ``count``; None at the end of the stream."""
        with self._news:
            while self._count <= count and not self.stopped:
                self._news.wait(_IDLE_S)
            return None if self.stopped else (self._count, self._picture)

    # ---- frames

    def _produce(self) -> None:
        while self._wait_for_watchers():
            with self._board.lock:
                self._camera.start(self._board.now_ns, self._board.host.epoch)
            while self._watchers and not self.stopped:
                self._next()
            self._camera.stop()

    def _wait_for_watchers(self) -> bool:
        with self._news:
            while not self._watchers and not self.stopped:
                self._news.wait(_IDLE_S)
            return not self.stopped

    def _next(self) -> None:
        """One frame: waits until its light is known, works it out, hands it on when it is due."""
        exposure = self._camera.upcoming()
        if not self._wait_for_board(exposure.end_ns):
            return
        if self._late_ns(exposure) > 0:
            self._leave_out(self._camera.skip_to(self._board.now_ns - (exposure.delivery_ns - exposure.start_ns)))
            return
        frame = self._camera.develop(packed=False)
        if frame is None:
            return
        jpeg = to_jpeg(frame.image, self._camera.config.jpeg_quality or _LOSSLESS_QUALITY)
        if self._late_ns(exposure) > 0:
            self._leave_out(1)
            return
        with self._news:
            due_s = (exposure.delivery_ns - self._board.host.wall_now()) / 1e9 if self._board.host.is_wall else 0.0
            if due_s > 0:
                self._news.wait_for(lambda: self.stopped, due_s)
            self._picture, self._count = jpeg, self._count + 1
            self._news.notify_all()

    def _wait_for_board(self, host_ns: int) -> bool:
        board = self._board
        with board.changed:
            while board.now_ns < host_ns:
                if self.stopped or not self._watchers or not board.host.is_wall:
                    return False
                board.changed.wait(_IDLE_S)
            return not self.stopped

    def _late_ns(self, exposure: Exposure) -> float:
        """By how much the picture is too late to be sent; 0 or less: it is in time."""
        host = self._board.host
        now = host.wall_now() if host.is_wall else host.now_ns
        return now - exposure.delivery_ns - _LATE_SHARE * self._camera.config.period_ns

    def _leave_out(self, pictures: int) -> None:
        """Pictures that would come too late are let go, as a busy camera does; many are this machine's fault."""
        now = self._board.now_ns
        self._left_out.append((now, pictures))
        while self._left_out[0][0] < now - _WITHIN_NS:
            self._left_out.popleft()
        share = sum(n for _, n in self._left_out) * self._camera.config.period_ns / _WITHIN_NS
        if share <= _MOST_LEFT_OUT:
            return
        self._left_out.clear()
        self._board.report(
            HarnessFault(
                "the virtual camera fell behind wall time (fell_behind)",
                expected=f"at most {_MOST_LEFT_OUT:.0%} of its pictures left out",
                got=f"{share:.0%} within {_WITHIN_NS / 1e9:g} s",
                remedy="a smaller picture, fewer frames per second, or virtual time",
            )
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = False  # server_close() joins the watchers' threads; none writes longer than the timeout

    def __init__(self, camera: MjpegServer, port: int) -> None:
        self.camera = camera
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A watcher that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _SEND_TIMEOUT_S

    def do_GET(self) -> None:
        """The stream, at one path."""
        camera = self.server.camera
        if self.path.split("?")[0] != PATH:
            self.send_error(404, "the camera is at " + PATH)
            return
        if not camera.join():
            self.send_error(503, "too many watchers")
            return
        try:
            self._stream(camera)
        except OSError:
            pass  # the watcher went away, or does not read
        finally:
            camera.leave()

    def _stream(self, camera: MjpegServer) -> None:
        self.send_response(200)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        count = 0
        while (newer := camera.wait_newer(count)) is not None:
            count, jpeg = newer
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            self.wfile.write(head.encode() + jpeg + b"\r\n")

    def log_message(self, format: str, *args: Any) -> None:
        """Standard error belongs to the bench."""
