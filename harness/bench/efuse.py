"""One-time fuses of the modelled chip: ESP32-S3 (QFN56) revision 0.2 without flash or PSRAM in its package.

Addresses and bit positions: ESP32-S3 technical reference manual, chapter eFuse controller.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from harness.errors import BadRequest
from harness.wire.loader import CHIP_ID_ESP32S3

BASE: Final = 0x60007000
MAC_LOW: Final = BASE + 0x44
MAC_HIGH: Final = BASE + 0x48
BLOCK1_WORD3: Final = BASE + 0x50
# wafer minor 2 (bits 18-20), package 0 = QFN56 (21-23), block version minor 1 (24-26), no embedded flash (27-29)
_QFN56_REV_0_2: Final = 0x01080000
SECURE_DOWNLOAD_FLAG: Final = 1 << 2


@dataclass(frozen=True)
class Efuse:
    """Fuses of one chip.

    Attributes:
        mac: 6 bytes in printed order.
        chip_id: 9 is the ESP32-S3; anything else imitates a wrong board.
        secure_download: the ROM refuses everything that reads the chip.
    """

    mac: bytes
    chip_id: int = CHIP_ID_ESP32S3
    secure_download: bool = False

    def __post_init__(self) -> None:
        if len(self.mac) != 6:
            raise BadRequest("unusable MAC address", expected="6 bytes", got=f"{len(self.mac)}")

    @property
    def security_flags(self) -> int:
        """Flags of GET_SECURITY_INFO."""
        return SECURE_DOWNLOAD_FLAG if self.secure_download else 0

    def registers(self) -> dict[int, int]:
        """Address -> word of every fuse word that is not 0."""
        return {
            MAC_LOW: int.from_bytes(self.mac[2:], "big"),
            MAC_HIGH: int.from_bytes(self.mac[:2], "big"),
            BLOCK1_WORD3: _QFN56_REV_0_2,
        }
