"""The right firmware runs on the right board, and says so everywhere the same."""

import pytest

from harness.suite.dut import RigDut


def test_device_runs_the_flashed_image(rig, suite):
    if suite.bundle is None or not suite.options.flash:
        pytest.skip("no firmware was flashed in this run (--no-flash)")
    assert rig.identity.sha256 == suite.bundle.sha256
    assert rig.identity.version == suite.bundle.version
    assert rig.identity.project == suite.bundle.project


def test_console_and_api_tell_the_same_identity(rig):
    spoken, told = rig.identity, rig.api.info()
    assert told["image_sha256"] == spoken.sha256
    assert told["mac"].lower() == spoken.mac.lower()
    assert told["version"] == spoken.version
    assert told["project"] == spoken.project
    assert told["boot_id"] == spoken.boot_id
    assert told["boot_count"] == spoken.boot_count
    assert told["ip"] == rig.wait_network().ip


def test_the_new_image_is_not_on_probation(rig, suite):
    """A serial flash ends in slot 0 for good; after an update over the air the self-check has passed."""
    if not suite.options.flash:
        pytest.skip("no firmware was flashed in this run (--no-flash)")
    assert suite.options.over_the_air or rig.identity.slot == 0
    assert "pending" not in rig.identity.slot_state.lower()


def test_device_has_the_patterns_of_its_manifest(rig, suite):
    if suite.bundle is None or not suite.bundle.patterns:
        pytest.skip("this firmware has no manifest")
    wanted = [(p["index"], p["id"], p["name"], p["audio_reactive"]) for p in suite.bundle.patterns]
    assert [(p["index"], p["id"], p["name"], p["audio_reactive"]) for p in rig.api.patterns()] == wanted


def test_device_has_the_parameters_of_its_manifest(rig, suite):
    if suite.bundle is None or not suite.bundle.params:
        pytest.skip("this firmware has no manifest")
    bounds = rig.api.get("/api/params/bounds")
    assert list(bounds) == [p["name"] for p in suite.bundle.params]
    for p in suite.bundle.params:
        assert bounds[p["name"]]["min"] == pytest.approx(p["min"])
        assert bounds[p["name"]]["max"] == pytest.approx(p["max"])
        assert bounds[p["name"]]["default"] == pytest.approx(p["default"])


def test_dut_is_the_rigs_console(dut):
    assert isinstance(dut, RigDut)
    dut.write("id\n")
    dut.expect(r"\$K1ID,1,", timeout=2)
    dut.write("sync hello\n")
    stamp = dut.expect(r"\$K1SYN,hello,(\d+)\*", timeout=2)
    assert int(stamp.group(1)) > 0
