"""A rig's TOML file, schema-checked. Every mistake gives one error that names file, key and remedy."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator

from harness.bench.config import BoardConfig
from harness.errors import BadRequest
from harness.measures import budget_problem

MAX_TOML_BYTES = 64 << 10
NAME_PATTERN = r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,40}"
BudgetKey = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}(/[a-z0-9_]{1,64})?$")]
BudgetLimit = Annotated[float, Field(allow_inf_nan=False)]
Mac = Annotated[str, StringConstraints(pattern=r"^([0-9a-fA-F]{2}:){5}[0-9a-fA-F]{2}$", to_lower=True)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DutConfig(_Table):
    """The device under test."""

    mac: Mac | None = Field(default=None, description="chip MAC; flashing refuses any other chip")
    patterns: tuple[str, ...] = Field(default=(), description="pattern ids, for firmware without a manifest")
    boot_timeout_s: float = Field(default=15.0, gt=0, le=300, description="reset to the device's ID sentence")
    sentences: bool = Field(default=True, description="its firmware speaks K1 sentences on the console")


class PortConfig(_Table):
    """A serial port: by path or URL, by USB serial number, or by MAC. Exactly one of them."""

    port: str = Field(default="", max_length=256)
    serial_number: str = Field(default="", max_length=64)
    mac: Mac | None = None
    baud: int = Field(default=115_200, ge=300, le=4_000_000)

    @field_validator("port")
    @classmethod
    def _plausible(cls, value: str) -> str:
        scheme, colon, rest = value.partition("://")
        if colon and scheme not in ("rfc2217", "socket"):
            raise ValueError(
                f"unknown port URL scheme '{scheme}'; use a path, rfc2217://HOST:PORT or socket://HOST:PORT"
            )
        if colon:
            number = re.fullmatch(r"(?:\[[0-9a-fA-F:]+\]|[\w.-]+):(\d{1,5})", rest)
            if not number or not 0 < int(number.group(1)) < 65536:
                raise ValueError("a port URL ends in HOST:PORT with a port of 1 to 65535")
        return value

    @model_validator(mode="after")
    def _one_name(self) -> PortConfig:
        if sum(map(bool, (self.port, self.serial_number, self.mac))) > 1:
            raise ValueError("give one of port, serial_number and mac, not several")
        return self

    @property
    def named(self) -> bool:
        """Whether the table names a port at all."""
        return bool(self.port or self.serial_number or self.mac)


class FlashConfig(PortConfig):
    """The port for flashing; the console's port when it names none."""

    baud: int = Field(default=921_600, ge=9_600, le=4_000_000)
    timeout_s: float = Field(default=120.0, gt=1, le=1800)


class ApiConfig(_Table):
    """Where the device's HTTP API is; empty: the address the device reports."""

    base_url: str = Field(default="", max_length=256, pattern=r"^(https?://[^\s]+)?$")
    timeout_s: float = Field(default=5.0, gt=0, le=120)


class OtaConfig(_Table):
    """Updates over the air: where the device listens, and where this host does for the device to connect back."""

    host: str = Field(default="", max_length=253, description="empty: the address the device reports")
    port: int = Field(default=3232, ge=1, le=65_535)
    listen_address: str = Field(default="", max_length=64, description="empty: the one that leads to the device")
    listen_ports: tuple[int, int] | None = Field(
        default=None, description="first and last TCP port to listen on, for fire walls; default: any free one"
    )

    @field_validator("listen_ports")
    @classmethod
    def _in_order(cls, ports: tuple[int, int] | None) -> tuple[int, int] | None:
        if ports is not None and not 1 <= ports[0] <= ports[1] <= 65_535:
            raise ValueError("listen_ports: first and last port, 1 to 65535, in order")
        return ports


class AudioConfig(_Table):
    """Sound to the microphone. ``device`` is a substring of the output's name; empty: the rig has no speaker."""

    device: str = Field(default="", max_length=128)
    volume: float = Field(default=0.5, gt=0, le=1)
    loopback: str = Field(default="", max_length=128, description="part of the name of the input that hears the output")
    channels: Literal["both", "left"] = Field(
        default="both", description="left: only the first channel goes to the speaker, the second to the reference LED"
    )
    latency_ms: float = Field(default=100.0, ge=5, le=1000, description="buffer asked of the sound system")
    path_ms: float = Field(default=0.0, ge=0, le=1000, description="output to microphone: 2.9 ms per metre of air")


