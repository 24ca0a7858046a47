"""Opens a rig by name: its file, its lease, its bench."""

from __future__ import annotations

import os
import tempfile
import zlib
from pathlib import Path

from harness.rig import lease as leases
from harness.rig.config import RigConfig, chosen_rig, chosen_rig_dir, load_config
from harness.rig.mount import Mount
from harness.rig.profile import profile as profile_named
from harness.rig.rig import Rig
from harness.rig.seeds import fresh_seed


def open_rig(
    name: str | None = None,
    rig_dir: Path | None = None,
    *,
    profile: str = "quick",
    folder: Path | None = None,
    seed: int | None = None,
    owner: str = "",
    state_dir: Path | None = None,
    event_log: Path | None = None,
) -> Rig:
    """Opens a rig: takes its lease, opens its ports. Nothing is sent to the device yet.

    Args:
        name: of the rig; default ``K1HIL_RIG``, else ``sim``.
        rig_dir: folder of rig files; default ``K1HIL_RIG_DIR``, else ``rigs/``.
        profile: quick, standard or nightly.
        folder: where logs go; default a new temporary folder.
        seed: of a virtual board; default drawn afresh.
        owner: shown to whoever finds the rig in use.
        state_dir: keeps a virtual board's flash and settings over runs; such a rig has one user at a time.
        event_log: file for the truth a virtual board injects; only a scorer may read it.

    Raises:
        BadRequest: unknown rig or a mistake in its file.
        RigFault: in use, or a port is missing.
    """
    name = chosen_rig(name)
    folder_of_rigs = chosen_rig_dir(rig_dir)
    config = load_config(name, folder_of_rigs)
    logs = folder or Path(tempfile.mkdtemp(prefix=f"k1hil-{name}-"))
    logs.mkdir(parents=True, exist_ok=True)
    plan = profile_named(profile, wall=config.kind == "physical")
    lease = leases.take(lease_key(name, config, state_dir), owner=owner)
    try:
        drawn = seed if seed is not None or config.kind == "physical" else fresh_seed()
        mount = _mount(name, config, folder_of_rigs, drawn, state_dir, event_log)
        return Rig(name, config, mount, lease, logs, profile=plan, seed=drawn)
    except BaseException:
        lease.release()
        raise


def lease_key(name: str, config: RigConfig, state_dir: Path | None) -> str:
    """What has to be exclusive: rig or state folder. A board made afresh for this run collides with nobody."""
    if config.kind == "physical":
        # Served boards of one rig's name may be many, on ports of their own.
        return name if not config.simulated else f"{name}-{zlib.crc32(config.console.port.encode()):08x}"
    if state_dir is not None:
        return f"{name}-{zlib.crc32(str(state_dir.resolve()).encode()):08x}"
    return f"{name}-{os.getpid()}-{fresh_seed():x}"


def _mount(
    name: str, config: RigConfig, rig_dir: Path, seed: int | None, state_dir: Path | None, event_log: Path | None
) -> Mount:
    if config.kind == "physical":
        from harness.rig.audio_calibration import audio_calibration_path, load
        from harness.rig.physical import PhysicalMount

        known = load(audio_calibration_path(rig_dir, name), config.audio) if config.audio.device else None
        return PhysicalMount(config, known)
    from harness.rig.virtual import VirtualMount  # brings the whole virtual bench: only where it is wanted

    assert seed is not None
    return VirtualMount(config, seed, state_dir=state_dir, event_log=event_log)
