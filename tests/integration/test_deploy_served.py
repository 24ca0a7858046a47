"""A board served by another program keeps what was deployed to it when that program starts anew."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from harness.pipeline.artifacts import ArtifactStore
from harness.pipeline.deploy import Options, deploy
from harness.pipeline.firmware_store import FirmwareStore
from harness.pipeline.health import Limits, check_health
from harness.rig import FirmwareBundle, open_rig

ROOT = Path(__file__).resolve().parents[2]
QUICK = Limits(watch_s=2.0)


def rig_files(folder: Path) -> None:
    """The rig of ``rigs/sim-served.toml`` at ports that are free here, and the virtual rig it is made from."""
    text = (ROOT / "rigs" / "sim-served.toml").read_text()
    with ExitStack() as stack:  # all held until all are drawn: no port twice
        for port in sorted(set(re.findall(r"175\d\d", text))):
            sock = stack.enter_context(socket.socket())
            sock.bind(("127.0.0.1", 0))
            text = text.replace(port, str(sock.getsockname()[1]))
    (folder / f"{folder.name}.toml").write_text(text)
    (folder / "sim.toml").write_text((ROOT / "rigs" / "sim.toml").read_text())


@contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    command = [sys.executable, "-m", "harness.cli", "bench", "--live", "--state", str(folder / "state"),
               "--for", folder.name, "--rig-dir", str(folder)]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_served_board_outlives_its_program(extended: FirmwareBundle, tmp_path: Path) -> None:
    rig_files(tmp_path)
    store = FirmwareStore(ArtifactStore(tmp_path / "store"))
    with served(tmp_path) as board:
        with open_rig(tmp_path.name, tmp_path, folder=tmp_path / "logs") as rig:
            done = deploy(rig, extended, store, Options(limits=QUICK))
            assert (done.healthy, done.way, done.last_good) == (True, "ota", "device"), done.to_json()
        record = store.deployed(board["mac"])
        assert record is not None and record["image_sha256"] == extended.sha256
    with served(tmp_path) as again, open_rig(tmp_path.name, tmp_path, folder=tmp_path / "logs2") as rig:
        assert again["mac"] == board["mac"] and rig.identity.slot == 1
        assert check_health(rig, extended, QUICK).healthy
        kept = store.find(rig.api.info()["image_sha256"])
        assert kept is not None and kept.name == record["name"], "store, device and record agree"
