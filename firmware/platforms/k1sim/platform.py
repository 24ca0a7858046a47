"""The virtual bench as a PlatformIO platform: no boards, no packages, the compiler is the system's."""

from platformio.platform.base import PlatformBase


class K1simPlatform(PlatformBase):
    """Named by PlatformIO's rule: the platform's name, capitalised, and ``Platform``."""

    def is_embedded(self):
        return False
