"""The still pictures that a device is asked to show to a camera, and whether it does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.errors import DutFailure

# LEDs in a group of hil_ramp, and how far its bytes may be from even steps: rounding, and a supply limit's rounding.
RAMP_STEPS, RAMP_SLACK = 40, 3.0


def refuse_other_pictures(dark: npt.NDArray[np.uint8], ramp: npt.NDArray[np.uint8]) -> None:
    """A device that does not show its test pictures says nothing about the camera.

    ``hil_ramp`` is four groups of 40 LEDs that brighten evenly from 0; a supply limit dims all of them alike.

    Raises:
        DutFailure: which picture is wrong.
    """
    if int(dark.max()) > 1:
        raise DutFailure("hil_solid at brightness 0 is not dark", expected="bytes 0", got=f"up to {int(dark.max())}")
    levels = ramp.max(axis=1).reshape(-1, RAMP_STEPS).astype(np.float64)
    wanted = np.arange(RAMP_STEPS) / (RAMP_STEPS - 1) * float(levels.max())
    off = float(np.abs(levels - wanted).max())
    if levels.max() < RAMP_STEPS or off > RAMP_SLACK:
        raise DutFailure(
            "hil_ramp does not show its ramp", expected="four groups of 40 LEDs that brighten evenly",
            got=f"bytes up to {int(levels.max())}, off by up to {off:.0f}",
        )  # fmt: skip
