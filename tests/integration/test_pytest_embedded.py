"""pytest-embedded's own ``esp`` service against a served board: connect, reset, read the boot text, reset again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from loader_board import LoaderBoard

from harness.instruments.esptool_child import SETTINGS

ROOT = Path(__file__).resolve().parents[2]

_CONFTEST = """
import serial
# pyserial's own client would take half a minute
serial.protocol_handler_packages.insert(0, "harness.instruments.serial_handlers")
"""

_TESTS = """
def test_boots_and_resets(dut):
    dut.expect_exact("boot:0x8 (SPI_FAST_FLASH_BOOT)", timeout=20)
    dut.expect_exact("invalid header: 0xffffffff", timeout=20)
    dut.serial.hard_reset()
    dut.expect_exact("rst:0x1 (POWERON)", timeout=20)


def test_again_on_the_same_board(dut):
    assert dut.serial.esp.CHIP_NAME == "ESP32-S3"
    dut.expect_exact("invalid header: 0xffffffff", timeout=20)
"""


def test_esp_service(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "test_dut.py").write_text(_TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "esptool.cfg").write_text(SETTINGS)
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("ESPTOOL_", "PYTEST_"))}
    environment |= {"PYTHONPATH": str(ROOT), "ESPTOOL_CFGFILE": str(tmp_path / "esptool.cfg")}
    with LoaderBoard() as board:
        done = subprocess.run(
            [
                sys.executable, "-m", "pytest", "-p", "no:conductor-agents-testing", "-p", "no:cacheprovider",
                "--embedded-services", "esp", "--port", board.url("rfc2217"), "--target", "esp32s3", "test_dut.py",
            ],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
        assert "2 passed" in done.stdout
        assert board.downloads >= 2