class CameraTable(_Table):
    """The camera that sees both strips. ``device`` empty: the rig has none."""

    device: int | str = Field(
        default="", description="index (0 is /dev/video0), URL (http://…, rtsp://…), file, or virtual"
    )
    width: int | None = Field(default=None, ge=64, le=8192)
    height: int | None = Field(default=None, ge=64, le=8192)
    fps: float | None = Field(default=None, gt=0, le=1000)
    exposure_ms: float | None = Field(default=None, gt=0, le=1000)
    gain: float | None = Field(default=None, ge=0)
    white_balance_k: float | None = Field(default=None, ge=1000, le=20_000)
    focus: float | None = Field(default=None, ge=0)
    video: bool = Field(default=False, description="keep a compressed video beside each recording, for eyes")

    @field_validator("device")
    @classmethod
    def _plausible_device(cls, value: int | str) -> int | str:
        if isinstance(value, int):
            if not 0 <= value < 100:
                raise ValueError("a camera index is 0 to 99")
            return value
        if len(value) > 512 or any(not c.isprintable() for c in value):
            raise ValueError("a camera is an index, a URL, a file or 'virtual'")
        scheme, colon, _ = value.partition("://")
        if colon and scheme not in ("http", "https", "rtsp"):
            raise ValueError(f"unknown camera URL scheme '{scheme}'; use http, https or rtsp")
        return int(value) if value.isdigit() and len(value) < 3 else value

    @property
    def present(self) -> bool:
        """Whether the rig has a camera."""
        return self.device != ""


class RigConfig(_Table):
    """One rig. See ``rigs/bench1.toml`` for every field with its meaning."""

    kind: Literal["virtual", "physical"]
    provenance: Literal["simulated", "hardware"] | None = Field(
        default=None, description="physical rigs: simulated when the ports lead to a served virtual board"
    )
    description: str = Field(default="", max_length=200)
    bench_status: str = Field(
        default="", max_length=256, pattern=r"^(https?://[^\s]+)?$",
        description="where a served bench tells its own faults",
    )
    led_current_limit_a: float | None = Field(default=None, ge=0, le=60, description="0: no limit")
    allow_flashing: bool | None = Field(default=None, description="stroboscopic patterns may be shown")
    dut: DutConfig = DutConfig()
    console: PortConfig = PortConfig()
    flash: FlashConfig = FlashConfig()
    api: ApiConfig = ApiConfig()
    ota: OtaConfig = OtaConfig()
    audio: AudioConfig = AudioConfig()
    camera: CameraTable = CameraTable()
    bench: BoardConfig | None = None
    budgets: dict[BudgetKey, BudgetLimit] = Field(
        default={}, description="hard limits by metric or pattern/metric: at most, or at least where more is better"
    )

    @field_validator("budgets")
    @classmethod
    def _budgets_can_be_broken(cls, budgets: dict[str, float]) -> dict[str, float]:
        problems = [problem for problem in map(budget_problem, budgets) if problem]
        if problems:
            raise ValueError(problems[0])
        return budgets

    @model_validator(mode="after")
    def _fits_kind(self) -> RigConfig:
        if self.camera.device == "virtual" and (self.bench is None or self.bench.camera is None):
            raise ValueError("camera: a virtual camera needs a [bench.camera] table, which says what it sees")
        if self.kind == "virtual" and self.camera.device not in ("", "virtual"):
            raise ValueError('camera: a virtual rig has a virtual camera or none; device = "virtual"')
        if self.kind == "physical":
            if self.bench is not None:
                raise ValueError("bench: a physical rig has no [bench] table; it belongs to virtual rigs")
            if not self.console.named:
                raise ValueError("console: a physical rig needs port, serial_number or mac in [console]")
            self._fits_sentences()
            if self.bench_status and self.provenance != "simulated":
                raise ValueError("bench_status: only a served virtual board has one; remove it")
        elif self.console.named or self.flash.named or self.api.base_url or self.audio.device or self.bench_status:
            raise ValueError("kind: a virtual rig has no ports, address or speaker of its own; remove them")
        elif not self.dut.sentences:
            raise ValueError("dut.sentences: the virtual board runs firmware that speaks them; remove it")
        elif self.provenance == "hardware":
            raise ValueError("provenance: what a virtual rig measures is simulated")
        return self

    def _fits_sentences(self) -> None:
        """What a rig must say itself when its device cannot."""
        if self.dut.sentences:
            return
        if not self.api.base_url:
            raise ValueError("api.base_url: firmware without K1 sentences reports no address; give it")
        if not self.dut.patterns:
            raise ValueError("dut.patterns: firmware without K1 sentences has no manifest; name its patterns")
        if self.current_limit_a > 0:
            raise ValueError(
                "led_current_limit_a: firmware without K1 sentences cannot be limited; use a supply that carries all"
                " LEDs on full white, and set 0"
            )

    @property
    def simulated(self) -> bool:
        """Whether the device is a virtual board."""
        return self.kind == "virtual" if self.provenance is None else self.provenance == "simulated"

    @property
    def current_limit_a(self) -> float:
        """LED current limit in A; 0 means none. Physical rigs are limited to 1 A unless they say otherwise."""
        if self.led_current_limit_a is not None:
            return self.led_current_limit_a
        return 0.0 if self.kind == "virtual" else 1.0

    @property
    def flashing_allowed(self) -> bool:
        """Whether stroboscopic patterns may be shown (people may be watching a physical rig)."""
        return self.kind == "virtual" if self.allow_flashing is None else self.allow_flashing


