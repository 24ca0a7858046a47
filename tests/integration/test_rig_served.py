"""A board served by ``k1hil bench --live`` used as a physical rig: real ports, real network, wall time."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tty

import numpy as np
import pytest

from harness.errors import BadRequest
from harness.pipeline.build import build
from harness.rig import open_rig

CLI = [sys.executable, "-m", "harness.cli"]


@pytest.fixture(scope="module")
def bundle():
    return build("sim")


@pytest.fixture(scope="module")
def served():
    process = subprocess.Popen([*CLI, "bench", "--live"], stdout=subprocess.PIPE, text=True)
    yield json.loads(process.stdout.readline())
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


@pytest.mark.parametrize("transport", ["serial", "socket"])
def test_a_served_board_is_a_rig(served, bundle, tmp_path, transport):
    (tmp_path / "served.toml").write_text(
        f"""kind = "physical"
provenance = "simulated"
[dut]
mac = "{served["mac"]}"
[console]
port = "{served[transport]}"
[flash]
port = "{served["serial"]}"
[api]
base_url = "{served["http"]}"
"""
    )
    with open_rig("served", tmp_path, folder=tmp_path / "logs") as rig:
        report = rig.flash(bundle, force=transport == "serial")
        assert report.skipped == (transport == "socket")
        assert rig.identity.sha256 == bundle.sha256 and rig.identity.mac == served["mac"]
        assert "capped" in rig.capabilities and "audio" not in rig.capabilities
        recording = rig.record(None, 2.0, pattern="lava")
        assert recording.n_frames > 2.0 * 100 and recording.wire is None
        assert np.all(np.diff(recording.frames["seq"]) >= 1)
        assert recording.meta["led_current_limit_a"] == 1.0
        assert rig.api.info()["mac"].lower() == served["mac"]
        before = rig.identity.boot_id
        assert rig.reset("soft").boot_id != before


def test_a_physical_rig_refuses_an_image_for_the_virtual_board(bundle, tmp_path):
    master, slave = pty.openpty()
    tty.setraw(slave)
    (tmp_path / "real.toml").write_text(f'kind = "physical"\n[console]\nport = "{os.ttyname(slave)}"\n')
    with open_rig("real", tmp_path, folder=tmp_path / "logs") as rig:
        assert rig.provenance == "hardware" and rig.capabilities >= {"capped"} and "sim" not in rig.capabilities
        with pytest.raises(BadRequest, match="virtual board"):
            rig.flash(bundle)
    assert not select.select([master], [], [], 0.2)[0]  # not one byte was sent
    os.close(master)
    os.close(slave)
