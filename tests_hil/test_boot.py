"""Cold boots."""


def test_cold_boots_end_in_a_running_device(rig, suite):
    firmware, boots = rig.identity.sha256, []
    for _ in range(suite.profile.boots):
        before = rig.identity
        now = rig.reset("hard")
        assert now.sha256 == firmware, "another image came up"
        assert now.boot_count == before.boot_count + 1, "the device restarted by itself in between"
        assert now.reset_reason.lower() in ("power_on", "poweron", "ext", "external"), now.reset_reason
        boots.append(now.boot_id)
    assert len(set(boots)) == len(boots), "boot ids repeat"


def test_reboot_command_is_a_software_reset(rig):
    before = rig.identity
    now = rig.reset("soft")
    assert now.boot_count == before.boot_count + 1
    assert "sw" in now.reset_reason.lower() or "soft" in now.reset_reason.lower()


def test_boot_log_has_its_milestones(rig, dut):
    rig.reset("hard")
    dut.expect_exact("=== K1.reinvented Starting ===", timeout=5)
    dut.expect(r"Loaded \d+ patterns", timeout=5)
    dut.expect_exact("Ready!", timeout=5)
    dut.expect_exact("Web server started on port 80", timeout=20)
