"""A device whose HTTP API asks for a key, and what the harness does with and without it."""

import httpx
import pytest
from test_deploy_served import rig_files, served

from harness.conductor.exporter import Watcher, devices
from harness.instruments.api import KeyRefused
from harness.pipeline.build import build
from harness.rig import open_rig
from harness.rig.secrets import API_KEY_VARIABLE, api_headers

KEY = "not-a-secret-just-a-test"


def test_a_key_is_asked_for_survives_a_reset_and_is_never_told(tmp_path, monkeypatch):
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    with open_rig("sim", folder=tmp_path, seed=5) as rig:
        rig.flash(build("sim"))
        assert rig.api.health()["status"]
        rig.telemetry.command(f"apikey {KEY}")
        with pytest.raises(KeyRefused, match="asks for an API key") as refused:
            rig.api.health()
        assert KEY not in str(refused.value) and "no key" in str(refused.value)
        rig.reset("hard")
        with pytest.raises(KeyRefused):
            rig.api.health()

        monkeypatch.setenv(API_KEY_VARIABLE, KEY + "x")
        rig.reset("hard")  # the client is made anew after a boot
        with pytest.raises(KeyRefused, match="a wrong key"):
            rig.api.health()

        monkeypatch.setenv(API_KEY_VARIABLE, KEY)
        rig.reset("hard")
        assert rig.api.health()["status"]
        assert KEY not in str(rig.api.info()) + rig.api.request("GET", "/api/params").text
        rig.telemetry.command("apikey -")
        assert httpx.codes.is_success(rig.api.request("GET", "/api/test-connection").status_code)
    log = (tmp_path / "console.log").read_text()
    told = [line for line in log.splitlines() if KEY in line]
    assert told == [], "the key stands in the log"


def test_the_exporter_shows_the_key(tmp_path, monkeypatch):
    rig_files(tmp_path)
    monkeypatch.delenv(API_KEY_VARIABLE, raising=False)
    with served(tmp_path):
        with open_rig(tmp_path.name, tmp_path, folder=tmp_path / "logs") as rig:
            rig.flash(build("sim"))
            rig.telemetry.command(f"apikey {KEY}")
            rig.reset("hard")
            rig.wait_network()
        (device,) = devices([tmp_path.name], tmp_path).values()
        with pytest.raises(KeyRefused):
            Watcher(device).read()
        monkeypatch.setenv(API_KEY_VARIABLE, KEY)
        assert Watcher(device).read().health["status"]


@pytest.mark.parametrize("bad", ["short", "with blanks in it, long enough", "x" * 65, "line\nbreak-line-break"])
def test_what_is_no_key_is_refused_before_it_is_sent(monkeypatch, bad):
    monkeypatch.setenv(API_KEY_VARIABLE, bad)
    with pytest.raises(Exception, match="does not hold a key") as refused:
        api_headers()
    assert bad not in str(refused.value)
