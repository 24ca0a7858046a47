"""Recordings made by hand, with known answers, for tests of analysis, report and plugin."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.recording import FRAME_COLUMNS, Audio, Recording
from harness.signals import Stimulus
from harness.timebase import ClockFit

OFFSET_NS = 5_000_000_000
FIT = ClockFit(float(OFFSET_NS), 1.0, 0.0, 1000.0, 8)


def frames(n: int, period_us: int = 6000, start_us: int = 1_000_000, **columns: Any) -> dict[str, Any]:
    """Frame records at a steady pace."""
    made: dict[str, Any] = {name: np.zeros(n, kind) for name, kind in FRAME_COLUMNS.items()}
    made["seq"] = np.arange(n)
    made["t_us"] = start_us + period_us * np.arange(n)
    made["render_us"] = np.full(n, 700, np.int32)
    made["quantize_us"] = np.full(n, 200, np.int32)
    made["transmit_us"] = np.full(n, 4860, np.int32)
    made["heap_free"] = np.full(n, 200_000)
    made["sent"] = np.ones(n, bool)
    return made | columns


def recording(
    rgb: Any = None,
    *,
    period_us: int = 6000,
    pattern: str = "test",
    stimulus: Stimulus | None = None,
    wire: bool = True,
    **columns: Any,
) -> Recording:
    """A recording that shows ``rgb`` uint8[n, 160, 3], one frame each ``period_us``."""
    n = 100 if rgb is None else len(rgb)
    rows = frames(n, period_us, **columns)
    pictures = np.zeros((n, 160, 3), np.uint8) if rgb is None else rgb
    host_ns = np.asarray(FIT.to_host(rows["t_us"]))
    audio = Audio(stimulus.samples, stimulus.rate_hz, int(host_ns[0])) if stimulus is not None else None
    return Recording(
        {
            "provenance": "simulated", "rig": "fake", "seed": 1, "pattern": pattern, "cost_model": "m1",
            "t0_ns": int(host_ns[0]),
            "stimulus": {"name": stimulus.name, "truth": stimulus.truth} if stimulus is not None else None,
            "seconds": n * period_us / 1e6,
        },
        rows,
        {"seq": rows["seq"], "t_us": rows["t_us"], "host_ns": host_ns + 4_000_000, "rgb": pictures},
        {"host_ns": host_ns, "rgb": np.stack([pictures, pictures], axis=1)} if wire else None,
        audio,
        clock_fits={"device": FIT},
    )  # fmt: skip


def noise(n: int, seed: int, top: int = 60) -> Any:
    """Pictures without any order."""
    return np.random.default_rng(seed).integers(0, top, (n, 160, 3), dtype=np.uint8)
