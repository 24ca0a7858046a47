"""DTR and RTS to EN and GPIO0: what the two lines of a serial port do to the chip.

``True`` is asserted, as in pyserial: the pin is low. Wirings:

``cross``
    The two-transistor circuit of development kits: EN is low while RTS alone is asserted, GPIO0 while DTR alone is.
    Both or none asserted is neutral, so opening or closing a port does nothing.
``direct``
    RTS is EN, DTR is GPIO0. A program that opens the port with RTS asserted holds such a board in reset.
``usb-jtag``
    The chip's own USB serial device (technical reference manual, table 33.3-2): DTR alone sets a download flag, none
    clears it, RTS alone resets, both do nothing.

EN has a capacitor: it takes a while to rise once it is let go. A host cannot change two lines at once over a network,
so between "RTS alone" and "DTR alone" both are asserted for some 1 to 200 ms, where a local port needs microseconds.
While both are asserted, EN therefore counts as still rising: the next change ends that, or :data:`RELEASE_NS`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from harness.errors import BadRequest

Wiring = Literal["cross", "direct", "usb-jtag"]
RELEASE_NS: Final = 500_000_000


@dataclass(frozen=True)
class LineEvent:
    """EN went low, or rose with the boot strap as it was then."""

    kind: Literal["EN_LOW", "EN_RISE"]
    strap_download: bool = False


EN_LOW = LineEvent("EN_LOW")


class ResetLines:
    """The circuit between a port's lines and one chip. Starts with both lines released and the chip running."""

    def __init__(self, wiring: Wiring = "cross") -> None:
        if wiring not in ("cross", "direct", "usb-jtag"):
            raise BadRequest("unknown wiring", expected="cross, direct or usb-jtag", got=repr(wiring))
        self._wiring = wiring
        self._dtr = self._rts = False
        self._en: Literal["high", "low", "rising"] = "high"
        self._download_flag = False

    @property
    def rising(self) -> bool:
        """EN is let go but not high yet: call :meth:`expire` when it has been so for :data:`RELEASE_NS`."""
        return self._en == "rising"

    @property
    def held(self) -> bool:
        """EN is low."""
        return self._en == "low"

    def set(self, dtr: bool, rts: bool) -> list[LineEvent]:
        """Both lines as they are from now on; what that does, in order. Setting what is set does nothing."""
        if (dtr, rts) == (self._dtr, self._rts):
            return []
        self._dtr, self._rts = dtr, rts
        if self._wiring == "usb-jtag":
            return self._set_usb(dtr, rts)
        low = rts and (not dtr or self._wiring == "direct")
        if low:
            was, self._en = self._en, "low"
            return [EN_LOW] if was == "high" else []
        if self._en == "high":
            return []
        if dtr and rts:
            self._en = "rising"
            return []
        return [self._rise(dtr)]

    def expire(self) -> list[LineEvent]:
        """The capacitor is charged: EN is high now if it was rising, with GPIO0 as the lines leave it."""
        return [self._rise(False)] if self.rising else []

    def _set_usb(self, dtr: bool, rts: bool) -> list[LineEvent]:
        if rts and not dtr:
            return [EN_LOW, LineEvent("EN_RISE", self._download_flag)]
        if not rts:
            self._download_flag = dtr
        return []

    def _rise(self, download: bool) -> LineEvent:
        self._en = "high"
        return LineEvent("EN_RISE", download)
