"""Fixtures of several test files."""

from __future__ import annotations

import pytest
from conductor_server import conductor, conductor_server
from patched_firmware import PatchedFirmware

from harness.rig import FirmwareBundle

__all__ = ["conductor", "conductor_server", "extended", "patched"]


@pytest.fixture(scope="session")
def patched(tmp_path_factory: pytest.TempPathFactory) -> PatchedFirmware:
    """The folder in which changed firmware is built, once for all tests."""
    return PatchedFirmware(tmp_path_factory.mktemp("patched"))


@pytest.fixture(scope="session")
def extended(patched: PatchedFirmware) -> FirmwareBundle:
    """The firmware with the patterns of ``tests/data/extra_patterns.inc`` and no other change."""
    return patched.variant("extended")
