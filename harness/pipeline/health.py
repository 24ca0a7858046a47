"""Is a device well? It answers, runs the expected build, has started lately, shows frames, has memory, and stays up."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import DutFailure, RigFault
from harness.pipeline.decode import decode
from harness.pipeline.firmware_store import ELF
from harness.rig import FirmwareBundle, Rig
from harness.wire.panics import PanicReader
from harness.wire.telemetry import Identity

# How long a crash that has begun is listened to, for its backtrace.
LAST_WORDS_S = 3.0
REST_S = 8.0


@dataclass(frozen=True)
class Limits:
    """What counts as healthy.

    Attributes:
        watch_s: how long the device must live without panic or restart.
        fps: least frames a second; K1 aims at 120 and never below 100.
        heap_kb: least free heap: the network stack alone wants about 32 KiB in a burst.
        network: whether it must answer over HTTP.
    """

    watch_s: float = 10.0
    fps: float = 100.0
    heap_kb: float = 32.0
    network: bool = True


@dataclass(frozen=True)
class Check:
    """One look: what, whether it is well, what was expected and seen."""

    name: str
    ok: bool
    expected: str
    got: str


@dataclass
class Health:
    """All looks at one device; ``panics`` with their decoded backtraces."""

    checks: list[Check] = field(default_factory=list)
    panics: list[dict[str, Any]] = field(default_factory=list)

    @property
    def healthy(self) -> bool:
        """Every check passed, and there were some."""
        return bool(self.checks) and all(c.ok for c in self.checks)

    @property
    def why(self) -> str:
        """The failed checks in one line; "" when there are none."""
        return "; ".join(f"{c.name}: expected {c.expected}, got {c.got}" for c in self.checks if not c.ok)

    def add(self, name: str, ok: bool, expected: str, got: str) -> None:
        """One more check."""
        self.checks.append(Check(name, ok, expected, got))

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "healthy": self.healthy, "why": self.why, "checks": [asdict(c) for c in self.checks], "panics": self.panics
        }


def check_health(
    rig: Rig, bundle: FirmwareBundle | None = None, limits: Limits | None = None, *, since_ns: int | None = None,
    from_line: int | None = None, boot_id: str = "",
) -> Health:  # fmt: skip
    """Watches a device for a while and looks at it.

    Args:
        rig: with the device.
        bundle: the build it should run; None: whatever it runs.
        limits: what counts as healthy.
        since_ns: time of the rig's clock at which it began to be updated: it must have started since.
        boot_id: the boot it must still be in; "": any.
        from_line: console lines from this one on may hold panics too; default from now on.

    Raises:
        RigFault: the console's port is gone. A device that does not answer is no error but ill.
    """
    limits = limits or Limits()
    health, reader = Health(), PanicReader()
    lines = _Lines(rig, from_line)
    elf = bundle.path.with_name(ELF) if bundle is not None else Path()
    before = rig.probe()
    _watch(rig, limits.watch_s, reader, lines, before)
    now = rig.probe()
    reader.feed(lines.new())
    health.panics = [{**panic.to_json(), "decoded": decode(panic, elf)} for panic in reader.finish()]
    words = "; ".join(p["words"] for p in health.panics)
    health.add("panics", not health.panics, "none", words or "none")
    if now is None:
        health.add("answers", False, "an identity on the console", rig.console.tail(lines=2) or "nothing")
        return health
    health.add("answers", True, "an identity on the console", f"{now.project} {now.version}")
    _stays_up(health, before, now, limits)
    if boot_id:
        same, got = now.boot_id == boot_id, f"another boot, reason {now.reset_reason}"
        health.add("no restart since", same, "the boot in which it was seen after the update", "so" if same else got)
    _right_build(health, now, bundle)
    if since_ns is not None:
        age_s, most_s = now.t_us / 1e6, (rig.clock.now_ns() - since_ns) / 1e9 + 1.0
        health.add("uptime", age_s <= most_s, f"at most {most_s:.0f} s, since the update", f"{age_s:.0f} s")
    _figures(health, rig, now, limits)
    return health


def never_ran(rig: Rig, bundle: FirmwareBundle, from_line: int) -> Health:
    """The health of an image that did not come to run, or not for long: with what crashed since a console line."""
    reader, elf = PanicReader(), bundle.path.with_name(ELF)
    reader.feed(_Lines(rig, from_line).new())
    health = Health(panics=[{**panic.to_json(), "decoded": decode(panic, elf)} for panic in reader.finish()])
    words = "; ".join(p["words"] for p in health.panics)
    health.add("runs", False, "the new image running", words or "another, or none")
    return health


class _Lines:
    """Console lines, each once."""

    def __init__(self, rig: Rig, first: int | None) -> None:
        self._rig = rig
        rig.console.pump()
        self._at = rig.console.n_lines if first is None else first

    def new(self) -> list[str]:
        self._rig.console.pump()
        lines = self._rig.console.lines_since(self._at)
        self._at += len(lines)
        return [line.text for line in lines]


def _watch(rig: Rig, watch_s: float, reader: PanicReader, lines: _Lines, before: Identity | None) -> None:
    """Until the time is over, or a panic or a restart shows: then only until that has been told."""

    def ill() -> bool:
        reader.feed(lines.new())
        return reader.seen or (before is not None and rig.follow_boots())

    if rig.clock.wait(ill, watch_s, stop="console"):

        def told() -> bool:
            reader.feed(lines.new())
            return not reader.inside

        rig.clock.wait(told, LAST_WORDS_S, stop="console")
        # A device that starts again after it needs a moment before it can say who it is now.
        rig.clock.wait(lambda: bool(rig.follow_boots()), REST_S, stop="console")


def _stays_up(health: Health, before: Identity | None, now: Identity, limits: Limits) -> None:
    if before is None:
        health.add("stays up", False, "an answer at once", "none at first")
        return
    same = before.boot_id == now.boot_id
    got = "no restart" if same else f"a restart, reason {now.reset_reason}"
    health.add("stays up", same, f"no restart in {limits.watch_s:g} s", got)


def _right_build(health: Health, now: Identity, bundle: FirmwareBundle | None) -> None:
    if bundle is not None:
        wanted, got = (f"{b.project} {b.version} {b.sha256}" for b in (bundle, now))
        health.add("build", wanted == got, wanted, got)
    settled = now.slot_state not in ("pending", "invalid", "aborted")
    health.add("slot", settled, "an image that is not on probation", f"slot {now.slot} {now.slot_state}")


def _figures(health: Health, rig: Rig, now: Identity, limits: Limits) -> None:
    """Frame rate and memory over HTTP; over the console where no network is demanded and there is none."""
    try:
        told = rig.api.health()
        image = str(rig.api.info().get("image_sha256", ""))
        # K1's own firmware says nothing of itself there: then the console's word has to do.
        same, got = image in ("", now.sha256), image[:16] or "an answer without identity"
        health.add("HTTP", same, f"the same image as the console: {now.sha256[:16]}", got)
        fps, heap_kb = float(told["fps"]), float(told.get("memory_free_kb", 0.0))
    except (RigFault, DutFailure, TypeError, ValueError) as error:
        if limits.network:
            health.add("HTTP", False, "an answer", str(error).replace("\n", "; ")[:300])
            return
        try:
            recording = rig.record(None, 1.0, streams=("frames",))
        except DutFailure as dark:
            health.add("frames", False, "frames on the console", dark.message)
            return
        fps = recording.n_frames / 1.0
        heap_kb = float(recording.frames["heap_free"].min()) / 1024 if recording.n_frames else 0.0
    health.add("frames", fps >= limits.fps, f"at least {limits.fps:g} a second", f"{fps:.1f}")
    health.add("memory", heap_kb >= limits.heap_kb, f"at least {limits.heap_kb:g} KiB free", f"{heap_kb:.0f} KiB")
