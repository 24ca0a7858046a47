"""The lab's reverse proxy: the shipped configuration, run by nginx, before services that tell what reaches them."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ROOT / "deploy" / "nginx" / "k1.conf"
SERVICES = {"8080": "conductor", "5000": "ui", "3000": "grafana", "9670": "webhook"}
USER, PASSWORD = "lab", "not-a-real-password"


class Teller(http.server.BaseHTTPRequestHandler):
    """Answers with what reached it."""

    def do_GET(self) -> None:
        size = len(self.rfile.read(int(self.headers.get("Content-Length") or 0)))
        told = {"service": self.server.name, "path": self.path, "headers": dict(self.headers), "bytes": size}  # type: ignore[attr-defined]
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, format: str, *args: object) -> None:
        pass


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the proxy that trusts its certificate; what nginx says of its configuration is shown on failure."""
    nginx, openssl = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin"), shutil.which("openssl")
    if nginx is None or openssl is None:
        pytest.skip("needs nginx and openssl: apt-get install nginx-light openssl")
    folder = tmp_path_factory.mktemp("proxy")
    text = SHIPPED.read_text().replace("/etc/nginx/", f"{folder}/").replace("/tmp/k1-nginx", f"{folder}/nginx")
    servers = []
    for port, name in SERVICES.items():
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Teller)
        server.name = name  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert f"127.0.0.1:{port}" in text
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{server.server_port}")
        servers.append(server)
    port = free_port()
    (folder / "nginx.conf").write_text(text.replace("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"))
    (folder / "tls").mkdir()
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=DNS:localhost", "-keyout", folder / "tls/key.pem", "-out", folder / "tls/cert.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    hashed = subprocess.run([openssl, "passwd", "-apr1", PASSWORD], check=True, capture_output=True, text=True).stdout
    (folder / "htpasswd").write_text(f"{USER}:{hashed}")
    # nginx of root gives its workers to another user, who cannot read the test's folder.
    user = "user root;" if os.geteuid() == 0 else ""
    command = [nginx, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", f"daemon off;{user}"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    trusted = ssl.create_default_context(cafile=str(folder / "tls" / "cert.pem"))
    try:
        with httpx.Client(base_url=f"https://localhost:{port}", verify=trusted, trust_env=False, timeout=20) as client:
            _await(client, process, folder / "log")
            yield client
    finally:
        process.terminate()
        process.wait(10)
        for server in servers:
            server.shutdown()
            server.server_close()


def _await(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            client.get("/")
            return
        except httpx.TransportError:
            assert process.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)


@pytest.mark.parametrize("path", ["/", "/api/workflow", "/grafana/", "/prometheus/", "/hooks/other", "/hooks/github/x"])
def test_without_a_password_nothing_is_seen(door: httpx.Client, path: str) -> None:
    for auth in (None, (USER, "wrong"), ("nobody", PASSWORD)):
        assert door.get(path, auth=auth).status_code == 401


@pytest.mark.parametrize(
    ("path", "service"), [("/", "ui"), ("/api/tasks/poll/batch/x?count=1", "conductor"), ("/grafana/d/k1", "grafana")]
)
def test_with_it_each_path_finds_its_service_which_never_sees_it(door: httpx.Client, path: str, service: str) -> None:
    told = door.get(path, auth=(USER, PASSWORD), headers={"X-Forwarded-For": "10.9.9.9"}).json()
    assert (told["service"], told["path"]) == (service, path)
    assert "Authorization" not in told["headers"]
    assert told["headers"]["X-Forwarded-For"] == "127.0.0.1", "who calls cannot be made up"


def test_the_webhook_needs_no_password_and_has_two_doors(door: httpx.Client) -> None:
    signed = {"X-Hub-Signature-256": "sha256=x"}
    told = door.post("/hooks/github", content=b"{}", headers=signed).json()
    assert (told["service"], told["path"], told["bytes"]) == ("webhook", "/github", 2)
    assert told["headers"]["X-Hub-Signature-256"] == "sha256=x"
    told = door.post("/hooks/audio?patterns=a,b", content=b"RIFF", headers={"Authorization": "Bearer t"}).json()
    assert (told["path"], told["headers"]["Authorization"]) == ("/audio?patterns=a,b", "Bearer t")
    for path in ("/hooks/github", "/hooks/audio"):
        assert door.get(path).status_code == 403


def test_bodies_are_bounded_before_they_reach_anybody(door: httpx.Client) -> None:
    for path, most in (("/hooks/github", 4 << 20), ("/hooks/audio", 32 << 20), ("/api/tasks", 8 << 20)):
        assert door.post(path, content=bytes(most + 1), auth=(USER, PASSWORD)).status_code == 413, path