def default_rig_dir() -> Path:
    """``rigs/`` in the working directory or above it, else beside the package."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "rigs").is_dir() and (folder / "harness").is_dir():
            return folder / "rigs"
    return Path(__file__).resolve().parents[2] / "rigs"


def rig_path(name: str, rig_dir: Path | None = None) -> Path:
    """The rig's file.

    Raises:
        BadRequest: a name that is none, or a rig that is not there.
    """
    folder = rig_dir or default_rig_dir()
    if not re.fullmatch(NAME_PATTERN, name):
        raise BadRequest(f"'{name}' is not a rig name", expected="letters, digits, - and _", remedy="k1hil rig list")
    path = folder / f"{name}.toml"
    if not path.is_file():
        known = rig_names(folder)
        close = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean {close[0]}?" if close else "k1hil rig new writes one"
        raise BadRequest(
            f"there is no rig '{name}'", expected=", ".join(known) or "no rig at all", evidence=str(path), remedy=hint
        )
    return path


def rig_names(rig_dir: Path | None = None) -> list[str]:
    """Names of all rigs."""
    folder = rig_dir or default_rig_dir()
    return sorted(p.stem for p in folder.glob("*.toml") if re.fullmatch(NAME_PATTERN, p.stem))


def load_config(name: str, rig_dir: Path | None = None) -> RigConfig:
    """Reads and checks ``NAME.toml``.

    Raises:
        BadRequest: names file, key and remedy of the first mistake.
    """
    path = rig_path(name, rig_dir)
    if path.stat().st_size > MAX_TOML_BYTES:
        raise BadRequest(f"{path} is too large for a rig file", expected=f"at most {MAX_TOML_BYTES} bytes")
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadRequest(f"{path} cannot be read", got=str(error)) from error
    return parse_config(text, str(path))


def parse_config(text: str, source: str) -> RigConfig:
    """Checks the text of a rig file; ``source`` names it in errors.

    Raises:
        BadRequest: see :func:`load_config`.
    """
    if len(text) > MAX_TOML_BYTES:
        raise BadRequest(f"{source} is too large for a rig file", expected=f"at most {MAX_TOML_BYTES} characters")
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise BadRequest(f"{source} is not TOML", got=str(error), remedy="compare with rigs/bench1.toml") from error
    try:
        return RigConfig.model_validate(table)
    except ValidationError as error:
        raise _explain(error, source) from error


def _explain(error: ValidationError, source: str) -> BadRequest:
    """The first mistake in words, with the nearest known key for a misspelt one."""
    first = error.errors()[0]
    where = [str(part) for part in first["loc"]]
    text = str(first["msg"]).removeprefix("Value error, ")
    remedy = "see rigs/bench1.toml for every field"
    if first["type"] == "extra_forbidden":
        known = _keys_at(where[:-1])
        close = difflib.get_close_matches(where[-1], known, 1)
        text = "unknown key"
        remedy = f"did you mean '{close[0]}'?" if close else f"known keys here: {', '.join(known)}"
    elif not where and ": " in text:
        key, _, text = text.partition(": ")
        where = [key]
    elif first["type"] == "missing":
        remedy = f"add {where[-1]} = …; {remedy}"
    value = "" if first["type"] == "missing" or not where else repr(first.get("input"))[:80]
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return BadRequest(f"{source}: {'.'.join(where)}: {text}{more}", got=value, evidence=source, remedy=remedy)


def _keys_at(path: list[str]) -> list[str]:
    model: Any = RigConfig
    for part in path:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is None:
            return []
        kind = field.annotation
        model = next((t for t in getattr(kind, "__args__", (kind,)) if hasattr(t, "model_fields")), kind)
    return sorted(model.model_fields) if hasattr(model, "model_fields") else []


def chosen_rig(name: str | None) -> str:
    """The rig to use: the given name, else ``K1HIL_RIG``, else ``sim``."""
    return name or os.environ.get("K1HIL_RIG") or "sim"


def chosen_rig_dir(folder: Path | None) -> Path:
    """The folder of rig files: the given one, else ``K1HIL_RIG_DIR``, else ``rigs/``.

    Raises:
        BadRequest: it is not a folder.
    """
    chosen = folder or (Path(os.environ["K1HIL_RIG_DIR"]) if os.environ.get("K1HIL_RIG_DIR") else default_rig_dir())
    if not chosen.is_dir():
        raise BadRequest(f"rig folder {chosen} is not there", remedy="--rig-dir FOLDER, or k1hil rig new")
    return chosen
