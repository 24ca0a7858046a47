"""What the strips showed: how bright, how much it changes, whether both halves and both strips agree.

Pixel arrays are uint8[n, 160, 3], RGB, as handed to the strip. A WS2812 turns a byte into a duty cycle, so bytes are
proportional to light; no gamma is undone here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from harness.recording import Recording

# Relative luminance of linear R, G, B (ITU-R BT.709). LED primaries differ a little; only ratios are used.
LUMINANCE = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


def shown(recording: Recording) -> tuple[npt.NDArray[np.int64], Pixels]:
    """Times and pixels of strip A, from the wire where the rig has a tap, else as the device reports them.

    Returns:
        (int64[n] nanoseconds of host time, uint8[n, 160, 3]).
    """
    if _tapped(recording) and recording.wire is not None:
        return recording.wire["host_ns"], recording.wire["rgb"][:, 0]
    pixels = recording.pixels
    fit = recording.clock_fits.get("device")
    times = fit.to_host(pixels["t_us"]) if fit is not None and pixels["t_us"].size else pixels["host_ns"]
    return np.asarray(times, dtype=np.int64), pixels["rgb"]


def shown_by(*recordings: Recording) -> str:
    """Where :func:`shown` takes the pixels of these recordings from: ``wire``, or ``telemetry`` if any has no other."""
    return "wire" if recordings and all(map(_tapped, recordings)) else "telemetry"


def _tapped(recording: Recording) -> bool:
    return recording.wire is not None and bool(recording.wire["host_ns"].size)


def luminance(rgb: Pixels) -> Floats:
    """Relative luminance 0–1 per frame and LED, float32[n, 160]."""
    return np.asarray(rgb.astype(np.float32) @ (LUMINANCE / 255), dtype=np.float32)


def light(rgb: Pixels) -> Floats:
    """Mean luminance 0–1 of each frame, float32[n]."""
    return np.asarray(luminance(rgb).mean(axis=1), dtype=np.float32)


# What the firmware's estimate, which the current limit acts on, takes an LED for: its controller, and a channel at 255.
IDLE_MA, CHANNEL_MA, STRIPS = 1.0, 20.0, 2
# The limit dims by rounding each byte down: what is left draws this much less at most.
DIMMED_MA = STRIPS * CHANNEL_MA * 480 / 255 + 1.0


def current_a(rgb: Pixels) -> npt.NDArray[np.float64]:
    """What both strips together draw with these bytes, in A, by the device's own estimate: float64[n]."""
    total = rgb.reshape(len(rgb), -1).sum(axis=1, dtype=np.int64)
    leds = rgb.shape[1]
    return np.asarray(STRIPS * (IDLE_MA * leds + CHANNEL_MA * total / 255) / 1000, dtype=np.float64)


def at_limit(rgb: Pixels, limit_a: float) -> float:
    """Share of frames that draw as much as the limit lets through; 0 without frames or limit."""
    if not len(rgb) or limit_a <= 0:
        return 0.0
    drawn = current_a(rgb)
    return float(((drawn <= limit_a + 1e-3) & (drawn > limit_a - DIMMED_MA / 1000)).mean())


def lit_share(rgb: Pixels) -> float:
    """Share of frames with at least one LED on; 0 without frames."""
    return float(rgb.reshape(len(rgb), -1).any(axis=1).mean()) if len(rgb) else 0.0


def distinct_frames(rgb: Pixels) -> int:
    """Number of different pictures shown."""
    return len({frame.tobytes() for frame in rgb})


def activity(rgb: Pixels) -> float:
    """Mean change of a byte from one frame to the next, 0–255. Dither alone gives below about 1."""
    if len(rgb) < 2:
        return 0.0
    return float(np.abs(np.diff(rgb.astype(np.int16), axis=0)).mean())


def drift(rgb: Pixels, lag: int) -> float:
    """Mean change of a byte between frames ``lag`` apart, after a running mean over 8 frames that takes dither out."""
    if len(rgb) < lag + 9:
        return 0.0
    total = np.cumsum(rgb.astype(np.float32), axis=0)
    smooth = (total[8:] - total[:-8]) / 8
    return float(np.abs(smooth[lag:] - smooth[:-lag]).mean())


def mirror_error(rgb: Pixels) -> int:
    """Largest difference of a byte between LED i and LED 159 - i; 0 is a perfect mirror."""
    return int(np.abs(rgb.astype(np.int16) - rgb[:, ::-1].astype(np.int16)).max()) if len(rgb) else 0


def mean_mirror_error(rgb: Pixels) -> float:
    """Mean over frames and LEDs of that difference: an off-by-one shows here even when edges differ little."""
    return float(np.abs(rgb.astype(np.int16) - rgb[:, ::-1].astype(np.int16)).mean()) if len(rgb) else 0.0


class WireMatch(NamedTuple):
    """Pixels the device reports against what its wires carried.

    Attributes:
        compared: reported frames that lie within the tap's recording.
        unseen: of these, frames no transmission on the wire belongs to.
        different: frames whose bytes differ from strip A.
        strips_differ: transmissions on which both strips differ.
        worst_ms: largest distance in time between a report and its transmission.
    """

    compared: int
    unseen: int
    different: int
    strips_differ: int
    worst_ms: float


def match_wire(recording: Recording, tolerance_ms: float = 2.5) -> WireMatch:
    """Pairs each reported frame with the transmission at its time (device stamp on the host clock) and compares bytes.

    Args:
        tolerance_ms: a frame and its transmission may be this far apart; less than half a frame period.

    A tap that saw nothing leaves every reported frame unseen; a device that reports nothing leaves none to compare.

    Raises:
        ValueError: the rig has no tap or the recording no clock fit.
    """
    wire, pixels = recording.wire, recording.pixels
    fit = recording.clock_fits.get("device")
    if wire is None or fit is None:
        raise ValueError("matching needs a wire tap and a clock fit")
    reports = int(pixels["t_us"].size)
    if not reports or not wire["host_ns"].size:
        return WireMatch(reports, reports, 0, 0, 0.0)
    times, seen = fit.to_host(pixels["t_us"]), wire["host_ns"]
    edge = int(tolerance_ms * 1e6)
    inside = (times >= seen[0] - edge) & (times <= seen[-1] + edge)
    times, reported = times[inside], pixels["rgb"][inside]
    nearest = np.clip(np.searchsorted(seen, times), 1, max(seen.size - 1, 1))
    nearest = np.where(np.abs(seen[nearest - 1] - times) <= np.abs(seen[np.minimum(nearest, seen.size - 1)] - times),
                       nearest - 1, np.minimum(nearest, seen.size - 1))  # fmt: skip
    distance = np.abs(seen[nearest] - times)
    found = distance <= edge
    different = (reported[found] != wire["rgb"][nearest[found], 0]).any(axis=(1, 2))
    strips = (wire["rgb"][:, 0] != wire["rgb"][:, 1]).any(axis=(1, 2))
    worst = float(distance[found].max() / 1e6) if found.any() else 0.0
    return WireMatch(int(times.size), int((~found).sum()), int(different.sum()), int(strips.sum()), worst)
