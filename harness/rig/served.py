"""Virtual boards served to outside clients: what ``k1hil bench --live`` does with a rig file."""

from __future__ import annotations

from pathlib import Path

from harness.errors import BadRequest
from harness.rig import lease as leases
from harness.rig.config import chosen_rig, chosen_rig_dir, load_config
from harness.rig.opening import lease_key
from harness.rig.rig import fresh_seed


def serve(
    rig: str | None, rig_dir: Path | None, *, boards: int, state: Path | None, seed: int | None, firmware: Path | None
) -> int:
    """Serves boards like those of a virtual rig until SIGINT or SIGTERM; returns the exit code.

    Raises:
        BadRequest: the rig is physical, or the firmware is no image.
        RigFault: another process uses the state folder.
    """
    from harness.bench.live import serve_boards

    name = chosen_rig(rig)
    config = load_config(name, chosen_rig_dir(rig_dir))
    if config.kind != "virtual":
        raise BadRequest(f"rig '{name}' is physical", remedy="only virtual boards can be served: --rig sim")
    if firmware is not None and firmware.is_dir():
        firmware = firmware / "firmware.bin"
    with leases.take(lease_key(name, config, state), owner="k1hil bench --live"):
        return serve_boards(boards, state, fresh_seed() if seed is None else seed, firmware, config=config.bench)
