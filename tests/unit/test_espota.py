"""espota against recorded exchanges: what the client says, and what it makes of what the device says."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections import deque
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import BadRequest, DutFailure, K1HilError, RigFault
from harness.instruments import ota
from harness.instruments.ota import OtaClient, OutcomeUnknown
from harness.instruments.ota_sockets import UdpSocket
from harness.wire import espota

RECORDED = json.loads((Path(__file__).parents[1] / "data" / "espota_transcripts.json").read_text())
CASES = {case["case"]: case for case in RECORDED["cases"]}
IMAGE = bytes((7 * i + 3) & 255 for i in range(RECORDED["image"]["bytes"]))
PORT = 41000


class ScriptedDevice:
    """Plays the device's side of a recorded exchange and notes what the client says on UDP."""

    host = "127.0.0.1"

    def __init__(self, transcript, merge_acks=False):
        self.said = [tuple(step) for step in transcript]
        self.invitations = [text for kind, who, text in self.said if (kind, who) == ("udp", "client")]
        self.udp = deque(text for kind, who, text in self.said if (kind, who) == ("udp", "device"))
        self.tcp = deque(text.encode() for kind, who, text in self.said if (kind, who) == ("tcp", "device"))
        self.connects = bool(self.tcp)
        self.silent = sum(1 for text in self.invitations if text.startswith("0 ")) - 1
        self.merge_acks = merge_acks
        self.heard, self.taken = [], b""
        self.port = PORT

    def datagrams(self):
        return self

    def listen(self):
        return self

    def send(self, data, timeout_s=None):
        if timeout_s is None:
            self.heard.append(data.decode())
        else:
            self.taken += data

    def receive(self, timeout_s):
        if not self.taken:  # still on UDP
            if self.silent > 0:
                self.silent -= 1
                return None
            return self.udp.popleft().encode() if self.udp else None
        if not self.tcp:
            return b""
        if self.merge_acks and len(self.tcp) > 1:
            return self.tcp.popleft() + self.tcp.popleft()
        return self.tcp.popleft()

    def accept(self, timeout_s):
        return self if self.connects else None

    def close(self):
        pass


class StillClock:
    def now_ns(self):
        return 0


def upload(case, password=None, merge_acks=False):
    device = ScriptedDevice(CASES[case]["transcript"], merge_acks)
    client = OtaClient(device, StillClock(), CASES[case]["password_client"] if password is None else password)
    return device, client


def test_the_image_of_the_recordings():
    assert hashlib.md5(IMAGE).hexdigest() == RECORDED["image"]["md5"]


@pytest.mark.parametrize("case", ["plain", "password", "late-invitation", "split-acks"])
@pytest.mark.parametrize("merge_acks", [False, True])
def test_exchanges_that_succeed(case, merge_acks):
    device, client = upload(case, merge_acks=merge_acks and case == "split-acks")
    report = client.upload(IMAGE)
    assert device.taken == IMAGE and report.bytes == len(IMAGE)
    invitations = [line for line in device.heard if line.startswith("0 ")]
    assert invitations == [line for line in device.invitations if line.startswith("0 ")]
    assert report.invitations == len(invitations)


def test_password_answer_is_the_recorded_one():
    spoken = CASES["password"]["transcript"]
    nonce = spoken[1][2].split()[1]
    _, cnonce, proof = spoken[2][2].split()
    assert espota.password_answer("bench-secret", nonce, cnonce) == f"200 {cnonce} {proof}\n".encode()


@pytest.mark.parametrize(
    ("case", "error", "words"),
    [
        ("wrong-password", BadRequest, "Authentication Failed"),
        ("md5-mismatch", RigFault, "MD5 Check Failed"),
        ("refused-begin", DutFailure, "never connected"),
    ],
)
def test_exchanges_that_fail_say_why_and_what_still_runs(case, error, words):
    _, client = upload(case)
    with pytest.raises(error) as told:
        client.upload(IMAGE)
    assert words in str(told.value)
    if case != "wrong-password":
        assert "old image" in str(told.value)


