"""A server that speaks S3 over HTTP on loopback, and an environment whose programs can use it.

Server and client library (moto, s3fs) live in a private environment kept in ``.cache``: fifty packages that nobody else
needs. It sees the packages of this one.
"""

from __future__ import annotations

import os
import subprocess
import sysconfig
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from test_sim_live import free_ports

from harness.pipeline.tied import tied

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("s3fs==2026.9.0", "moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5")
BUCKET = "k1store"


def interpreter() -> Path:
    """Of that environment; made at first use."""
    folder = ROOT / ".cache" / "s3"
    python = folder / "bin" / "python"
    complete = folder / "complete"
    wanted = " ".join(PACKAGES)
    if not complete.exists() or complete.read_text() != wanted:
        venv.EnvBuilder(with_pip=True, clear=True).create(folder)
        command = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PACKAGES]
        done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
        if done.returncode:
            why = f"the S3 server's packages cannot be installed: {done.stderr.strip()[-300:]}"
            (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
        (site,) = folder.glob("lib/python*/site-packages")
        (site / "others.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        complete.write_text(wanted)
    return python


@contextmanager
def s3_server(log: Path) -> Iterator[dict[str, str]]:
    """A server with one empty bucket; the environment variables with which a client reaches it."""
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    environment = os.environ | {
        "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "lab", "AWS_SECRET_ACCESS_KEY": "secret-of-the-lab",
        "AWS_DEFAULT_REGION": "us-east-1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    with log.open("wb") as out:
        server = subprocess.Popen(
            tied([str(interpreter()), "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]),
            env=environment, stdout=out, stderr=out,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60.0
        with httpx.Client(base_url=url, trust_env=False) as client:
            while not _made_bucket(client):
                assert server.poll() is None and time.monotonic() < deadline, log.read_text()[-2000:]
                time.sleep(0.1)
        yield environment
    finally:
        server.terminate()
        server.wait(30)


def _made_bucket(client: httpx.Client) -> bool:
    try:
        return client.put(f"/{BUCKET}").status_code == 200
    except httpx.TransportError:
        return False
