"""What an ESP32-S3 prints before its application runs: ROM and second-stage boot loader, in their own words.

The boot loader is the one of the Arduino core: silent unless something is wrong.
"""

from __future__ import annotations

from harness.wire.image import FLASH_MODES, EspImage, ImageError

_ROM = "ESP-ROM:esp32s3-20210327\r\nBuild:Mar 27 2021\r\n"
_POWERON = "0x1 (POWERON)"
_TIMER_0 = "0x7 (TG0WDT_SYS_RST)"
_TIMER_1 = "0x8 (TG1WDT_SYS_RST)"
_SOFTWARE = "0xc (RTC_SW_CPU_RST)"
_BROWNOUT = "0xf (BROWNOUT_RST)"
_USB = "0x15 (USB_UART_CHIP_RESET)"
# hal::ResetReason -> what the ROM calls the reset that followed: EN is a power-on reset to it, a panic ends in a
# software reset, and so does a task watchdog.
_CAUSES = (_POWERON, _POWERON, _POWERON, _SOFTWARE, _SOFTWARE, _TIMER_1, _SOFTWARE, _BROWNOUT, _USB)
_INT_WATCHDOG = 5


def rom(reset_reason: int, boot_mode: str = "0x8 (SPI_FAST_FLASH_BOOT)") -> str:
    """The ROM's first lines.

    Args:
        reset_reason: a number of ``hal::ResetReason``.
        boot_mode: strapping value and its name.
    """
    cause = _CAUSES[reset_reason] if 0 <= reset_reason < len(_CAUSES) else _POWERON
    return f"{_ROM}rst:{cause},boot:{boot_mode}\r\n"


def download() -> str:
    """Everything the ROM prints when the strap selects its serial loader."""
    return rom(1, "0x0 (DOWNLOAD(USB/UART0))") + "waiting for download\r\n"


def no_boot_loader(reset_reason: int, first_word: int) -> str:
    """No boot loader in flash: the ROM complains until its watchdog (timer 0) resets it."""
    text = rom(reset_reason)
    if reset_reason == _INT_WATCHDOG:
        text = text.replace(_TIMER_1, _TIMER_0)
    return text + f"invalid header: 0x{first_word:08x}\r\n" * 2


def bad_boot_loader(reset_reason: int, error: ImageError) -> str:
    """A boot loader whose bytes do not add up."""
    return rom(reset_reason) + f"csum err: {error.message}\r\nets_main.c 329 \r\n"


def loading(boot_loader: EspImage) -> str:
    """The ROM loads the boot loader's segments and jumps into it."""
    mode = boot_loader.flash_mode if boot_loader.flash_mode in FLASH_MODES else "dio"
    lines = ["SPIWP:0xee", f"mode:{mode.upper()}, clock div:1"]
    lines += [f"load:0x{s.load_addr:08x},len:0x{len(s.data):x}" for s in boot_loader.segments]
    return "".join(f"{line}\r\n" for line in [*lines, f"entry 0x{boot_loader.entry:08x}"])


class ErrorLog:
    """Error lines of the boot loader, each with its milliseconds since reset."""

    def __init__(self) -> None:
        self._ms = 50
        self.text = ""

    def add(self, tag: str, message: str) -> None:
        """One line. The stamps advance by the time a line takes at 115200 baud."""
        line = f"E ({self._ms}) {tag}: {message}\r\n"
        self.text += line
        self._ms += 1 + len(line) * 10_000 // 115_200

    def bad_image(self, offset: int, error: ImageError) -> None:
        """Why an image was passed over."""
        if "magic" in error.message:
            self.add("esp_image", f"image at 0x{offset:x} has invalid magic byte")
        elif "hash" in error.message:
            self.add("esp_image", "Image hash failed - image is corrupt")
        elif "checksum" in error.message:
            self.add("esp_image", f"Checksum failed. Calculated {error.got} read {error.expected}")
        else:
            self.add("esp_image", f"image at 0x{offset:x}: {error.message}")