def test_missing_password_and_sha256_challenge_are_named():
    _, client = upload("password", password="")
    with pytest.raises(BadRequest, match="K1HIL_OTA_PASSWORD"):
        client.upload(IMAGE)
    device, client = upload("password")
    device.udp = deque(["AUTH " + "ab" * 32])
    with pytest.raises(BadRequest, match="SHA-256"):
        client.upload(IMAGE)


def test_silence_is_a_rig_fault():
    device, client = upload("plain")
    device.silent = 99
    with pytest.raises(RigFault, match="does not answer"):
        client.upload(IMAGE)


def test_ok_inside_an_error_text_is_no_success():
    device, client = upload("plain")
    device.tcp[-1] = b"ERROR[4]: NOT OK\r\n"
    with pytest.raises(DutFailure, match="NOT OK"):
        client.upload(IMAGE)


def test_broken_transfer_names_how_far_it_came():
    device, client = upload("plain")
    device.tcp = deque(list(device.tcp)[:2])
    with pytest.raises(RigFault, match="after 2048 of 5000 bytes"):
        client.upload(IMAGE)


class TalkClock(StillClock):
    """A second passes with everything the device says."""

    def __init__(self):
        self.s = 0

    def now_ns(self):
        self.s += 1
        return self.s * 10**9


@pytest.mark.parametrize("end", ["closes", "is silent", "breaks"])
def test_a_lost_last_word_is_unknown_and_nothing_else(end):
    """The device has every byte: nobody may say that it keeps its old image."""
    device, client = upload("plain")
    receive = device.receive
    del device.tcp[-1]  # OK

    def then(timeout_s):
        if device.tcp or not device.taken or end == "closes":
            return receive(timeout_s)
        if end == "breaks":
            raise ConnectionResetError("reset by peer")
        return None

    device.receive = then
    with pytest.raises(OutcomeUnknown) as told:
        client.upload(IMAGE)
    assert device.taken == IMAGE and "keeps running" not in str(told.value) and "ask the device" in str(told.value)


@pytest.mark.parametrize(
    ("limit_s", "error", "words"), [(5.0, RigFault, "not done within 5 s"), (1e6, OutcomeUnknown, "within 70 s")]
)
def test_counts_without_end_are_no_life(limit_s, error, words, monkeypatch):
    """In mid-transfer and after it: a device that says something now and then, but nothing that helps, is given up."""
    monkeypatch.setattr(ota, "TRANSFER_LIMIT_S", limit_s)
    device = ScriptedDevice(CASES["plain"]["transcript"])
    device.tcp = deque([b"4"] * 100_000)
    with pytest.raises(error, match=words):
        OtaClient(device, TalkClock()).upload(IMAGE)
    assert len(device.tcp) > 99_000


def test_an_unreachable_port_is_asked_at_the_pace_of_a_silent_one():
    """The system says "port unreachable" at once: ten invitations would be gone before the device has booted."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    udp = UdpSocket(("127.0.0.1", port), "127.0.0.1")
    try:
        began = time.monotonic()
        for _ in range(2):  # the second send meets the refusal of the first
            udp.send(b"0 1 2 3\n")
            assert udp.receive(0.2) is None
        assert 0.4 <= time.monotonic() - began < 2.0
    finally:
        udp.close()


@given(st.lists(st.binary(min_size=1, max_size=8), max_size=20))
def test_any_split_of_the_devices_words_gives_the_same(pieces):
    whole, split = espota.Transfer(), espota.Transfer()
    whole.feed(b"".join(pieces))
    for piece in pieces:
        split.feed(piece)
    assert (whole.heard, whole.words, whole.succeeded, whole.failed) == (
        split.heard, split.words, split.succeeded, split.failed,
    )  # fmt: skip


@given(st.binary(max_size=300))
def test_garbage_answers_never_raise_anything_untyped(datagram):
    try:
        espota.parse_answer(datagram)
    except K1HilError:
        pass
