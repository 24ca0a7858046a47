"""``k1hil calibrate …``: what has to be measured once before a rig can measure."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer
from rich.table import Table

from harness.cli_camera import camera
from harness.cli_results import JSON, RIG, RIG_DIR, show
from harness.errors import RigFault

calibrate_app = typer.Typer(no_args_is_help=True, help="Calibrations of a rig, kept beside its file.")


def add_to(app: typer.Typer) -> None:
    """Puts these commands into ``k1hil``."""
    calibrate_app.command("camera")(camera)
    app.add_typer(calibrate_app, name="calibrate")


@calibrate_app.command("audio")
def audio(rig: str = RIG, rig_dir: Path | None = RIG_DIR, as_json: bool = JSON) -> None:
    """Measures latency and level of the sound through the loopback."""
    from harness.instruments.speaker import Speaker
    from harness.rig import open_rig
    from harness.rig.audio_calibration import audio_calibration_path, calibrate, save
    from harness.rig.config import chosen_rig, chosen_rig_dir

    name, folder = chosen_rig(rig), chosen_rig_dir(rig_dir)
    with open_rig(name, folder, owner="k1hil calibrate audio") as opened:
        if not isinstance(opened.audio, Speaker):
            raise RigFault(f"rig '{name}' has no sound to calibrate", remedy="name an output in [audio]")
        found = calibrate(opened.audio, opened.config.audio)
    path = audio_calibration_path(folder, name)
    save(found, path)

    def table() -> Table:
        shown = Table("sound", "value")
        for key, value in asdict(found).items():
            if key != "fingerprint":
                shown.add_row(key, f"{value:g}")
        shown.add_row("kept in", str(path))
        return shown

    show({"file": str(path), **asdict(found)}, as_json, table)
