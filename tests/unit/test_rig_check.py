"""rig check names what is in the way, and what to do about it."""

import os
import pty
import sys
from types import SimpleNamespace

import pytest

from harness.instruments import speaker
from harness.rig import check as checks
from harness.rig.check import check
from harness.rig.config import parse_config


def physical(port, extra=""):
    return parse_config(f'kind = "physical"\n[console]\nport = "{port}"\n{extra}', "x.toml")


def found(findings, what):
    return [f for f in findings if f.what == what]


@pytest.fixture
def terminal():
    master, slave = pty.openpty()
    path = os.ttyname(slave)
    os.close(slave)
    yield path
    os.close(master)


def test_the_virtual_rig_has_all_but_a_camera():
    findings = check("sim", parse_config('kind = "virtual"', "x.toml"))
    assert {f.status for f in findings if f.what != "camera"} == {"ok"}
    assert found(findings, "camera")[0].status == "absent"


def test_a_good_port(terminal):
    assert found(check("b", physical(terminal)), "console port")[0].status == "ok"


def test_a_missing_port():
    (finding,) = found(check("b", physical("/dev/ttyNOPE9")), "console port")
    assert finding.status == "problem" and "/dev/ttyNOPE9" in finding.text and finding.remedy


def test_a_file_is_no_port(tmp_path):
    (tmp_path / "port").write_text("")
    (finding,) = found(check("b", physical(tmp_path / "port")), "console port")
    assert finding.status == "problem" and "not a device" in finding.text


def test_a_missing_permission_names_group_and_command(terminal, monkeypatch):
    monkeypatch.setattr(checks.os, "access", lambda *_: False)
    monkeypatch.setattr(checks, "_group_of", lambda _: "dialout")
    (finding,) = found(check("b", physical(terminal)), "console port")
    assert finding.status == "problem" and "usermod -aG dialout" in finding.remedy


def test_a_port_in_use_names_the_program(terminal):
    fd = os.open(terminal, os.O_RDWR | os.O_NOCTTY)
    try:
        (finding,) = found(check("b", physical(terminal)), "console port")
        assert finding.status == "problem" and str(os.getpid()) in finding.text
    finally:
        os.close(fd)


@pytest.mark.parametrize("meddler", checks.PORT_MEDDLERS)
def test_services_that_open_ports_are_named(terminal, monkeypatch, meddler):
    fake = SimpleNamespace(info={"name": meddler, "pid": 1})
    monkeypatch.setattr(checks.psutil, "process_iter", lambda *_: [fake])
    (finding,) = found(check("b", physical(terminal)), "port services")
    assert finding.status == "problem" and meddler in finding.text and finding.remedy


def test_no_portaudio(monkeypatch):
    class Broken:
        def find_spec(self, name, path=None, target=None):
            if name == "sounddevice":
                raise OSError("PortAudio library not found")

    monkeypatch.delitem(sys.modules, "sounddevice", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    (finding,) = found(check("b", physical("/dev/null", '[audio]\ndevice = "USB"')), "audio")
    assert finding.status == "problem" and "PortAudio" in finding.text and "libportaudio2" in finding.remedy


@pytest.mark.parametrize(
    ("names", "status"), [(["USB Speaker"], "ok"), ([], "problem"), (["USB 1", "USB 2"], "problem")]
)
def test_the_speaker_must_be_one(monkeypatch, names, status):
    monkeypatch.setattr(speaker, "audio_outputs", lambda: ([{"index": i, "name": n} for i, n in enumerate(names)], ""))
    (finding,) = found(check("b", physical("/dev/null", '[audio]\ndevice = "usb"')), "audio")
    assert finding.status == status


def test_no_speaker_named_is_no_problem():
    (finding,) = found(check("b", physical("/dev/null")), "audio")
    assert finding.status == "absent" and "skipped" in finding.text
