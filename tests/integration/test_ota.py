"""Updates over the air of the firmware built from source: in virtual time, and by real sockets on loopback."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import BadRequest, DutFailure, RigFault
from harness.instruments.clock import WallClock
from harness.instruments.ota import OtaClient
from harness.instruments.ota_sockets import SocketNetwork
from harness.pipeline.build import build
from harness.rig import FirmwareBundle, open_rig, ota
from harness.wire.image import build_image, parse_image

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bundle():
    return build("sim")


@pytest.fixture(scope="module")
def other(bundle, tmp_path_factory):
    """The same program with another version in its descriptor: another image, another SHA-256."""
    folder = tmp_path_factory.mktemp("other")
    for file in bundle.path.parent.iterdir():
        if file.suffix in (".bin", ".json"):
            (folder / file.name).write_bytes(file.read_bytes())
    image = parse_image(bundle.path.read_bytes())
    drom = image.segments[0]
    data = bytearray(drom.data)
    data[16:48] = b"9.9.9".ljust(32, b"\0")
    segments = [dataclasses.replace(drom, data=bytes(data)), *image.segments[1:]]
    (folder / "firmware.bin").write_bytes(
        build_image(segments, image.entry, flash_mode=image.flash_mode, flash_size=image.flash_size)
    )
    manifest = json.loads((folder / "firmware.manifest.json").read_text())
    manifest["sha256"] = parse_image((folder / "firmware.bin").read_bytes()).sha256.hex()
    (folder / "firmware.manifest.json").write_text(json.dumps(manifest))
    return FirmwareBundle.load(folder / "firmware.bin")


@pytest.fixture
def rig(bundle, tmp_path):
    with open_rig("sim", folder=tmp_path) as opened:
        opened.flash(bundle)
        yield opened


def test_update_and_back(rig, bundle, other):
    first = rig.identity
    assert (first.slot, first.sha256) == (0, bundle.sha256)
    seen = []
    report = ota.update(rig, other, progress=lambda done, size: seen.append((done, size)))
    assert (rig.identity.slot, rig.identity.sha256) == (1, other.sha256)
    assert rig.telemetry.identity().slot_state == "valid", "the self-check confirms the new image"
    assert report.bytes_written == seen[-1][0] == seen[-1][1] == other.path.stat().st_size
    assert ota.update(rig, other).skipped
    ota.update(rig, bundle)
    assert (rig.identity.slot, rig.identity.sha256) == (0, bundle.sha256)


def test_serial_flash_after_an_update_ends_in_the_new_firmware(rig, bundle, other):
    ota.update(rig, other)
    assert rig.identity.slot == 1
    rig.flash(bundle)
    assert (rig.identity.slot, rig.identity.sha256) == (0, bundle.sha256)


def test_a_device_without_network_keeps_its_image(rig, other):
    rig.wait_network()
    before = rig.identity.sha256
    rig.board.faults.network(False)
    with pytest.raises(RigFault, match="does not answer"):
        ota.update(rig, other)
    assert rig.telemetry.identity().sha256 == before


def test_a_damaged_image_is_refused_and_the_old_one_runs_on(rig, bundle, other):
    damaged = bytearray(other.path.read_bytes())
    damaged[5000] ^= 1  # the MD5 of the transport fits, the image's own hash does not
    client = OtaClient(rig.ota_network(), rig.clock)
    with pytest.raises((DutFailure, RigFault), match="old image"):
        client.upload(bytes(damaged))
    assert rig.reset("hard").sha256 == bundle.sha256


def test_an_image_for_another_chip_is_refused_and_the_old_one_runs_on(rig, bundle, other):
    """Past the checks of this side (a bundle of it cannot even be loaded): the device's own have to hold."""
    body = bytearray(other.path.read_bytes()[:-32])
    body[12] = 5  # chip id: an ESP32-C3
    boot = rig.identity.boot_id
    with pytest.raises((DutFailure, RigFault), match="old image") as told:
        OtaClient(rig.ota_network(), rig.clock).upload(bytes(body) + hashlib.sha256(body).digest())
    print(told.value)
    assert rig.probe().boot_id == boot, "not even a restart"
    assert rig.reset("hard").sha256 == bundle.sha256


def test_the_suite_brings_its_firmware_over_the_air(tmp_path):
    """The documented command, with one test of the suite: the new image runs from the second slot."""
    command = [sys.executable, "-m", "pytest", "tests_hil", "--rig", "sim", "--flash", "ota", "-q",
               "-p", "no:cacheprovider", "-k", "test_console_and_api_tell_the_same_identity",
               "--reports", str(tmp_path)]  # fmt: skip
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "K1HIL_"))}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    document = json.loads((tmp_path / "latest" / "metrics.json").read_text())
    assert [t["outcome"] for t in document["tests"]] == ["passed"]
    log = (tmp_path / "latest" / "console.log").read_text(errors="replace")
    said = [line.split(",") for line in re.findall(r"\$K1ID,.*", log)]
    assert list(dict.fromkeys((f[12], f[13]) for f in said)) == [("0", "undefined"), ("1", "pending"), ("1", "valid")]


