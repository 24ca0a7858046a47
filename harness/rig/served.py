"""Virtual boards served to outside clients: what ``k1hil bench --live`` does with a rig file."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from harness.errors import BadRequest
from harness.rig import lease as leases
from harness.rig.config import RigConfig, chosen_rig, chosen_rig_dir, load_config
from harness.rig.opening import lease_key
from harness.rig.seeds import fresh_seed


def serve(
    rig: str | None,
    rig_dir: Path | None,
    *,
    boards: int,
    state: Path | None,
    seed: int | None,
    firmware: Path | None,
    sound: bool = False,
    user: str | None = None,
) -> int:
    """Serves boards like those of a virtual rig until SIGINT or SIGTERM; returns the exit code.

    Args:
        rig, rig_dir: the virtual rig whose ``[bench]`` table describes the boards.
        boards, state, seed, firmware: see :func:`harness.bench.live.serve_boards`.
        sound: with a sound server that the boards hear.
        user: a rig that will use the board: it is served at the addresses of that rig's file, with sound if it has any.

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
    ports: dict[str, int] = {}
    if user is not None:
        expected = load_config(user, chosen_rig_dir(rig_dir))
        ports, sound = ports_of(user, expected), sound or bool(expected.audio.device)
    with leases.take(lease_key(name, config, state), owner="k1hil bench --live"):
        drawn = fresh_seed() if seed is None else seed
        return serve_boards(boards, state, drawn, firmware, config=config.bench, ports=ports, sound=sound)


def ports_of(name: str, config: RigConfig) -> dict[str, int]:
    """The loopback ports at which a rig's file expects its board, by the names the bench gives them.

    Raises:
        BadRequest: the rig does not use a served board.
    """
    camera = config.camera.device
    urls = {"http": config.api.base_url, "status": config.bench_status, "camera": str(camera) if camera else ""}
    urls[urlsplit(config.console.port).scheme or "rfc2217"] = config.console.port
    ports = {kind: port for kind, url in urls.items() if (port := urlsplit(url).port)}
    # A file that names the host of the update port means this very port; else the device's own address does.
    ports |= {"ota": config.ota.port} if config.ota.host else {}
    if not config.simulated or not {"http"} < ports.keys():
        raise BadRequest(
            f"rig '{name}' does not use a served board",
            expected='provenance = "simulated", URLs with ports in [console] and [api]',
            remedy="see rigs/sim-live.toml",
        )
    return ports
