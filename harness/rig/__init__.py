"""A rig: one device under test, the instruments around it, and the one capture call."""

from harness.rig.bundle import FirmwareBundle
from harness.rig.opening import open_rig
from harness.rig.rig import Rig

__all__ = ["FirmwareBundle", "Rig", "open_rig"]