class LossyAir:
    """The real way to the device, on which its word after the last byte gets lost; ``damage`` spoils that byte."""

    def __init__(self, inner, size, damage=False):
        self._inner, self._left, self._damage = inner, size, damage
        self.host = inner.host

    def datagrams(self):
        return self._inner.datagrams()

    def listen(self):
        self._listener = self._inner.listen()
        self.port = self._listener.port
        return self

    def accept(self, timeout_s):
        self._connection = self._listener.accept(timeout_s)
        return self

    def send(self, data, timeout_s):
        self._left -= len(data)
        if self._left == 0 and self._damage:
            data = data[:-1] + bytes([data[-1] ^ 1])
        self._connection.send(data, timeout_s)

    def receive(self, timeout_s):
        data = self._connection.receive(timeout_s)
        if data and data.strip(b"0123456789"):
            raise ConnectionResetError("the access point went away")
        return data

    def close(self):
        self._connection.close()
        self._listener.close()


def test_a_lost_last_word_is_asked_for(rig, bundle, other, monkeypatch):
    air, size = rig.ota_network, other.path.stat().st_size
    monkeypatch.setattr(rig, "ota_network", lambda: LossyAir(air(), size, damage=True))
    with pytest.raises(RigFault, match="asked since, it runs its old image"):
        ota.update(rig, other)
    assert rig.telemetry.identity().sha256 == bundle.sha256
    monkeypatch.setattr(rig, "ota_network", lambda: LossyAir(air(), size))
    report = ota.update(rig, other)
    assert (rig.identity.sha256, report.bytes_written) == (other.sha256, size), "it took the image, and is proven"


def test_an_image_too_big_for_its_own_table_is_not_sent(rig, other, tmp_path):
    for file in other.path.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    table = bytearray((tmp_path / "partitions.bin").read_bytes())
    small = other.path.stat().st_size - 1
    entries = [at for at in range(0, 0xC00, 32) if table[at : at + 3] == b"\xaa\x50\x00"]
    for at in entries:
        table[at + 8 : at + 12] = small.to_bytes(4, "little")
    table[table.index(b"\xeb\xeb") :] = b"\xff" * (len(table) - table.index(b"\xeb\xeb"))
    (tmp_path / "partitions.bin").write_bytes(table)
    with pytest.raises(BadRequest, match=f"at most {small} bytes"):
        ota.update(rig, FirmwareBundle.load(tmp_path / "firmware.bin"))


def test_an_image_too_big_for_the_device_is_refused_in_its_words(rig, bundle, other, monkeypatch):
    """Nothing here knows the device's slots: its own log says what they hold."""
    monkeypatch.setattr(ota, "slot_bytes", lambda bundle: 1 << 30)
    monkeypatch.setattr(OtaClient, "_invite", _bigger(OtaClient._invite))
    with pytest.raises(DutFailure, match="no slot for 9000000 bytes; a slot holds 1966080") as told:
        ota.update(rig, other)
    assert "keeps running the old image" in str(told.value)
    assert rig.telemetry.identity().sha256 == bundle.sha256


def _bigger(invite):
    def invited(self, datagram, size, md5, name):
        words = datagram.split()
        return invite(self, b"%s %s 9000000 %s\n" % (words[0], words[1], words[3]), 9_000_000, md5, name)

    return invited


def test_wrong_password_and_right_one(rig, other, monkeypatch):
    rig.board.chip._nvs.set("k1", "ota_pass", b"bench-secret")
    rig.reset("hard")
    with pytest.raises(BadRequest, match="asks for an update password"):
        ota.update(rig, other)
    monkeypatch.setenv("K1HIL_OTA_PASSWORD", "wrong-secret")
    with pytest.raises(BadRequest, match="refuses the update password") as told:
        ota.update(rig, other)
    assert "wrong-secret" not in str(told.value)
    monkeypatch.setenv("K1HIL_OTA_PASSWORD", "bench-secret")
    ota.update(rig, other)
    assert rig.identity.sha256 == other.sha256
    assert "bench-secret" not in rig.console.log_path.read_text(errors="replace")


def test_update_by_real_sockets(other):
    process = subprocess.Popen(
        [sys.executable, "-m", "harness.cli", "bench", "--live"], stdout=subprocess.PIPE, text=True
    )
    try:
        served = json.loads(process.stdout.readline())
        host, port = served["ota"].rsplit(":", 1)
        report = OtaClient(SocketNetwork(host, int(port)), WallClock()).upload(other.path.read_bytes())
        assert report.bytes == other.path.stat().st_size
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
