"""The command line: listings, their JSON, exit codes, and where rigs come from."""

import json
import os
import subprocess
import sys

import pytest

CLI = [sys.executable, "-m", "harness.cli"]


def run(*args, **env):
    environ = {k: v for k, v in os.environ.items() if not k.startswith("K1HIL_")} | env
    return subprocess.run([*CLI, *args], capture_output=True, text=True, timeout=120, env=environ)


def test_listings_have_json():
    rigs = json.loads(run("rig", "list", "--json").stdout)
    assert {"sim", "bench1"} <= {r["name"] for r in rigs}
    findings = json.loads(run("rig", "check", "sim", "--json").stdout)["findings"]
    assert {"what", "status", "text", "remedy"} == set(findings[0])
    found = json.loads(run("rig", "new", "--json").stdout)
    assert found.keys() >= {"boards", "audio", "cameras", "written"}
    assert json.loads(run("baseline", "show", "sim", "--json").stdout)["file"].endswith("sim.baseline.json")


def test_rig_dir_and_environment(tmp_path):
    (tmp_path / "mine.toml").write_text('kind = "virtual"\n')
    (tmp_path / "broken.toml").write_text('kind = "virtual"\nwhat = 1\n')
    rows = {r["name"]: r for r in json.loads(run("rig", "list", "--rig-dir", str(tmp_path), "--json").stdout)}
    assert rows["mine"]["kind"] == "virtual" and "what" in rows["broken"]["error"]
    checked = run("rig", "check", "--json", K1HIL_RIG="mine", K1HIL_RIG_DIR=str(tmp_path))
    assert json.loads(checked.stdout)["rig"] == "mine" and checked.returncode == 0


@pytest.mark.parametrize(
    ("args", "code", "text"),
    [
        (("rig", "check", "nope"), 4, "there is no rig 'nope'"),
        (("rig", "check", "bench1"), 10, ""),
        (("rig", "wrong"), 4, "No such command"),
        (("rig", "new", "fresh"), 4, "no board found"),
        (("bench",), 4, "--live"),
        (("record", "x", "--stimulus", "polka"), 4, "unknown stimulus"),
        (("build", "--env", "esp8266"), 4, "unknown build environment"),
        (("flash", "/nowhere/firmware.bin"), 4, "/nowhere/firmware.bin is missing"),
    ],
)
def test_exit_codes(args, code, text):
    done = run(*args)
    assert done.returncode == code, done.stderr
    assert text in done.stderr and "Traceback" not in done.stderr
